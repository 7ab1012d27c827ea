"""Invented motion: what a voice does to the rest of the face, and procedural drivers as a camera would see them.

Everything is smooth (continuous velocity) at 25 fps and drawn from the given generator. Frames come first.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

from actalker.config import COEFFICIENTS, INDEX, REGIONS, SIGNED

MOUTH_COUNT = len(REGIONS["mouth"])
IS_POSE = np.array([name in REGIONS["head"] for name in COEFFICIENTS])
LOWEST = np.array([-1.0 if name in SIGNED else 0.0 for name in COEFFICIENTS])  # of mesh coefficients
BLINK_CLOSE, BLINK_OPEN = 0.12, 0.20  # s
GAZE_PER_DEGREE = 0.02  # how far the eyes turn back while the head turns, so that they stay on the camera
CALM = 0.3  # share of the head's motion that is left in silence
PHRASE_BLINKS = 0.6  # chance that the lids close where a phrase ends
TRACKER_GAIN = 0.06  # standard deviation of the logarithm of how much of a motion a tracker sees

# Standard deviation while speaking, and the time scale in seconds.
SWAY = {
    "headYaw": (2.4, 0.9),
    "headPitch": (1.6, 0.8),
    "headRoll": (1.3, 1.0),
    "headX": (0.008, 1.2),
    "headY": (0.006, 1.2),
    "headZ": (0.006, 1.5),
}
DRIVER_RANGE = {"headYaw": 20.0, "headPitch": 15.0, "headRoll": 15.0, "headX": 0.12, "headY": 0.10, "headZ": 0.10}

# Expressions of a driver: what moves together, and how far at most.
EXPRESSIONS: tuple[dict[str, float], ...] = (
    {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "eyeSquintLeft": 0.5, "eyeSquintRight": 0.5},
    {"mouthSmileLeft": 0.8, "mouthLeft": -0.3},
    {"mouthSmileRight": 0.8, "mouthLeft": 0.3},
    {"mouthFrownLeft": 0.8, "mouthFrownRight": 0.8, "browInnerUp": 0.4},
    {"mouthPucker": 0.9, "mouthFunnel": 0.3},
    {"mouthFunnel": 0.8, "jawOpen": 0.3},
    {"mouthStretch": 0.8},
    {"mouthLeft": 0.7, "jawLeft": 0.5},
    {"mouthLeft": -0.7, "jawLeft": -0.5},
    {"cheekPuff": 0.8},
    {"mouthRollUpper": 0.7, "mouthRollLower": 0.7},
    {"noseSneer": 0.8, "mouthUpperUp": 0.5},
    {"mouthShrugLower": 0.7, "mouthLowerDown": 0.2},
    {"browInnerUp": 0.8, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8, "eyeWideLeft": 0.5, "eyeWideRight": 0.5},
    {"browOuterUpLeft": 0.8},
    {"browOuterUpRight": 0.8},
    {"browDownLeft": 0.9, "browDownRight": 0.9, "eyeSquintLeft": 0.4, "eyeSquintRight": 0.4},
    {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.3},
    {"eyeBlinkRight": 1.0, "mouthSmileRight": 0.3},
    {"eyeSquintLeft": 0.8, "eyeSquintRight": 0.8},
    {"jawOpen": 1.0},
)


def loudness(samples: np.ndarray, frames: int, fps: float, rate: int = 16000) -> np.ndarray:
    """Level of speech per frame, (frames,) float32: 1 at its loud end, 0 from 40 dB below that, all 0 for silence."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    centres = np.arange(frames) / fps * rate
    first, last = (np.clip(centres + side * 0.03 * rate, 0, len(samples)).astype(int) for side in (-1, 1))
    power = (energy[last] - energy[first]) / np.maximum(last - first, 1)
    decibels = 10 * np.log10(power + 1e-10)
    loud_end = np.percentile(decibels, 95) if frames else 0.0
    if loud_end < -60:
        return np.zeros(frames, np.float32)
    return np.clip((decibels - loud_end + 40) / 40, 0, 1).astype(np.float32)


def accompany(loudness: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Eyes, gaze, brows and head for a voice of the given loudness (t,): (t, 19), the columns COEFFICIENTS[19:]."""
    motion = np.zeros((len(loudness), len(COEFFICIENTS)))
    activity = gaussian_filter1d(loudness.astype(float), 0.3 * fps, mode="nearest")
    _add_sway(motion, CALM + (1 - CALM) * np.minimum(1.5 * activity, 1), fps, rng)
    for frame in _stresses(loudness, fps):
        if rng.random() < 0.45:
            _add_nod(motion, frame, fps, rng)
        if rng.random() < 0.30:
            _add_brow_raise(motion, frame, fps, rng)
    _add_gaze(motion, 0.10, 0.07, fps, rng)
    _add_blinks(motion, fps, rng, [end for end in _phrase_ends(loudness, fps) if rng.random() < PHRASE_BLINKS])
    return _bounded(motion)[:, MOUTH_COUNT:].astype(np.float32)


def driver(frames: int, fps: float, rng: np.random.Generator, mouth: np.ndarray | None = None) -> np.ndarray:
    """Motion (frames, 38) of somebody performing for a camera; `mouth` (frames, 19) makes them say just that."""
    motion = np.zeros((frames, len(COEFFICIENTS)))
    for name, limit in DRIVER_RANGE.items():
        motion[:, INDEX[name]] = _pose_track(frames, limit, fps, rng)
    keenness = rng.uniform(0.1, 0.6)
    for expression in EXPRESSIONS:
        if rng.random() > keenness or (mouth is not None and "jawOpen" in expression):
            continue
        track = _pulses(frames, fps, rng, every=rng.uniform(2, 8)) * rng.uniform(0.4, 1.0)
        for name, amount in expression.items():
            motion[:, INDEX[name]] += amount * track
    motion[:, :MOUTH_COUNT] += _chatter(frames, fps, rng) if mouth is None else rng.uniform(0.6, 1.2) * mouth
    _add_gaze(motion, rng.uniform(0.1, 0.4), rng.uniform(0.05, 0.25), fps, rng)
    _add_blinks(motion, fps, rng)
    return _bounded(motion).astype(np.float32)


def measured(motion: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a calibrated face tracker reports of `motion` (t, 38): nearly its size, jittery, smoothed, gaps bridged."""
    units = np.array([DRIVER_RANGE.get(name, 1.0) for name in COEFFICIENTS])
    gains = np.exp(rng.normal(0, TRACKER_GAIN, len(COEFFICIENTS)))
    jitter = rng.normal(0, rng.uniform(0.005, 0.03), motion.shape) * units
    seen = gaussian_filter1d(gains * motion + jitter, 0.7, axis=0, mode="nearest")
    if rng.random() < 0.25:
        _bridge_gap(seen, rng)
    return np.where(IS_POSE, seen, np.clip(seen, LOWEST, 1.0)).astype(np.float32)


def _bridge_gap(seen: np.ndarray, rng: np.random.Generator) -> None:
    """Replace a random stretch of up to 20 frames by the straight line between its neighbours."""
    length = int(rng.integers(3, 21))
    if len(seen) > length + 2:
        start = int(rng.integers(1, len(seen) - length - 1))
        share = np.linspace(0, 1, length + 2)[1:-1, None]
        seen[start : start + length] = (1 - share) * seen[start - 1] + share * seen[start + length]


def _add_sway(motion: np.ndarray, strength: np.ndarray, fps: float, rng: np.random.Generator) -> None:
    for name, (spread, seconds) in SWAY.items():
        slow = smooth_noise(len(motion), seconds * fps, rng)
        quick = smooth_noise(len(motion), seconds * fps / 3, rng)
        motion[:, INDEX[name]] += spread * strength * (0.95 * slow + 0.3 * quick)


def _add_nod(motion: np.ndarray, frame: int, fps: float, rng: np.random.Generator) -> None:
    """A short dip of the head on a stressed syllable, sometimes with a tilt."""
    nod = _bump(len(motion), frame, 0.16 * fps, 0.28 * fps)
    motion[:, INDEX["headPitch"]] += rng.uniform(0.6, 2.2) * nod
    motion[:, INDEX["headRoll"]] += rng.normal(0, 0.5) * nod


def _add_brow_raise(motion: np.ndarray, frame: int, fps: float, rng: np.random.Generator) -> None:
    lift = rng.uniform(0.12, 0.45) * _bump(
        len(motion), frame, rng.uniform(0.2, 0.35) * fps, rng.uniform(0.3, 0.6) * fps
    )
    motion[:, INDEX["browInnerUp"]] += lift
    for side in ("Left", "Right"):
        motion[:, INDEX[f"browOuterUp{side}"]] += lift * rng.uniform(0.6, 0.9)
        motion[:, INDEX[f"eyeWide{side}"]] += 0.25 * lift


def _add_gaze(motion: np.ndarray, spread_x: float, spread_y: float, fps: float, rng: np.random.Generator) -> None:
    """Saccades around the camera, and eyes that stay on it while the head moves."""
    tracks = _fixations(len(motion), (spread_x, spread_y), fps, rng)
    for track, gaze, head in zip(tracks, ("gazeX", "gazeY"), ("headYaw", "headPitch"), strict=True):
        motion[:, INDEX[gaze]] += track - GAZE_PER_DEGREE * motion[:, INDEX[head]]


def _add_blinks(motion: np.ndarray, fps: float, rng: np.random.Generator, prompts: Sequence[float] = ()) -> None:
    """Blinks every few seconds; a prompt (a frame, ascending) brings the next one forward."""
    lids = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
    rested, due = 0.0, rng.uniform(0.3, 3.0) * fps
    while (frame := next((prompt for prompt in prompts if rested <= prompt < due), due)) < len(motion):
        blink = _bump(len(motion), round(frame), BLINK_CLOSE * fps, BLINK_OPEN * fps) * rng.uniform(0.9, 1.0)
        motion[:, lids] = np.maximum(motion[:, lids], blink[:, None])
        rested, due = frame + 0.8 * fps, frame + np.clip(rng.gamma(6, 0.55), 2.0, 5.0) * fps


def _pose_track(frames: int, limit: float, fps: float, rng: np.random.Generator) -> np.ndarray:
    """Held poses with quick turns between them plus a slow drift; how much of each differs from driver to driver."""
    turns = _held_poses(frames, rng.uniform(0.6, 2.5), rng.uniform(0.35, 0.9), fps, rng)
    drift = smooth_noise(frames, rng.uniform(0.6, 1.5) * fps, rng)
    track = rng.choice([0.0, 0.5, 1.0]) * turns + rng.uniform(0.05, 0.5) * drift
    return limit * np.tanh(1.2 * track)


def _chatter(frames: int, fps: float, rng: np.random.Generator) -> np.ndarray:
    """A mouth (frames, 19) that seems to talk now and then: jaw at syllable rate, some rounding and spreading."""
    talk = gaussian_filter1d((smooth_noise(frames, fps, rng) > -0.3).astype(float), 0.15 * fps, mode="nearest")
    mouth = np.zeros((frames, MOUTH_COUNT))
    syllables = 0.25 + 0.3 * smooth_noise(frames, 0.07 * fps, rng)
    mouth[:, INDEX["jawOpen"]] = talk * rng.uniform(0.4, 1.2) * _soft_positive(syllables)
    for name in ("mouthPucker", "mouthFunnel", "mouthStretch", "mouthLowerDown", "mouthRollLower"):
        mouth[:, INDEX[name]] = talk * 0.5 * _soft_positive(smooth_noise(frames, 0.1 * fps, rng) - 0.5)
    return mouth


def _stresses(loudness: np.ndarray, fps: float) -> Sequence[int]:
    """Frames of the prominent peaks of loudness, at least a third of a second apart."""
    smooth = gaussian_filter1d(loudness.astype(float), 0.06 * fps, mode="nearest")
    return find_peaks(smooth, height=0.5, prominence=0.08, distance=max(1, round(fps / 3)))[0]


def _phrase_ends(loudness: np.ndarray, fps: float) -> Sequence[float]:
    """Frames a tenth of a second after speech of at least half a second falls silent."""
    speech = gaussian_filter1d(loudness.astype(float), 0.12 * fps, mode="nearest") > 0.3
    ends = np.flatnonzero(speech[:-1] & ~speech[1:]) + 1
    return [end + 0.1 * fps for end in ends if speech[max(0, end - round(0.5 * fps)) : end].all()]


def smooth_noise(frames: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise (frames,) of unit variance whose memory is about `scale` frames."""
    margin = int(4 * scale) + 1
    noise = gaussian_filter1d(rng.normal(size=frames + 2 * margin), scale)[margin : margin + frames]
    # The variance of white noise under a Gaussian filter of width s is 1 / (2 sqrt(pi) s).
    return noise * np.sqrt(2 * np.sqrt(np.pi) * scale)


def _bump(frames: int, peak: float, rise: float, fall: float, hold: float = 0.0) -> np.ndarray:
    """0, a cosine rise of `rise` frames to 1 at `peak`, `hold` frames there, and a cosine fall of `fall` frames."""
    away = np.arange(frames) - peak
    share = np.clip(np.where(away < 0, 1 + away / rise, 1 - (away - hold) / fall), 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * share)


def _pulses(frames: int, fps: float, rng: np.random.Generator, every: float) -> np.ndarray:
    """Now and then up to 1, held there for up to 1.5 seconds, and back, about once in `every` seconds: (frames,)."""
    track = np.zeros(frames)
    peak = rng.uniform(-0.5, 1.0) * every * fps
    while peak < frames:
        rise, fall, hold = rng.uniform((0.15, 0.2, 0.0), (0.5, 0.6, 1.5)) * fps
        track += _bump(frames, peak, rise, fall, hold)
        peak += hold + fall + rise + rng.exponential(every) * fps
    return np.minimum(track, 1.0)


def _held_poses(frames: int, hold: float, move: float, fps: float, rng: np.random.Generator) -> np.ndarray:
    """A track in [-1, 1] that holds a value for about `hold` seconds, then moves to the next within `move` seconds."""
    value = rng.uniform(-1, 1)
    track, start = np.full(frames, value), rng.gamma(3, hold / 3) * fps
    while start < frames:
        target = rng.uniform(-1, 1)
        share = np.clip((np.arange(frames) - start) / (move * fps), 0, 1)
        track += (target - value) * share * share * (3 - 2 * share)
        value, start = target, start + (move + rng.gamma(3, hold / 3)) * fps
    return track


def _fixations(frames: int, spreads: tuple[float, float], fps: float, rng: np.random.Generator) -> np.ndarray:
    """Where the eyes rest, (2, frames): jumps of about 60 ms every 1.3 s, often back to the camera."""
    tracks, frame = np.zeros((2, frames)), 0
    while frame < frames:
        end = frame + max(2, round(rng.gamma(3, 0.45) * fps))
        tracks[:, frame:end] = (rng.normal(0, spreads) * (rng.random() < 0.75))[:, None]
        frame = end
    return gaussian_filter1d(tracks, 0.035 * fps, axis=1, mode="nearest")


def _soft_positive(values: np.ndarray) -> np.ndarray:
    """A smooth max(values, 0), exactly proportional far above 0."""
    return np.logaddexp(0, 12 * values) / 12


def _bounded(motion: np.ndarray) -> np.ndarray:
    """Keep mesh coefficients within -1 to 1 without a kink: unchanged up to 0.9, then ever slower."""
    size = np.abs(motion)
    soft = np.where(size > 0.9, 0.9 + 0.1 * np.tanh((size - 0.9) / 0.1), size)
    return np.where(IS_POSE, motion, np.sign(motion) * soft)
