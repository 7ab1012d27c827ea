"""The door through which media come in: another process opens the file, and only samples and pixels come back."""

import logging
import os
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import numpy as np

from actalker.config import LIMITS
from actalker.errors import InputError
from actalker.signals.media import decoder, files
from actalker.signals.media.reading import VideoInfo
from actalker.signals.media.track import Track

try:
    from actalker.signals.media import process
except ImportError:  # Windows cannot limit a process so; there files are decoded in this one
    process = None

log = logging.getLogger(__name__)


def read_image(path: str | Path) -> np.ndarray:
    """The picture in a file, upright, (h, w, 3) uint8 RGB, at most 25 megapixels.

    Transparency is laid over white, 16 bits become 8, and of an animation the first frame is taken.
    InputError: no such file, not a picture, damaged, a side under 64 px, or more than 100 megapixels.
    """
    return _one(_read("image", files.existing(path, "picture"), "picture"))


def read_labels(source: str | Path | bytes) -> np.ndarray:
    """The values (h, w) uint8 of a PNG in mode L (its greys) or P (its palette's numbers): a path, or the file's bytes.

    InputError: no such file, not such a PNG, damaged, or more than 100 megapixels.
    """
    if isinstance(source, bytes):
        return _one(_read("labels", Path("the painted PNG"), "picture", source))
    return _one(_read("labels", files.existing(source, "picture"), "picture"))


def read_audio(path: str | Path, rate: int = 16000, max_seconds: float | None = None) -> np.ndarray:
    """The sound of any audio or video file, float32 (n,) in [-1, 1] at `rate`: the mean of its channels.

    Reading stops after `max_seconds`.
    InputError: no such file, no sound in it, damaged, shorter than 0.1 s, or (without `max_seconds`) longer than 10
    minutes.
    """
    sound = bytearray()  # grows where it lies, so that ten minutes are never there twice
    for piece in _sound(path, rate, max_seconds):
        sound += bytes(piece)
    return np.frombuffer(sound, np.float32)


def read_track(path: str | Path, rate: int, max_seconds: float | None = None) -> Track:
    """As `read_audio`, onto the disk."""
    return Track(_sound(path, rate, max_seconds))


def _sound(path: str | Path, rate: int, max_seconds: float | None) -> Iterator[np.ndarray]:
    """A recording in pieces (n,) float32."""
    path, settings = files.existing(path, "recording"), {"rate": int(rate), "max_seconds": _float(max_seconds)}
    seconds = LIMITS.sound_seconds if max_seconds is None else max_seconds
    yield from _read("audio", path, "recording", seconds=seconds, **settings)


def probe_video(path: str | Path) -> VideoInfo:
    """What a video file holds, from its header and its first frame. InputError as `read_video`."""
    facts = _one(_read("info", files.existing(path, "video"), "video"))
    return VideoInfo(**facts | {"fps": Fraction(facts["fps"])})


def read_video(
    path: str | Path,
    fps: float | None = None,
    max_seconds: float | None = None,
    longest: float = LIMITS.clip_seconds,
    side: int | None = None,
) -> Iterator[np.ndarray]:
    """The frames of a video, one at a time, upright, (h, w, 3) uint8 RGB, at `fps` (default: the file's own mean rate).

    Output frame i is the one nearest to i / fps by timestamp, so a variable rate becomes a steady one; there are
    round(seconds * fps) of them. Reading stops after `max_seconds`. With `side` larger pictures are reduced until their
    shorter side is that long.
    InputError: no such file, no video in it, damaged, more than 4096 x 2304 px, or (without `max_seconds`) longer than
    `longest` seconds.
    """
    path = files.existing(path, "video")
    seconds = longest if max_seconds is None else max_seconds
    settings = {"fps": _float(fps), "max_seconds": _float(max_seconds), "longest": float(longest), "side": side}
    yield from _read("video", path, "video", seconds=seconds, **settings)


def _float(number: float | None) -> float | None:
    """A number of any kind, as JSON has it."""
    return None if number is None else float(number)


def _one(pieces: Iterator[np.ndarray | dict]) -> np.ndarray | dict:
    """The only piece."""
    (piece,) = pieces
    return piece


def _read(
    work: str, path: Path, wanted: str, content: bytes = b"", seconds: float = 0.0, **settings: float | None
) -> Iterator[np.ndarray | dict]:
    """What the decoder finds in a file, piece by piece; `seconds` are read at most. Raises InputError."""
    times = max(1.0, seconds / 60.0)
    job = {"work": work, "path": os.path.abspath(path), "settings": settings, "limits": asdict(LIMITS)}
    job["cpu_seconds"] = round(LIMITS.cpu_seconds * times)
    if process is None:
        yield from decoder.decoded(job, content)
        return
    most = 3 * max(LIMITS.refused_pixels, LIMITS.clip_pixels)
    with process.borrowed() as borrowed:
        try:
            for message, array in borrowed.answers(job, content, LIMITS.wall_seconds * times, most):
                yield from _meant(message, array)
        except process.TooHeavy:
            raise files.too_heavy(path, wanted) from None
        except process.Gone:
            raise files.unreadable(path, wanted) from None


def _meant(message: dict, array: np.ndarray) -> Iterator[np.ndarray | dict]:
    """A message's value if it has one. Raises InputError where it tells a fault, and passes a warning on."""
    match message:
        case {"dtype": "uint8" | "float32" as kind, "shape": [*shape]}:
            yield array.view(kind).reshape(shape)
        case {"facts": facts}:
            yield facts
        case {"warning": text}:
            log.warning("%s", text)
        case {"fault": fault}:
            raise InputError(fault)
        case {"heavy": _}:
            raise process.TooHeavy
