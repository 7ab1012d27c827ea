"""Speech: samples at 16 kHz and what is heard in them at 100 Hz, by one code for training and serving."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from actalker.signals import media, phones

RATE = 16000  # samples a second
HOP = 160  # samples from one mel row to the next: 100 rows a second
WINDOW = 400  # samples under the Hann window: 25 ms
FFT = 512
BINS = 80
BAND = (60.0, 7600.0)  # Hz
POWER_FLOOR = 1e-9  # added before the logarithm

# Levels are natural logarithms of power: 1 = 4.34 dB.
AUDIBLE = -6.5  # loudness below which a recording counts as quiet: speech at about -45 dBFS
ACTIVE = 7.0  # how far below the loudest tenth of a second a frame still counts as active
VOICED = 3.5  # how far below the level a frame still counts as voiced
RANGE = (-8.0, 4.0)  # what is kept around the level
SPREAD = 2.5  # what one unit of the result stands for

_BLOCK = 1000  # mel rows computed at a time, so that long recordings need no more memory


@dataclass(frozen=True)
class Speech:
    """A voice: `samples` (n,) float32 at 16 kHz in [-1, 1] and `mel` (m, 80) float32, normalised, m = ceil(n / 160)."""

    samples: np.ndarray
    mel: np.ndarray

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return len(self.samples) / RATE

    @property
    def features(self) -> np.ndarray:
        """All that is heard, see `joined`: (m, 113) float32."""
        return joined(self.mel, phones.evidence(self.samples))

    @property
    def silent(self) -> bool:
        """Whether nothing in the recording reaches the level of speech."""
        return bool(self.mel.mean(axis=1).max() < -1.0)

    def frames(self, fps: float) -> int:
        """How many video frames at `fps` last as long as the recording."""
        return round(self.seconds * float(fps))


def read_speech(path: str | Path) -> Speech:
    """The speech in any audio or video file. Raises InputError as `media.read_audio` does."""
    return hear(media.read_audio(path, RATE))


def hear(samples: np.ndarray) -> Speech:
    """Samples (n,) at 16 kHz as speech."""
    return Speech(samples, normalise(log_mel(samples)))


def joined(mel: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """mel (m, 80), phone evidence (m, 32) -> features (m, 113) float32: both, and ones for "there is evidence"."""
    features = np.ones((len(mel), mel.shape[1] + evidence.shape[1] + 1), np.float32)
    features[:, : mel.shape[1]], features[:, mel.shape[1] : -1] = mel, evidence
    return features


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Logarithm of the mel power spectrum.

    Samples (n,) at 16 kHz -> (ceil(n / 160), 80) float32. Row i is centred on sample 160 i, silence around.
    """
    rows = -(-len(samples) // HOP)
    blocks = [np.log(power @ _filters() + POWER_FLOOR) for power in _power_blocks(samples, rows)]
    return np.concatenate(blocks).astype(np.float32) if blocks else np.zeros((0, BINS), np.float32)


def normalise(mel: np.ndarray) -> np.ndarray:
    """Log-mel rows (m, 80) with the recording's own level and colour removed: 0 is ordinary speech, -3.2 is silence.

    With e the mean of a row over its bins and p the logarithm of its mean power (the loudness):

        active    rows whose p is within 7 of what the loudest tenth of a second exceeds
        level     95th percentile of e over the active rows
        relative  clip(mel - level, -8, 4)
        colour    mean of `relative` per bin over the rows whose e is within 3.5 of the level
        shortfall max(0, -6.5 - 95th percentile of p over the active rows)
        result    max(relative - colour - shortfall, -8) / 2.5

    Speech from about -45 dBFS upwards has no shortfall, so its loudness does not matter. What is quieter stays as much
    below speech as it is: noise at -60 dBFS is not lifted, and digital silence is exactly -3.2 throughout.
    """
    if len(mel) == 0:
        return np.zeros((0, BINS), np.float32)
    mean = mel.mean(axis=1)
    loudness = np.log(np.exp(mel).mean(axis=1))
    active = loudness >= np.sort(loudness)[-min(10, len(mel))] - ACTIVE
    level = np.percentile(mean[active], 95)
    relative = np.clip(mel - level, *RANGE)
    colour = relative[mean > level - VOICED].mean(axis=0)
    shortfall = max(0.0, AUDIBLE - float(np.percentile(loudness[active], 95)))
    return (np.maximum(relative - colour - shortfall, RANGE[0]) / SPREAD).astype(np.float32)


@lru_cache(maxsize=1)
def _filters() -> np.ndarray:
    """Slaney mel filters, (257, 80)."""
    from librosa.filters import mel

    low, high = BAND
    return mel(sr=RATE, n_fft=FFT, n_mels=BINS, fmin=low, fmax=high).T


@lru_cache(maxsize=1)
def _window() -> np.ndarray:
    """The periodic Hann window, (400,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def _power_blocks(samples: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    """Power spectra of up to 1000 rows at a time, (b, 257)."""
    padded = np.pad(samples.astype(np.float32), WINDOW // 2)
    for start in range(0, rows, _BLOCK):
        count = min(_BLOCK, rows - start)
        piece = padded[start * HOP : (start + count - 1) * HOP + WINDOW]
        windows = np.lib.stride_tricks.sliding_window_view(piece, WINDOW)[::HOP]
        yield np.abs(np.fft.rfft(windows * _window(), FFT)).astype(np.float32) ** 2
