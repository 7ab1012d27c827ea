"""What was measured of a request, and the stages that both tiers share."""

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from actalker.config import LIMITS
from actalker.errors import InputError
from actalker.pipelines.ahead import Errands, Stream
from actalker.pipelines.request import Progress, Request, silent
from actalker.signals import media
from actalker.signals.audio import HOP, RATE, Speech, hear, read_speech
from actalker.signals.face import Face, choose_face, find_faces
from actalker.signals.motion import USUAL_SECONDS, Motion, motion_in_parts, track
from actalker.signals.regions import from_labels, gates, region_masks

T = TypeVar("T")

log = logging.getLogger(__name__)

SOUND_RATE = 48000  # of the sound track; what is heard is not the 16 kHz that is measured
DRIVER_SIDE = 1080  # px, of a clip's shorter side when it is measured: the mesh sees a face in 512
LEVEL_SECONDS = 10.0  # of speech are heard at least, lest a preview be heard at another level than the whole


@dataclass(frozen=True)
class Measured:
    """The request's media as signals. A signal whose gate is closed was never opened.

    The clip may still be watched while the first of its motion is used.
    """

    photo: np.ndarray  # (h, w, 3) uint8 RGB
    face: Face
    faces_found: int
    masks: dict[str, np.ndarray]  # region -> (h, w) float32
    gates: dict[str, bool]
    speech: Speech | None
    watched: Stream[Motion] | None  # the clip's motion, part after part
    seconds: float

    @cached_property
    def driving(self) -> Motion | None:
        """The motion of the whole clip, once it is watched."""
        return Motion.joined(self.watched) if self.watched else None

    def moves(self, region: str, regions: dict[str, str]) -> bool:
        """Whether a region's source is heard, and is more than silence."""
        source = regions.get(region, "still")
        return self.gates.get(source, False) and not (source == "audio" and self.speech.silent)

    @property
    def filled(self) -> int:
        """Driver frames, of those watched so far, in which no face was found and that their neighbours filled."""
        return sum(part.filled for part in self.watched.so_far()) if self.watched else 0


class Senses:
    """Measures requests, and every file once: requests that differ in their region maps share what was measured.

    It belongs to whoever makes it, keeps the `most` things that were used last, within `room` bytes where that is
    given, and serves one thread at a time. `identify` tells whether two paths hold the same file.
    """

    def __init__(
        self, most: int = 24, room: int | None = None, identify: Callable[[Path], Hashable] | None = None
    ) -> None:
        self._most, self._room, self._identify = most, room, identify or stamp
        self._lock = Lock()
        self._kept: dict[tuple, object] = {}  # the one used last comes last
        self._last: dict[str, tuple[object, object]] = {}

    def __call__(self, request: Request, progress: Progress = silent) -> Measured:
        """Read and measure what the open gates need, side by side. Raises InputError for what the user can mend."""
        with Errands(progress) as errands:
            measured = self.begin(request, errands)
            for _ in errands.each(measured.watched) if measured.watched else ():
                pass
        progress("measuring", 1.0)
        return measured

    def begin(self, request: Request, errands: Errands) -> Measured:
        """The same, with a clip that is still watched, unless it decides how long the result is."""
        opened = ever_open(request)
        if not any(opened.values()):
            raise InputError(
                "No region follows a signal, so nothing would move; let the voice or the clip move a region."
            )
        looking = errands.begin(lambda: self._look(request))
        speech = errands.result(errands.begin(lambda: self.heard(request))) if opened["audio"] else None
        hearing = errands.begin(lambda: speech and speech.features)
        watched = errands.stream(self._watch(request, speech, errands.told)) if opened["video"] else None
        photo, face, count, masks = errands.result(looking)
        errands.result(hearing)
        length = speech.seconds if speech else Motion.joined(errands.each(watched)).seconds
        seconds = min(length, request.until or length)
        if not watched:
            errands.tell("measuring", 1.0)
        return Measured(photo, face, count, masks, opened, speech, watched, seconds)

    def faces(self, photo: Path) -> tuple[np.ndarray, list[Face]]:
        """The picture (h, w, 3) uint8 in a file and the faces in it."""
        return self._once(photo, "faces", lambda: _look_at(photo))

    def heard(self, request: Request) -> Speech:
        """The speech, of a preview only as far as it goes."""
        path, until = request.speech, request.until
        return self._once(path, ("heard", until), lambda: _listen(path, until))

    def _look(self, request: Request) -> tuple[np.ndarray, Face, int, dict[str, np.ndarray]]:
        """The picture, the chosen face, how many there are, and where each region may move."""
        photo, faces = self.faces(request.photo)
        face = choose_face(faces, request.face, request.photo.name)
        return photo, face, len(faces), masks_of(request, face, photo.shape)

    def _watch(self, request: Request, speech: Speech | None, progress: Progress) -> Iterator[Motion]:
        """The clip's motion, of a long clip only as far as the speech or the preview needs it."""
        path, whole = request.driving, float(media.probe_video(request.driving).seconds)
        needed = needed_of_clip(speech.seconds if speech else request.until)
        limit = needed if needed is not None and needed < whole else None
        key = (self._identify(path), limit)
        if (known := self._find(key)) is not None:
            yield known
            return
        parts = []
        for part in _watched(path, limit, progress):
            parts.append(part)
            yield part
        self._keep(key, Motion.joined(parts))

    def last(self, what: str, key: object, make: Callable[[], T]) -> T:
        """What was made under this name last, if it was for the same key; else it is made anew."""
        if self._last.get(what, (None,))[0] != key:
            self._last[what] = (key, make())
        return self._last[what][1]

    def _once(self, path: Path, what: object, make: Callable[[], T]) -> T:
        key = (self._identify(path), what)
        made = self._find(key)
        return self._keep(key, make()) if made is None else made

    def _find(self, key: tuple) -> object | None:
        """What is kept, which now was used last."""
        with self._lock:
            if (made := self._kept.pop(key, None)) is not None:
                self._kept[key] = made
        return made

    def _keep(self, key: tuple, made: T) -> T:
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > self._most or (len(self._kept) > 1 and self._is_full()):
                del self._kept[next(iter(self._kept))]
        return made

    def _is_full(self) -> bool:
        return self._room is not None and weight(list(self._kept.values())) > self._room


def weight(value: object) -> int:
    """Bytes in the arrays of a value: of an array, a dataclass, or some of them."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    parts = list(vars(value).values()) if hasattr(value, "__dict__") else value
    return sum(map(weight, parts)) if isinstance(parts, Iterable) and not isinstance(parts, str | bytes) else 0


def stamp(path: Path) -> tuple:
    """What tells a file from others and from itself before a change."""
    path = Path(path).resolve()
    if not path.exists():
        return (path,)
    state = path.stat()
    return path, state.st_mtime_ns, state.st_size


def masks_of(request: Request, face: Face, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Region -> (h, w): the painted masks if there are any, else those of the face's mesh."""
    if request.painted is None:
        return region_masks(face, shape, request.grow, request.feather)
    labels = media.read_labels(request.painted)
    if labels.shape != shape[:2]:
        painted, photo = (f"{width} x {height}" for height, width in (labels.shape, shape[:2]))
        raise InputError(
            f"The painted masks are {painted} pixels and {request.photo.name} is {photo}; paint at the photo's size."
        )
    return from_labels(labels, request.feather * face.iod)


def needed_of_clip(seconds: float | None) -> float | None:
    """How much of a clip is measured for a result of `seconds`, lest a short one change what is usual for the person.

    None: all of it, as for a result that it decides.
    """
    return min(max(USUAL_SECONDS, seconds), LIMITS.clip_seconds) if seconds else None


def ever_open(request: Request) -> dict[str, bool]:
    """Which signals some region listens to at some time."""
    maps = [gates(regions, request.given, request.strengths) for regions in request.maps]
    return {signal: any(opened[signal] for opened in maps) for signal in maps[0]}


def measure(request: Request, progress: Progress = silent) -> Measured:
    """One request, measured. Raises InputError for anything that the user can mend."""
    return Senses()(request, progress)


def _listen(path: Path, until: float | None) -> Speech:
    """The speech up to `until`."""
    if until is None:
        return read_speech(path)
    speech = hear(media.read_audio(path, RATE, max(LEVEL_SECONDS, until)))
    length = round(until * RATE)
    return Speech(speech.samples[:length], speech.mel[: -(-length // HOP)])


def _look_at(path: Path) -> tuple[np.ndarray, list[Face]]:
    photo = media.read_image(path)
    return photo, find_faces(photo)


def _watched(path: Path, needed: float | None, progress: Progress) -> Iterator[Motion]:
    info = media.probe_video(path)
    fps = float(info.fps)
    total = max(1.0, min(float(info.seconds), needed or info.seconds) * fps)
    frames = media.read_video(path, fps, needed, side=DRIVER_SIDE)
    meshes = track(frames, lambda done: progress("measuring", min(1.0, done / total)))
    return motion_in_parts(meshes, fps, path.name)


def frame_count(seconds: float, fps: Fraction) -> int:
    """Frames of a clip that lasts `seconds`, to the nearest frame and at least one."""
    return max(1, round(seconds * fps))


def sound_track(request: Request, seconds: float) -> media.Sound | None:
    """What is heard in a video of so many seconds: the speech, else the clip's own sound if it has any.

    Speech is heard also when no region listens to it.
    """
    samples = _heard(request, seconds + 0.1 if request.until else None)  # the last frame may end a little later
    return None if samples is None else (samples, SOUND_RATE)


def _heard(request: Request, limit: float | None) -> media.Track | None:
    if request.speech is not None:
        return media.read_track(request.speech, SOUND_RATE, limit)
    if not media.probe_video(request.driving).has_audio:
        return None
    try:
        return media.read_track(request.driving, SOUND_RATE, limit)
    except InputError as fault:  # an empty track beside a good picture
        log.warning("The driving clip's own sound is left out: %s", fault)
        return None
