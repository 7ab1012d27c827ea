"""Eyeballs: the white and the iris as separate sprites, seen through the moving lids.

Each eyeball is completed once from the photo: what the lids hide of the iris is mirrored from below, what the iris
hides of the white is spread from its sides. The upper lid's shadow is taken off the photo and put back where the lid is
in each frame.
"""

from typing import NamedTuple

import cv2
import numpy as np

from actalker.config import INDEX
from actalker.render.easing import ramp
from actalker.render.scene import Frame, Subject
from actalker.render.sprite import Box, Sprite, blend, lay_over, luma, smooth_curve, soft_polygon
from actalker.signals.mesh import EYES, Eye
from actalker.signals.shapes import GAZE_DOWN, GAZE_RIGHT

_GAZE_REACH = np.array([GAZE_RIGHT, GAZE_DOWN])  # face units at gazeX = 1 and gazeY = 1
_EYEBALL_DEPTH = 0.05  # behind the lids, face units
_LASHES, _LOWER_RIM = 0.32, 0.10  # thickness at the upper and at the lower lid, shares of the eye's height
_FADE_IN = 8.0  # the layer is fully there at a coefficient sum of 1 / 8
_LID_COEFFICIENTS = ("eyeBlink", "eyeSquint", "eyeWide")
_IRIS_RIM = 0.84  # share of the iris radius up to which the photo's own pixels are trusted
_WHITE_START = 1.35  # iris radii from which on pixels count as white
_PLAIN_WHITE = np.array([175, 170, 170], np.float32)


class Opening(NamedTuple):
    """One eye's opening: (n, 2) px curves of both lids from image left to right."""

    upper: np.ndarray
    lower: np.ndarray

    @classmethod
    def of(cls, eye: Eye, points: np.ndarray) -> "Opening":
        upper, lower = (smooth_curve(points[list(lid), :2]) for lid in (eye.upper, eye.lower))
        if upper[0, 0] > upper[-1, 0]:
            upper, lower = upper[::-1], lower[::-1]
        return cls(upper, lower)

    @property
    def outline(self) -> np.ndarray:
        return np.vstack([self.upper, self.lower[-2:0:-1]])

    @property
    def width(self) -> float:
        return float(np.linalg.norm(self.upper[-1] - self.upper[0]))

    def lids(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """(w,) rows in px of the upper and the lower lid in each of the box's columns."""
        columns, _ = box.axes()
        return tuple(np.interp(columns, lid[:, 0], lid[:, 1]).astype(np.float32) for lid in self)

    def shade(self, box: Box) -> np.ndarray:
        """(h, w, 1) share of light left by the upper lid's shadow."""
        _, rows = box.axes()
        top, _ = self.lids(box)
        return (0.66 + 0.34 * ramp(-0.02, 0.16, (rows - top) / self.width))[..., None]


class Eyes:
    """Both eyeballs of one photo."""

    def __init__(self, subject: Subject) -> None:
        self._eyeballs = [_Eyeball(subject, eye, side) for side, eye in EYES.items()]

    def draw(self, frame: Frame) -> None:
        """Paint into the frame's canvas; nothing while the eyes' coefficients are zero."""
        for eyeball in self._eyeballs:
            eyeball.draw(frame)


class _Eyeball:
    """One eye: its contour in the mesh, its two sprites (planes = crop px at rest) and its anchor for the pose."""

    def __init__(self, subject: Subject, eye: Eye, side: str) -> None:
        self._eye = eye
        self._scale = subject.rig.scale
        self._lid_coefficients = [INDEX[name + side] for name in _LID_COEFFICIENTS]
        self._white, self._iris = _complete_eyeball(subject, eye)
        centre = np.append(subject.points[list(eye.contour), :2].mean(0), subject.points[eye.upper[4], 2])
        anchor = centre + [0, 0, _EYEBALL_DEPTH * self._scale]
        self._gaze_axes = self._scale * subject.rig.rotation[:2, :2] * _GAZE_REACH
        self._anchors = anchor + self._scale * np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.1, 0]])

    def draw(self, frame: Frame) -> None:
        """Paint this eyeball between its lids, the more of it the more the eye moves."""
        gaze = frame.values[[INDEX["gazeX"], INDEX["gazeY"]]]
        moved = np.abs(frame.values[self._lid_coefficients]).sum() + np.abs(gaze).sum()
        if moved == 0:
            return
        opening = Opening.of(self._eye, frame.posed[:, :2] - frame.origin)
        box = Box.around(opening.outline, 3, frame.canvas.shape)
        top, bottom = opening.lids(box)
        alpha = soft_polygon(opening.outline, box, max(0.5, 0.005 * self._scale)) * ramp(0.2, 1.5, bottom - top)
        alpha *= _below_lashes(top, bottom, box)
        colour = self._seen(frame, gaze, box) * opening.shade(box)
        blend(box.of(frame.canvas), colour, min(1.0, _FADE_IN * moved) * alpha)

    def _seen(self, frame: Frame, gaze: np.ndarray, box: Box) -> np.ndarray:
        """(h, w, 3) the unshaded eyeball looking along the gaze, in the frame's pose."""
        at_rest = self._anchors[:, :2]
        on_screen = frame.pose.apply(self._anchors)[:, :2] - frame.origin
        turned = cv2.getAffineTransform(at_rest.astype(np.float32), on_screen.astype(np.float32))
        shifted = turned.copy()
        shifted[:, 2] += turned[:, :2] @ self._gaze_axes @ gaze
        colour = self._white.placed(turned, box)[..., :3]
        lay_over(colour, self._iris.placed(shifted, box))
        return colour


def _below_lashes(top: np.ndarray, bottom: np.ndarray, box: Box) -> np.ndarray:
    """(h, w) share of eyeball between the lids' rows (w,): the photo's own lashes and rims stay on top of it."""
    _, rows = box.axes()
    height = max(float((bottom - top).max()), 1.0)
    return ramp(-0.04, _LASHES, (rows - top) / height) * ramp(-0.06, _LOWER_RIM, (bottom - rows) / height)


def white_of_eyes(subject: Subject) -> np.ndarray:
    """(3,) RGB of the photo's eye whites, both eyes together."""
    return np.mean([_View.of(subject, eye).usual_white() for eye in EYES.values()], axis=0)


class _View(NamedTuple):
    """One eye of the photo, cut out with room for gaze."""

    box: Box
    opening: Opening
    picture: np.ndarray  # (h, w, 3) float32, the lid's shadow taken off
    trusted: np.ndarray  # (h, w) pixels that surely show the eyeball, no lid or lash
    radius: np.ndarray  # (h, w) distance from the iris' centre in iris radii
    iris_centre: np.ndarray  # (2,) in the cut
    iris_radius: float  # px

    @property
    def shows_white(self) -> np.ndarray:
        return self.trusted & (self.radius > _WHITE_START)

    def usual_white(self) -> np.ndarray:
        """(3,) mean of the brightest fifth of the white; lashes, corners and vessels are in the rest."""
        whites = self.picture[self.shows_white]
        if len(whites) < 6:
            return _PLAIN_WHITE
        return whites[luma(whites) >= np.percentile(luma(whites), 80)].mean(0)

    def roundness(self) -> np.ndarray:
        """(w,) light on a ball that turns away from the viewer towards the eye's corners."""
        columns, _ = self.box.axes()
        middle = (self.opening.upper[0, 0] + self.opening.upper[-1, 0]) / 2
        return 1 - 0.15 * ramp(0.3, 1.1, 2 * np.abs(columns - middle) / self.opening.width)

    @classmethod
    def of(cls, subject: Subject, eye: Eye) -> "_View":
        points = subject.points[:, :2]
        opening = Opening.of(eye, points)
        box = Box.around(opening.outline, 0.3 * opening.width, subject.picture.shape)
        picture = box.of(subject.picture).astype(np.float32) / opening.shade(box)
        columns, rows = box.axes()
        centre = points[eye.iris]
        iris_radius = float(np.linalg.norm(points[list(eye.iris_ring)] - centre, axis=1).mean())
        radius = np.hypot(columns - centre[0], rows - centre[1]) / iris_radius
        trusted = _away_from_lids(opening, box)
        return cls(box, opening, picture, trusted, radius, centre - box.corner, iris_radius)


def _away_from_lids(opening: Opening, box: Box) -> np.ndarray:
    """(h, w) pixels inside the opening and clear of its edge, twice as far from the upper lid with its lashes."""
    _, rows = box.axes()
    top, bottom = opening.lids(box)
    margin = max(0.10 * float((bottom - top).max()), 1.0)
    inside = soft_polygon(opening.outline, box, 0.5) > 0.8
    return inside & (rows > top + 2 * margin) & (rows < bottom - margin)


def _complete_eyeball(subject: Subject, eye: Eye) -> tuple[Sprite, Sprite]:
    """The white without iris and the whole iris, both in crop px."""
    view = _View.of(subject, eye)
    usual_white = (view.usual_white() + white_of_eyes(subject)) / 2  # one eye alone may hardly show any
    to_crop = np.array([[1, 0, view.box.x0], [0, 1, view.box.y0]], float)
    white = Sprite.painted(_complete_white(view, usual_white), np.ones(view.box.shape, np.float32), to_crop)
    edge = max(0.28, 2.0 / view.iris_radius)
    iris_alpha = 1 - np.clip((view.radius - 1.0) / edge + 0.5, 0, 1)
    return white, Sprite.painted(_complete_iris(view), iris_alpha, to_crop)


def _complete_white(view: _View, usual: np.ndarray) -> np.ndarray:
    """(h, w, 3) the white everywhere: the photo's own where it is bright, elsewhere spread from there and `usual`."""
    bright = (view.shows_white * ramp(0.6, 0.85, luma(view.picture) / max(luma(usual), 1))).astype(np.float32)
    sigma = 0.10 * view.opening.width
    total = cv2.GaussianBlur(bright, (0, 0), sigma)[..., None] + 0.1
    spread = (cv2.GaussianBlur(view.picture * bright[..., None], (0, 0), sigma) + 0.1 * usual) / total
    spread *= view.roundness()[:, None]
    soft = cv2.GaussianBlur(bright, (0, 0), 1.5)[..., None] * bright[..., None]
    return view.picture * soft + spread * (1 - soft)


def _complete_iris(view: _View) -> np.ndarray:
    """(h, w, 3) the whole iris: own pixels, else the mirror image from below mixed with the ring's usual colour."""
    own = (view.trusted & (view.radius < _IRIS_RIM)).astype(np.float32)
    rings = _ring_colours(view, own > 0)
    ceiling = 1.2 * rings + 255 * (view.radius < 0.6)[..., None]  # white that a loose fit lets in at the rim
    picture = np.minimum(view.picture, ceiling)
    height, width = own.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    flipped = 2 * np.float32(view.iris_centre[1]) - y
    mirror = cv2.remap(picture, x, flipped, cv2.INTER_LINEAR)
    mirror_known = cv2.remap(own, x, flipped, cv2.INTER_LINEAR)[..., None] * 0.6
    filled = mirror * mirror_known + rings * (1 - mirror_known)
    soft = cv2.GaussianBlur(own, (0, 0), 0.7)[..., None] * own[..., None]
    return picture * soft + filled * (1 - soft)


def _ring_colours(view: _View, own: np.ndarray, rings: int = 8) -> np.ndarray:
    """(h, w, 3) median iris colour at each pixel's distance from the centre, darker at the rim."""
    places = (np.arange(rings) + 0.5) / rings * _IRIS_RIM
    ring = (view.radius / _IRIS_RIM * rings).astype(int)
    counted = [(place, view.picture[own & (ring == i)]) for i, place in enumerate(places)]
    known = [(place, np.median(pixels, axis=0)) for place, pixels in counted if len(pixels) > 2]
    if not known:
        return np.full((*own.shape, 3), 40, np.float32)
    at, colours = [place for place, _ in known], np.array([colour for _, colour in known])
    outer = len(colours) // 2  # an iris darkens to its rim; brighter rings there are white let in by a loose fit
    colours[outer:] = np.minimum.accumulate(colours[outer:], axis=0)
    profile = np.stack([np.interp(view.radius, at, colours[:, channel]) for channel in range(3)], axis=-1)
    return (profile * (1 - 0.06 * ramp(0.75, 0.95, view.radius))[..., None]).astype(np.float32)
