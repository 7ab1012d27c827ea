"""What each coefficient does to a face at full strength, as displacements of a few handle vertices.

Units are face units (1 = distance between the outer eye corners). A shape function names only the vertices it knows
about; the rig fills in the rest smoothly. One-sided shapes are written for the subject's left, which is image right.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from actalker.signals import mesh
from actalker.signals.mesh import EYE_LEFT, LIPS, LIPS_INNER_LOWER, LIPS_INNER_UPPER, LIPS_OUTER_LOWER, LIPS_OUTER_UPPER

Handles = dict[int, np.ndarray]

JAW_DEGREES = 19.0  # rotation about the line between the ears at jawOpen = 1
JAW_SIDEWAYS = 0.07
GAZE_RIGHT, GAZE_DOWN = 0.075, 0.045  # how far an iris travels at gazeX = 1 and gazeY = 1

INNER_UPPER, INNER_LOWER = LIPS_INNER_UPPER[1:-1], LIPS_INNER_LOWER[1:-1]
OUTER_UPPER, OUTER_LOWER = LIPS_OUTER_UPPER[1:-1], LIPS_OUTER_LOWER[1:-1]
UPPER_LIP, LOWER_LIP = INNER_UPPER + OUTER_UPPER, INNER_LOWER + OUTER_LOWER
CORNERS = mesh.LIP_CORNERS
UNDER_LIP, CHIN_PAD = (18, 83, 313), (200, 201, 421)
CHIN_FRONT = (*UNDER_LIP, *CHIN_PAD, 199, 208, 428)
CHIN_BASE = (152, 175, 148, 377, 176, 400, 171, 396)
JAW_ANGLES = (172, 397, 136, 365, 58, 288, 132, 361, 93, 323)
WINGS_OF_NOSE = (129, 358, 64, 294, 98, 327)
UNDER_NOSE = (164, 167, 393, 165, 391, 92, 322)
CHEEKS = (50, 280, 205, 425, 101, 330)
FOREHEAD = (10, 151, 9, 108, 337, 69, 299, 104, 333, 68, 298, 109, 338, 67, 297, 103, 332, 54, 284, 21, 251)
NOSE = (1, 2, 4, 5, 6, 19, 94, 168, 195, 197, 45, 275, 44, 274, 51, 281, 3, 248, 236, 456, 134, 363, 48, 278, 115, 344)
NOSE += (220, 440, 218, 438, 79, 309, 166, 392, 97, 326, 98, 327, 99, 328, 129, 358, 64, 294, 60, 290, 102, 331)
NOSE += (49, 279, 131, 360, 198, 420, 209, 429)
BROWS = mesh.BROW_RIGHT + mesh.BROW_LEFT
EYES = mesh.EYE_CONTOURS

UPPER_FACE = EYES + FOREHEAD + BROWS + mesh.OVAL_UPPER + NOSE
STILL_FOR_MOUTH = UPPER_FACE + mesh.OVAL_LOWER
STILL_FOR_SNEER = EYES + FOREHEAD + mesh.OVAL + INNER_LOWER + OUTER_LOWER + CORNERS
STILL_FOR_BROWS = (*EYES, *NOSE, *mesh.OVAL, 109, 338, 67, 297, *CHEEKS)
STILL_FOR_EYES = (*FOREHEAD, *NOSE, *mesh.OVAL, *BROWS, *CHEEKS, *mesh.EYE_RIGHT.contour)


def move(vertices: Iterable[int], right=0.0, up=0.0, forward=0.0) -> Handles:
    """Displacements for some vertices; every direction is one number or one per vertex."""
    vertices = tuple(vertices)
    offsets = np.empty((len(vertices), 3))
    offsets[:, 0], offsets[:, 1], offsets[:, 2] = right, np.negative(up), np.negative(forward)
    return dict(zip(vertices, offsets, strict=True))


def along(chain: tuple[int, ...], *profile: float) -> dict[int, float]:
    """Weights for a symmetric chain, given from its ends to its middle vertex."""
    weights = (*profile, *profile[-2::-1])
    return dict(zip(chain, weights, strict=True))


# How far each vertex follows the jaw's rotation.
# The two lips must part quickly beside the corner, or the mouth opens as a letter-box.
JAW_FOLLOWS: dict[int, float] = {
    **dict.fromkeys(UPPER_FACE, 0.0),
    **dict.fromkeys(CHIN_FRONT + CHIN_BASE, 1.0),
    **along(mesh.OVAL_LOWER, 0.0, 0.16, 0.42, 0.72, 0.9, 0.97, 1.0, 1.0, 1.0, 1.0),
    **along(LIPS_INNER_UPPER, 0.44, 0.25, 0.1, 0.03, 0.0, 0.0),
    **along(LIPS_OUTER_UPPER, 0.43, 0.27, 0.12, 0.04, 0.0, 0.0),
    **along(LIPS_INNER_LOWER, 0.44, 0.67, 0.85, 0.95, 1.0, 1.0),
    **along(LIPS_OUTER_LOWER, 0.43, 0.62, 0.84, 0.96, 1.0, 1.0),
}


@dataclass(frozen=True)
class Anatomy:
    """A neutral face in face units, and the measures that the shapes are made of."""

    points: np.ndarray  # (478, 3)
    jaw_follows: np.ndarray  # (478,) share of the jaw's motion

    @property
    def mouth_centre(self) -> float:
        """Horizontal position of the mouth's middle."""
        return 0.5 * (self.points[61, 0] + self.points[291, 0])

    def across(self, vertices: Iterable[int]) -> np.ndarray:
        """Position across the mouth: -1 at the image-left corner, 1 at the other, a little more beyond."""
        half_width = 0.5 * np.linalg.norm(self.points[291] - self.points[61])
        return np.clip((self.points[list(vertices), 0] - self.mouth_centre) / half_width, -1.3, 1.3)

    def middle(self, vertices: Iterable[int], power: float = 1.0) -> np.ndarray:
        """1 in the middle of the mouth, 0 at its corners."""
        return np.clip(1 - np.abs(self.across(vertices)), 0, 1) ** power

    def side(self, vertices: Iterable[int]) -> np.ndarray:
        """-1 on the image's left half, 1 on its right."""
        return np.sign(self.points[list(vertices), 0] - self.mouth_centre)

    def between(self, start: tuple[int, ...], end: tuple[int, ...]) -> np.ndarray:
        """(n, 3) vectors from one chain to another."""
        return self.points[list(end)] - self.points[list(start)]

    def jaw_swing(self, points: np.ndarray, amount: float) -> np.ndarray:
        """(n, 3) points after the jaw opens by `amount` (1 = 19 degrees) with those points fixed to it."""
        hinge = self.points[list(mesh.EARS)].mean(0) + (0, 0.02, 0)
        cos, sin = np.cos(np.radians(JAW_DEGREES * amount)), np.sin(np.radians(JAW_DEGREES * amount))
        turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        return (points - hinge) @ turn.T + hinge

    def jaw_motion(self) -> np.ndarray:
        """(478, 3) displacement of the skin when the jaw opens fully."""
        return (self.jaw_swing(self.points, 1.0) - self.points) * self.jaw_follows[:, None]

    def mirrored(self) -> "Anatomy":
        """The same face seen in a mirror."""
        return Anatomy(self.points[mesh.mirrored()] * (-1, 1, 1), self.jaw_follows[mesh.mirrored()])


def _drag(vertices: tuple[int, ...], offsets: np.ndarray) -> Handles:
    return dict(zip(vertices, offsets, strict=True))


def _narrow_corners(face: Anatomy) -> Handles:
    """What the jaw's rotation lacks: corners come in a little as the mouth opens."""
    return move((13, 14, 0, 17, 152, 200)) | move(CORNERS, right=-0.05 * face.side(CORNERS))


def _mouth_close(face: Anatomy) -> Handles:
    """Undoes the parting of the lips that jawOpen causes, mostly with the lower lip."""
    jaw = face.jaw_motion()
    parting = jaw[list(INNER_LOWER)] - jaw[list(INNER_UPPER)]
    middle = parting[len(parting) // 2]
    return {
        **_drag(INNER_UPPER, 0.22 * parting),
        **_drag(OUTER_UPPER, 0.16 * parting),
        **_drag(INNER_LOWER, -0.78 * parting),
        **_drag(OUTER_LOWER, -0.72 * parting),
        **dict.fromkeys(UNDER_LIP, -0.40 * middle),
        **dict.fromkeys(CHIN_PAD, -0.16 * middle),
        **move(CORNERS),
    }


def _seal(face: Anatomy) -> Handles:
    """Closes the mouth of a photo that shows it open."""
    gap = face.between(INNER_UPPER, INNER_LOWER)
    middle = gap[len(gap) // 2]
    return {
        **_drag(INNER_UPPER, 0.32 * gap),
        **_drag(OUTER_UPPER, 0.22 * gap),
        **_drag(INNER_LOWER, -0.68 * gap),
        **_drag(OUTER_LOWER, -0.58 * gap),
        **dict.fromkeys(UNDER_LIP, -0.35 * middle),
        **dict.fromkeys(CHIN_PAD, -0.10 * middle),
        **move(CORNERS),
    }


def _mouth_funnel(face: Anatomy) -> Handles:
    def ring(vertices: tuple[int, ...], up: float, forward: float) -> Handles:
        inward = -0.05 * face.across(vertices)
        return move(vertices, right=inward, up=up * face.middle(vertices, 0.5), forward=forward)

    return {
        **move(CORNERS, right=-0.075 * face.side(CORNERS), forward=0.05),
        **ring(INNER_UPPER, up=0.035, forward=0.09),
        **ring(OUTER_UPPER, up=0.03, forward=0.08),
        **ring(INNER_LOWER, up=-0.05, forward=0.08),
        **ring(OUTER_LOWER, up=-0.045, forward=0.07),
    }


def _mouth_pucker(face: Anatomy) -> Handles:
    def ring(vertices: tuple[int, ...], up: float) -> Handles:
        return move(vertices, right=-0.09 * face.across(vertices), up=up * face.middle(vertices), forward=0.10)

    return {
        **move(CORNERS, right=-0.115 * face.side(CORNERS), forward=0.06),
        **ring(INNER_UPPER, up=0.004),
        **ring(OUTER_UPPER, up=0.022),
        **ring(INNER_LOWER, up=-0.004),
        **ring(OUTER_LOWER, up=-0.025),
    }


def _mouth_left(face: Anatomy) -> Handles:  # noqa: ARG001
    return move(LIPS, right=0.08) | move((152, 148, 377, 175, 199, 200), right=0.015)


def _mouth_smile(face: Anatomy) -> Handles:
    lips = tuple(LIPS)
    position = np.clip(face.across(lips), -1, 1)
    pull = np.clip((position + 0.25) / 1.25, 0, 1) ** 1.6
    curl = np.select([np.isin(lips, UPPER_LIP), np.isin(lips, LOWER_LIP)], [0.012, 0.004], 0.0)
    curl = curl * (1 - np.abs(position)) * (position > -0.3)
    cheek = (280, 425, 411, 266, 330, 352, 376, 436, 427, 416)
    lift = np.array([0.05, 0.055, 0.05, 0.04, 0.035, 0.03, 0.02, 0.065, 0.06, 0.045])
    return {
        **move(lips, right=0.095 * pull, up=0.075 * pull + curl, forward=-0.035 * pull),
        **move(cheek, right=0.35 * lift, up=lift, forward=0.25 * lift),
        **move((397, 365, 288), right=0.012, up=0.006),
        **move(EYE_LEFT.lower[2:-1], up=0.010),
        **move((358, 327, 294), right=0.018, up=0.012),
    }


def _mouth_frown(face: Anatomy) -> Handles:
    pull = np.clip((np.clip(face.across(LIPS), -1, 1) + 0.25) / 1.25, 0, 1) ** 1.8
    return move(LIPS, right=0.01 * pull, up=-0.075 * pull)


def _mouth_stretch(face: Anatomy) -> Handles:
    across = face.across(LIPS)
    out = np.abs(across)
    lower = np.isin(LIPS, LOWER_LIP) * face.middle(LIPS)
    return move(LIPS, right=0.085 * np.sign(across) * out**1.2, up=-0.012 * out**2 - 0.006 * lower, forward=-0.02 * out)


def _mouth_roll_upper(face: Anatomy) -> Handles:
    curl = 0.55 * face.between(OUTER_UPPER, INNER_UPPER) + (0, 0, 0.03)
    return move(LOWER_LIP + CORNERS) | _drag(OUTER_UPPER, curl) | move(INNER_UPPER, forward=-0.02)


def _mouth_roll_lower(face: Anatomy) -> Handles:
    curl = 0.55 * face.between(OUTER_LOWER, INNER_LOWER) + (0, 0, 0.03)
    return move(UPPER_LIP + CORNERS) | _drag(OUTER_LOWER, curl) | move(INNER_LOWER, forward=-0.02)


def _mouth_shrug_lower(face: Anatomy) -> Handles:
    return {
        **move(LOWER_LIP, up=0.04 * face.middle(LOWER_LIP, 0.6), forward=0.03),
        **move(UPPER_LIP, up=0.022 * face.middle(UPPER_LIP, 0.6), forward=0.015),
        **move(CORNERS, up=-0.015),
        **move(CHIN_FRONT, up=0.05),
        **move(CHIN_BASE, up=0.022),
        **move(JAW_ANGLES),
    }


def _mouth_upper_up(face: Anatomy) -> Handles:
    return {
        **move(LOWER_LIP + CORNERS),
        **move(INNER_UPPER, up=0.055 * face.middle(INNER_UPPER, 0.45)),
        **move(OUTER_UPPER, up=0.05 * face.middle(OUTER_UPPER, 0.45)),
        **move((2, 97, 326, *WINGS_OF_NOSE), up=0.010),
        **move(UNDER_NOSE, up=0.04),
    }


def _mouth_lower_down(face: Anatomy) -> Handles:
    return {
        **move(UPPER_LIP + CORNERS),
        **move(INNER_LOWER, up=-0.06 * face.middle(INNER_LOWER, 0.45)),
        **move(OUTER_LOWER, up=-0.052 * face.middle(OUTER_LOWER, 0.45)),
        **move(UNDER_LIP, up=-0.035),
        **move((199, 200), up=-0.006),
    }


def _cheek_puff(face: Anatomy) -> Handles:
    def bulge(vertices: tuple[int, ...], amount: float) -> Handles:
        return move(vertices, right=0.06 * amount * face.side(vertices), forward=0.06 * amount)

    jaw = (172, 397, 136, 365, 58, 288)
    return {
        **bulge((205, 425, 187, 411, 207, 427, 192, 416, 214, 434), 1.0),
        **bulge((216, 436), 0.8),
        **bulge((147, 376), 0.6),
        **bulge((50, 280), 0.4),
        **move(jaw, right=0.04 * face.side(jaw)),
        **move(LIPS, forward=0.02),
    }


def _nose_sneer(face: Anatomy) -> Handles:
    wings = (*WINGS_OF_NOSE, 102, 331, 49, 279, 48, 278)
    return {
        **move(wings, right=0.012 * face.side(wings), up=0.035),
        **move((1, 4, 5, 195, 197), up=0.006),
        **move(OUTER_UPPER, up=0.022 * face.middle(OUTER_UPPER, 0.3)),
        **move(INNER_UPPER, up=0.016 * face.middle(INNER_UPPER, 0.3)),
        **move((107, 336, 55, 285), up=-0.012),
    }


def _brow_inner_up(face: Anatomy) -> Handles:
    inner = np.clip(1.25 - 3 * np.abs(face.points[list(BROWS), 0]), 0, 1)
    return move(BROWS, up=0.085 * inner) | move((8, 9, 108, 151, 337), up=0.045) | move((168,), up=0.008)


def _brow_outer_up(face: Anatomy) -> Handles:
    outer = np.clip((face.points[list(mesh.BROW_LEFT), 0] - 0.1) / 0.28, 0, 1)
    raised = move(mesh.BROW_LEFT, up=0.085 * outer) | move((298, 299, 333), up=0.05)
    return move((*BROWS, 8, 9, 151)) | raised


def _brow_down(face: Anatomy) -> Handles:
    inner = np.clip(1.1 - 1.8 * np.abs(face.points[list(mesh.BROW_LEFT), 0]), 0, 1)
    lowered = move(mesh.BROW_LEFT, right=-0.022 * inner, up=-0.06 * inner) | move((8, 9), up=-0.018)
    return move(mesh.BROW_RIGHT) | lowered | move((168,), up=-0.01)


def _eye_blink(face: Anatomy) -> Handles:
    """The upper lid does nine tenths of the way; the skin above it stretches."""
    gap = face.between(EYE_LEFT.upper, EYE_LEFT.lower)
    return {
        **_drag(EYE_LEFT.upper_fold, 0.10 * gap),
        **move(EYE_LEFT.lower_fold),
        **_drag(EYE_LEFT.upper_lid, 0.42 * gap),
        **_drag(EYE_LEFT.lower_lid, -0.06 * gap),
        **_drag(EYE_LEFT.lower, -0.10 * gap),
        **_drag(EYE_LEFT.upper, 0.90 * gap),
    }


_LID_ARCH = np.sin(np.linspace(0, np.pi, 9))  # 0 in the corners, 1 in the middle of a lid


def _eye_squint(face: Anatomy) -> Handles:  # noqa: ARG001
    return {
        **move(EYE_LEFT.upper_lid, up=-0.008),
        **move(EYE_LEFT.lower_lid, up=0.026 * (0.4 + 0.6 * _LID_ARCH)),
        **move(EYE_LEFT.lower_fold, up=0.018),
        **move(EYE_LEFT.upper, up=-0.008 * _LID_ARCH),
        **move(EYE_LEFT.lower, up=0.026 * _LID_ARCH),
    }


def _eye_wide(face: Anatomy) -> Handles:  # noqa: ARG001
    return {
        **move(EYE_LEFT.upper_fold),
        **move(EYE_LEFT.upper_lid, up=0.016 * _LID_ARCH),
        **move(EYE_LEFT.lower_lid, up=-0.004 * _LID_ARCH),
        **move(EYE_LEFT.upper, up=0.028 * _LID_ARCH),
        **move(EYE_LEFT.lower, up=-0.008 * _LID_ARCH),
    }


@dataclass(frozen=True)
class Shape:
    """A shape function and the vertices that stay where they are unless the function moves them."""

    handles: Callable[[Anatomy], Handles]
    still: tuple[int, ...] = STILL_FOR_MOUTH

    def __call__(self, face: Anatomy) -> Handles:
        """Every handle of this shape on one face."""
        return move(self.still) | self.handles(face)

    def on_the_right(self, face: Anatomy) -> Handles:
        """The handles of the shape's mirror image, on the subject's right."""
        mirror = mesh.mirrored()
        return {int(mirror[vertex]): offset * (-1, 1, 1) for vertex, offset in self(face.mirrored()).items()}


NARROW_CORNERS, SEAL = Shape(_narrow_corners), Shape(_seal)
SYMMETRIC_SHAPES: dict[str, Shape] = {
    "mouthClose": Shape(_mouth_close),
    "mouthFunnel": Shape(_mouth_funnel),
    "mouthPucker": Shape(_mouth_pucker),
    "mouthLeft": Shape(_mouth_left),
    "mouthStretch": Shape(_mouth_stretch),
    "mouthRollUpper": Shape(_mouth_roll_upper),
    "mouthRollLower": Shape(_mouth_roll_lower),
    "mouthShrugLower": Shape(_mouth_shrug_lower, still=UPPER_FACE),
    "mouthUpperUp": Shape(_mouth_upper_up),
    "mouthLowerDown": Shape(_mouth_lower_down),
    "cheekPuff": Shape(_cheek_puff, still=(*UPPER_FACE, 152, 148, 377, 93, 323, 132, 361)),
    "noseSneer": Shape(_nose_sneer, still=STILL_FOR_SNEER),
    "browInnerUp": Shape(_brow_inner_up, still=STILL_FOR_BROWS),
}
ONE_SIDED_SHAPES: dict[str, Shape] = {  # each gives a coefficient ...Left and a mirrored ...Right
    "mouthSmile": Shape(_mouth_smile),
    "mouthFrown": Shape(_mouth_frown),
    "browOuterUp": Shape(_brow_outer_up, still=STILL_FOR_BROWS),
    "browDown": Shape(_brow_down, still=STILL_FOR_BROWS),
    "eyeBlink": Shape(_eye_blink, still=STILL_FOR_EYES),
    "eyeSquint": Shape(_eye_squint, still=STILL_FOR_EYES),
    "eyeWide": Shape(_eye_wide, still=STILL_FOR_EYES),
}
