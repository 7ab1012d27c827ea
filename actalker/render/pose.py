"""Head pose: soft limits of what a single photo can show, and the rigid motion with perspective."""

from dataclasses import dataclass

import numpy as np

from actalker.config import INDEX
from actalker.signals.rig import head_angles, head_rotation, neck_pivot

FOCAL_LENGTH = 5.5  # face units between camera and face
LIMITS = {  # where each coefficient starts to be held back, and what it never passes
    "headYaw": (11.0, 18.0),
    "headPitch": (9.0, 14.0),
    "headRoll": (10.0, 15.0),
    "headX": (0.2, 0.35),
    "headY": (0.14, 0.25),
    "headZ": (0.12, 0.22),
    "jawOpen": (0.55, 0.75),
    "eyeWideLeft": (0.5, 0.75),
    "eyeWideRight": (0.5, 0.75),
}
_LIMITED = [INDEX[name] for name in LIMITS]
_KNEES, _CEILINGS = np.array(list(LIMITS.values())).T


def limited(values: np.ndarray, room: float = 1.0) -> np.ndarray:
    """Coefficients (38,) within what looks right: unchanged up to a knee, then level off smoothly.

    room scales headYaw: a face that the photo shows half from the side has less to show.
    """
    values = np.array(values, float)
    values[INDEX["headYaw"]] *= room
    size, room = np.abs(values[_LIMITED]), _CEILINGS - _KNEES
    eased = _KNEES + room * np.tanh((size - _KNEES) / room)
    values[_LIMITED] = np.sign(values[_LIMITED]) * np.where(size > _KNEES, eased, size)
    return values


def turning_room(rotation: np.ndarray) -> float:
    """Share of a turn that a photo can show whose head is turned by this rotation (3, 3)."""
    yaw, _, _ = head_angles(rotation)
    return float(np.clip(1 - (np.abs(yaw) - 14) / 30, 0.4, 1))


@dataclass(frozen=True)
class Pose:
    """A rigid motion of the head, seen through the photo's own camera. Lengths are pixels of the picture."""

    rotation: np.ndarray  # (3, 3)
    pivot: np.ndarray  # (3,)
    shift: np.ndarray  # (3,)
    nearer: float  # scale on screen
    unit: float  # px per face unit

    @classmethod
    def of(cls, values: np.ndarray, points: np.ndarray, unit: float) -> "Pose":
        """The pose that coefficients (38,) ask for of a head with mesh points (478, 3); unit = px per face unit."""
        yaw, pitch, roll, x, y, z = values[INDEX["headYaw"] : INDEX["headZ"] + 1]
        rotation = head_rotation(yaw, pitch, roll)
        pivot = neck_pivot(points / unit) * unit
        return cls(rotation, pivot, unit * np.array([x, y, 0.0]), 1 + z, unit)

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) carried with the head; x and y are where they appear on screen."""
        before = points - self.pivot
        after = before @ self.rotation.T
        camera = FOCAL_LENGTH * self.unit
        after[:, :2] *= (self.nearer * (camera + before[:, 2]) / (camera + after[:, 2]))[:, None]
        return after + self.pivot + self.shift
