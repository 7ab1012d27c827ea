"""Which part of the photo is animated, and how the animated part gets back into the photo."""

from dataclasses import dataclass

import cv2
import numpy as np

from actalker.render.easing import smoothstep
from actalker.signals.face import Crop, Face, crop_of
from actalker.signals.media import MOST_VIDEO_PIXELS

LARGEST_PART = 1024  # px; a photo whose head needs more is reduced
SEAM = 0.03  # share of the part's side over which it blends into the photo


@dataclass(frozen=True)
class Part:
    """The animated part of a photo: its pixels, and the (2, 3) affine from px of the photo to px of the part."""

    picture: np.ndarray
    from_photo: np.ndarray

    def points(self, points: np.ndarray) -> np.ndarray:
        """Mesh points (n, 3) of the photo as px of the part."""
        return points * self.from_photo[0, 0] + np.array([*self.from_photo[:, 2], 0.0])

    def photo_points(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 2) of the part as px of the photo."""
        return (points - self.from_photo[:, 2]) / self.from_photo[0, 0]

    def inner_edges(self) -> np.ndarray:
        """(h, w) bool: edge pixels beyond which the picture goes on; here there are none."""
        return np.zeros(self.picture.shape[:2], bool)

    def put_back(self, animated: np.ndarray) -> np.ndarray:
        """The frame (h, w, 3) to show for an animated part; here the part itself."""
        return animated


@dataclass(frozen=True)
class Inset(Part):
    """A part that goes back into the whole picture, at rows and columns [y, y + h) and [x, x + w)."""

    whole: np.ndarray
    x: int
    y: int
    weight: np.ndarray  # (h, w) float32: 1 inside, 0 on those edges where the picture goes on

    def inner_edges(self) -> np.ndarray:
        """(h, w) bool: edge pixels beyond which the picture goes on."""
        return self.weight == 0

    def put_back(self, animated: np.ndarray) -> np.ndarray:
        """The whole picture with the animated part in its place."""
        frame = self.whole.copy()
        height, width = self.weight.shape
        hole = frame[self.y : self.y + height, self.x : self.x + width]
        hole[:] = cv2.blendLinear(animated, self.picture, self.weight, 1 - self.weight)
        return frame


def square_part(photo: np.ndarray, face: Face, size: int) -> Part:
    """The talking-head square around a face, resampled to `size`."""
    crop = crop_of(face, photo.shape)
    return Part(crop.cut(photo, size), crop.matrix(size))


def native_part(photo: np.ndarray, face: Face) -> Inset:
    """The surroundings of a face at the photo's own resolution, in a picture of even width and height.

    Pixels are copied, not resampled, unless the part would be larger than 1024 or the picture have more pixels than a
    video may have (4096 x 2304): then the whole picture is reduced.
    """
    crop = crop_of(face, photo.shape)
    scale = reduction(photo.shape, crop)
    height, width = (int(side * scale) // 2 * 2 for side in photo.shape[:2])
    if scale < 1:
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    whole = np.ascontiguousarray(photo[:height, :width])
    x, y = max(0, round(crop.x * scale)), max(0, round(crop.y * scale))
    right, bottom = min(width, round((crop.x + crop.side) * scale)), min(height, round((crop.y + crop.side) * scale))
    centre = 0.5 * scale - 0.5  # pixel centres are at whole numbers
    from_photo = np.array([[scale, 0, centre - x], [0, scale, centre - y]])
    picture = np.ascontiguousarray(whole[y:bottom, x:right])
    weight = _seam_weight(picture.shape, (x > 0, y > 0, right < width, bottom < height))
    return Inset(picture, from_photo, whole, x, y, weight)


def reduction(shape: tuple[int, ...], crop: Crop) -> float:
    """The scale, at most 1, at which neither the part nor the whole picture is too large."""
    height, width = shape[:2]
    return min(1.0, LARGEST_PART / crop.side, float(np.sqrt(MOST_VIDEO_PIXELS / (height * width))))


def _seam_weight(shape: tuple[int, ...], inner_edges: tuple[bool, bool, bool, bool]) -> np.ndarray:
    """(h, w) float32 ramp from 0 to 1 inwards from the left, top, right and bottom edges that are marked as inner."""
    height, width = shape[:2]
    soft = SEAM * max(height, width)
    columns, rows = np.arange(width)[None, :], np.arange(height)[:, None]
    distances = (columns, rows, width - 1 - columns, height - 1 - rows)
    weight = np.ones((height, width), np.float32)
    for distance, inner in zip(distances, inner_edges, strict=True):
        if inner:
            weight = np.minimum(weight, distance / soft)
    return smoothstep(weight).astype(np.float32)
