"""Files that a person names: whether they can be opened, what they hold, and what to say when that is not wanted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image

from actalker.errors import InputError

ADVICE = {
    "picture": "give a photo, such as a JPEG or PNG",
    "recording": "give a recording with sound",
    "video": "give a clip that shows a face",
}

_PICTURES = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")
# Only local files, and no container that can name another file.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,gif,wav,w64,mp3,flac,ogg,aac,aiff,caf,amr"
_READING = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
_HEIC = {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}


def name(path: Path) -> str:
    """The file's name, on one line whatever characters it has."""
    return "".join(letter if letter.isprintable() else "?" for letter in path.name or str(path))


def existing(path: str | Path, wanted: str) -> Path:
    """The path as a Path. InputError if no readable file with something in it is there."""
    path = Path(path)
    if os.path.isdir(path):
        raise InputError(f"{name(path)} is a folder; choose one {wanted} in it.")
    if not os.path.isfile(path):
        raise InputError(f"{name(path)} does not exist; check the path of the {wanted}.")
    if not os.access(path, os.R_OK):
        raise InputError(f"{name(path)} may not be read by you; change its permissions or choose another {wanted}.")
    if os.path.getsize(path) == 0:
        raise InputError(f"{name(path)} is empty (0 bytes); choose another {wanted}.")
    return path


def damaged(path: Path, wanted: str) -> InputError:
    """The fault of a file that breaks off or makes no sense."""
    return InputError(f"{name(path)} is damaged or incomplete; save or download it again, or choose another {wanted}.")


def too_long(path: Path, seconds: float, longest: float) -> InputError:
    """The fault of sound or video that lasts longer than it may."""
    return InputError(f"{name(path)} lasts {seconds:.0f} s; cut it to {longest:.0f} s or less.")


def too_heavy(path: Path, wanted: str) -> InputError:
    """The fault of a file that would take more time or memory than any file may."""
    said = f"{name(path)} takes more time or memory to read than a {wanted} may"
    return InputError(f"{said}; make it smaller or shorter, or choose another {wanted}.")


def unreadable(path: Path, wanted: str) -> InputError:
    """The fault of a file at which the decoder itself broke down."""
    return InputError(f"{name(path)} could not be decoded; save it anew in another format, or choose another {wanted}.")


@contextmanager
def decoding(path: Path, wanted: str) -> Iterator[None]:
    """Whatever a codec raises on foreign bytes, from EOFError to UnicodeDecodeError, means a damaged file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as fault:
        raise damaged(path, wanted) from fault


def location(path: Path) -> str:
    """The path as a URL, so that no name is taken for another protocol."""
    return f"file:{os.path.abspath(path)}"


def open_picture(path: Path) -> Image.Image | None:
    """The picture with only its header read; None if the file is no picture."""
    Image.init()  # without it only some of the formats are known
    try:
        return Image.open(path, formats=_PICTURES)
    except Image.DecompressionBombError as fault:
        raise InputError(f"{name(path)} has far too many pixels; reduce it to 25 megapixels or less.") from fault
    except Exception:
        return None


@contextmanager
def open_media(path: Path, wanted: str) -> Iterator[InputContainer]:
    """An opened container. InputError if the file is none, or is damaged."""
    try:
        container = av.open(location(path), options=_READING)
    except MemoryError:
        raise
    except Exception as fault:
        raise mistaken(path, wanted) from fault
    with container:
        yield container


def moving_pictures(container: InputContainer) -> list[VideoStream]:
    """The video streams of a container, without the cover pictures of music files."""
    cover = Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]


def mistaken(path: Path, wanted: str) -> InputError:
    """The fault of a file that is not what was wanted, in words that say what it is instead."""
    head = path.open("rb").read(4096)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        return InputError(f"{name(path)} is a HEIC picture, which cannot be read here; save it as JPEG or PNG.")
    kind = _kind(path, head)
    if kind is None:
        return damaged(path, wanted)
    return InputError(f"{name(path)} holds {kind}, not a {wanted}; {ADVICE[wanted]}.")


def _kind(path: Path, head: bytes) -> str | None:
    """What a file holds, in words; None if nothing can be made of it."""
    picture = open_picture(path)
    if picture is not None:
        picture.close()
        return "a picture"
    try:
        with av.open(location(path), options=_READING) as container:
            if moving_pictures(container):
                return "a video"
            return "sound" if container.streams.audio else None
    except Exception:
        return "text" if _is_text(head) else None


def _is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are UTF-8 without control characters (its last letter may be cut in two)."""
    letters = head.decode("utf-8", "replace")
    return "\0" not in letters and "\ufffd" not in letters[:-3]
