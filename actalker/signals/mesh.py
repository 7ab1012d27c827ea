"""The topology of the 478-point face mesh: named vertex chains, the triangles, and the left-right mirror.

Lip chains run from image left to image right, which is from the subject's right to the subject's left. The upper and
the lower chain of an opening share their two end vertices.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

VERTICES = 478
SKIN_VERTICES = 468  # the rest are the two irises

LIPS_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIP_CORNERS = (61, 291, 78, 308)
LIPS = tuple(sorted({*LIPS_INNER_UPPER, *LIPS_INNER_LOWER, *LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER}))


@dataclass(frozen=True)
class Eye:
    """One eye: nine-vertex chains from its outer corner to its inner one, and the iris as centre and ring."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    upper_lid: tuple[int, ...]  # first ring of skin outside the contour
    lower_lid: tuple[int, ...]
    upper_fold: tuple[int, ...]  # second ring
    lower_fold: tuple[int, ...]
    iris: int
    iris_ring: tuple[int, ...]

    @property
    def contour(self) -> tuple[int, ...]:
        """The opening as a closed polygon, each corner once."""
        return (*self.upper, *self.lower[-2:0:-1])


EYE_RIGHT = Eye(
    upper=(33, 246, 161, 160, 159, 158, 157, 173, 133),
    lower=(33, 7, 163, 144, 145, 153, 154, 155, 133),
    upper_lid=(130, 247, 30, 29, 27, 28, 56, 190, 243),
    lower_lid=(130, 25, 110, 24, 23, 22, 26, 112, 243),
    upper_fold=(226, 113, 225, 224, 223, 222, 221, 189, 244),
    lower_fold=(226, 31, 228, 229, 230, 231, 232, 233, 244),
    iris=468,
    iris_ring=(469, 470, 471, 472),
)
EYE_LEFT = Eye(
    upper=(263, 466, 388, 387, 386, 385, 384, 398, 362),
    lower=(263, 249, 390, 373, 374, 380, 381, 382, 362),
    upper_lid=(359, 467, 260, 259, 257, 258, 286, 414, 463),
    lower_lid=(359, 255, 339, 254, 253, 252, 256, 341, 463),
    upper_fold=(446, 342, 445, 444, 443, 442, 441, 413, 464),
    lower_fold=(446, 261, 448, 449, 450, 451, 452, 453, 464),
    iris=473,
    iris_ring=(474, 475, 476, 477),
)
EYES = {"Right": EYE_RIGHT, "Left": EYE_LEFT}  # the subject's sides: Right is on the image's left
EYE_CONTOURS = (*EYE_RIGHT.contour, *EYE_LEFT.contour)
OUTER_EYE_CORNERS = (33, 263)

BROW_RIGHT = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55)
BROW_LEFT = (300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
BROWS = {"Right": BROW_RIGHT, "Left": BROW_LEFT}

# Round the face, clockwise on screen from the middle of the forehead.
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
OVAL += (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
OVAL_LOWER = OVAL[9:28]  # from cheek to cheek past the chin
OVAL_UPPER = OVAL[28:] + OVAL[:9]

FOREHEAD_TOP, CHIN, NOSE_TIP = 10, 152, 1
EARS = (234, 454)  # the oval's points in front of each ear, beside the jaw joint

# Points that a changing face hardly moves: forehead, bridge and tip of the nose, eye corners, temples.
RIGID = (10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 33, 133, 263, 362, 67, 297, 103, 332, 54, 284)
RIGID += (109, 338, 21, 251, 127, 356, 162, 389, 234, 454, 93, 323)


@cache
def _stored() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("canonical_face.npz")) as archive:
        return {name: archive[name] for name in archive.files}


def canonical_face() -> np.ndarray:
    """(478, 3) a face to compare with; unit = distance of the outer eye corners; x right, y down, z away.

    It is the mean of the meshes of the two example photos and of their mirror images.
    """
    return _stored()["points"]


def triangles() -> np.ndarray:
    """(852, 3) int32 triangles of the skin, clockwise on screen in a frontal view; mouth and eyes are holes."""
    return _stored()["triangles"]


def mirrored() -> np.ndarray:
    """(478,) index of every vertex's mirror image on the other half of the face."""
    return _stored()["mirror"]
