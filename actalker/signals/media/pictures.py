"""Pictures, read."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from actalker.errors import InputError
from actalker.signals.media import files

LEAST_SIDE = 64  # px of a photo
MOST_PIXELS = 25_000_000  # a larger photo is reduced to this
REFUSED_PIXELS = 100_000_000  # a still larger one is not decoded


def read_image(path: str | Path) -> np.ndarray:
    """The picture in a file, upright, (h, w, 3) uint8 RGB, at most 25 megapixels.

    Transparency is laid over white, 16 bits become 8, and of an animation the first frame is taken.
    InputError: no such file, not a picture, damaged, a side under 64 px, or more than 100 megapixels.
    """
    path = files.existing(path, "picture")
    image = files.open_picture(path)
    if image is None:
        raise files.mistaken(path, "picture")
    _check_size(path, image.size)
    with image, files.decoding(path, "picture"):
        image.draft(None, _reduced_size(image.size))  # a JPEG may be decoded at half its size
        upright = _eight_bit_rgb(ImageOps.exif_transpose(image))
        return np.array(upright.resize(_reduced_size(upright.size), Image.Resampling.HAMMING))


def read_labels(source: str | Path | bytes) -> np.ndarray:
    """The values (h, w) uint8 of a PNG in mode L (its greys) or P (its palette's numbers): a path, or the file's bytes.

    InputError: no such file, not such a PNG, damaged, or more than 100 megapixels.
    """
    path = Path("the painted PNG") if isinstance(source, bytes) else files.existing(source, "picture")
    try:
        image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else path, formats=("PNG",))
    except Exception as fault:
        raise InputError(f"{files.name(path)} is no PNG; save the painted masks as one in mode L or P.") from fault
    with image, files.decoding(path, "picture"):
        if image.mode not in ("L", "P"):
            raise InputError(
                f"{files.name(path)} is a PNG in mode {image.mode}; save the painted masks in mode L or P."
            )
        if image.width * image.height > REFUSED_PIXELS:
            raise InputError(f"{files.name(path)} has {image.width} x {image.height} pixels; use the photo's own size.")
        return np.array(image, dtype=np.uint8)


def _check_size(path: Path, size: tuple[int, int]) -> None:
    shape = f"{size[0]} x {size[1]} pixels"
    if min(size) < LEAST_SIDE:
        raise InputError(f"{files.name(path)} has only {shape}; choose a photo of at least {LEAST_SIDE} pixels a side.")
    if size[0] * size[1] > REFUSED_PIXELS:
        raise InputError(f"{files.name(path)} has {shape}; reduce it to 25 megapixels or less.")


def _reduced_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size of a picture at no more than 25 megapixels."""
    scale = min(1.0, (MOST_PIXELS / (size[0] * size[1])) ** 0.5)
    return int(size[0] * scale), int(size[1] * scale)


def _eight_bit_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB, with transparency over white."""
    if image.mode.startswith(("I", "F")):  # grey in 16 or 32 bits
        values = np.asarray(image, dtype=np.float32)
        top = 65535.0 if image.mode.startswith("I;16") else max(float(values.max()), 1.0)
        image = Image.fromarray((np.clip(values / top, 0, 1) * 255 + 0.5).astype(np.uint8))
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
    return image.convert("RGB")
