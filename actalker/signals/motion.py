"""Motion: rig coefficients over time, measured from a driving clip, stored, resampled and extended."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy.ndimage import gaussian_filter1d

from actalker.config import COEFFICIENTS
from actalker.errors import InputError
from actalker.saving import replacing
from actalker.signals.face import FaceTracker
from actalker.signals.fit import coefficients
from actalker.signals.mesh import VERTICES

T = TypeVar("T")

SMOOTHING = 0.7  # frames, standard deviation of a centred Gaussian: it steadies without delay


@dataclass(frozen=True)
class Motion:
    """Coefficients `values` (t, k) float32 with a name for every column, at `fps`; `filled` frames had no face."""

    values: np.ndarray
    fps: float
    filled: int = 0
    names: tuple[str, ...] = COEFFICIENTS

    def __len__(self) -> int:
        return len(self.values)

    @property
    def seconds(self) -> float:
        """Length of the motion."""
        return len(self) / self.fps

    def column(self, name: str) -> np.ndarray:
        """(t,) one coefficient over time."""
        return self.values[:, self.names.index(name)]

    def resampled(self, fps: float, frames: int | None = None) -> "Motion":
        """The same motion at another rate: `frames` of them, by default as many as keep the length."""
        frames = max(1, round(self.seconds * fps)) if frames is None else frames
        # A frame stands for the middle of its time span.
        at = (np.arange(frames) + 0.5) * (self.fps / fps) - 0.5
        source = np.arange(len(self))
        columns = [np.interp(at, source, column) for column in self.values.T]
        return self._with(np.stack(columns, axis=1), fps)

    def extended(self, frames: int, how: str = "pingpong") -> "Motion":
        """Exactly `frames` frames: cut, or continued backwards ("pingpong"), anew ("loop") or still ("hold")."""
        at, count = np.arange(frames), len(self)
        if how == "hold":
            order = np.minimum(at, count - 1)
        elif how == "loop":
            order = at % count
        elif how == "pingpong":
            period = max(1, 2 * count - 2)
            order = (count - 1) - np.abs(at % period - (count - 1))
        else:
            raise InputError(f"A driving clip cannot be continued by {how!r}; choose pingpong, loop or hold.")
        return self._with(self.values[order], self.fps)

    def save(self, path: str | Path) -> None:
        """Write the motion as an npz archive: values, names, fps and filled. InputError: the place takes no file."""
        with replacing(path) as part, part.open("wb") as file:
            np.savez_compressed(file, values=self.values, names=np.array(self.names), fps=self.fps, filled=self.filled)

    @classmethod
    def load(cls, path: str | Path) -> "Motion":
        """Read what `save` wrote; columns are put into this version's order, missing ones are zero."""
        try:
            with np.load(path) as archive:
                stored, fps = archive["values"], float(archive["fps"])
                column = {str(name): i for i, name in enumerate(archive["names"])}
                filled = int(archive["filled"]) if "filled" in archive.files else 0
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{path} is not a motion file; save one with Motion.save.") from error
        values = np.zeros((len(stored), len(COEFFICIENTS)), np.float32)
        for i, name in enumerate(COEFFICIENTS):
            if name in column:
                values[:, i] = stored[:, column[name]]
        return cls(values, fps, filled)

    def _with(self, values: np.ndarray, fps: float) -> "Motion":
        return Motion(values.astype(np.float32), fps, self.filled, self.names)


def measure_motion(
    frames: Iterable[np.ndarray],
    fps: float,
    progress: Callable[[int], None] | None = None,
    name: str = "the driving clip",
) -> Motion:
    """Coefficients of the face in RGB frames (h, w, 3), relative to the person's own neutral face and usual pose.

    `progress` is told the number of frames measured so far. Frames without a face are filled from their neighbours and
    counted; InputError where no frame shows one.
    """
    return motion_of(track(frames, progress), fps, name)


def motion_of(meshes: np.ndarray, fps: float, name: str = "the driving clip") -> Motion:
    """`measure_motion` of a clip whose faces are tracked already: meshes (t, 478, 3) px, NaN where there is no face."""
    seen = np.flatnonzero(~np.isnan(meshes[:, 0, 0]))
    if not len(seen):
        raise InputError(
            f"No face was found in any of the {len(meshes)} frames of {name}; use a clip that shows one face."
        )
    values = coefficients(meshes[seen], fps)
    at = np.arange(len(meshes))
    filled = np.stack([np.interp(at, seen, column) for column in values.T], axis=1)
    smooth = gaussian_filter1d(filled, SMOOTHING, axis=0, mode="nearest")
    return Motion(smooth.astype(np.float32), fps, len(meshes) - len(seen))


def track(frames: Iterable[np.ndarray], progress: Callable[[int], None] | None = None) -> np.ndarray:
    """(t, 478, 3) the tracked face in every frame, NaN where it is lost."""
    meshes = []
    with FaceTracker() as tracker, closing(_one_ahead(map(tracker.glance, frames))) as glances:
        for glance in glances:
            points = tracker.points(glance)
            meshes.append(np.full((VERTICES, 3), np.nan) if points is None else points)
            if progress is not None:
                progress(len(meshes))
    return np.array(meshes).reshape(-1, VERTICES, 3)


def _one_ahead(things: Iterable[T]) -> Iterator[T]:
    """The things in order, each made in a thread while the one before is used."""
    things, end = iter(things), object()
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, things, end)
        while (thing := coming.result()) is not end:
            coming = maker.submit(next, things, end)
            yield thing
