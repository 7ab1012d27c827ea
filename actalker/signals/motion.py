"""Motion: rig coefficients over time, measured from a driving clip, stored, resampled and extended."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TypeVar

import numpy as np
from scipy.ndimage import gaussian_filter1d

from actalker.config import COEFFICIENTS
from actalker.errors import InputError
from actalker.saving import replacing
from actalker.signals.face import FaceTracker
from actalker.signals.fit import OPEN_SECONDS, Usual, coefficients
from actalker.signals.mesh import VERTICES

T = TypeVar("T")

SMOOTHING = 0.7  # frames, standard deviation of a centred Gaussian: it steadies without delay
REACH = 3  # frames to each side that it sees
USUAL_SECONDS = 10.0  # of a face tell what is usual for the person, where one cannot wait for more
PART_SECONDS = 4.0  # of a clip whose motion is known together
BLINK_SECONDS = 0.5  # across which the gaze is carried, usually


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
        return self._with(between(self.values, resampled_at(frames, self.fps / fps)), fps)

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

    @classmethod
    def joined(cls, parts: Iterable["Motion"]) -> "Motion":
        """Motions that follow each other, at least one, as one."""
        parts = list(parts)
        values = np.concatenate([part.values for part in parts])
        return cls(values, parts[0].fps, sum(part.filled for part in parts), parts[0].names)

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


def resampled_at(frames: int, ratio: float) -> np.ndarray:
    """(frames,) where the frames of another rate lie among those of a motion, which has `ratio` times as many."""
    return (np.arange(frames) + 0.5) * ratio - 0.5  # a frame stands for the middle of its time span


def between(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(n, k) float32 what frames (t, k) are at places (n,) between them; beyond the ends, like the outermost frame."""
    source = np.arange(len(values))
    return np.stack([np.interp(at, source, column) for column in values.T], axis=1).astype(np.float32)


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


def motion_of(meshes: Iterable[np.ndarray], fps: float, name: str = "the driving clip") -> Motion:
    """`measure_motion` of a clip whose faces are tracked already: meshes (478, 3) px, NaN where there is no face."""
    return Motion.joined(motion_in_parts(meshes, fps, name, usual_seconds=inf))


def motion_in_parts(
    meshes: Iterable[np.ndarray],
    fps: float,
    name: str = "the driving clip",
    usual_seconds: float = USUAL_SECONDS,
) -> Iterator[Motion]:
    """The motion in meshes (478, 3) px, NaN where there is no face, part after part as soon as nothing can change it.

    What is usual for the person is learned from the first `usual_seconds` in which the face is seen, and the first part
    comes after them. InputError where no frame shows a face.
    """
    clip, usual = _Clip(fps), None
    for mesh in meshes:
        clip.add(mesh)
        if usual is None and len(clip.seen) >= usual_seconds * fps:
            usual = Usual.of(clip.faces())
        if usual is not None and clip.settled - clip.told >= PART_SECONDS * fps:
            yield clip.part(usual, clip.settled)
    if not clip.seen:
        raise InputError(
            f"No face was found in any of the {len(clip.meshes)} frames of {name}; use a clip that shows one face."
        )
    yield clip.part(usual or Usual.of(clip.faces()), len(clip.meshes))


class _Clip:
    """The meshes of a clip so far, of which `told` frames were made motion of. `seen`: the frames that show a face."""

    def __init__(self, fps: float):
        self.fps, self.meshes, self.seen, self.told = fps, [], [], 0
        # What a frame's motion depends on: faces to each side that lids and smoothing compare it with.
        self._around = round(OPEN_SECONDS * fps / 2) + REACH + round(BLINK_SECONDS * fps)

    def add(self, mesh: np.ndarray) -> None:
        self.meshes.append(mesh)
        if not np.isnan(mesh[0, 0]):
            self.seen.append(len(self.meshes) - 1)

    def faces(self, first: int = 0) -> np.ndarray:
        """(n, 478, 3) the faces that were seen, from the one numbered `first`."""
        return np.array([self.meshes[frame] for frame in self.seen[first:]])

    @property
    def settled(self) -> int:
        """Frames whose motion no later frame can change."""
        return self.seen[-1 - self._around] if len(self.seen) > self._around else 0

    def part(self, usual: Usual, end: int) -> Motion:
        """The motion of the frames from `told` to `end`."""
        first = max(0, bisect_left(self.seen, self.told) - self._around)
        seen = np.array(self.seen[first:])
        values = coefficients(self.faces(first), self.fps, usual)
        at = np.arange(seen[0] if first else 0, len(self.meshes))
        filled = np.stack([np.interp(at, seen, column) for column in values.T], axis=1)
        smooth = gaussian_filter1d(filled, SMOOTHING, axis=0, mode="nearest", radius=REACH)
        own = slice(self.told - at[0], end - at[0])
        lost = int((~np.isin(at[own], seen)).sum())
        self.told = end
        return Motion(smooth[own].astype(np.float32), self.fps, lost)


def track(frames: Iterable[np.ndarray], progress: Callable[[int], None] | None = None) -> Iterator[np.ndarray]:
    """The tracked face (478, 3) in px of every frame, NaN where it is lost."""
    with FaceTracker() as tracker, closing(_one_ahead(map(tracker.glance, frames))) as glances:
        for done, glance in enumerate(glances, start=1):
            points = tracker.points(glance)
            if progress is not None:
                progress(done)
            yield np.full((VERTICES, 3), np.nan) if points is None else points


def _one_ahead(things: Iterable[T]) -> Iterator[T]:
    """The things in order, each made in a thread while the one before is used."""
    things, end = iter(things), object()
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, things, end)
        while (thing := coming.result()) is not end:
            coming = maker.submit(next, things, end)
            yield thing
