"""A drawn face with the canonical mesh, for tests of the painted layers: plain skin, white eyes with dark irises."""

import cv2
import numpy as np

from actalker.config import COEFFICIENTS, INDEX
from actalker.render.pose import Pose
from actalker.render.scene import Frame, Subject
from actalker.signals.mesh import EYES, LIPS_INNER_LOWER, LIPS_INNER_UPPER, canonical_face
from actalker.signals.rig import Rig

SKIN, WHITE, IRIS, TEETH = (200, 160, 140), (215, 212, 210), (60, 45, 35), (235, 230, 220)


def drawn_subject(size: int = 320, open_by: float = 0.0) -> Subject:
    """A frontal subject with its outer eye corners 0.27 of the picture apart; open_by = gap of the lips, face units."""
    points = canonical_face().copy()
    upper, lower = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
    points[upper] = points[lower] = (points[upper] + points[lower]) / 2
    points[lower[1:-1], 1] += open_by * np.sin(np.linspace(0, np.pi, 11))[1:-1]
    points = points * 0.27 * size + [size / 2, 0.4 * size, 0]
    picture = np.full((size, size, 3), SKIN, np.uint8)
    for eye in EYES.values():
        _fill(picture, points[list(eye.contour)], WHITE)
        _fill(picture, points[list(eye.iris_ring)], IRIS)
    _fill(picture, points[[*upper, *lower[-2:0:-1]]], TEETH)
    luma = float(np.dot(SKIN, (0.299, 0.587, 0.114)))
    return Subject(picture, points, Rig(points), luma, open_by > 0)


def frame_of(subject: Subject, **coefficients: float) -> Frame:
    """A frame with these coefficients over a black canvas that leaves out the picture's left and top tenth."""
    values = np.zeros(len(COEFFICIENTS))
    for name, value in coefficients.items():
        values[INDEX[name]] = value
    shaped = subject.rig.to_image(subject.rig.deform(values))
    pose = Pose.of(values, subject.points, subject.rig.scale)
    margin = len(subject.picture) // 10
    canvas = np.zeros((*np.subtract(subject.picture.shape[:2], margin), 3), np.float32)
    return Frame(canvas, (margin, margin), shaped, pose.apply(shaped), values, pose)


def region(frame: Frame, contour: list[int], grow: int = 1) -> np.ndarray:
    """(h, w) bool: the canvas inside a chain of posed vertices, grown by some px."""
    mask = np.zeros(frame.canvas.shape[:2], np.uint8)
    _fill(mask, frame.posed[contour] - [*frame.origin, 0], 1)
    return cv2.dilate(mask, np.ones((2 * grow + 1, 2 * grow + 1))) > 0


def _fill(picture: np.ndarray, points: np.ndarray, colour: object) -> None:
    cv2.fillPoly(picture, [np.round(points[:, :2]).astype(np.int32)], colour)
