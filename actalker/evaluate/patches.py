"""Control in the pixels: how much a region's look differs between two results, with the head's movement taken out.

A mesh reads lips and lids a little differently whenever the rest of the face moves; pixels are not fooled so. Frames
are laid on a patch in which the face keeps its place, and compared there.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from actalker.config import REGIONS
from actalker.signals.face import Face
from actalker.signals.fit import STEADY
from actalker.signals.mesh import canonical_face
from actalker.signals.regions import region_masks

SIDE = 192  # px of a patch
EYE_DISTANCE = 64.0  # px, of the outer corners in it
EYES_AT = np.array([96.0, 72.0])  # px, between them
BLUR = 2.0  # px: what a codec changes is finer
SAME_HEAD = 0.02  # eye distances that two heads may be apart, at the median, to count as moving alike
INSIDE = 0.5  # weight in a region's mask above which a pixel belongs to it
LEAST_MOVING = 0.3  # grey levels squared: variance below which a region does not move
PARTS = tuple(region for region in REGIONS if region != "head")


def similarity_matrix(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3) turn, scale and shift that bring points (n, 2) nearest to others (n, 2), by least squares."""
    a, b = ((points - points.mean(axis=0)) @ [1, 1j] for points in (source, target))
    turn = np.vdot(a, b) / np.vdot(a, a)  # scale and rotation as one complex number
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, target.mean(axis=0) - linear @ source.mean(axis=0)])


class _Variance:
    """Variance over time of pictures that are added one by one."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, 0.0, 0.0

    def add(self, picture: np.ndarray) -> None:
        self._count += 1
        self._sum = self._sum + picture
        self._squares = self._squares + picture.astype(np.float64) ** 2

    @property
    def value(self) -> np.ndarray:
        return self._squares / self._count - (self._sum / self._count) ** 2


def pixel_changes(
    frames: Iterable[np.ndarray], meshes: np.ndarray, other_frames: Iterable[np.ndarray], other_meshes: np.ndarray
) -> dict[str, float]:
    """How much the pixels of each region, the head excepted, differ between two results of one photo and length.

        sum over its pixels of var(one - other) / sum of (var(one) + var(other)) / 2

    with variances over time of grey levels on the patch, a little blurred, and meshes (t, 478, 3) px to lay the frames
    on it. 0 (the same) upwards; 2 is unrelated. Of a region whose signal was not replaced, below 0.02 is good; the
    codec alone makes about 0.005. nan where the region moves in neither. Where both heads move alike, both are laid on
    by the first mesh. Fooled by: heads that move differently, which look different everywhere; a mesh that sways
    with the mouth and makes a region's own variance too large; shadows and skin that a neighbour rightly moves.
    """
    count = min(len(meshes), len(other_meshes))
    seen = ~np.isnan(meshes[:count, 0, 0] + other_meshes[:count, 0, 0])
    first, second = (_matrices(each[:count], seen) for each in (meshes, other_meshes))
    if _alike(meshes[:count][seen], other_meshes[:count][seen]):
        second = first
    one, other, apart = _Variance(), _Variance(), _Variance()
    for a, b in zip(_patches(frames, first), _patches(other_frames, second), strict=False):
        if a is not None and b is not None:
            one.add(a)
            other.add(b)
            apart.add(a - b)
    masks = _masks(meshes[:count][seen], [matrix for matrix in first if matrix is not None])
    own = (one.value + other.value) / 2
    return {
        region: float(apart.value[mask].sum() / own[mask].sum()) if own[mask].mean() > LEAST_MOVING else float("nan")
        for region, mask in masks.items()
    }


def _matrices(meshes: np.ndarray, seen: np.ndarray) -> list[np.ndarray | None]:
    target = canonical_face()[STEADY, :2]
    target = (target - canonical_face()[[33, 263], :2].mean(axis=0)) * EYE_DISTANCE + EYES_AT
    return [
        similarity_matrix(points[STEADY, :2], target) if here else None
        for points, here in zip(meshes, seen, strict=True)
    ]


def _alike(meshes: np.ndarray, others: np.ndarray) -> bool:
    away = np.linalg.norm((meshes - others)[:, STEADY, :2], axis=2)
    return bool(np.median(away) < SAME_HEAD * np.median([Face.of(points).iod for points in meshes]))


def _patches(frames: Iterable[np.ndarray], matrices: list[np.ndarray | None]) -> Iterator[np.ndarray | None]:
    """(192, 192) float32 grey for each frame; None where there is no matrix."""
    for frame, matrix in zip(frames, matrices, strict=False):
        if matrix is None:
            yield None
            continue
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)
        patch = cv2.warpAffine(grey, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield cv2.GaussianBlur(patch, (0, 0), BLUR)


def _masks(meshes: np.ndarray, matrices: list[np.ndarray]) -> dict[str, np.ndarray]:
    """(192, 192) bool for each region but the head, where it is at the median."""
    placed = [points[:, :2] @ matrix[:, :2].T + matrix[:, 2] for points, matrix in zip(meshes, matrices, strict=True)]
    points = np.column_stack([np.median(placed, axis=0), np.zeros(meshes.shape[1])])
    masks = region_masks(Face.of(points), (SIDE, SIDE), feather=0.0)
    return {region: masks[region] > INSIDE for region in PARTS}
