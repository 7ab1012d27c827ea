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

STEADY = [vertex for vertex in mesh.RIGID if vertex not in (*mesh.EARS, *mesh.OVAL_LOWER)]  # the jaw moves the others

# How much the fit trusts each vertex, later lines winning: what shows expression counts more, and depth hardly counts.
VERTEX_TRUST = (
    (range(mesh.SKIN_VERTICES), 0.6),
    (mesh.OVAL_UPPER, 0.1),
    ((152, 148, 377, 175, 199, 200), 1.5),
    (mesh.BROW_LEFT + mesh.BROW_RIGHT, 2.0),
    (mesh.LIPS, 3.0),
    (LIPS_INNER_UPPER + LIPS_INNER_LOWER, 4.0),
    (mesh.EYE_CONTOURS, 4.0),
)
DEPTH_TRUST = 0.12
RIDGE = 0.3  # of a typical curvature in the region: similar shapes share the work instead of fighting
SWEEPS = 60  # of coordinate descent

REST_TOLERANCE = (
    0.4  # a frame whose unrest (open mouth, turned head, narrowed eyes) exceeds the least by less is at rest
)
TOUCHING_LIPS, OPEN_LIPS = 0.01, 0.03  # mean gap in face units up to which lips touch, and from which they do not
SHUT = 0.02  # lid gap in face units that the mesh reports for a closed eye
NARROWEST = 0.55  # a lasting gap below this share of the person's own open eye is a closed eye, not a narrowed one
OPEN_SECONDS = 1.6  # the lids are compared with their recent open state: blinks are much shorter, smiles longer
BLINK_SLACK = 0.1  # of a blink's full way, ignored at either end: the mesh trembles
SQUINT_GAP, WIDE_GAP = 0.034, 0.036  # change of the lid gap in face units at full eyeSquint and eyeWide

# What the mesh tells too faintly, or for headZ too loudly. Measured: three photos were rendered with a clip's motion,
# and the renderings measured again; a gain is about 1 over the slope of what came back on what went in. It was done
# with an earlier canonical face and not repeated since.
GAINS = {
    "headYaw": 1.3,
    "headPitch": 1.2,
    "headRoll": 1.1,
    "headZ": 0.6,
    "jawOpen": 1.3,
    "mouthClose": 1.3,
    "mouthSmileLeft": 1.3,
    "mouthSmileRight": 1.3,
    "mouthUpperUp": 1.3,
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
        parts = [procrustes(reference[STEADY], points[STEADY]) for points in meshes]
        rotations, scales, translations = (np.array(part) for part in zip(*parts, strict=True))
        shapes = (meshes - translations[:, None]) @ rotations / scales[:, None, None]
        return cls(shapes, rotations, scales, translations)

    @property
    def usual_rotation(self) -> np.ndarray:
        """(3, 3) the clip's median head rotation."""
        left, _, right = np.linalg.svd(np.median(self.rotations, axis=0))
        return left @ right


def coefficients(meshes: np.ndarray, fps: float) -> np.ndarray:
    """(t, 38) coefficients of a clip's meshes (t, 478, 3), relative to the person's own neutral face and usual pose."""
    neutral = neutral_shape(Posed.of(meshes, mesh.canonical_face()))
    posed = Posed.of(meshes, neutral)
    values = fit_expression(posed.shapes, neutral)
    columns = {**lids(posed.shapes, neutral, fps), **head_motion(posed, neutral)}
    columns |= gaze(posed.shapes, neutral, columns["eyeBlinkLeft"] + columns["eyeBlinkRight"])
    for name, column in columns.items():
        values[:, INDEX[name]] = column
    for name, gain in GAINS.items():
        values[:, INDEX[name]] *= gain
    _seal_lips(values, mouth_gap(posed.shapes))
    shape = slice(0, INDEX["headYaw"])
    values[:, shape] = values[:, shape].clip(-1, 1)
    return values


def neutral_shape(posed: Posed) -> np.ndarray:
    """(478, 3) the person's face at rest: median of frames with mouth closed, eyes open and head frontal."""
    cosine = (np.trace(posed.rotations @ posed.usual_rotation.T, axis1=1, axis2=2) - 1) / 2
    turned = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    lid_gap = sum(eye_gap(posed.shapes, eye) for eye in EYES.values())
    narrowed = (1 - lid_gap / np.percentile(lid_gap, 90)).clip(0, None)
    unrest = mouth_gap(posed.shapes) / 0.1 + turned / 15 + narrowed / 0.5
    return np.median(posed.shapes[unrest <= unrest.min() + REST_TOLERANCE], axis=0)


def fit_expression(shapes: np.ndarray, neutral: np.ndarray) -> np.ndarray:
    """(t, 38) box-bounded ridge regression of shapes (t, 478, 3) on the neutral face's rig; zero for the head."""
    trust = np.sqrt(_trust())
    design = (Rig(neutral).basis * trust).reshape(len(COEFFICIENTS), -1)
    used = np.flatnonzero(design.any(axis=1))
    design = design[used]
    targets = ((shapes - neutral) * trust).reshape(len(shapes), -1)
    curvature = design @ design.T
    curvature += RIDGE * np.diag(_typical_in_region(np.diag(curvature), used))
    lowest = np.array([-1.0 if COEFFICIENTS[i] in SIGNED else 0.0 for i in used])
    values = np.zeros((len(shapes), len(COEFFICIENTS)))
    values[:, used] = _bounded_minimum(curvature, targets @ design.T, lowest)
    return values


def _typical_in_region(curvature: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Median of `curvature` (n,) over each coefficient's region, for the coefficients numbered `used` (n,)."""
    region = np.array([number for number, names in enumerate(REGIONS.values()) for _ in names])[used]
    return np.array([np.median(curvature[region == own]) for own in region])


def _bounded_minimum(curvature: np.ndarray, slope: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Minimise c A c / 2 - b c within the bounds for every row b of `slope` (t, n), by projected coordinate descent."""
    found = np.zeros_like(slope)
    for _ in range(SWEEPS):
        for i, row in enumerate(curvature):
            step = (slope[:, i] - found @ row) / row[i]
            found[:, i] = np.clip(found[:, i] + step, lowest[i], 1)
    return found


def _trust() -> np.ndarray:
    """(478, 3) weight of every coordinate in the fit."""
    weights = np.zeros(mesh.VERTICES)
    for vertices, weight in VERTEX_TRUST:
        weights[list(vertices)] = weight
    return weights[:, None] * np.array([1, 1, DEPTH_TRUST])


def mouth_gap(shapes: np.ndarray) -> np.ndarray:
    """(t,) mean distance between the inner lips in face units."""
    apart = shapes[:, list(LIPS_INNER_LOWER[3:-3])] - shapes[:, list(LIPS_INNER_UPPER[3:-3])]
    return np.linalg.norm(apart, axis=2).mean(axis=1)


def _seal_lips(values: np.ndarray, gap: np.ndarray) -> None:
    """Make lips that touch in the clip touch in `values` (t, 38), in place: mouthClose cancels what the jaw parts."""
    touching = ((OPEN_LIPS - gap) / (OPEN_LIPS - TOUCHING_LIPS)).clip(0, 1)
    jaw, close = values[:, INDEX["jawOpen"]], values[:, INDEX["mouthClose"]]
    close += touching * (jaw - close).clip(0, None)
    for name in ("mouthLowerDown", "mouthUpperUp", "mouthFunnel"):
        values[:, INDEX[name]] *= 1 - touching


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


def head_motion(posed: Posed, neutral: np.ndarray) -> dict[str, np.ndarray]:
    """Angles in degrees and shifts in face units of the head, relative to its usual pose in the clip."""
    yaw, pitch, roll = head_angles(posed.rotations @ posed.usual_rotation.T)
    pivots = posed.scales[:, None] * (posed.rotations @ neck_pivot(neutral)) + posed.translations
    size = np.median(posed.scales)
    shift = (pivots - np.median(pivots, axis=0)) / size
    return {
        "headYaw": yaw,
        "headPitch": pitch,
        "headRoll": roll,
        "headX": shift[:, 0],
        "headY": shift[:, 1],
        "headZ": posed.scales / size - 1,
    }
