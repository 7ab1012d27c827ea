"""What was measured of a request, and the stages that both tiers share."""

import logging
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from itertools import starmap
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from actalker.config import LIMITS
from actalker.errors import InputError
from actalker.pipelines.ahead import Errands, Stream
from actalker.pipelines.request import Progress, Request, silent
from actalker.signals import media
from actalker.signals.audio import HOP, RATE, Speech, hear, joined, read_speech
from actalker.signals.face import Face, choose_face, find_faces
from actalker.signals.motion import USUAL_SECONDS, Motion, motion_in_parts, track
from actalker.signals.phones import evidence_in_parts
from actalker.signals.regions import from_labels, gates, region_masks

T = TypeVar("T")

log = logging.getLogger(__name__)

SOUND_RATE = 48000  # of the sound track; what is heard is not the 16 kHz that is measured
DRIVER_SIDE = 1080  # px, of a clip's shorter side when it is measured: the mesh sees a face in 512
LEVEL_SECONDS = 10.0  # of speech are heard at least, lest a preview be heard at another level than the whole


@dataclass(frozen=True)
class Measured:
    """The request's media as signals. A signal whose gate is closed was never opened.

    Speech and clip may still be listened to and watched while the beginning of them is used.
    """

    photo: np.ndarray  # (h, w, 3) uint8 RGB
    face: Face
    faces_found: int
    masks: dict[str, np.ndarray]  # region -> (h, w) float32
    gates: dict[str, bool]
    speech: Speech | None
    listened: Stream[np.ndarray] | None  # the speech's phone evidence (n, 32), part after part
    watched: Stream[Motion] | None  # the clip's motion, part after part
    seconds: float

    @cached_property
    def features(self) -> np.ndarray:
        """What is heard in the whole speech, see `audio.joined`: (m, 113), once it is listened to."""
        return joined(self.speech.mel, np.concatenate(list(self.listened)))

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
    given, and serves any number of threads: one that wants what another is measuring follows that. `identify` tells
    whether two paths hold the same file.
    """

    def __init__(
        self, most: int = 24, room: int | None = None, identify: Callable[[Path], Hashable] | None = None
    ) -> None:
        self._most, self._room, self._identify = most, room, identify or stamp
        self._lock = Lock()
        self._kept: dict[tuple, Stream] = {}  # the one used last comes last
        self._last: dict[str, tuple[object, object]] = {}

    def __call__(self, request: Request, progress: Progress = silent) -> Measured:
        """Read and measure what the open gates need, side by side. Raises InputError for what the user can mend."""
        return to_the_end(self.begin, request, progress)

    def begin(self, request: Request, errands: Errands) -> Measured:
        """The same, with a speech that is still listened to and a clip that is still watched."""
        opened = ever_open(request)
        if not any(opened.values()):
            raise InputError(
                "No region follows a signal, so nothing would move; let the voice or the clip move a region."
            )
        looking = errands.begin(lambda: self._look(request))
        speech = errands.result(errands.begin(lambda: self.heard(request))) if opened["audio"] else None
        listened = self._listen(request, speech, errands) if speech else None
        clip = errands.result(errands.begin(lambda: self._probe(request.driving))) if opened["video"] else None
        watched = self._watch(request, clip, speech, errands) if clip else None
        photo, face, count, masks = errands.result(looking)
        length = speech.seconds if speech else float(frame_count(clip.seconds, clip.fps) / clip.fps)
        seconds = min(length, request.until or length)
        if not watched:
            errands.tell("measuring", 1.0)
        return Measured(photo, face, count, masks, opened, speech, listened, watched, seconds)

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

    def _probe(self, path: Path) -> media.VideoInfo:
        return self._once(path, "probed", lambda: media.probe_video(path))

    def _listen(self, request: Request, speech: Speech, errands: Errands) -> Stream[np.ndarray]:
        """The speech's phone evidence."""
        key = self._identify(request.speech), "listened", request.until
        return self._streamed(key, partial(_listened, speech), errands)

    def _watch(
        self, request: Request, clip: media.VideoInfo, speech: Speech | None, errands: Errands
    ) -> Stream[Motion]:
        """The clip's motion, of a long clip only as far as the speech or the preview needs it."""
        path, needed = request.driving, needed_of_clip(speech.seconds if speech else request.until)
        limit = needed if needed is not None and needed < clip.seconds else None
        if limit is None and clip.seconds > LIMITS.clip_seconds + media.LEEWAY:
            raise media.too_long(path, clip.seconds, LIMITS.clip_seconds)
        key = self._identify(path), "watched", limit
        return self._streamed(key, lambda told: _watched(path, clip, limit, told), errands)

    def last(self, what: str, key: object, make: Callable[[], T]) -> T:
        """What was made under this name last, if it was for the same key; else it is made anew."""
        if self._last.get(what, (None,))[0] != key:
            self._last[what] = (key, make())
        return self._last[what][1]

    def _once(self, path: Path, what: object, make: Callable[[], T]) -> T:
        """What is made of a file, at once and in this thread if it is not there already."""
        stream, new = self._kept_or_new((self._identify(path), what), silent)
        if new:
            self._fill(stream, starmap(make, [()]))
        return next(iter(stream))

    def _streamed(self, key: tuple, make: Callable[[Progress], Iterable[T]], errands: Errands) -> Stream[T]:
        """What is made for these errands, and for all others that want it meanwhile."""
        stream, new = self._kept_or_new(key, errands.told)
        if new:
            errands.begin(lambda: self._fill(stream, make(stream.told)))
        return stream

    def _kept_or_new(self, key: tuple, progress: Progress) -> tuple[Stream, bool]:
        """The stream of this name, followed by `progress`, and whether it is new and must be filled."""
        with self._lock:
            stream = self._kept.pop(key, None)
            new = stream is None or not stream.follow(progress)
            if new:
                stream = Stream(progress)
            self._kept[key] = stream
        return stream, new

    def _fill(self, stream: Stream[T], things: Iterable[T]) -> None:
        stream.fill(things)
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if not (kept is stream and stream.broken)}
            while len(self._kept) > self._most or (len(self._kept) > 1 and self._is_full()):
                del self._kept[next(iter(self._kept))]

    def _is_full(self) -> bool:
        return self._room is not None and weight(self._kept.values()) > self._room


def to_the_end(
    begin: Callable[[Request, Errands], Measured], request: Request, progress: Progress = silent
) -> Measured:
    """A request whose speech and clip are listened to and watched to their end. `begin` is like `Senses.begin`."""
    with Errands(progress) as errands:
        measured = begin(request, errands)
        for stream in filter(None, (measured.listened, measured.watched)):
            for _ in errands.each(stream):
                pass
    progress("measuring", 1.0)
    return measured


def weight(value: object) -> int:
    """Bytes in the arrays of a value: of an array, a stream, a dataclass, or some of them."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Stream):
        return weight(value.so_far())
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


def _listened(speech: Speech, progress: Progress) -> Iterator[np.ndarray]:
    for part in evidence_in_parts(speech.samples):
        progress("measuring", 0.0)  # may end it
        yield part


def _watched(path: Path, clip: media.VideoInfo, needed: float | None, progress: Progress) -> Iterator[Motion]:
    fps = float(clip.fps)
    total = max(1.0, min(clip.seconds, needed or clip.seconds) * fps)
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
