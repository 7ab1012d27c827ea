"""Teeth and tongue for photos that show none, painted once per photo as sprites.

They lie in a plane in face units (u right, v down, 0 = the middle of the closed lips' seam; 0.01 is about 0.9 mm).
"""

from dataclasses import dataclass

import numpy as np

from actalker.render.easing import ramp
from actalker.render.sprite import LUMA, Sprite, luma

_SPRITE_HALF_WIDTH = 0.42
_ENAMEL = np.array([1.06, 0.98, 0.87], np.float32)  # hue of teeth under white light
_BLOOD = np.array([1.45, 0.74, 0.74], np.float32)  # hue of a tongue or gum under white light


@dataclass(frozen=True)
class Palette:
    """(3,) RGB colours of a mouth's inside under the photo's light."""

    teeth: np.ndarray
    gum: np.ndarray
    tongue: np.ndarray
    cavity: np.ndarray
    cheek: np.ndarray  # wet inner side of lips and cheeks

    @classmethod
    def matching(cls, skin_luma: float, eye_white: np.ndarray, lips: np.ndarray) -> "Palette":
        """Colours that fit this skin brightness, (3,) white of the eyes and (3,) lip colour."""
        white_luma = float(luma(eye_white))
        brightness = np.clip(1.2 * white_luma, 1.15 * skin_luma, 1.3 * skin_luma)
        hue = 0.6 * _ENAMEL + 0.4 * eye_white / max(white_luma, 1.0)
        blood = skin_luma * _BLOOD
        return cls(
            teeth=np.clip(brightness, 40, 215) * hue / (hue @ LUMA),
            gum=0.5 * lips + 0.3 * blood,
            tongue=0.40 * lips + 0.34 * blood,
            cavity=skin_luma * np.array([0.30, 0.13, 0.12], np.float32),
            cheek=0.7 * lips,
        )


@dataclass(frozen=True)
class ToothRow:
    """One arch seen from the front, from the middle outwards; widths, lengths and setbacks in face units."""

    widths: tuple[float, ...]
    lengths: tuple[float, ...]
    setbacks: tuple[float, ...]  # how far each biting edge stays behind the longest
    edge: float  # v of the biting edge in the middle
    arc: float  # how much nearer to the root the edge lies at u = 0.3
    root: int  # -1: roots point up, +1: down
    brightness: float
    blush: float  # share of gum colour that shines through


UPPER_ROW = ToothRow(
    widths=(0.088, 0.068, 0.064, 0.052, 0.044, 0.04),
    lengths=(0.115, 0.098, 0.108, 0.09, 0.08, 0.07),
    setbacks=(0.0, 0.006, 0.002, 0.005, 0.008, 0.01),
    edge=0.046,
    arc=0.020,
    root=-1,
    brightness=1.0,
    blush=0.0,
)
LOWER_ROW = ToothRow(
    widths=(0.054, 0.058, 0.062, 0.052, 0.046, 0.04),
    lengths=(0.085, 0.085, 0.09, 0.08, 0.07, 0.07),
    setbacks=(0.002, 0.0, 0.0, 0.004, 0.006, 0.01),
    edge=0.030,
    arc=-0.004,
    root=1,
    brightness=0.6,
    blush=0.25,
)


def paint_teeth(row: ToothRow, palette: Palette, density: float) -> Sprite:
    """One row of teeth at `density` sprite pixels per face unit."""
    top, bottom = sorted((row.edge - 0.03 * row.root, row.edge + 0.15 * row.root))
    u, v, to_plane = _grid(top, bottom, density)
    across, tooth, half_width = _position_in_tooth(u, row)
    arch = (u / 0.3) ** 2
    edge = row.edge + row.root * (row.arc * arch + np.take(row.setbacks, tooth) + 0.012 * across**4)
    depth = row.root * (v - edge)  # distance from the biting edge towards the root
    seam = np.exp(-(((1 - np.abs(across)) * half_width / 0.007) ** 2))
    body = (1 - 0.10 * across**2) * (1 - 0.13 * seam * ramp(0.0, 0.03, depth + 0.012))
    length = (0.88 + 0.12 * ramp(0.0, 0.016, depth)) * (1 - 0.22 * ramp(0.035, 0.11, depth))
    sides = np.clip(1 - 0.62 * arch, 0.12, 1)
    gum = ramp(-0.008, 0.008, depth - np.take(row.lengths, tooth) + 0.02 * across**2)[..., None]
    gum = row.blush + (1 - row.blush) * gum
    colour = palette.teeth * (1 - gum) + palette.gum * gum
    colour = colour * (row.brightness * body * length * sides)[..., None]
    softness = max(0.006, 0.7 / density)
    alpha = ramp(-softness, softness, depth) * (1 - ramp(0.26, 0.37, np.abs(u)))
    return Sprite.painted(colour, alpha, to_plane)


def paint_tongue(palette: Palette, density: float) -> Sprite:
    """The tongue's upper side and tip round (0, 0) of its own plane: a soft dome with a groove."""
    u, v, to_plane = _grid(-0.16, 0.16, density)
    across, along = u / 0.21, v / 0.115
    radius = across**2 + along**2
    dome = (0.5 + 0.5 * np.clip(1 - across**2, 0, 1)) * (0.45 + 0.55 * ramp(-1.0, 0.5, along))
    groove = 1 - 0.12 * np.exp(-((across / 0.12) ** 2)) * ramp(0.6, -0.3, along)
    colour = palette.tongue * (dome * groove)[..., None]
    return Sprite.painted(colour, 1 - ramp(0.45, 1.05, radius), to_plane)


def _grid(top: float, bottom: float, density: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u (w,), v (h, 1) of a sprite's pixels, and the affine from its pixels to (u, v)."""
    width = round(2 * _SPRITE_HALF_WIDTH * density)
    height = round((bottom - top) * density)
    u = -_SPRITE_HALF_WIDTH + np.arange(width, dtype=np.float32) / density
    v = top + np.arange(height, dtype=np.float32)[:, None] / density
    to_plane = np.array([[1 / density, 0, -_SPRITE_HALF_WIDTH], [0, 1 / density, top]])
    return u, v, to_plane


def _position_in_tooth(u: np.ndarray, row: ToothRow) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per column: place across its tooth in [-1, 1], the tooth's index from the middle, and its half width."""
    ends = np.cumsum(row.widths)
    tooth = np.minimum(np.searchsorted(ends, np.abs(u)), len(ends) - 1)
    half_width = np.take(row.widths, tooth) / 2
    across = (np.abs(u) - (ends[tooth] - half_width)) / half_width
    return np.clip(across, -1, 1), tooth, half_width
