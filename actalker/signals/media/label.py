"""The small label in a bottom corner of a video that says what the video is."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TEXT = "AI-generated"
SIDES = ("right", "left")

_LETTERS, _LEAST, _MOST = 0.027, 9, 40  # height of the letters: share of the shorter side, and px
_MARGIN = 0.02  # from the edges, share of the shorter side
_SHADE, _INK = 0.62, 0.95  # how far the ground is darkened behind the letters, and how opaque they are
_ALIKE = 0.5  # correlation of a corner with the letters from which on they are there


def labelled(frame: np.ndarray, side: str = "right") -> np.ndarray:
    """A copy of the frame (h, w, 3) uint8 with white letters on a darkened ground in its bottom corner of this side."""
    rows, columns, shade, ink = _stamp(*frame.shape[:2], side)
    made = frame.copy()
    ground = made[rows, columns].astype(np.uint16)  # 255 * 256 fits
    dark = ground * (256 - shade) >> 8
    made[rows, columns] = dark * (256 - ink) + 255 * ink >> 8
    return made


def label_of(frame: np.ndarray) -> str | None:
    """The side on which a frame (h, w, 3) shows the label, if it does."""
    return next((side for side in SIDES if _alike(frame, side) > _ALIKE), None)


def _alike(frame: np.ndarray, side: str) -> float:
    """Pearson correlation of the brightness where the label would lie with its letters."""
    rows, columns, _, ink = _stamp(*frame.shape[:2], side)
    brightness, letters = frame[rows, columns].mean(axis=2).ravel(), ink[..., 0].ravel().astype(float)
    if not brightness.std():
        return 0.0
    return float(np.corrcoef(brightness, letters)[0, 1])


@lru_cache(16)
def _stamp(height: int, width: int, side: str) -> tuple[slice, slice, np.ndarray, np.ndarray]:
    """Where the label lies, and (h, w, 1) how far each of its pixels is darkened and then whitened, 0 to 256."""
    short = min(height, width)
    size = round(min(max(_LETTERS * short, _LEAST), _MOST))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(TEXT)
    pad, margin = max(2, round(0.35 * size)), max(2, round(_MARGIN * short))
    box = (right - left + 3 * pad, bottom - top + 2 * pad)
    large = Image.new("L", (4 * box[0], 4 * box[1]))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), 2 * box[1], round(256 * _SHADE))
    ground, letters = large.resize(box, Image.Resampling.BOX), Image.new("L", box)
    ImageDraw.Draw(letters).text((1.5 * pad - left, pad - top), TEXT, round(256 * _INK), font)
    # An odd last row or column is not encoded, and in a very narrow picture the label loses its end.
    end = height // 2 * 2 - margin
    start = max(0, width // 2 * 2 - margin - box[0]) if side == "right" else margin
    shade, ink = (np.asarray(image, np.uint16)[-end:, : width - start, None] for image in (ground, letters))
    return slice(end - shade.shape[0], end), slice(start, start + shade.shape[1]), shade, ink
