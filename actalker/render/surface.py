"""The deforming surface: the face mesh, a ring of extra vertices along the lashes, and the picture around the face.

Vertices are numbered: 478 of the face, then the surroundings, then nine lash vertices for each eye.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay

from actalker.render.easing import smoothstep
from actalker.render.pose import Pose
from actalker.signals import mesh

RINGS = (1.10, 1.24, 1.42, 1.68, 2.0)  # outlines around the face, as multiples of its oval
GRID = 15  # vertices along each side of the picture, beyond the rings
BACK_OF_HEAD = 0.75  # depth of hair and ears behind the nose bridge, face units
SIDES, SIDE_RELIEF = 0.1, 0.6  # depth in face units where the head's sides begin, and how much of their depth is kept
HOLD = 0.12  # of the picture's side, over which motion dies away towards a border
KEPT_OFF_BORDER = 0.03  # of the picture's side, where only the border itself has vertices
LASH_LENGTH = 0.026  # face units that move rigidly with the lid
LASH_SHARE = 0.95


@dataclass(frozen=True)
class Outline:
    """The face's oval in polar coordinates about its centre."""

    points: np.ndarray  # (36, 2)

    @property
    def centre(self) -> np.ndarray:
        """(2,) middle of the oval."""
        return self.points.mean(0)

    def angles(self, points: np.ndarray) -> np.ndarray:
        """(n,) directions from the centre, radians."""
        x, y = (points[:, :2] - self.centre).T
        return np.arctan2(y, x)

    def radii(self, points: np.ndarray) -> np.ndarray:
        """(n,) distances from the centre: 1 on the oval, 2 twice as far."""
        own = np.linalg.norm(self.points - self.centre, axis=1)
        return np.linalg.norm(points[:, :2] - self.centre, axis=1) / self.interpolate(own, points)

    def interpolate(self, values: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Values (36,) on the oval, carried outwards along rays to points (n, 2)."""
        angles = self.angles(self.points)
        order = np.argsort(angles)
        return np.interp(self.angles(points), angles[order], values[order], period=2 * np.pi)


class Surface:
    """The whole picture as one deformable surface.

    points: (478, 3) mesh in px; unit: px per face unit; shape: (h, w) of the picture.
    """

    def __init__(self, points: np.ndarray, unit: float, shape: tuple[int, int]):
        self.outline = Outline(points[list(mesh.OVAL), :2])
        around = _surrounding_points(self.outline, shape)
        lashes = [_Lashes.of(eye, points, unit) for eye in mesh.EYES.values()]
        self.face = slice(0, mesh.VERTICES)
        self.around = slice(mesh.VERTICES, mesh.VERTICES + len(around))
        depth = _surrounding_depth(self.outline, points[list(mesh.OVAL), 2], around, BACK_OF_HEAD * unit)
        self.rest = np.vstack([points, np.column_stack([around, depth]), *(lash.place(points) for lash in lashes)])
        self._lashes = lashes
        self._spread = _spread_of_expression(self.outline, around, shape)
        self.backdrop = _backdrop_triangles(self.outline, around)
        self.fillers = _opening_triangles()
        self.skin = _skin_triangles(self.around.stop)
        self.triangles = np.vstack([self.backdrop, self.fillers, self.skin])

    @property
    def size(self) -> int:
        """Number of vertices."""
        return len(self.rest)

    def follow(self, shaped: np.ndarray) -> np.ndarray:
        """(size, 3) vertices when the face's own are at `shaped` (478, 3); before pose."""
        moved = shaped - self.rest[self.face]
        around = self.rest[self.around] + self._spread @ moved[list(mesh.OVAL)]
        return np.vstack([shaped, around, *(lash.follow(shaped, moved) for lash in self._lashes)])

    def extend(self, values: np.ndarray, beyond: float) -> np.ndarray:
        """(size,) a factor on face vertices (478,) carried on: the surroundings get a share `beyond` of its change."""
        around = 1 + beyond * (self._spread @ (values[list(mesh.OVAL)] - 1))
        return np.concatenate([values, around, *(values[lash.contour] for lash in self._lashes)])


def head_share(surface: Surface, held: np.ndarray, radii: tuple[float, float]) -> np.ndarray:
    """(size,) how far each vertex is carried by the head: 1 = rigidly.

    The share falls from 1 to 0 between two radii (in face radii), down the neck, and towards those borders of the
    picture that are `held` (h, w).
    """
    around = surface.rest[surface.around, :2]
    radius = surface.outline.radii(around)
    chin, forehead = surface.rest[mesh.CHIN, :2], surface.rest[mesh.FOREHEAD_TOP, :2]
    up = forehead - chin
    height = (around - chin) @ up / (up @ up)  # 0 at the chin, 1 at the top of the forehead
    neck = -0.62 + 0.3 * np.clip(radius - 1, 0, 1.5)  # height of what stays: low at the throat, higher at the shoulders
    share = 1 - smoothstep((radius - radii[0]) / (radii[1] - radii[0]))
    share *= smoothstep((height - neck) / 0.66)
    share *= smoothstep(_distance(around, *np.nonzero(held & _border(held.shape))) / (HOLD * max(held.shape)))
    whole = np.ones(surface.size)
    whole[surface.around] = share
    return whole


def inward_share(surface: Surface, person: np.ndarray) -> np.ndarray:
    """(2, size, 2) how far each vertex may move right and down, then left and up.

    Where the person (h, w) is cut off by a border of the picture, there is nothing to pull into view.
    """
    around, (height, width) = surface.rest[surface.around, :2], person.shape
    share = np.ones((2, surface.size, 2))
    for inwards, axis, x, y in (
        (0, 0, 0, np.flatnonzero(person[:, 0])),
        (0, 1, np.flatnonzero(person[0]), 0),
        (1, 0, width - 1, np.flatnonzero(person[:, -1])),
        (1, 1, np.flatnonzero(person[-1]), height - 1),
    ):
        distance = _distance(around, *np.broadcast_arrays(y, x))
        share[inwards, surface.around, axis] = smoothstep(distance / (HOLD * max(person.shape)))
    return share


def carry(points: np.ndarray, share: np.ndarray, inward: np.ndarray, pose: Pose) -> np.ndarray:
    """Vertices (n, 3) moved by the pose as far as each takes part in it: (n,), and (2, n, 2) away from borders.

    The sides of the head are flattened, for a photo has few pixels of them to turn into view.
    """
    flat = points.copy()
    flat[:, 2] -= (1 - SIDE_RELIEF) * np.maximum(flat[:, 2] - SIDES * pose.unit, 0)
    move = (pose.apply(flat) - flat) * share[:, None]
    move[:, :2] *= np.where(move[:, :2] > 0, inward[0], inward[1])
    return points + move


def keep_apart(shaped: np.ndarray) -> np.ndarray:
    """Mesh (478, 3) in which lips do not pass through each other, nor an upper lid through the lower."""
    shaped = shaped.copy()
    down = shaped[mesh.CHIN, :2] - shaped[mesh.FOREHEAD_TOP, :2]
    down /= np.linalg.norm(down)
    openings = [(mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER, 0.5)]
    openings += [(eye.upper, eye.lower, 1.0) for eye in mesh.EYES.values()]
    for upper, lower, upper_yields in openings:
        upper, lower = list(upper[1:-1]), list(lower[1:-1])
        overlap = np.minimum((shaped[lower, :2] - shaped[upper, :2]) @ down, 0)[:, None] * down
        shaped[upper, :2] += upper_yields * overlap
        shaped[lower, :2] -= (1 - upper_yields) * overlap
    return shaped


@dataclass(frozen=True)
class _Lashes:
    """Vertices between an upper lid's contour and the first ring of skin, so that lashes move without stretching."""

    contour: list[int]
    lid: list[int]
    share: np.ndarray  # (9, 1) place between contour and lid

    @classmethod
    def of(cls, eye: mesh.Eye, points: np.ndarray, unit: float) -> "_Lashes":
        contour, lid = list(eye.upper), list(eye.upper_lid)
        width = np.linalg.norm(points[lid, :2] - points[contour, :2], axis=1, keepdims=True)
        return cls(contour, lid, np.minimum(0.5, LASH_LENGTH * unit / np.maximum(width, 1e-3)))

    def place(self, points: np.ndarray) -> np.ndarray:
        """(9, 3) rest positions."""
        return points[self.contour] * (1 - self.share) + points[self.lid] * self.share

    def follow(self, shaped: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """(9, 3) positions after the face moved to `shaped` by `moved`, both (478, 3)."""
        rest = self.place(shaped - moved)
        return rest + LASH_SHARE * moved[self.contour] + (1 - LASH_SHARE) * moved[self.lid]


def _surrounding_points(outline: Outline, shape: tuple[int, int]) -> np.ndarray:
    """(m, 2) vertices round the oval, and a grid that reaches exactly to the picture's border."""
    centre, last = outline.centre, np.array([shape[1] - 1, shape[0] - 1])
    rings = [centre + (outline.points[:: 1 if factor < 1.2 else 2] - centre) * factor for factor in RINGS]
    rings = np.vstack(rings)
    room = KEPT_OFF_BORDER * last.max()
    rings = rings[((rings > room) & (rings < last - room)).all(1)]
    grid = np.stack(np.meshgrid(*(np.linspace(0, end, GRID) for end in last)), axis=-1).reshape(-1, 2)
    border = _on_border(grid, shape)
    grid = grid[(border & (outline.radii(grid) > 1.05)) | (outline.radii(grid) > RINGS[-1] + 0.12)]
    return np.vstack([rings, grid])


def _on_border(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    last = np.array([shape[1] - 1, shape[0] - 1])
    return ((points < 1) | (points > last - 1)).any(1)


def _surrounding_depth(outline: Outline, rim: np.ndarray, around: np.ndarray, back: float) -> np.ndarray:
    """(m,) depth that runs from the oval's own (36,) to the back of the head."""
    start = outline.interpolate(rim, around)
    return start + (back - start) * (1 - np.exp(-(outline.radii(around) - 1) / 0.22))


def _spread_of_expression(outline: Outline, around: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(m, 36) how the oval's displacement carries on outside: blurred along the oval, fading with distance."""
    apart = outline.angles(around)[:, None] - outline.angles(outline.points)
    apart = np.angle(np.exp(1j * apart))
    radius = outline.radii(around)
    blur = 0.12 + 0.25 * np.clip(radius - 1, 0, 1)
    kernel = np.exp(-0.5 * (apart / blur[:, None]) ** 2)
    fade = np.exp(-(((radius - 1) / 0.55) ** 2)) * smoothstep((2.2 - radius) / 0.8) * ~_on_border(around, shape)
    return kernel / kernel.sum(1, keepdims=True) * fade[:, None]


def _border(shape: tuple[int, int]) -> np.ndarray:
    border = np.ones(shape, bool)
    border[1:-1, 1:-1] = False
    return border


def _distance(points: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(n,) px from each point to the nearest of some pixels (m,), (m,); infinite if there are none."""
    if not len(x):
        return np.full(len(points), np.inf)
    return np.min(np.hypot(points[:, :1] - x, points[:, 1:] - y), axis=1)


def _backdrop_triangles(outline: Outline, around: np.ndarray) -> np.ndarray:
    """Triangles of the surroundings. Those inside the oval come first: they only fill cracks behind the face's rim."""
    points = np.vstack([outline.points, around])
    triangles = Delaunay(points).simplices
    outside = outline.radii(points[triangles].mean(1)) > 0.985
    triangles = _clockwise(triangles[np.argsort(outside, kind="stable")], points)
    return np.concatenate([mesh.OVAL, mesh.VERTICES + np.arange(len(around))])[triangles].astype(np.int32)


def _opening_triangles() -> np.ndarray:
    """Triangles across the mouth and the eyes: stretched rim under the soft edge of what is painted there."""
    right, left = mesh.EYES["Right"], mesh.EYES["Left"]
    strips = [
        _strip(mesh.LIPS_INNER_UPPER, mesh.LIPS_INNER_LOWER),
        _strip(right.upper, right.lower),
        _strip(left.upper[::-1], left.lower[::-1]),
    ]
    return np.vstack(strips).astype(np.int32)


def _skin_triangles(first_lash: int) -> np.ndarray:
    """The face's triangles, with each strip above an eye divided along its lashes."""
    triangles = mesh.triangles()
    strips = []
    for number, (side, eye) in enumerate(mesh.EYES.items()):
        within = np.isin(triangles, (*eye.upper, *eye.upper_lid)).all(1)
        across = np.isin(triangles, eye.upper).any(1) & np.isin(triangles, eye.upper_lid).any(1)
        triangles = triangles[~(within & across)]
        lashes = tuple(first_lash + len(eye.upper) * number + np.arange(len(eye.upper)))
        step = 1 if side == "Right" else -1
        lid, lashes, contour = eye.upper_lid[::step], lashes[::step], eye.upper[::step]
        strips += [_strip(lid, lashes), _strip(lashes, contour)]
    return np.vstack([triangles, *strips]).astype(np.int32)


def _strip(upper: tuple[int, ...], lower: tuple[int, ...]) -> np.ndarray:
    """Triangles between two chains that run left to right, the first above the second; shared ends give none."""
    triangles = []
    for a, b, c, d in zip(upper, upper[1:], lower, lower[1:], strict=False):
        triangles += [(a, b, c)] if a != c else []
        triangles += [(b, d, c)] if b != d else []
    return np.array(triangles)


def _clockwise(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The triangles, each turned to run clockwise on screen for vertices (n, 2)."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    return np.where((area < 0)[:, None], triangles[:, ::-1], triangles)
