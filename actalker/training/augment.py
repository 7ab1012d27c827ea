"""Hard treatment of clean speech, so that what is learned on synthesisers holds on real recordings.

Every step takes samples (n,) float32 at 16 kHz and a generator, keeps the length and moves nothing in time; only
`resampled` changes the length, and the phone times with it. Levels: the speech stays near its own level until `gained`.
"""

from collections.abc import Callable

import numpy as np
from scipy.signal import fftconvolve, resample_poly

from actalker.training.voices import RATE

Step = Callable[[np.ndarray, np.random.Generator], np.ndarray]
EQ_KNOTS = (0, 250, 700, 1500, 2800, 4500, 8000)  # Hz
RESAMPLE_STEPS = 40  # the factor of `resampled` is a multiple of 1 / 40


def drawn_stretch(rng: np.random.Generator) -> int:
    """A stretch for `resampled`: 34 to 47 fortieths, from small fast voices to large slow ones."""
    return int(rng.integers(34, 48))


def resampled(samples: np.ndarray, stretch: int) -> np.ndarray:
    """The sound at 40 / `stretch` of its speed: pitch, formants and tempo together. Times grow by stretch / 40."""
    return resample_poly(samples, stretch, RESAMPLE_STEPS).astype(np.float32)


def distorted(samples: np.ndarray, babble: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random room, microphone, background and channel around the speech; `babble` is somebody else's speech."""
    for probability, step in STEPS:
        if rng.random() < probability:
            samples = step(samples, rng)
    if rng.random() < 0.15:
        samples = with_babble(samples, babble, rng)
    if rng.random() < 0.10:
        samples = telephoned(samples, rng)
    return gained(samples, rng)


def reverberated(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A room: exponentially decaying noise after the direct sound, which stays where it is."""
    decay_seconds = rng.uniform(0.1, 0.6)  # to -60 dB
    count = int(decay_seconds * RATE)
    tail = rng.normal(size=count) * 10 ** (-3 * np.arange(count) / count)
    tail[: int(0.002 * RATE)] = 0
    room = tail * _amplitude(-rng.uniform(0, 14)) / np.linalg.norm(tail)
    room[0] = 1
    return fftconvolve(samples, room)[: len(samples)].astype(np.float32)


def equalised(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A smooth random frequency response of 4.5 dB standard deviation."""
    decibels = rng.normal(0, 4.5, len(EQ_KNOTS))
    return _filtered(samples, lambda hertz: _amplitude(np.interp(hertz, EQ_KNOTS, decibels)))


def lowpassed(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A steep upper limit, as of a codec or a narrow-band line."""
    limit = rng.uniform(3300, 7000)
    return _filtered(samples, lambda hertz: 1 / np.sqrt(1 + (hertz / limit) ** 24))


def highpassed(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A small loudspeaker or a rumble filter."""
    limit = rng.uniform(80, 300)
    return _filtered(samples, lambda hertz: 1 / np.sqrt(1 + (limit / (hertz + 1)) ** 6))


def with_noise(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Stationary noise from white to brown, 8 to 45 dB below the speech."""
    noise = coloured_noise(len(samples), rng.choice([0.0, 1.0, 1.0, 2.0]), rng)
    return _mixed(samples, noise, rng.uniform(8, 45))


def with_babble(samples: np.ndarray, babble: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Somebody else talking 14 to 28 dB below the speech, repeated or cut to length."""
    return _mixed(samples, np.resize(babble, len(samples)), rng.uniform(14, 28))


def clipped(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft saturation at 3 to 8 times the RMS."""
    ceiling = rng.uniform(3, 8) * _rms(samples)
    return (np.tanh(samples / ceiling) * ceiling).astype(np.float32)


def telephoned(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A telephone codec: 300 to 3400 Hz, then mu-law steps of 6 to 8 bits."""
    narrow = _filtered(samples, lambda hertz: ((hertz > 300) & (hertz < 3400)).astype(float))
    peak = np.abs(narrow).max() + 1e-9
    steps, mu = 2 ** int(rng.integers(5, 8)), 255
    companded = np.sign(narrow) * np.log1p(mu * np.abs(narrow) / peak) / np.log1p(mu)
    rounded = np.round(companded * steps) / steps
    return (np.sign(rounded) * np.expm1(np.abs(rounded) * np.log1p(mu)) / mu * peak).astype(np.float32)


def gained(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A recording level between -34 and -14 dBFS RMS, hard-limited to [-1, 1]."""
    level = _amplitude(rng.uniform(-34, -14))
    return np.clip(samples * level / _rms(samples), -1, 1).astype(np.float32)


def coloured_noise(count: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise (count,) of unit variance with power ~ 1 / frequency ** slope: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    noise = np.fft.irfft(spectrum / np.maximum(np.arange(len(spectrum)), 1) ** (slope / 2), count)
    return (noise / noise.std()).astype(np.float32)


STEPS: tuple[tuple[float, Step], ...] = (
    (0.50, reverberated),
    (0.75, equalised),
    (0.25, lowpassed),
    (0.20, highpassed),
    (0.85, with_noise),
    (0.12, clipped),
)


def _filtered(samples: np.ndarray, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Zero-phase filtering with a real response given over hertz."""
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return np.fft.irfft(np.fft.rfft(samples) * response(hertz), len(samples)).astype(np.float32)


def _mixed(samples: np.ndarray, other: np.ndarray, decibels_below: float) -> np.ndarray:
    return samples + other * (_rms(samples) / _rms(other) * _amplitude(-decibels_below)).astype(np.float32)


def _rms(samples: np.ndarray) -> np.floating:
    return np.sqrt(np.mean(np.square(samples))) + 1e-9


def _amplitude(decibels: float | np.ndarray) -> np.ndarray:
    return np.power(10.0, np.divide(decibels, 20))
