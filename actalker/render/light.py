"""How the photo's light falls on the skin: brightness as a linear function of the surface normal."""

import cv2
import numpy as np
from scipy.sparse import csr_matrix

from actalker.signals import mesh

DARKEST = 20.0  # luma below which shading says nothing
STRENGTH = 0.7
_PAINTED = (*mesh.LIPS, *mesh.EYE_CONTOURS, *mesh.BROW_RIGHT, *mesh.BROW_LEFT)
BARE_SKIN = np.setdiff1d(np.arange(mesh.SKIN_VERTICES), _PAINTED)


class Light:
    """The light on one face. points: (478, 3) mesh in px of the picture (h, w, 3); unit: px per face unit."""

    def __init__(self, picture: np.ndarray, points: np.ndarray, unit: float):
        triangles = mesh.triangles()
        corners, faces = triangles.ravel(), np.repeat(np.arange(len(triangles)), 3)
        self._gather = csr_matrix((np.ones(len(faces)), (corners, faces)), (mesh.VERTICES, len(triangles)))
        luma = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 0.03 * unit), cv2.COLOR_RGB2GRAY).astype(float)
        height, width = luma.shape
        x, y = np.clip(points[BARE_SKIN, :2].round().astype(int), 0, (width - 1, height - 1)).T
        self.skin_luma = float(np.median(luma[y, x]))
        normals = self._normals(points)
        self._fit = _robust_fit(normals[BARE_SKIN], luma[y, x])
        self._rest = self._brightness(normals)

    def change(self, points: np.ndarray) -> np.ndarray:
        """(478,) how much brighter each vertex gets when the mesh moves to `points`; 1 where it did not turn."""
        return np.clip(self._brightness(self._normals(points)) / self._rest, 0.75, 1.3) ** STRENGTH

    def _brightness(self, normals: np.ndarray) -> np.ndarray:
        return np.maximum(self._fit[0] + normals @ self._fit[1:], DARKEST)

    def _normals(self, points: np.ndarray) -> np.ndarray:
        a, b, c = (points[mesh.triangles()[:, k]] for k in range(3))
        normals = self._gather @ np.cross(b - a, c - a)
        return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9)


def _robust_fit(normals: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """(4,) offset and direction with luma ~ offset + normals @ direction; outliers (moles, shine, beard) count less."""
    terms = np.column_stack([np.ones(len(normals)), normals])
    ridge, weight = np.diag([1e-3, 2, 2, 2]), np.ones(len(luma))
    for _ in range(10):
        weighted = terms * weight[:, None]
        fit = np.linalg.solve(weighted.T @ terms + ridge, weighted.T @ luma)
        weight = 1 / (1 + ((luma - terms @ fit) / 15) ** 2)
    return fit
