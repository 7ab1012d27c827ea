"""Videos side by side, each under its name: one frame at a time, whatever their sizes and lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from actalker.signals import media

SIDE = 384  # px of a tile's picture
ACROSS = 4  # tiles in a row at most
TITLE, DETAIL, SMALLEST = 22, 15, 12  # px, heights of the letters
CAPTION = 58  # px, height of a tile's heading
PAPER, INK, FAINT = (24, 26, 30), (245, 245, 245), (185, 190, 198)
OVER = 0.35  # brightness of a tile whose video has ended


@dataclass(frozen=True)
class Tile:
    """A video, its name, and a line about it."""

    title: str
    detail: str
    video: Path


def tiled(tiles: Sequence[Tile], fps: Fraction, count: int) -> Iterator[np.ndarray]:
    """`count` frames (h, w, 3) uint8 of all tiles at `fps`; a video that ends keeps its last frame, darkened."""
    sheet = _sheet(tiles)
    streams = [media.read_video(tile.video, float(fps), longest=media.MOST_SECONDS) for tile in tiles]
    held: list[np.ndarray | None] = [None] * len(tiles)
    for _ in range(count):
        for number, stream in enumerate(streams):
            frame = next(stream, None)
            if frame is not None:
                held[number] = _fitted(frame)
                shown = held[number]
            else:
                shown = (held[number] * OVER).astype(np.uint8)
            top, left = _place(number, len(tiles))
            sheet[top + CAPTION : top + CAPTION + SIDE, left : left + SIDE] = shown
        yield sheet.copy()


def _place(number: int, count: int) -> tuple[int, int]:
    """Top and left of a tile in px."""
    across = _across(count)
    return number // across * (CAPTION + SIDE), number % across * SIDE


def _across(count: int) -> int:
    rows = -(-count // ACROSS)
    return -(-count // rows)


def _sheet(tiles: Sequence[Tile]) -> np.ndarray:
    """The grid without its pictures: headings on a dark ground."""
    across = _across(len(tiles))
    rows = -(-len(tiles) // across)
    picture = Image.new("RGB", (across * SIDE, rows * (CAPTION + SIDE)), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, tile in enumerate(tiles):
        top, left = _place(number, len(tiles))
        _write(draw, (left + 10, top + 6), tile.title, TITLE, INK)
        _write(draw, (left + 10, top + 34), tile.detail, DETAIL, FAINT)
    return np.array(picture)


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int]) -> None:
    """One line, in smaller letters where it would be wider than its tile, and cut where they would be too small."""
    while draw.textlength(text, ImageFont.load_default(size)) > SIDE - 20:
        if size > SMALLEST:
            size -= 1
        else:
            text = text[:-2] + "…"
    draw.text(at, text, colour, ImageFont.load_default(size))


def _fitted(frame: np.ndarray) -> np.ndarray:
    """A frame of any size in the middle of a square, whole."""
    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    square = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    square[top : top + size[1], left : left + size[0]] = small
    return square
