"""What arrives is looked at before anything runs: a line of news for each file, and the faces of a photo."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from actalker.errors import InputError
from actalker.signals import audio, media, regions
from actalker.signals.face import Crop, Face, FaceTracker, choose_face, crop_of, find_faces
from demo.notes import Note
from demo.runner import Runner
from demo.texts import Words
from demo.wishes import AGREED, FILES, whole

VIEW_SIDE = 512  # px
SHOWN_SIDE = 640  # px, the longer side of the photo with its faces boxed
WAVE_BARS = 180
FRAMES_LOOKED_AT = 5  # one a second, when a clip arrives
CHOSEN, OTHER, EDGE = (15, 118, 110), (100, 116, 139), (255, 255, 255)


@dataclass(frozen=True)
class View:
    """A face with its surroundings: a square picture (512, 512, 3) uint8 RGB and the face in pixels of that picture.

    `whole` is the face in pixels of the photo, whose (h, w) is `shape`; `crop` is where the picture lies in it.
    """

    picture: np.ndarray
    face: Face
    whole: Face
    shape: tuple[int, int]
    crop: Crop


@dataclass(frozen=True)
class Seen:
    """What a photo shows: a small copy of it, a box (left, top, right, bottom) in its pixels and a view of each face.

    Faces come largest first. `fault` is what is wrong with the photo, if anything.
    """

    fault: str | None = None
    small: np.ndarray | None = None
    boxes: tuple[tuple[int, int, int, int], ...] = ()
    views: tuple[View, ...] = ()


def seen_in(photo: Path) -> Seen:
    """Find the faces in a photo; whatever is wrong with it becomes its fault."""
    try:
        picture = media.read_image(photo)
        faces = find_faces(picture)
        choose_face(faces, name=photo.name)
    except InputError as fault:
        return Seen(str(fault))
    scale = SHOWN_SIDE / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Seen(None, small, tuple(_box(face, scale) for face in faces), tuple(_view(picture, face) for face in faces))


def look(runner: Runner, photo: str | None) -> Seen:
    """What the photo shows, remembered."""
    return runner.remember(seen_in, Path(photo)) if photo else Seen()


def photo_note(runner: Runner, words: Words, photo: str | None) -> Note:
    """The line below the photo."""
    if not photo:
        return Note("hint", words("hint.photo"))
    seen = look(runner, photo)
    if seen.fault:
        return Note("fault", words.fault(seen.fault))
    return Note("good", words.count(len(seen.views), "photo"))


def boxed(seen: Seen, chosen: int) -> np.ndarray | None:
    """The photo, small, with a numbered box around each face, the chosen one (from 1) in another colour."""
    if seen.small is None:
        return None
    canvas = seen.small.copy()
    for number, (left, top, right, bottom) in enumerate(seen.boxes, 1):
        colour = CHOSEN if number == chosen else OTHER
        for thick, paint in ((7, EDGE), (3, colour)):
            cv2.rectangle(canvas, (left, top), (right, bottom), paint, thick)
        if len(seen.boxes) > 1:
            cv2.rectangle(canvas, (left, top), (left + 44, top + 44), colour, -1)
            cv2.putText(canvas, str(number), (left + 10, top + 34), cv2.FONT_HERSHEY_DUPLEX, 1.1, EDGE, 2, cv2.LINE_AA)
    return canvas


def face_at(seen: Seen, x: float, y: float) -> int | None:
    """The number, from 1, of the face whose box holds this point of the small photo; the smallest of several."""
    holding = [
        ((right - left) * (bottom - top), number)
        for number, (left, top, right, bottom) in enumerate(seen.boxes, 1)
        if left <= x <= right and top <= y <= bottom
    ]
    return min(holding)[1] if holding else None


@dataclass(frozen=True)
class Heard:
    """What is known of a voice: its length, whether it is silent, its loudness over time, or what is wrong with it."""

    seconds: float = 0.0
    silent: bool = False
    wave: tuple[float, ...] = ()
    fault: str | None = None


def heard_in(speech: Path) -> Heard:
    """Listen to a voice."""
    try:
        voice = audio.read_speech(speech)
    except InputError as fault:
        return Heard(fault=str(fault))
    return Heard(voice.seconds, voice.silent, _wave(voice.samples))


def speech_note(words: Words, heard: Heard) -> Note:
    """The line below the voice."""
    if heard.fault:
        return Note("fault", words.fault(heard.fault))
    kind = "warning" if heard.silent else "good"
    return Note(kind, words("speech.silent" if heard.silent else "speech.good", seconds=f"{heard.seconds:.1f}"))


@dataclass(frozen=True)
class Watched:
    """What is known of a clip: its shape, whether a face shows at its start, or what is wrong with it."""

    seconds: float = 0.0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    shows_face: bool = False
    fault: str | None = None


def watched_in(driving: Path) -> Watched:
    """Look at a clip. A face is sought in its first seconds only; the rest is measured with the request."""
    try:
        clip = media.probe_video(driving)
        seen = _shows_face(driving)
    except InputError as fault:
        return Watched(fault=str(fault))
    return Watched(float(clip.seconds), clip.width, clip.height, float(clip.fps), seen)


def driving_note(words: Words, clip: Watched) -> Note:
    """The line below the clip."""
    if clip.fault:
        return Note("fault", words.fault(clip.fault))
    shape = words(
        "driving.good", seconds=f"{clip.seconds:.1f}", width=clip.width, height=clip.height, fps=f"{clip.fps:.4g}"
    )
    if not clip.shows_face:
        return Note("warning", words("driving.no_face", shape=shape, looked=FRAMES_LOOKED_AT))
    return Note("good", shape)


def signal_notes(runner: Runner, words: Words, speech: str | None, driving: str | None) -> dict[str, Note]:
    """The lines below the voice and the clip."""
    given = {"speech": (heard_in, speech_note, speech), "driving": (watched_in, driving_note, driving)}
    return {
        name: tell(words, runner.remember(find, Path(file))) if file else Note("hint", words(f"hint.{name}"))
        for name, (find, tell, file) in given.items()
    }


def faults(runner: Runner, words: Words, values: Mapping[str, object]) -> dict[str, Note]:
    """The notes at the files that cannot be used, by the file's name, and at the consent that is not given yet."""
    photo, speech, driving = (values[name] for name in FILES)
    notes = {"photo": photo_note(runner, words, photo), **signal_notes(runner, words, speech, driving)}
    number, last = whole(values["face"], 1), len(look(runner, photo).views)
    if not photo:
        notes["photo"] = Note("fault", words("photo.missing"))
    elif last and number > last:
        notes["photo"] = Note("fault", words("photo.no_such_face", number=number, last=last))
    if not speech and not driving:
        notes["speech"] = Note("fault", words("signal.missing"))
    if not values.get(AGREED):
        notes[AGREED] = Note("fault", words("agreed.missing"))
    return {name: line for name, line in notes.items() if line.kind == "fault"}


def view_of(runner: Runner, photo: str | None, face: float) -> View | None:
    """The chosen face of a photo; None where there is none."""
    views = look(runner, photo).views
    return views[min(whole(face, 1), len(views)) - 1] if views else None


def mask_picture(
    runner: Runner,
    photo: str | None,
    face: float,
    sources: Mapping[str, str],
    masks: Mapping[str, float],
    painted: bytes | None = None,
) -> np.ndarray | None:
    """The chosen face with the masks drawn on it, (512, 512, 3), or None where there is no face.

    `painted` is a label map as PNG, of the photo's size, that takes the place of the masks of the face's mesh.
    """
    view = view_of(runner, photo, face)
    if view is None:
        return None
    labels = None if painted is None else media.read_labels(painted)
    if labels is None or labels.shape != view.shape:
        areas = regions.region_masks(view.face, view.picture.shape, **masks)
    else:
        cropped = cv2.warpAffine(labels, view.crop.matrix(VIEW_SIDE), (VIEW_SIDE, VIEW_SIDE), flags=cv2.INTER_NEAREST)
        areas = regions.from_labels(cropped, masks["feather"] * view.face.iod)
    return regions.overlay(view.picture, areas, dict(sources))


def _wave(samples: np.ndarray) -> tuple[float, ...]:
    """How loud a voice is, from 0 to 1, in some hundred stretches of it."""
    peaks = np.array([np.abs(part).max(initial=0.0) for part in np.array_split(samples, WAVE_BARS)])
    return tuple((peaks / max(float(peaks.max()), 1e-6)).round(3).tolist())


def _box(face: Face, scale: float) -> tuple[int, int, int, int]:
    low, high = (corner[:2] * scale for corner in (face.points.min(axis=0), face.points.max(axis=0)))
    pad = 0.08 * (high - low)
    left, top, right, bottom = (round(float(value)) for value in (*(low - pad), *(high + pad)))
    return left, top, right, bottom


def _view(picture: np.ndarray, face: Face) -> View:
    crop = crop_of(face, picture.shape)
    points = Face.of(crop.to_crop(face.points, VIEW_SIDE))
    return View(crop.cut(picture, VIEW_SIDE), points, face, picture.shape[:2], crop)


def _shows_face(driving: Path) -> bool:
    with FaceTracker() as tracker:
        frames = islice(media.read_video(driving, fps=1, max_seconds=FRAMES_LOOKED_AT), FRAMES_LOOKED_AT)
        return any(tracker.points(frame) is not None for frame in frames)
