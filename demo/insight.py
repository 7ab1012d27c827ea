"""What the model saw of a request, kept small beside the result, for the tab that shows it."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from actalker.pipelines.stages import Measured
from actalker.saving import replacing
from actalker.signals.motion import Motion

SIDE = 640  # px, the longer side of the kept photo
MOST_ROWS = 1200  # of the spectrogram


@dataclass(frozen=True)
class Insight:
    """The photo, small, with the face's mesh (478, 2) in its pixels; what was heard and seen; and what came out."""

    photo: np.ndarray
    mesh: np.ndarray
    mel: np.ndarray  # (rows, 80) float32; no rows where no voice was listened to
    before: np.ndarray  # (t, k) the clip's motion; no rows where no clip was followed
    before_fps: float
    after: np.ndarray  # (t, k) the result's motion
    after_fps: float

    def save(self, path: Path) -> None:
        """Write it as an npz archive."""
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **self.__dict__)

    @classmethod
    def load(cls, path: Path) -> "Insight":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as kept:
            return cls(**{name: kept[name] if kept[name].ndim else float(kept[name]) for name in cls.__annotations__})


def insight_of(measured: Measured, motion: Motion) -> Insight:
    """What is kept of a measured request and its motion."""
    scale = min(1.0, SIDE / max(measured.photo.shape[:2]))
    photo = cv2.resize(measured.photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mel = measured.speech.mel if measured.speech else np.zeros((0, 80), np.float32)
    watched = measured.watched.so_far() if measured.watched else []  # not all of it where the video was cancelled
    driving = Motion.joined(watched) if watched else None
    return Insight(
        photo=photo,
        mesh=(measured.face.points[:, :2] * scale).astype(np.float32),
        mel=mel[:: max(1, -(-len(mel) // MOST_ROWS))].astype(np.float32),
        before=driving.values if driving else motion.values[:0],
        before_fps=driving.fps if driving else motion.fps,
        after=motion.values,
        after_fps=motion.fps,
    )


def meshed(insight: Insight) -> np.ndarray:
    """The photo with the face's box and every point of its mesh."""
    canvas = insight.photo.copy()
    low, high = insight.mesh.min(axis=0), insight.mesh.max(axis=0)
    cv2.rectangle(canvas, *(tuple(int(v) for v in corner) for corner in (low, high)), (255, 255, 255), 3)
    cv2.rectangle(canvas, *(tuple(int(v) for v in corner) for corner in (low, high)), (15, 118, 110), 2)
    for x, y in insight.mesh:
        cv2.circle(canvas, (round(float(x)), round(float(y))), 1, (86, 180, 233), -1, cv2.LINE_AA)
    return canvas


def spectrogram(insight: Insight, height: int = 240) -> np.ndarray | None:
    """What was heard as a picture, low tones below; None without a voice."""
    if not len(insight.mel):
        return None
    low, high = np.percentile(insight.mel, (2, 99.5))
    levels = (255 * (insight.mel.T[::-1] - low) / max(high - low, 1e-6)).clip(0, 255).astype(np.uint8)
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB)
    width = max(len(insight.mel), 800)
    return cv2.resize(coloured, (width, height), interpolation=cv2.INTER_LINEAR)
