"""The rig: a deformation basis on one person's face mesh, one shape for every mesh coefficient.

Face units: 1 = distance between the outer eye corners; x right, y down, z away; the head upright and frontal.
"""

import numpy as np
from scipy.sparse import coo_matrix, diags, identity
from scipy.sparse.linalg import splu

from actalker.config import COEFFICIENTS, INDEX
from actalker.signals import mesh, shapes


def procrustes(source: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotations (..., 3, 3), scales (...) and translations (..., 3) that carry points (n, 3) to targets (..., n, 3).

    target ~ scale * source @ rotation.T + translation, by least squares.
    """
    source_mean, target_means = source.mean(axis=0), targets.mean(axis=-2)
    source, targets = source - source_mean, targets - target_means[..., None, :]
    left, stretch, right = np.linalg.svd(targets.swapaxes(-1, -2) @ source)
    handedness = np.ones_like(stretch)
    handedness[..., 2] = np.sign(np.linalg.det(left @ right))
    rotations = left * handedness[..., None, :] @ right
    scales = (stretch * handedness).sum(axis=-1) / (source**2).sum()
    return rotations, scales, target_means - scales[..., None] * (rotations @ source_mean)


def head_rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) rotation for degrees: face to image right, looking down, and clockwise on screen are positive."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(np.radians([yaw, pitch, roll])), np.sin(np.radians([yaw, pitch, roll]))
    turn = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return tilt @ nod @ turn


def head_angles(rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Yaw, pitch and roll in degrees of rotations (..., 3, 3): the inverse of `head_rotation`."""
    yaw = np.arctan2(rotations[..., 2, 0], rotations[..., 2, 2])
    pitch = np.arcsin(np.clip(rotations[..., 2, 1], -1, 1))
    roll = np.arctan2(-rotations[..., 0, 1], rotations[..., 1, 1])
    return np.degrees(yaw), np.degrees(pitch), np.degrees(roll)


def neck_pivot(neutral: np.ndarray) -> np.ndarray:
    """(3,) the point in the neck about which the head turns, in face units."""
    ears = neutral[list(mesh.EARS)].mean(axis=0)
    height = 0.35 * neutral[mesh.NOSE_TIP, 1] + 0.65 * neutral[mesh.CHIN, 1]
    return np.array([ears[0], height, ears[2] + 0.15])


def pose_of(points: np.ndarray) -> tuple[np.ndarray, np.float64, np.ndarray]:
    """Rotation (3, 3), length of a face unit in px and place (3,) of a mesh (478, 3) in px, by what hardly moves."""
    rigid = list(mesh.RIGID)
    return procrustes(mesh.canonical_face()[rigid], points[rigid])


def in_face_units(points: np.ndarray) -> np.ndarray:
    """A mesh (478, 3) in px, upright and in face units."""
    rotation, scale, place = pose_of(points)
    return (points - place) @ rotation / scale


class BiharmonicFill:
    """Spreads displacements of some vertices over the whole skin with the least bending."""

    def __init__(self, points: np.ndarray):
        corners = mesh.triangles()
        edges = np.unique(np.sort(np.vstack([corners[:, :2], corners[:, 1:], corners[:, ::2]]), axis=1), axis=0)
        lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
        pull = 1 / np.maximum(lengths, 1e-3)
        size = (mesh.SKIN_VERTICES, mesh.SKIN_VERTICES)
        near = coo_matrix((np.r_[pull, pull], (edges.T.ravel(), edges[:, ::-1].T.ravel())), shape=size).tocsr()
        laplacian = identity(mesh.SKIN_VERTICES) - diags(1 / near.sum(1).A1) @ near
        self._bending = (laplacian.T @ laplacian + 1e-9 * identity(mesh.SKIN_VERTICES)).tocsc()

    def __call__(self, handles: shapes.Handles) -> np.ndarray:
        """(478, 3) displacements, exactly the given ones at the handles and zero for the irises."""
        known = np.array(sorted(handles))
        free = np.setdiff1d(np.arange(mesh.SKIN_VERTICES), known)
        filled = np.zeros((mesh.VERTICES, 3))
        filled[known] = [handles[vertex] for vertex in known]
        rows = self._bending[free]
        filled[free] = splu(rows[:, free].tocsc()).solve(-rows[:, known] @ filled[known])
        return filled


def _jaw_follows(fill: BiharmonicFill) -> np.ndarray:
    weights = fill({vertex: np.full(3, weight) for vertex, weight in shapes.JAW_FOLLOWS.items()})
    return np.clip(weights[:, 0], 0, 1.02)


class Rig:
    """One person's neutral face and what each coefficient does to it.

    points: (478, 3) mesh in pixels of a picture, z in the same unit. `neutral` (478, 3), `basis` (38, 478, 3) and
    `seal` (478, 3), which closes an open mouth, are in face units; `scale` is the length of a face unit in pixels.
    """

    def __init__(self, points: np.ndarray):
        self.rotation, self.scale, self.translation = pose_of(points)
        self.neutral = self.to_face(points)
        fill = BiharmonicFill(self.neutral)
        self._anatomy = shapes.Anatomy(self.neutral, _jaw_follows(fill))
        self.basis = self._build_basis(fill)
        self.seal = fill(shapes.SEAL(self._anatomy))

    def deform(self, values: np.ndarray) -> np.ndarray:
        """(478, 3) face in face units for coefficients (38,); pose coefficients have no effect here."""
        return self.neutral + np.tensordot(values, self.basis, 1)

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) in face units to pixels."""
        return self.scale * points @ self.rotation.T + self.translation

    def to_face(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) in pixels to face units."""
        return (points - self.translation) @ self.rotation / self.scale

    def jaw_swing(self, points: np.ndarray, amount: float) -> np.ndarray:
        """Points (n, 3) in face units that are fixed to the lower jaw, carried by jawOpen = amount."""
        return self._anatomy.jaw_swing(points, amount)

    def _build_basis(self, fill: BiharmonicFill) -> np.ndarray:
        face, basis = self._anatomy, np.zeros((len(COEFFICIENTS), mesh.VERTICES, 3))
        basis[INDEX["jawOpen"]] = face.jaw_motion() + fill(shapes.NARROW_CORNERS(face))
        basis[INDEX["jawLeft"], :, 0] = shapes.JAW_SIDEWAYS * face.jaw_follows
        basis[INDEX["gazeX"], mesh.SKIN_VERTICES :, 0] = shapes.GAZE_RIGHT
        basis[INDEX["gazeY"], mesh.SKIN_VERTICES :, 1] = shapes.GAZE_DOWN
        for name, shape in shapes.SYMMETRIC_SHAPES.items():
            basis[INDEX[name]] = fill(shape(face))
        for name, shape in shapes.ONE_SIDED_SHAPES.items():
            basis[INDEX[name + "Left"]] = fill(shape(face))
            basis[INDEX[name + "Right"]] = fill(shape.on_the_right(face))
        return basis
