"""Where a face is, as the full tier is told: maps of face, mouth and the rest, and the crops that networks read.

Boxes are (x1, y1, x2, y2) in pixels. The released program's quirks are options: its maps are what its weights know.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
GRID = 64  # pixels to whose multiple the sides of a picture are rounded


@dataclass(frozen=True)
class Place:
    """A picture at working size, and its maps; all (h, w), uint8."""

    picture: np.ndarray  # (h, w, 3)
    face: np.ndarray
    mouth: np.ndarray
    rest: np.ndarray  # the face without the mouth


def working_size(height: int, width: int, short: int) -> tuple[int, int]:
    """Sides (h, w) with the short one near `short`, each a multiple of 64."""
    scale = short / min(height, width)
    return tuple(round(side * scale / GRID) * GRID for side in (height, width))


def enlarged(box: Box, area: float, height: int, width: int) -> Box:
    """A box `area` times as wide and as high, on whole pixels, inside the picture."""
    x1, y1, x2, y2 = box
    across, down = (x2 - x1) * area, (y2 - y1) * area
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    left, right = max(x - across // 2, 0), min(x + across // 2, width)
    return left, max(y - down // 2, 0), right, min(y + down // 2, height)


def face_maps(box: Box, height: int, width: int, area: float = 1.2, released_mouth: bool = False) -> list[np.ndarray]:
    """Face, mouth and rest (h, w) uint8, 0 or 255: a box `area` times as large, and its lower half.

    With `released_mouth` the mouth begins at y1 + y2 / 2, as in the released program: often below the face.
    """
    left, top, right, bottom = (int(edge) for edge in enlarged(box, area, height, width))
    middle = top + bottom // 2 if released_mouth else (top + bottom) // 2
    face, mouth = np.zeros((2, height, width), np.uint8)
    face[top:bottom, left:right] = 255
    mouth[middle:bottom, left:right] = 255
    return [face, mouth, face - mouth]


def locate(photo: np.ndarray, maps: list[np.ndarray], short: int, crop: Box | None = None) -> Place:
    """A photo (h, w, 3) and its maps at working size, of the whole picture or of a crop."""
    pictures = [Image.fromarray(picture) for picture in (photo, *maps)]
    if crop is not None:
        pictures = [picture.crop(crop) for picture in pictures]
    height, width = working_size(pictures[0].height, pictures[0].width, short)
    return Place(*(np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS)) for picture in pictures))


def square_around(box: Box, expand: float, height: int, width: int) -> Box:
    """A square inside the picture around a box that is grown by `expand` of its size on every side."""
    x1, y1, x2, y2 = box
    across, down = (x2 - x1) * expand, (y2 - y1) * expand
    grown = (max(x1 - across, 0), max(y1 - down, 0), min(x2 + across, width), min(y2 + down, height))
    side = min(grown[2] - grown[0], grown[3] - grown[1])
    spans = []
    for low, high, middle, limit in (
        (grown[0], grown[2], (x1 + x2) / 2, width),
        (grown[1], grown[3], (y1 + y2) / 2, height),
    ):
        start = low if high - low <= side else min(max(middle - side / 2, 0), limit - side)
        spans.append((round(start), round(start + side)))
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


def in_aspect(box: Box, aspect: str, height: int, width: int) -> Box:
    """A square box lengthened to an aspect such as "9:16", to the right or downwards, as far as the picture goes."""
    x1, y1, x2, y2 = box
    across, down = (float(part) for part in aspect.split(":"))
    if across > down:
        x1, x2 = _lengthened(x1, (y2 - y1) * across / down, width)
    elif down > across:
        y1, y2 = _lengthened(y1, (x2 - x1) * down / across, height)
    return x1, y1, x2, y2


def _lengthened(start: float, length: float, limit: int) -> tuple[int, int]:
    start = max(0, min(start, limit - length))
    return round(start), min(round(start + length), limit)


def identity_crop(photo: np.ndarray, box: Box) -> np.ndarray:
    """What ArcFace reads, (112, 112, 3) uint8: the raw box, not aligned."""
    return np.asarray(Image.fromarray(photo).crop(box).resize((112, 112), Image.Resampling.BILINEAR))


def expression_crop(frame: np.ndarray, points: np.ndarray, side: int = 256) -> np.ndarray:
    """What the expression network reads, (256, 256, 3) uint8: a square around points (n, 2), black outside."""
    half = int(np.ptp(points, axis=0).max()) // 2
    x, y = (int(value) for value in (points.min(axis=0) + points.max(axis=0)) / 2)
    return _resized(Image.fromarray(frame).crop((x - half, y - half, x + half, y + half)), side)


def head_crop(frame: np.ndarray, square: Box, short: int, side: int = 256) -> np.ndarray:
    """What the head-pose network reads, (256, 256, 3) uint8: a square of the frame by way of the working size."""
    picture = Image.fromarray(frame).crop(square)
    return _resized(picture.resize((short, short), Image.Resampling.BICUBIC), side)


def _resized(picture: Image.Image, side: int) -> np.ndarray:
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR))
