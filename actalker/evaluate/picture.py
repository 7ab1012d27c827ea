"""Identity and picture: whether the face stays the same one, sharp and steady, before a background that keeps still.

Meshes (t, 478, 3) are in px, shapes (t, 478, 3) are meshes without the head's pose in units of the distance between the
outer eye corners, frames (h, w, 3) are uint8 RGB.
"""

import cv2
import numpy as np

from actalker.signals import mesh
from actalker.signals.face import Crop, Face
from actalker.signals.fit import STEADY

FACE_PIXELS = 192  # side of the square in which sharpness is compared
ROUND_THE_FACE = 1.25  # side of that square over the face's height
HEAD = 0.8, 1.0  # half axes of the ellipse that holds a head with its hair, in face heights
HAIR = 0.1  # face heights by which the head's middle is above the face's
SMALL = 180  # px, long side of the frames in which backgrounds are compared
LEAST_BACKGROUND = 0.02  # share of the picture


def shape_drift(shapes: np.ndarray) -> float:
    """How much the face's proportions change from the beginning of a clip to its end.

        rms over vertices of (median shape of the last third - median shape of the first third), x and y

    over the vertices that expressions hardly move. In per cent of the eye distance, 0 upwards; below 1 is good of a
    calm face; four real clips measured 0.3 to 2.2. Fooled by: a head that is turned at the end and not at the start, or
    a strong grimace, in which the mesh sees another face; a face that is lost for a while.
    """
    third = max(1, len(shapes) // 3)
    return _apart(np.median(shapes[:third], axis=0), np.median(shapes[-third:], axis=0))


def shape_distance(shapes: np.ndarray, photo: np.ndarray) -> float:
    """How far the clip's face is from the photo's: as `shape_drift`, between the clip's median and the photo (478, 3).

    In per cent of the eye distance: below 1.2 is good; ten pairs of different people were 1.9 to 4.9 apart. Fooled by:
    lenses and head turns that differ between photo and clip; it knows proportions only, so that two people may pass
    for one.
    """
    return _apart(np.median(shapes, axis=0), photo)


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    difference = (one - other)[STEADY, :2]
    difference = difference - difference.mean(axis=0)
    return float(100 * np.sqrt(np.square(difference).sum(axis=1).mean()))


def jitter(meshes: np.ndarray) -> float:
    """How much points that lie still on the head tremble from frame to frame.

        rms over t, vertices, x and y of (p(t) - (p(t - 1) + p(t + 1)) / 2) / sqrt(1.5)

    of forehead, nose, temples and eye corners, in thousandths of the eye distance: what is left of a steady movement is
    nothing, and white noise of standard deviation s gives s. 0 upwards; four real clips measured 1.2 (calm) to 10
    (lively), so compare with a real clip of like liveliness. Fooled by: quick nods and cuts, which are not jitter;
    small faces, on which the mesh trembles; frozen frames, which lower it, and skipped ones, which raise it.
    """
    if len(meshes) < 3:
        return float("nan")
    points = meshes[:, STEADY, :2]
    bent = points[1:-1] - (points[:-2] + points[2:]) / 2
    return float(1000 * np.sqrt(np.square(bent).mean() / 1.5) / _eye_distance(meshes))


def _eye_distance(meshes: np.ndarray) -> float:
    left, right = (meshes[:, vertex] for vertex in mesh.OUTER_EYE_CORNERS)
    return float(np.median(np.linalg.norm(left - right, axis=1)))


def detail(picture: np.ndarray, face: Face) -> float:
    """Fine structure of a face, for `sharpness`: the logarithm of the Laplacian's variance inside its outline.

    The face is first brought to 192 px a side, with brightness and contrast of its own, so that size and light hardly
    matter.
    """
    side = ROUND_THE_FACE * face.height
    square = Crop(*(face.centre - side / 2), side)
    grey = cv2.cvtColor(square.cut(picture, FACE_PIXELS, sharp=False), cv2.COLOR_RGB2GRAY).astype(np.float32)
    outline = square.to_crop(face.points, FACE_PIXELS)[list(mesh.OVAL), :2]
    inside = np.zeros(grey.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(outline).astype(np.int32)], 1)
    inside = cv2.erode(inside, np.ones((9, 9), np.uint8)) > 0
    if not inside.any() or grey[inside].std() < 1e-3:
        return float("nan")
    return float(np.log(cv2.Laplacian(grey, cv2.CV_32F)[inside].var() / grey[inside].var() + 1e-9))


def sharpness(details: np.ndarray, photo: float) -> float:
    """Fine structure of a clip's face beside the photo's: exp(median over t of `detail` - detail of the photo).

    0 upwards, no unit, 1 as sharp as the photo: 0.7 to 1.2 is good. Fooled by: noise, block edges and ringing, which
    count as structure; a photo that is itself blurred is easily reached; glasses that catch the light.
    """
    return float(np.exp(np.nanmedian(details) - photo))


class Background:
    """Compares what is outside the head with the first frame, one frame at a time, small and grey."""

    def __init__(self) -> None:
        self._first: np.ndarray | None = None
        self._outside: np.ndarray | None = None

    def change(self, frame: np.ndarray, face: Face | None) -> float:
        """`background_change` of one frame; nan where there is no face, or no background."""
        if face is None:
            return float("nan")
        scale = SMALL / max(frame.shape[:2])
        grey = cv2.cvtColor(
            cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
        )
        outside = ~_head(grey.shape, face, scale)
        if self._first is None:
            self._first, self._outside = grey.astype(np.float32), outside
        both = outside & self._outside
        if both.mean() < LEAST_BACKGROUND:
            return float("nan")
        return float(np.abs(grey - self._first)[both].mean())


def _head(shape: tuple[int, ...], face: Face, scale: float) -> np.ndarray:
    """(h, w) bool: an ellipse round head and hair, and all that is below the chin between the shoulders' sides."""
    wide, tall = (round(axis * face.height * scale) for axis in HEAD)
    x, y = (round(value * scale) for value in (face.centre[0], face.centre[1] - HAIR * face.height))
    inside = np.zeros(shape, np.uint8)
    cv2.ellipse(inside, (x, y), (wide, tall), 0, 0, 360, 1, -1)
    inside[max(y, 0) :, max(x - wide, 0) : max(x + wide, 0)] = 1
    return inside > 0


def background_change(changes: np.ndarray) -> float:
    """How much the picture outside the head differs from the clip's first frame.

        median over t of the mean over pixels of |frame(t) - frame(0)|

    outside an ellipse round head and hair and the column below it, in both frames. In grey levels of 255, 0 upwards:
    below 1.5 is good for a photo that talks: ours measured 0.1 to 0.9, three of four real clips 3 to 6. Fooled by: a
    moving camera, shoulders that rightly move, fading light; a picture that the head fills is nan.
    """
    return float(np.nanmedian(changes)) if np.isfinite(changes).any() else float("nan")
