"""Real lips on video: the gap that a mesh sees between them, and how well motion predicted from the sound follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actalker.errors import InputError
from actalker.evaluate.series import Estimate, bootstrap
from actalker.signals import media
from actalker.signals.audio import RATE, hear
from actalker.signals.face import Face, FaceTracker
from actalker.signals.mesh import LIPS_INNER_LOWER, LIPS_INNER_UPPER
from actalker.training.corpus import FPS

MIDDLE = len(LIPS_INNER_UPPER) // 2
UPPER_LIP, LOWER_LIP = LIPS_INNER_UPPER[MIDDLE], LIPS_INNER_LOWER[MIDDLE]
MOST_LAG = 2  # frames, 80 ms: how far sound and picture of a clip may be apart
BLOCK = FPS  # frames that the bootstrap keeps together: neighbours are alike
LEAST_SEEN = 0.5  # share of the frames that must show a face
LEAST_SECONDS = 2.0


@dataclass(frozen=True)
class Clip:
    """Somebody talking: samples (n,) float32 at 16 kHz, and the gap (t,) between the lips over the face's height."""

    name: str
    samples: np.ndarray
    gap: np.ndarray


def read_clip(path: Path) -> Clip:
    """Sound and lips of a video. InputError: no sound, or only silence, or hardly a face in it, or too short."""
    samples = media.read_audio(path, RATE)
    if hear(samples).silent:
        raise InputError(f"{path.name} holds only silence; use a clip with the speaker's own voice.")
    with FaceTracker() as tracker:
        gaps = np.array(
            [_gap(tracker.points(frame)) for frame in media.read_video(path, FPS, longest=media.MOST_SECONDS)]
        )
    seen = np.flatnonzero(np.isfinite(gaps))
    if len(seen) < LEAST_SEEN * len(gaps):
        raise InputError(
            f"{path.name} shows a face in {len(seen)} of {len(gaps)} frames; use a clip of one talking face."
        )
    frames = min(len(gaps), round(len(samples) / RATE * FPS))
    if frames < LEAST_SECONDS * FPS:
        raise InputError(f"{path.name} lasts {frames / FPS:.1f} s; use a talking clip of {LEAST_SECONDS:g} s or more.")
    return Clip(path.name, samples, np.interp(np.arange(frames), seen, gaps[seen]))


def _gap(points: np.ndarray | None) -> float:
    """Distance of the inner lips' middles over that of forehead and chin; nan without a face."""
    if points is None:
        return float("nan")
    return float(np.linalg.norm(points[UPPER_LIP, :2] - points[LOWER_LIP, :2])) / Face.of(points).height


def best_lags(blocks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Blocks (n, 1 + s, 5) -> Pearson's r of gap and prediction at the best of five lags, and its number, (s,) each.

    Of a block [:, 0] is the real gap, [:, 1:] are s predictions, each at five lags. r is nan where nothing varies.
    """
    rows = np.concatenate(blocks)
    rows = rows - rows.mean(axis=0)
    powers = np.square(rows).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (rows[:, :1] * rows[:, 1:]).sum(axis=0) / np.sqrt(powers[:1] * powers[1:])
    return r.max(axis=1), r.argmax(axis=1)


def lip_correlation(blocks: Sequence[np.ndarray]) -> float:
    """Pearson's r of the real lip gap and the predicted opening at the best lag within 80 ms: -1 to 1; 0.45 is good.

    The mean over predictions. Choosing among five lags lifts r also by chance: to be read beside shuffled speech.
    """
    return float(best_lags(blocks)[0].mean())


def lip_lag(blocks: Sequence[np.ndarray]) -> float:
    """The lag of `lip_correlation` in ms, positive where the prediction is late: -80 to 80; 0 is good."""
    r, best = best_lags(blocks)
    return float(((best - MOST_LAG) / FPS * 1000).mean()) if np.isfinite(r).all() else float("nan")


def score_lips(clip: Clip, openings: Sequence[np.ndarray]) -> dict[str, Estimate]:
    """Both measures of openings (>= t,) that were predicted from the clip's sound, one or, by seeds, several.

    Intervals are over seconds of the clip; every lag sees the same frames of it.
    """
    frames = np.arange(MOST_LAG, len(clip.gap) - MOST_LAG)
    at = frames[:, None] + np.arange(-MOST_LAG, MOST_LAG + 1)
    gap = np.broadcast_to(clip.gap[frames, None], at.shape)
    rows = np.stack([gap, *(one[at] for one in openings)], axis=1)
    blocks = np.split(rows, range(BLOCK, len(rows), BLOCK))
    return {"lip gap r": bootstrap(lip_correlation, blocks), "lag ms": bootstrap(lip_lag, blocks)}
