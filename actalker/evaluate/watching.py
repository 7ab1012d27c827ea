"""What a video shows, found in one pass over its frames, and what a photo shows: all that the measures need of them."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from actalker.errors import InputError
from actalker.evaluate.identity import ArcFace
from actalker.evaluate.patches import pixel_changes
from actalker.evaluate.picture import Background, detail
from actalker.evaluate.series import FPS
from actalker.signals import media
from actalker.signals.face import Face, FaceTracker, choose_face, find_faces
from actalker.signals.fit import Posed
from actalker.signals.mesh import VERTICES, canonical_face
from actalker.signals.motion import Motion, motion_of

LEAST_SEEN = 0.5  # share of the frames that must show a face
LEAST_SECONDS = 1.0
EMBEDDED_EVERY = 1.0  # s: neighbouring frames hardly differ in identity


@dataclass(frozen=True)
class Watched:
    """A video's face: `meshes` (t, 478, 3) px at `fps`, NaN where it is lost, and what its frames look like, (t,)."""

    name: str
    fps: float
    meshes: np.ndarray
    details: np.ndarray  # of the face, see picture.detail
    backgrounds: np.ndarray  # see picture.Background
    embeddings: np.ndarray  # (n, d) by ArcFace, n = 0 without it

    @cached_property
    def motion(self) -> np.ndarray:
        """(t, 38) at 25 fps, as `actalker measure` finds it."""
        return at_25_fps(motion_of(self.meshes, self.fps, self.name))

    @cached_property
    def seen(self) -> np.ndarray:
        """(s, 478, 3) px: the meshes of the frames that show the face."""
        return self.meshes[~np.isnan(self.meshes[:, 0, 0])]

    @cached_property
    def shapes(self) -> np.ndarray:
        """(s, 478, 3) without the head's pose, in units of the eye distance."""
        return Posed.of(self.seen, canonical_face()).shapes


@dataclass(frozen=True)
class Likeness:
    """A photo's face: its shape (478, 3) without the head's pose, its fine structure, and its embedding (d,) if any."""

    shape: np.ndarray
    detail: float
    embedding: np.ndarray | None

    @classmethod
    def of(cls, photo: np.ndarray, face: Face, arcface: ArcFace | None = None) -> "Likeness":
        """The likeness in a picture (h, w, 3) whose face is known."""
        shape = Posed.of(face.points[None], canonical_face()).shapes[0]
        return cls(shape, detail(photo, face), arcface.embed(photo, face) if arcface else None)


@dataclass
class _Looks:
    """What is collected frame by frame."""

    arcface: ArcFace | None
    every: int
    meshes: list[np.ndarray] = field(default_factory=list)
    details: list[float] = field(default_factory=list)
    backgrounds: list[float] = field(default_factory=list)
    embeddings: list[np.ndarray] = field(default_factory=list)
    background: Background = field(default_factory=Background)

    def add(self, frame: np.ndarray, points: np.ndarray | None) -> None:
        face = None if points is None else Face.of(points)
        if self.arcface is not None and face is not None and len(self.meshes) % self.every == 0:
            self.embeddings.append(self.arcface.embed(frame, face))
        self.meshes.append(np.full((VERTICES, 3), np.nan) if points is None else points)
        self.details.append(float("nan") if face is None else detail(frame, face))
        self.backgrounds.append(self.background.change(frame, face))


def watch(path: Path, arcface: ArcFace | None = None) -> Watched:
    """One pass over a video. InputError: no video, too short, or hardly a face in it."""
    fps = float(media.probe_video(path).fps)
    looks = _Looks(arcface, max(1, round(EMBEDDED_EVERY * fps)))
    with FaceTracker() as tracker:
        for frame in media.read_video(path, fps, longest=media.MOST_SECONDS):
            looks.add(frame, tracker.points(frame))
    meshes = np.array(looks.meshes).reshape(-1, VERTICES, 3)
    _check(path, fps, meshes)
    details, backgrounds = np.array(looks.details), np.array(looks.backgrounds)
    return Watched(path.name, fps, meshes, details, backgrounds, np.array(looks.embeddings))


def _check(path: Path, fps: float, meshes: np.ndarray) -> None:
    frames, seen = len(meshes), int((~np.isnan(meshes[:, 0, 0])).sum())
    if frames < LEAST_SECONDS * fps:
        raise InputError(f"{path.name} lasts {frames / fps:.1f} s; give a video of {LEAST_SECONDS:g} s or more.")
    if seen < LEAST_SEEN * frames:
        raise InputError(f"{path.name} shows a face in {seen} of {frames} frames; give a video of one face.")


def look_at(photo: Path, face: int | None = None, arcface: ArcFace | None = None) -> Likeness:
    """The largest face of a photo, or the one numbered `face`. InputError: no picture, or no such face."""
    picture = media.read_image(photo)
    return Likeness.of(picture, choose_face(find_faces(picture), face, photo.name), arcface)


def pixel_changes_of(one: Path, seen: Watched, other: Path, other_seen: Watched) -> dict[str, float]:
    """`patches.pixel_changes` of two videos that were watched already."""
    if seen.fps != other_seen.fps:
        raise InputError(f"{one.name} and {other.name} differ in frame rate; compare results of one frame rate.")
    frames, other_frames = (media.read_video(path, longest=media.MOST_SECONDS) for path in (one, other))
    return pixel_changes(frames, seen.meshes, other_frames, other_seen.meshes)


def at_25_fps(motion: Motion) -> np.ndarray:
    """(t, 38) the motion's values at the rate of the measures."""
    return motion.values if motion.fps == FPS else motion.resampled(FPS).values
