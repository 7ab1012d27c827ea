"""What lies behind the person: a soft matte of the person, and a plate of the scene without them."""

from dataclasses import dataclass

import cv2
import numpy as np

PLATE_SIDE = 320  # px; the plate under the person is invented, so it needs no more detail
CERTAIN_FACE = 0.85  # share of the face's outline that is person without asking
SEEN = 20  # matte from which a pixel shows too much of the person to be scene
NEAR = 0.025  # of the picture's side
MARGIN = 0.006  # of the picture's side, taken from the scene around the person


@dataclass(frozen=True)
class Background:
    """matte (h, w) uint8, 255 = person; plate (h, w, 3) uint8; apart: whether a person stood out from a scene."""

    matte: np.ndarray
    plate: np.ndarray
    apart: bool

    def near_person(self) -> np.ndarray:
        """(h, w) bool: the person and what is close by."""
        reach = 2 * round(NEAR * max(self.matte.shape)) + 1
        return cv2.dilate(self.matte, np.ones((reach, reach))) > SEEN


def separate(picture: np.ndarray, outline: np.ndarray) -> Background:
    """Part a picture (h, w, 3) into person and scene; outline: (n, 2) px polygon of the face.

    Where the person fills the picture or is not found, the matte is all person and the plate is the picture.
    """
    person = find_person(picture)
    inner = outline.mean(0) + CERTAIN_FACE * (outline - outline.mean(0))
    face = cv2.fillPoly(np.zeros(person.shape, np.uint8), [inner.round().astype(np.int32)], 1) > 0
    seen = person > 0.5
    if not 0.05 < seen.mean() < 0.95 or seen[face].mean() < 0.8:
        return Background(np.full(person.shape, 255, np.uint8), picture, False)
    matte = _matte(picture, person)
    matte[face] = 255
    return Background(matte, _plate(picture, matte), True)


def find_person(picture: np.ndarray) -> np.ndarray:
    """(h, w) float32 score in [0, 1] of how surely each pixel of an RGB picture shows a person."""
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    with SelfieSegmentation(model_selection=0) as segmentation:
        return segmentation.process(np.ascontiguousarray(picture)).segmentation_mask


def _matte(picture: np.ndarray, person: np.ndarray) -> np.ndarray:
    """(h, w) uint8 matte whose edge follows the picture's own edges (He et al., guided filter)."""
    guide = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    rough = np.clip((person - 0.12) / 0.6, 0, 1)
    reach = 2 * round(0.012 * max(picture.shape)) + 1

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (reach, reach))

    mean_guide, mean_rough = mean(guide), mean(rough)
    slope = (mean(guide * rough) - mean_guide * mean_rough) / (mean(guide * guide) - mean_guide**2 + 1e-4)
    fine = mean(slope) * guide + mean(mean_rough - slope * mean_guide)
    return (255 * np.clip(fine, 0, 1)).round().astype(np.uint8)


def _plate(picture: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 picture with the person, and a narrow margin around, filled in from the scene."""
    height, width = matte.shape
    margin = 2 * round(MARGIN * max(matte.shape)) + 1
    hole = cv2.dilate((matte > SEEN).astype(np.uint8), np.ones((margin, margin)))
    scale = PLATE_SIDE / max(matte.shape)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small_hole = (cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
    filled = cv2.inpaint(small, small_hole, 4, cv2.INPAINT_TELEA)
    filled = cv2.GaussianBlur(cv2.resize(filled, (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), margin / 4)
    edge = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), margin / 5)[..., None]
    return (picture * (1 - edge) + filled * edge).round().clip(0, 255).astype(np.uint8)
