"""Coefficients from meshes: head pose, the driver's own neutral face, and a bounded least-squares fit of the rig.

Meshes of a clip are (t, 478, 3) px. A *shape* is a mesh with the head pose removed, in face units (see rig.py).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import percentile_filter

from actalker.config import COEFFICIENTS, INDEX, REGIONS, SIGNED
from actalker.signals import mesh
from actalker.signals.mesh import EYES, LIPS_INNER_LOWER, LIPS_INNER_UPPER, Eye
from actalker.signals.rig import Rig, head_angles, neck_pivot, procrustes
from actalker.signals.shapes import GAZE_DOWN, GAZE_RIGHT

LOWER_LIP = [*LIPS_INNER_LOWER[1:-1], *mesh.LIPS_OUTER_LOWER[1:-1]]
STEADY = [vertex for vertex in mesh.RIGID if vertex not in (*mesh.EARS, *mesh.OVAL_LOWER)]  # the jaw moves the others

# How much the fit trusts each vertex, later lines winning: what shows expression counts more.
VERTEX_TRUST = (
    (range(mesh.SKIN_VERTICES), 0.6),
    (mesh.OVAL_UPPER, 0.1),
    ((152, 148, 377, 175, 199, 200), 1.5),
    (mesh.BROW_LEFT + mesh.BROW_RIGHT, 2.0),
    (mesh.LIPS, 3.0),
    (LIPS_INNER_UPPER + LIPS_INNER_LOWER, 4.0),
    (mesh.EYE_CONTOURS, 4.0),
)
# Share that the mesh shows of the lips' sideways and vertical motion; of their depth it shows nothing. Measured like
# the gains: 0.5 to 0.75 and 1. A fit that expects more reads a mouth that is narrow and pushed forward as an open one.
SEEN = (0.5, 1.0)
# By region, a share of a typical curvature in it: similar shapes share the work instead of fighting. Most of
# mouthFunnel is depth; a whole ridge would leave the gap that it opens to the jaw. mouthLeft shows its jitter most.
RIDGE = {"mouth": 0.8, "mouthFunnel": 0.4, "mouthLeft": 1.6, "eyes": 0.3, "gaze": 0.3, "brows": 0.3}
SWEEPS = 60  # of coordinate descent

REST_TOLERANCE = (
    0.4  # a frame whose unrest (open mouth, turned head, narrowed eyes) exceeds the least by less is at rest
)
STICKING_GAP = 0.045  # face units between the lips: a smaller gap g shows in the mesh as about g^2 / STICKING_GAP
GAP_SLACK = 0.01  # face units by which the fitted lips may be farther apart than the mesh's
SHUT = 0.02  # lid gap in face units that the mesh reports for a closed eye
NARROWEST = 0.55  # a lasting gap below this share of the person's own open eye is a closed eye, not a narrowed one
OPEN_SECONDS = 1.6  # the lids are compared with their recent open state: blinks are much shorter, smiles longer
BLINK_SLACK = 0.1  # of a blink's full way, ignored at either end: the mesh trembles
SQUINT_GAP, WIDE_GAP = 0.034, 0.036  # change of the lid gap in face units at full eyeSquint and eyeWide

# What the mesh tells too faintly. Measured: known motions were rendered on four photos of other people than those that
# ship, and measured again without gains; a gain is about 1 over the slope of what came back on what went in, of the jaw
# 0.7, for more would pass what a portrait shows. headZ and the brows, 0.9 and 0.3, get less: much of them is jitter.
GAINS = {
    "headYaw": 1.3,
    "headPitch": 1.2,
    "headRoll": 1.1,
    "headZ": 0.6,
    "jawOpen": 1.1,
    "mouthClose": 1.1,
    "mouthSmileLeft": 1.3,
    "mouthSmileRight": 1.3,
    "browInnerUp": 1.6,
    "browOuterUpLeft": 1.6,
    "browOuterUpRight": 1.6,
}


@dataclass(frozen=True)
class Posed:
    """A clip taken apart: meshes ~ scales * shapes @ rotations.T + translations."""

    shapes: np.ndarray  # (t, 478, 3)
    rotations: np.ndarray  # (t, 3, 3)
    scales: np.ndarray  # (t,)
    translations: np.ndarray  # (t, 3)

    @classmethod
    def of(cls, meshes: np.ndarray, reference: np.ndarray) -> "Posed":
        """Meshes aligned to a reference shape (478, 3) by the vertices that expressions hardly move."""
        rotations, scales, translations = procrustes(reference[STEADY], meshes[:, STEADY])
        shapes = (meshes - translations[:, None]) @ rotations / scales[:, None, None]
        return cls(shapes, rotations, scales, translations)

    @property
    def usual_rotation(self) -> np.ndarray:
        """(3, 3) the clip's median head rotation."""
        left, _, right = np.linalg.svd(np.median(self.rotations, axis=0))
        return left @ right


@dataclass(frozen=True)
class Usual:
    """What a person's motion is measured against: the own neutral face, and how and where the head usually is."""

    neutral: np.ndarray  # (478, 3), as the mesh shows it
    at_rest: np.ndarray  # (478, 3), its lips as far apart as they were filmed
    rig: Rig  # of the face at rest
    rotation: np.ndarray  # (3, 3)
    size: float  # px in a face unit
    place: np.ndarray  # (3,) of the neck's pivot in px

    @classmethod
    def of(cls, meshes: np.ndarray) -> "Usual":
        """Learned from a clip's meshes (t, 478, 3)."""
        neutral = neutral_shape(Posed.of(meshes, mesh.canonical_face()))
        posed = Posed.of(meshes, neutral)
        size = float(np.median(posed.scales))
        place = np.median(neck_places(posed, neutral), axis=0)
        at_rest = unstick_lips(neutral[None])[0]
        return cls(neutral, at_rest, Rig(at_rest), posed.usual_rotation, size, place)


def coefficients(meshes: np.ndarray, fps: float, usual: Usual | None = None) -> np.ndarray:
    """(t, 38) coefficients of a clip's meshes (t, 478, 3), relative to what is usual, by default in this clip."""
    usual = usual or Usual.of(meshes)
    posed = Posed.of(meshes, usual.neutral)
    parted = unstick_lips(posed.shapes)
    values = fit_expression(parted, usual.at_rest, usual.rig)
    columns = {**lids(posed.shapes, usual.neutral, fps), **head_motion(posed, usual)}
    columns |= gaze(posed.shapes, usual.neutral, columns["eyeBlinkLeft"] + columns["eyeBlinkRight"])
    for name, column in columns.items():
        values[:, INDEX[name]] = column
    for name, gain in GAINS.items():
        values[:, INDEX[name]] *= gain
    _bound_gap(values, usual.rig, lip_gap(parted))
    shape = slice(0, INDEX["headYaw"])
    values[:, shape] = values[:, shape].clip(-1, 1)
    return values


def neutral_shape(posed: Posed) -> np.ndarray:
    """(478, 3) the person's face at rest: median of frames with mouth closed, eyes open and head frontal."""
    cosine = (np.trace(posed.rotations @ posed.usual_rotation.T, axis1=1, axis2=2) - 1) / 2
    turned = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    lid_gap = sum(eye_gap(posed.shapes, eye) for eye in EYES.values())
    narrowed = (1 - lid_gap / np.percentile(lid_gap, 90)).clip(0, None)
    unrest = lip_gap(posed.shapes).clip(0, None) / 0.06 + turned / 15 + narrowed / 0.5
    return np.median(posed.shapes[unrest <= unrest.min() + REST_TOLERANCE], axis=0)


def fit_expression(shapes: np.ndarray, neutral: np.ndarray, rig: Rig) -> np.ndarray:
    """(t, 38) box-bounded ridge regression of shapes (t, 478, 3) on the neutral face's rig; zero for the head."""
    trust = np.sqrt(_trust())[:, None]
    design = (rig.basis[..., :2] * SEEN * trust).reshape(len(COEFFICIENTS), -1)
    used = np.flatnonzero(design.any(axis=1))
    design = design[used]
    targets = ((shapes - neutral)[..., :2] * trust).reshape(len(shapes), -1)
    curvature = design @ design.T
    curvature += np.diag(_ridge(np.diag(curvature), used))
    lowest = np.array([-1.0 if COEFFICIENTS[i] in SIGNED else 0.0 for i in used])
    values = np.zeros((len(shapes), len(COEFFICIENTS)))
    values[:, used] = _bounded_minimum(curvature, targets @ design.T, lowest)
    return values


def _ridge(curvature: np.ndarray, used: np.ndarray) -> np.ndarray:
    """(n,) shares of the median `curvature` (n,) over each coefficient's region, for those numbered `used` (n,)."""
    names = np.array(COEFFICIENTS)[used]
    region = np.array([region for region, own in REGIONS.items() for _ in own])[used]
    typical = np.array([np.median(curvature[region == own]) for own in region])
    return typical * [RIDGE.get(name, RIDGE[own]) for name, own in zip(names, region, strict=True)]


def _bounded_minimum(curvature: np.ndarray, slope: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Minimise c A c / 2 - b c within the bounds for every row b of `slope` (t, n), by projected coordinate descent."""
    found = np.zeros_like(slope)
    for _ in range(SWEEPS):
        for i, row in enumerate(curvature):
            step = (slope[:, i] - found @ row) / row[i]
            found[:, i] = np.clip(found[:, i] + step, lowest[i], 1)
    return found


def _trust() -> np.ndarray:
    """(478,) weight of every vertex in the fit."""
    weights = np.zeros(mesh.VERTICES)
    for vertices, weight in VERTEX_TRUST:
        weights[list(vertices)] = weight
    return weights


def lip_gap(shapes: np.ndarray) -> np.ndarray:
    """(t,) mean height between the inner lips of shapes (t, 478, 3) in face units; linear in the shape."""
    lower, upper = list(LIPS_INNER_LOWER[3:-3]), list(LIPS_INNER_UPPER[3:-3])
    return (shapes[:, lower, 1] - shapes[:, upper, 1]).mean(axis=1)


def unstick_lips(shapes: np.ndarray) -> np.ndarray:
    """Shapes (t, 478, 3) whose lower lip is where it was filmed: in the mesh, lips that have just parted stick."""
    seen = lip_gap(shapes).clip(0, STICKING_GAP)
    parted = shapes.copy()
    parted[:, LOWER_LIP, 1] += (np.sqrt(seen * STICKING_GAP) - seen)[:, None]
    return parted


def _bound_gap(values: np.ndarray, rig: Rig, gap: np.ndarray) -> None:
    """Keep the gap that `values` (t, 38) give the rig between 0 and the `gap` (t,) seen, in place, with mouthClose."""
    parting = lip_gap(rig.basis)
    fitted = lip_gap(rig.neutral[None]) + values @ parting
    bounded = fitted.clip(0, gap.clip(0, None) + GAP_SLACK)
    close = values[:, INDEX["mouthClose"]] + (bounded - fitted) / parting[INDEX["mouthClose"]]
    values[:, INDEX["mouthClose"]] = close.clip(0, None)


def eye_gap(shapes: np.ndarray, eye: Eye) -> np.ndarray:
    """(t,) height of an eye's opening in face units."""
    upper, lower = (shapes[:, list(chain[2:7]), :2].mean(axis=1) for chain in (eye.upper, eye.lower))
    return np.linalg.norm(lower - upper, axis=1)


def lids(shapes: np.ndarray, neutral: np.ndarray, fps: float) -> dict[str, np.ndarray]:
    """Blink, squint and wide of both eyes from the lid gaps.

    A blink is measured against the eye's recent open state, so that eyes narrowed by a smile read as a squint and a
    blink during the smile still reads as a full one.
    """
    window = 2 * round(OPEN_SECONDS * fps / 2) + 1
    columns = {}
    for side, eye in EYES.items():
        gap, rest = eye_gap(shapes, eye), max(float(eye_gap(neutral[None], eye)[0]), 2 * SHUT)
        recent = percentile_filter(gap, 85, size=window, mode="nearest").clip(NARROWEST * rest, None)
        closing = (recent - gap) / (recent - SHUT)
        columns["eyeBlink" + side] = ((closing - BLINK_SLACK) / (1 - 2 * BLINK_SLACK)).clip(0, 1)
        columns["eyeSquint" + side] = ((rest - recent) / SQUINT_GAP).clip(0, 1)
        columns["eyeWide" + side] = ((gap - rest) / WIDE_GAP).clip(0, 1)
    return columns


def gaze(shapes: np.ndarray, neutral: np.ndarray, closed: np.ndarray) -> dict[str, np.ndarray]:
    """Where the irises went between the eye corners; carried across frames whose lids hide them (`closed` > 0.5)."""
    offsets = np.mean([_iris_offset(shapes, eye) - _iris_offset(neutral[None], eye) for eye in EYES.values()], axis=0)
    seen = np.flatnonzero(closed <= 0.5)
    if len(seen):
        frames = np.arange(len(shapes))
        offsets = np.stack([np.interp(frames, seen, offsets[seen, axis]) for axis in (0, 1)], axis=1)
    return {
        "gazeX": (offsets[:, 0] / GAZE_RIGHT).clip(-1, 1),
        "gazeY": (offsets[:, 1] / GAZE_DOWN).clip(-1, 1),
    }


def _iris_offset(shapes: np.ndarray, eye: Eye) -> np.ndarray:
    """(t, 2) from the middle between the eye's corners to its iris."""
    return shapes[:, eye.iris, :2] - (shapes[:, eye.upper[0], :2] + shapes[:, eye.upper[-1], :2]) / 2


def neck_places(posed: Posed, neutral: np.ndarray) -> np.ndarray:
    """(t, 3) where the pivot in the neck is, in px."""
    return posed.scales[:, None] * (posed.rotations @ neck_pivot(neutral)) + posed.translations


def head_motion(posed: Posed, usual: Usual) -> dict[str, np.ndarray]:
    """Angles in degrees and shifts in face units of the head, relative to its usual pose."""
    yaw, pitch, roll = head_angles(posed.rotations @ usual.rotation.T)
    shift = (neck_places(posed, usual.neutral) - usual.place) / usual.size
    return {
        "headYaw": yaw,
        "headPitch": pitch,
        "headRoll": roll,
        "headX": shift[:, 0],
        "headY": shift[:, 1],
        "headZ": posed.scales / usual.size - 1,
    }
