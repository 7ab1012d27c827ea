"""Pictures, decoded."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from actalker.config import MediaLimits
from actalker.errors import InputError
from actalker.signals.media import files


def decode_image(path: Path, limits: MediaLimits) -> np.ndarray:
    """The picture in a file, upright, (h, w, 3) uint8 RGB. InputError as `read_image`."""
    image = files.open_picture(path)
    if image is None:
        raise files.mistaken(path, "picture")
    _check_size(path, image.size, limits)
    most = limits.photo_pixels
    with image, files.decoding(path, "picture"):
        image.draft(None, _reduced_size(image.size, most))  # a JPEG may be decoded at half its size
        upright = _eight_bit_rgb(ImageOps.exif_transpose(image))
        return np.array(upright.resize(_reduced_size(upright.size, most), Image.Resampling.HAMMING))


def decode_labels(path: Path, content: bytes | None, limits: MediaLimits) -> np.ndarray:
    """The values (h, w) uint8 of a PNG in mode L or P: a path, or its content. InputError as `read_labels`."""
    try:
        image = Image.open(path if content is None else io.BytesIO(content), formats=("PNG",))
    except Exception as fault:
        raise InputError(f"{files.name(path)} is no PNG; save the painted masks as one in mode L or P.") from fault
    with image, files.decoding(path, "picture"):
        if image.mode not in ("L", "P"):
            raise InputError(
                f"{files.name(path)} is a PNG in mode {image.mode}; save the painted masks in mode L or P."
            )
        if image.width * image.height > limits.refused_pixels:
            raise InputError(f"{files.name(path)} has {image.width} x {image.height} pixels; use the photo's own size.")
        return np.array(image, dtype=np.uint8)


def _check_size(path: Path, size: tuple[int, int], limits: MediaLimits) -> None:
    shape, least = f"{size[0]} x {size[1]} pixels", limits.photo_side
    if min(size) < least:
        raise InputError(f"{files.name(path)} has only {shape}; choose a photo of at least {least} pixels a side.")
    if size[0] * size[1] > limits.refused_pixels:
        raise InputError(f"{files.name(path)} has {shape}; reduce it to 25 megapixels or less.")


def _reduced_size(size: tuple[int, int], most: int) -> tuple[int, int]:
    """The size of a picture at no more than so many pixels."""
    scale = min(1.0, (most / (size[0] * size[1])) ** 0.5)
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
