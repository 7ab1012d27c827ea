"""Small painted layers: patches that lie in a plane, soft-edged polygons, and laying one over another.

Coordinates are pixels with whole numbers at pixel centres; affines are (2, 3) and act on (x, y).
"""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # RGB weights of BT.601
_SUBPIXEL_BITS = 4


class Box(NamedTuple):
    """A rectangle of whole pixels, right and bottom excluded."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def around(cls, points: np.ndarray, margin: float, shape: tuple[int, ...]) -> "Box":
        """The box round (n, 2) points plus a margin in px, cut to a picture of this shape; never under 2 x 2 px."""
        size = np.array(shape[1::-1])
        low = np.clip(np.floor(points.min(0) - margin).astype(int), 0, size - 2)
        high = np.clip(np.ceil(points.max(0) + margin).astype(int) + 1, low + 2, size)
        return cls(*low.tolist(), *high.tolist())

    @property
    def shape(self) -> tuple[int, int]:
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def corner(self) -> np.ndarray:
        return np.array([self.x0, self.y0], float)

    def of(self, picture: np.ndarray) -> np.ndarray:
        """The view of a picture inside this box."""
        return picture[self.y0 : self.y1, self.x0 : self.x1]

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixel columns (w,) and rows (h, 1) in picture coordinates."""
        return np.arange(self.x0, self.x1, dtype=np.float32), np.arange(self.y0, self.y1, dtype=np.float32)[:, None]


@dataclass(frozen=True)
class Sprite:
    """A patch painted once, and its place in its plane."""

    pixels: np.ndarray  # (h, w, 4) float32: colours 0..255 already multiplied by alpha, alpha 0..1
    to_plane: np.ndarray  # (2, 3), from sprite pixels to plane units

    @classmethod
    def painted(cls, colour: np.ndarray, alpha: np.ndarray, to_plane: np.ndarray) -> "Sprite":
        """From (h, w, 3) colour and (h, w) alpha."""
        alpha = alpha[..., None]
        return cls(np.concatenate([colour * alpha, alpha], axis=2).astype(np.float32), to_plane)

    def placed(self, plane_to_picture: np.ndarray, box: Box) -> np.ndarray:
        """(h, w, 4) premultiplied colours of the box when the plane is seen through this (2, 3) affine."""
        affine = chain(plane_to_picture, self.to_plane)
        affine[:, 2] -= box.corner
        height, width = box.shape
        return cv2.warpAffine(self.pixels, affine, (width, height), flags=cv2.INTER_LINEAR)


def chain(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The (2, 3) affine that applies `first`, then `second`."""
    return np.column_stack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]])


def lay_over(under: np.ndarray, layer: np.ndarray) -> None:
    """Put a premultiplied (h, w, 4) layer over (h, w, 3) colours, in place."""
    under *= 1 - layer[..., 3:]
    under += layer[..., :3]


def blend(canvas: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> None:
    """Mix (h, w, 3) colour into a canvas of the same shape by (h, w) alpha, in place."""
    canvas += (colour - canvas) * alpha[..., None]


def luma(rgb: np.ndarray) -> np.ndarray:
    """Brightness 0..255 of (..., 3) colours."""
    return rgb @ LUMA


def soft_polygon(points: np.ndarray, box: Box, blur: float) -> np.ndarray:
    """(h, w) coverage in [0, 1] of a polygon of (n, 2) px whose edge is softened by `blur` px, mostly inwards."""
    mask = np.zeros(box.shape, np.uint8)
    fixed = np.round((points - box.corner) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    soft = cv2.GaussianBlur(mask.astype(np.float32) / 255, (0, 0), blur)
    return np.clip((soft - 0.2) / 0.8, 0, 1)  # the blur's outer foot would paint over the rim


def smooth_curve(points: np.ndarray, pieces: int = 4) -> np.ndarray:
    """((n - 1) * pieces + 1, d) Catmull-Rom curve through (n, d) points."""
    return _catmull_rom(len(points), pieces) @ points


@cache
def _catmull_rom(count: int, pieces: int) -> np.ndarray:
    """The matrix that takes `count` points to the points of their curve; the ends are mirrored outwards."""
    own = np.eye(count)
    padded = np.vstack([2 * own[0] - own[1], own, 2 * own[-1] - own[-2]])
    t = (np.arange(pieces) / pieces)[:, None]
    weights = 0.5 * np.hstack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2])
    spans = [weights @ padded[i : i + 4] for i in range(count - 1)]
    return np.vstack([*spans, own[-1:]])
