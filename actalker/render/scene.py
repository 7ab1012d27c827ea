"""What the painted layers (eyes, mouth) are told: the subject once per photo, and each frame in the making."""

from dataclasses import dataclass

import numpy as np

from actalker.render.pose import Pose
from actalker.signals.rig import Rig


@dataclass(frozen=True)
class Subject:
    """The person in the photo. Lengths are pixels of `picture`, which is the part of the photo that is animated."""

    picture: np.ndarray  # (h, w, 3) uint8
    points: np.ndarray  # (478, 3) mesh; negative z is nearer; the inner lips of a closed mouth lie on its dark seam
    rig: Rig
    skin_luma: float  # median over the skin, 0..255
    open_mouth: bool  # the photo shows the mouth open


@dataclass(frozen=True)
class Frame:
    """One frame after the warp. Layers draw into `canvas` in place."""

    canvas: np.ndarray  # (h, w, 3) float32, 0..255: the part around the face
    origin: tuple[int, int]  # (x, y) of canvas[0, 0] in the picture
    shaped: np.ndarray  # (478, 3) mesh after expression, before pose
    posed: np.ndarray  # (478, 3) mesh on screen
    values: np.ndarray  # (38,) coefficients after limits and region masks
    pose: Pose
