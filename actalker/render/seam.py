"""The seam of a closed mouth: the dark line between the lips, where the picture must be cut when the mouth opens."""

import cv2
import numpy as np

from actalker.signals import mesh

OPEN_GAP = 0.035  # face units between the inner lips from which a photo counts as open-mouthed
REACH = 0.05  # face units, how far the seam is looked for on either side of the mesh's lips
OFFSETS = np.linspace(-REACH, REACH, 41)
BEND = 0.012  # face units, how much the seam likes to turn from one vertex pair to the next
CORNER_REACH = 0.04


def is_open(points: np.ndarray, unit: float) -> bool:
    """Whether a mesh (478, 3) in px shows its mouth open; unit: px per face unit."""
    return bool(np.linalg.norm(points[13, :2] - points[14, :2]) > OPEN_GAP * unit)


def snap_to_seam(points: np.ndarray, picture: np.ndarray, unit: float) -> np.ndarray:
    """The mesh (478, 3) of a closed mouth with both inner lips on the dark line between them, out to its ends."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = cv2.GaussianBlur(luma, (0, 0), max(0.8, 0.0075 * unit))
    down = points[mesh.CHIN, :2] - points[mesh.FOREHEAD_TOP, :2]
    steps = OFFSETS[:, None] * down / np.linalg.norm(down) * unit  # (41, 2)
    upper, lower = list(mesh.LIPS_INNER_UPPER), list(mesh.LIPS_INNER_LOWER)
    middle = (points[upper, :2] + points[lower, :2]) / 2
    seam = middle + steps[_darkest_path(_profiles(luma, middle, steps))]
    points = points.copy()
    points[upper, :2] = points[lower, :2] = seam
    _reach_for_ends(points, luma, steps, unit)
    return points


def _profiles(luma: np.ndarray, places: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(n, 41) luma across the lips at n places."""
    x, y = np.moveaxis((places[:, None] + steps).astype(np.float32), -1, 0)
    return cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _darkest_path(profiles: np.ndarray) -> np.ndarray:
    """(n,) offset index of the line through n profiles that is dark, near the middle and smooth (Viterbi)."""
    low = profiles.min(1, keepdims=True)
    cost = (profiles - low) / (np.ptp(profiles, axis=1, keepdims=True) + 1e-3) + 0.25 * (OFFSETS / REACH) ** 2
    bend = 0.6 * ((OFFSETS[:, None] - OFFSETS) / BEND) ** 2
    total, came_from = cost[0], []
    for row in cost[1:]:
        reach = total + bend
        came_from.append(reach.argmin(1))
        total = reach.min(1) + row
    path = [int(total.argmin())]
    for back in reversed(came_from):
        path.append(int(back[path[-1]]))
    return np.array(path[::-1])


def _contrasts(profiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much darker than its surroundings each profile (n, 41) gets near its middle, and at which offset index."""
    near = profiles[:, 15:26].argmin(1) + 15
    around = np.minimum(profiles[:, :8].mean(1), profiles[:, -8:].mean(1))
    return around - profiles[np.arange(len(profiles)), near], near


def _reach_for_ends(points: np.ndarray, luma: np.ndarray, steps: np.ndarray, unit: float) -> None:
    """Move the mouth's corners outwards, in place, as far as the dark line goes on."""
    inside = list(mesh.LIPS_INNER_UPPER[1:-1])
    usual = np.median(_contrasts(_profiles(luma, points[inside, :2], steps))[0])
    for inner, outer, neighbour in ((78, 61, 191), (308, 291, 415)):
        outward = points[inner, :2] - points[neighbour, :2]
        outward *= unit / (np.linalg.norm(outward) + 1e-9)
        places = points[inner, :2] + np.linspace(0, CORNER_REACH, 5)[:, None] * outward
        contrast, near = _contrasts(_profiles(luma, places, steps))
        fails = np.flatnonzero(contrast <= 0.45 * usual)
        last = (fails[0] if len(fails) else len(places)) - 1
        if last >= 0:
            end = places[last] + steps[near[last]]
            points[outer, :2] += end - points[inner, :2]
            points[inner, :2] = end
