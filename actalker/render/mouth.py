"""The inside of the mouth: cavity, tongue and teeth, painted into the hole between the inner lips.

Teeth keep their place in the skull (upper row) or on the jaw (lower row, tongue) and the lips uncover them. A photo
that shows its own teeth keeps them; otherwise a generic row is painted in the photo's light.
"""

from typing import NamedTuple

import cv2
import numpy as np

from actalker.config import INDEX
from actalker.render.easing import ramp
from actalker.render.eyes import white_of_eyes
from actalker.render.scene import Frame, Subject
from actalker.render.sprite import Box, Sprite, blend, chain, lay_over, luma, smooth_curve, soft_polygon
from actalker.render.teeth import LOWER_ROW, UPPER_ROW, Palette, paint_teeth, paint_tongue
from actalker.signals.mesh import CHIN, LIPS_INNER_LOWER, LIPS_INNER_UPPER, LIPS_OUTER_LOWER, LIPS_OUTER_UPPER

_UPPER, _LOWER = list(LIPS_INNER_UPPER), list(LIPS_INNER_LOWER)
_MIDDLE = len(_UPPER) // 2
_TEETH_DEPTH = 0.10  # behind the lips, face units
_AXIS = 0.1  # length of the plane's sample axes, face units
_FADE_IN = (0.004, 0.02)  # way of the lips from the photo's, face units, over which the layer fades in
_SLIT = 0.015  # gap in face units below which a slit is drawn ever fainter
_OWN_TEETH_REACH = 0.07  # how far a photo's own teeth are continued upwards under the lip, face units
_CROWN = 0.115  # length of a front tooth, face units
_SHADOW_TINT = np.array([0.84, 1.13, 1.26], np.float32)  # light inside a mouth has bounced off red walls


class Slit(NamedTuple):
    """The opening as seen in a box: (w,) rows of the upper and lower lip's edge in px, and px per face unit."""

    top: np.ndarray
    bottom: np.ndarray
    scale: float

    @classmethod
    def between(cls, upper: np.ndarray, lower: np.ndarray, box: Box, scale: float) -> "Slit":
        columns, _ = box.axes()
        top, bottom = (np.interp(columns, np.maximum.accumulate(lip[:, 0]), lip[:, 1]) for lip in (upper, lower))
        return cls(top.astype(np.float32), bottom.astype(np.float32), scale)

    def height(self, rows: np.ndarray) -> np.ndarray:
        """(h, w) place between the lips: 0 at the upper one, 1 at the lower one."""
        return np.clip((rows - self.top) / np.maximum(self.bottom - self.top, 1), 0, 1)

    def shade(self, rows: np.ndarray) -> np.ndarray:
        """(h, w) share of light at each pixel: less under the upper lip, at the lower one and in a narrow gap."""
        below_upper = ramp(-0.01, 0.055, (rows - self.top) / self.scale)
        above_lower = ramp(0.0, 0.03, (self.bottom - rows) / self.scale)
        gap = ramp(0.0, 0.055, (self.bottom - self.top) / self.scale)
        return (0.66 + 0.34 * below_upper) * (0.80 + 0.20 * above_lower) * (0.70 + 0.30 * gap)


class Mouth:
    """The inside of one photo's mouth."""

    def __init__(self, subject: Subject) -> None:
        self._rig = subject.rig
        self._scale = subject.rig.scale
        self._rest = subject.points[_UPPER + _LOWER]
        self._skull, self._jaw = _teeth_planes(subject.rig.neutral)
        palette = Palette.matching(subject.skin_luma, white_of_eyes(subject), _lip_colour(subject))
        density = max(1.25 * self._scale, 60.0)
        self._cavity, self._cheek = palette.cavity, palette.cheek
        own = _own_teeth(subject, self._skull, palette.gum) if subject.open_mouth else None
        self._has_seam = not subject.open_mouth
        self._upper_teeth, self._rest_light = own or (paint_teeth(UPPER_ROW, palette, density), 1.0)
        self._lower_teeth = paint_teeth(LOWER_ROW, palette, density)
        self._tongue = paint_tongue(palette, density)

    def draw(self, frame: Frame) -> None:
        """Paint into the frame's canvas; nothing while the lips are the photo's own or closed."""
        moved = np.linalg.norm(frame.shaped[_UPPER + _LOWER] - self._rest, axis=1).max() / self._scale
        presence = float(ramp(*_FADE_IN, moved))
        if presence == 0:
            return
        screen = frame.posed[:, :2] - frame.origin
        upper, lower = smooth_curve(screen[_UPPER]), smooth_curve(screen[_LOWER])
        outline = np.vstack([upper, lower[-2:0:-1]])
        box = Box.around(outline, 3, frame.canvas.shape)
        slit = Slit.between(upper, lower, box, self._scale)
        alpha = presence * self._coverage(outline, slit, box)
        blend(box.of(frame.canvas), self._inside(frame, box, slit), alpha)

    def _coverage(self, outline: np.ndarray, slit: Slit, box: Box) -> np.ndarray:
        """(h, w) alpha of the opening. A photo of closed lips has its own seam: there a narrow slit fades away."""
        soft = soft_polygon(outline, box, max(0.5, 0.006 * self._scale))
        if self._has_seam:
            return soft * ramp(0.2, max(1.5, _SLIT * self._scale), slit.bottom - slit.top)
        return np.minimum(1.5 * soft, 1)  # what lies squeezed under a closing slit may be bright teeth

    def _inside(self, frame: Frame, box: Box, slit: Slit) -> np.ndarray:
        """(h, w, 3) colours of everything behind the lips, back to front, in the light that reaches it."""
        _, rows = box.axes()
        skull = self._on_screen(self._skull, frame)
        jaw = self._on_screen(self._carried_by_jaw(frame.values), frame)
        light = slit.shade(rows)[..., None] ** _SHADOW_TINT
        inside = self._depth(slit, rows)
        lay_over(inside, self._tongue.placed(chain(jaw, _tongue_pose(frame.values)), box))
        lay_over(inside, self._lower_teeth.placed(jaw, box))
        inside *= light
        upper_teeth = self._upper_teeth.placed(skull, box)
        upper_teeth[..., :3] *= np.minimum(light / self._rest_light, 1)
        lay_over(inside, upper_teeth)
        return inside

    def _depth(self, slit: Slit, rows: np.ndarray) -> np.ndarray:
        """(h, w, 3) the dark at the back, lighter below; where the lips are close, their wet inner sides."""
        dark = self._cavity * (0.55 + 0.9 * slit.height(rows) ** 2)[..., None]
        close = 1 - ramp(0.0, 0.05, (slit.bottom - slit.top) / slit.scale)
        return dark + (self._cheek - dark) * close[:, None]

    def _carried_by_jaw(self, values: np.ndarray) -> np.ndarray:
        """The lower teeth's plane after the jaw's swing and sideways shift, face units."""
        swung = self._rig.jaw_swing(self._jaw, max(values[INDEX["jawOpen"]], 0.0))
        return swung + values[INDEX["jawLeft"]] * self._rig.basis[INDEX["jawLeft"], CHIN]

    def _on_screen(self, plane: np.ndarray, frame: Frame) -> np.ndarray:
        posed = frame.pose.apply(self._rig.to_image(plane))
        return _affine_through(posed[:, :2] - frame.origin)


def _teeth_planes(neutral: np.ndarray) -> np.ndarray:
    """(2, 3, 3) points origin, origin + u, origin + v of the upper and lower teeth's planes, face units; v = 0: lip."""
    upper, lower = neutral[_UPPER[_MIDDLE]], neutral[_LOWER[_MIDDLE]]
    middle = neutral[[_UPPER[0], _UPPER[-1]], 0].mean()
    depth = (upper[2] + lower[2]) / 2 + _TEETH_DEPTH
    origins = np.array([[middle, upper[1], depth], [middle, lower[1], depth]])
    return origins[:, None] + np.array([[0, 0, 0], [_AXIS, 0, 0], [0, _AXIS, 0]])


def _affine_through(points: np.ndarray) -> np.ndarray:
    """The (2, 3) affine from (u, v) to the picture, given where the plane's three points (3, 2) landed."""
    origin, along_u, along_v = points
    return np.column_stack([(along_u - origin) / _AXIS, (along_v - origin) / _AXIS, origin])


def _tongue_pose(values: np.ndarray) -> np.ndarray:
    """The tongue's place in the jaw's plane: behind the lower teeth; it rises to the upper ones with tongueUp."""
    raised = np.clip(values[INDEX["tongueUp"]], 0, 1)
    size = 1 - 0.14 * raised
    return np.array([[size, 0, 0], [0, size, 0.07 - 0.08 * raised]])


def _lip_colour(subject: Subject) -> np.ndarray:
    """(3,) median colour of the photo's lips."""
    middle = slice(_MIDDLE - 1, _MIDDLE + 2)
    outer = [*LIPS_OUTER_UPPER[middle], *LIPS_OUTER_LOWER[middle]]
    inner = [*LIPS_INNER_UPPER[middle], *LIPS_INNER_LOWER[middle]]
    between = (subject.points[outer, :2] + subject.points[inner, :2]) / 2
    height, width = subject.picture.shape[:2]
    x, y = np.clip(between.round().astype(int), 0, (width - 1, height - 1)).T
    return np.median(subject.picture[y, x].astype(np.float32), axis=0)


def _own_teeth(subject: Subject, plane: np.ndarray, gum: np.ndarray) -> tuple[Sprite, float] | None:
    """What the photo shows between its lips, continued upwards, and the light it got; None if that is no teeth."""
    scale = subject.rig.scale
    upper, lower = (smooth_curve(subject.points[lip, :2]) for lip in (_UPPER, _LOWER))
    outline = np.vstack([upper, lower[-2:0:-1]])
    box = Box.around(outline, (_OWN_TEETH_REACH + 0.02) * scale, subject.picture.shape)
    picture = box.of(subject.picture).astype(np.float32)
    margin = 2 * max(1, round(0.007 * scale)) + 1  # the lips' inner sides are wet and red
    visible = cv2.erode(soft_polygon(outline, box, 0.7), np.ones((margin, margin)))
    brightness = luma(picture) / max(subject.skin_luma, 1)
    if not (visible > 0.5).any() or (brightness[visible > 0.5] > 0.75).mean() < 0.25:
        return None
    visible *= ramp(0.3, 0.6, cv2.GaussianBlur(brightness, (0, 0), 0.012 * scale))
    light = float(np.median(Slit.between(upper, lower, box, scale).shade(box.axes()[1])[visible > 0.5]))
    colour, alpha = _continued_upwards(picture, visible, scale, gum)
    to_crop = np.array([[1, 0, box.x0], [0, 1, box.y0]], float)
    from_crop = cv2.invertAffineTransform(_affine_through(subject.rig.to_image(plane)[:, :2]))
    return Sprite.painted(colour, alpha, chain(from_crop, to_crop)), light


def _continued_upwards(
    colour: np.ndarray, visible: np.ndarray, scale: float, gum: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mirror each column's visible part above its first visible row, turning into gum beyond a tooth's length."""
    solid = visible > 0.9
    first, height = solid.argmax(0), solid.sum(0)
    rows = np.arange(len(visible))[:, None]
    above = np.where(height > 0, np.maximum(first - rows, 0), 0)
    mirrored = np.where(above > 0, first + np.minimum(above, height // 2), rows)
    gum_share = ramp(_CROWN - 0.025, _CROWN, (above + height) / scale)[..., None] * (above > 0)[..., None]
    colour = np.take_along_axis(colour, mirrored[..., None], axis=0) * (1 - gum_share) + gum * gum_share
    columns = cv2.GaussianBlur((height > 0.02 * scale).astype(np.float32)[None], (0, 0), 0.02 * scale)
    continued = ((above > 0) & (above <= _OWN_TEETH_REACH * scale)) * np.clip(2 * columns - 1, 0, 1)
    return colour, cv2.GaussianBlur(np.maximum(visible, continued).astype(np.float32), (0, 0), 0.8)
