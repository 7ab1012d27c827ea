"""A look at a request's files before the run: what they hold, what will become of them, and what the run will take."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from actalker.config import LIMITS
from actalker.errors import InputError
from actalker.pipelines.estimate import Estimate, Size, estimate
from actalker.pipelines.request import Request
from actalker.pipelines.stages import Senses, ever_open, frame_count, masks_of, needed_of_clip
from actalker.signals import media
from actalker.signals.face import FaceTracker, choose_face

T = TypeVar("T")

GLANCES = 5  # frames of a clip, one a second, in which a face is sought


@dataclass(frozen=True)
class PhotoFound:
    """A photo: its size in px and a box (left, top, right, bottom) in px for each face, the largest first."""

    width: int
    height: int
    boxes: tuple[tuple[int, int, int, int], ...]

    @property
    def faces(self) -> int:
        """How many faces it shows."""
        return len(self.boxes)


@dataclass(frozen=True)
class SpeechFound:
    """Speech: its length, of a preview only as far as it was read, and whether nothing in it is as loud as speech."""

    seconds: float
    silent: bool


@dataclass(frozen=True)
class DrivingFound:
    """A driving clip: what its header says, and whether a face is seen in its first seconds."""

    seconds: float
    fps: float
    width: int
    height: int
    has_sound: bool
    shows_face: bool


@dataclass(frozen=True)
class Findings:
    """What was found. A file that was not given, or cannot be used, is None; `faults` then says why, by its field.

    `faults["request"]` is what the settings lack. Only without faults there are `seconds` of result and an `estimate`.
    """

    photo: PhotoFound | None
    speech: SpeechFound | None
    driving: DrivingFound | None
    faults: dict[str, str]
    notes: tuple[str, ...]
    seconds: float | None
    estimate: Estimate | None

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """A line for each file and each thing to know."""
        return "\n".join([*_described(self), *self.notes, *self.faults.values()])


def look(request: Request, senses: Senses | None = None) -> Findings:
    """Look at a request's files without running it; any of them may be None. Never raises InputError.

    It takes about half a second, and a fiftieth of the speech's length. What `senses` measured is measured once.
    """
    senses, faults = senses or Senses(), {}

    def attempt(role: str, find: Callable[[], T]) -> T | None:
        try:
            return find() if role == "request" or getattr(request, role) is not None else None
        except InputError as fault:
            faults[role] = str(fault)
            return None

    photo = attempt("photo", lambda: _photo(request, senses))
    speech = attempt("speech", lambda: _speech(request, senses))
    driving = attempt("driving", lambda: _driving(request.driving))
    checked = attempt("request", lambda: _checked(request, senses, driving)) if not faults else None
    if checked is None:
        return Findings(photo, speech, driving, faults, (), None, None)
    seconds = _seconds(checked, speech, driving)
    notes = tuple(_notes(checked, photo, speech, driving, seconds))
    picture, faces = senses.faces(checked.photo)
    size = Size.of(checked, picture.shape, faces[checked.face or 0])
    expected = estimate(checked, size, seconds, _driver_frames(checked, driving, seconds))
    return Findings(photo, speech, driving, faults, notes, seconds, expected)


def _photo(request: Request, senses: Senses) -> PhotoFound:
    picture, faces = senses.faces(request.photo)
    choose_face(faces, request.face, request.photo.name)
    boxes = tuple(tuple(round(side) for side in face.box) for face in faces)
    return PhotoFound(picture.shape[1], picture.shape[0], boxes)


def _speech(request: Request, senses: Senses) -> SpeechFound:
    heard = senses.heard(request)
    return SpeechFound(round(heard.seconds, 3), heard.silent)


def _driving(path: Path) -> DrivingFound:
    info = media.probe_video(path)
    with FaceTracker() as tracker:
        seen = any(tracker.points(frame) is not None for frame in media.read_video(path, 1.0, float(GLANCES)))
    return DrivingFound(round(info.seconds, 3), float(info.fps), info.width, info.height, info.has_audio, seen)


def _checked(request: Request, senses: Senses, driving: DrivingFound | None) -> Request:
    if request.photo is None:
        raise InputError("No photo was given; add --photo.")
    checked = request.checked()
    if not any(ever_open(checked).values()):
        raise InputError("No region follows a signal, so nothing would move; let the voice or the clip move a region.")
    if driving and not _limited(checked) and driving.seconds > LIMITS.clip_seconds + media.LEEWAY:
        raise media.too_long(checked.driving, driving.seconds, LIMITS.clip_seconds)
    if checked.painted is not None:
        photo, faces = senses.faces(checked.photo)
        masks_of(checked, faces[checked.face or 0], photo.shape)
    return checked


def _limited(request: Request) -> bool:
    """Whether something else than the clip decides how much of it is used."""
    followed = ever_open(request)
    return followed["audio"] or not followed["video"] or request.until is not None


def _seconds(request: Request, speech: SpeechFound | None, driving: DrivingFound | None) -> float:
    """How long the result will be."""
    whole = speech.seconds if ever_open(request)["audio"] else driving.seconds
    frames = frame_count(min(whole, request.until or whole), request.fps)
    return round(float(frames / request.fps), 3)


def _driver_frames(request: Request, driving: DrivingFound | None, seconds: float) -> int:
    """How many frames of the clip will be measured."""
    if not ever_open(request)["video"]:
        return 0
    decided = ever_open(request)["audio"] or request.until
    return round(min(driving.seconds, needed_of_clip(seconds if decided else None) or driving.seconds) * driving.fps)


def _notes(
    request: Request, photo: PhotoFound, speech: SpeechFound | None, driving: DrivingFound | None, seconds: float
) -> list[str]:
    """What will be left out, continued or not heed what was given, in sentences."""
    followed, notes = ever_open(request), []
    if photo.faces > 1:
        notes.append(f"The photo shows {photo.faces} faces; face {request.face or 0} is used.")
    if speech and speech.silent:
        notes.append("The speech is silent, so what follows it hardly moves and the mouth keeps still.")
    if speech and not followed["audio"]:
        notes.append("No region follows the speech; it is only heard.")
    if driving and not followed["video"]:
        notes.append("No region follows the driving clip; it is not used.")
    if driving and not driving.shows_face:
        notes.append(f"No face was seen in the first {GLANCES} seconds of the driving clip.")
    if driving and followed["video"]:
        notes += _fitting(driving.seconds, seconds)
    whole = speech.seconds if followed["audio"] else driving.seconds
    if request.until and request.until <= whole + 0.01:
        notes.append(f"Only the first {seconds:.1f} s are rendered.")
    late = [cue.start for cue in request.timeline if cue.start >= seconds]
    if late:
        notes.append(f"The change at {late[0]:g} s is after the end, so it does not happen.")
    return notes


def _fitting(clip: float, seconds: float) -> list[str]:
    """How a clip is made as long as the result."""
    used = min(seconds, LIMITS.clip_seconds)
    if clip > used + 0.1:
        return [f"Of the driving clip's {clip:.1f} s the first {used:.1f} s are used."]
    if clip < seconds - 0.1:
        return [f"The driving clip lasts {clip:.1f} s and is continued back and forth to {seconds:.1f} s."]
    return []


def _described(found: Findings) -> list[str]:
    lines = []
    if found.photo:
        count = "1 face" if found.photo.faces == 1 else f"{found.photo.faces} faces"
        boxes = ", ".join(f"{left}-{right} x {top}-{bottom}" for left, top, right, bottom in found.photo.boxes)
        lines.append(f"photo: {found.photo.width} x {found.photo.height} px, {count} at {boxes}")
    if found.speech:
        lines.append(f"speech: {found.speech.seconds:.1f} s{', silent' if found.speech.silent else ''}")
    if found.driving:
        clip = found.driving
        lines.append(f"driving clip: {clip.seconds:.1f} s, {clip.width} x {clip.height} px, {clip.fps:.4g} fps")
    if found.estimate:
        takes, memory = found.estimate.seconds, found.estimate.memory_mb
        lines.append(f"result: {found.seconds:.1f} s, in about {takes:.0f} s with about {memory} MB of memory")
    return lines
