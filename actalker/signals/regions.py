"""Regions of a face: a mask on the photo for each, who moves it, and which signals are therefore listened to.

Every pixel belongs to the regions with weights that sum to 1: masks never overlap, and feathering blends neighbours.
"""

from collections.abc import Collection, Iterator, Mapping

import cv2
import numpy as np

from actalker.config import REGIONS, SIGNALS, SOURCES
from actalker.errors import InputError
from actalker.signals.face import Face
from actalker.signals.mesh import BROW_LEFT, BROW_RIGHT, EYES, OVAL_LOWER, Eye

PRIORITY = ("gaze", "eyes", "mouth", "brows")  # the first wins where shapes meet; the head takes all the rest

# Forehead and brows down to the bridge; jaw, cheeks and nose up to just below the lower lids.
BROW_AREA = (*BROW_RIGHT, *BROW_LEFT, 168, 10, 109, 338, 67, 297, 103, 332, 54, 284, 21, 251, 143, 372, 35, 265)
MOUTH_AREA = (*OVAL_LOWER, 234, 454, 227, 447, 6, 114, 343, 100, 329, 119, 348)

# How far beyond their vertices the shapes reach, in iod: skin around a moving vertex moves along.
MARGIN = {"gaze": 0.0, "eyes": 0.02, "mouth": 0.12, "brows": 0.04}
GAZE_HEIGHT, GAZE_WIDTH = 0.4, 0.85  # share of the eye opening that is gaze; the rest up to the lashes is the lids'
MOST_EROSION = 0.6  # share of a shape's own half width; shrinking never makes a region vanish

# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = {
    "mouth": (213, 94, 0),
    "eyes": (86, 180, 233),
    "gaze": (204, 121, 167),
    "brows": (0, 158, 115),
    "head": (240, 228, 66),
}
TINT = {"head": 0.16}  # the head covers the whole picture, so its colour is light
TINT_OTHERS = 0.5
SPOKEN = {"audio": "voice", "video": "clip", "still": "still"}
MISSING = {
    "audio": ("the voice, but no speech was given", "--speech"),
    "video": ("the driving clip, but no clip was given", "--driving"),
}


def region_masks(face: Face, shape: tuple[int, ...], grow: float = 0.0, feather: float = 0.02) -> dict[str, np.ndarray]:
    """Mask (h, w) float32 in [0, 1] of each region in a picture of `shape`; they sum to 1 at every pixel.

    `grow` widens (or, below zero, shrinks) all regions but the head; `feather` is the half width of the soft edges.
    Both are in units of the distance between the outer eye corners.
    """
    labels = np.full(shape[:2], len(PRIORITY), np.uint8)
    for label in reversed(range(len(PRIORITY))):
        region = PRIORITY[label]
        for polygon in _polygons(region, face.points[:, :2]):
            labels[_filled(polygon, shape, (MARGIN[region] * face.iod, grow * face.iod))] = label
    sigma = feather / 2 * face.iod
    return {region: _soft(labels == _label(region), sigma) for region in REGIONS}


def label_map(masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """(h, w) uint8: each pixel's region, 1 to 5 in the order of REGIONS, and 0 where masks sum to less than half."""
    stack = np.stack([masks[region] for region in REGIONS])
    return np.where(stack.sum(axis=0) >= 0.5, stack.argmax(axis=0) + 1, 0).astype(np.uint8)


def from_labels(labels: np.ndarray, feather: float = 0.0) -> dict[str, np.ndarray]:
    """Mask (h, w) float32 of each region from a label map (h, w): the inverse of `label_map`, with soft edges.

    `feather` is the half width of the edges in px. InputError: a value that is no region's.
    """
    check_labels(labels)
    return {region: _soft(labels == number, feather / 2) for number, region in enumerate(REGIONS, start=1)}


def check_labels(labels: np.ndarray) -> set[str]:
    """The regions that have at least one pixel in a label map (h, w). InputError: a value that is no region's."""
    values = np.unique(labels)
    if values[-1] > len(REGIONS):
        numbered = ", ".join(f"{number} {region}" for number, region in enumerate(REGIONS, start=1))
        raise InputError(f"The painted masks hold the value {values[-1]}; use 0 for no region, {numbered}.")
    return {region for number, region in enumerate(REGIONS, start=1) if number in values}


def paint(masks: Mapping[str, np.ndarray], region: str, area: np.ndarray) -> dict[str, np.ndarray]:
    """The masks after `area` (h, w) in [0, 1] was painted as `region`: what one region gains, the others lose."""
    area = np.clip(area, 0, 1).astype(np.float32)
    kept = {name: mask * (1 - area) for name, mask in masks.items()}
    return {**kept, region: kept[region] + area}


def gates(
    regions: Mapping[str, str], given: Collection[str], strengths: Mapping[str, float] | None = None
) -> dict[str, bool]:
    """Which signals are listened to: given, with a strength above 0, and the source of at least one region."""
    strengths = strengths or {}
    return {
        signal: signal in given and strengths.get(signal, 1.0) > 0 and signal in regions.values() for signal in SIGNALS
    }


def check_sources(regions: Mapping[str, str], given: Collection[str]) -> None:
    """Raise InputError where a region or source is unknown, or a region should follow a signal that was not given."""
    for region, source in regions.items():
        if region not in REGIONS:
            raise InputError(f"There is no region {region!r}; the regions are {listed(REGIONS)}.")
        if source not in SOURCES:
            raise InputError(f"The {region} cannot follow {source!r}; choose one of {listed(SOURCES)}.")
    for signal in SIGNALS:
        followers = [region for region in REGIONS if regions.get(region) == signal]
        if followers and signal not in given:
            what, flag = MISSING[signal]
            raise InputError(
                f"The {listed(followers)} should follow {what}; "
                f"add {flag} or choose another source for: {', '.join(followers)}."
            )


def describe(regions: Mapping[str, str]) -> str:
    """Who moves what, as a sentence."""
    moved = {source: [region for region in REGIONS if regions.get(region, "still") == source] for source in SOURCES}
    parts = [f"the {SPOKEN[signal]} moves the {listed(moved[signal])}" for signal in SIGNALS if moved[signal]]
    if not parts:
        return "Nothing moves: every region keeps the photo's own pose."
    if moved["still"]:
        parts.append(f"the {listed(moved['still'])} {'keeps' if len(moved['still']) == 1 else 'keep'} still")
    sentence = "; ".join(parts) + "."
    return sentence[0].upper() + sentence[1:]


def listed(words: Collection[str]) -> str:
    """At least one word, as one says a list: "eyes, gaze and head"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def overlay(photo: np.ndarray, masks: Mapping[str, np.ndarray], sources: Mapping[str, str]) -> np.ndarray:
    """The photo (h, w, 3) uint8 with every region tinted in its colour and a legend that tells who moves it."""
    canvas = photo.astype(np.float32)
    for region, mask in masks.items():
        weight = TINT.get(region, TINT_OTHERS) * mask[..., None]
        canvas += weight * (np.array(COLOURS[region], np.float32) - canvas)
    canvas = canvas.round().clip(0, 255).astype(np.uint8)
    _draw_legend(canvas, {region: SPOKEN[sources.get(region, "still")] for region in masks})
    return canvas


def _polygons(region: str, points: np.ndarray) -> Iterator[np.ndarray]:
    """Closed outlines (n, 2) in px of a region's parts."""
    if region == "gaze":
        yield from (_gaze_strip(eye, points) for eye in EYES.values())
    elif region == "eyes":
        yield from (_lid_area(eye, points) for eye in EYES.values())
    else:
        yield _hull(points[list(MOUTH_AREA if region == "mouth" else BROW_AREA)])


def _gaze_strip(eye: Eye, points: np.ndarray) -> np.ndarray:
    """The opening between the lids, flattened towards its middle line and kept off the corners."""
    upper, lower = points[list(eye.upper)], points[list(eye.lower)]
    middle, half = (upper + lower) / 2, (lower - upper) / 2 * GAZE_HEIGHT
    outline = np.concatenate([middle - half, (middle + half)[::-1]])
    return outline.mean(axis=0) + GAZE_WIDTH * (outline - outline.mean(axis=0))


def _lid_area(eye: Eye, points: np.ndarray) -> np.ndarray:
    """From the upper lid, below what the brow pulls along, down to the fold under the eye."""
    return _hull(points[list(eye.upper_lid + eye.lower_fold)])


def _hull(points: np.ndarray) -> np.ndarray:
    return cv2.convexHull(points.astype(np.float32))[:, 0]


def _filled(polygon: np.ndarray, shape: tuple[int, ...], reach: tuple[float, float]) -> np.ndarray:
    """(h, w) bool: the polygon, widened by its margin and then by what the user asked for, both in px."""
    inside = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.round(polygon * 16).astype(np.int32)], 1, shift=4)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    distance = depth - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)  # above zero inside
    margin, grow = reach
    return distance > -margin - max(grow, -MOST_EROSION * (float(depth.max()) + margin))


def _label(region: str) -> int:
    return PRIORITY.index(region) if region in PRIORITY else len(PRIORITY)


def _soft(member: np.ndarray, sigma: float) -> np.ndarray:
    mask = member.astype(np.float32)
    if sigma < 0.2:
        return mask
    return cv2.GaussianBlur(mask, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE).clip(0, 1)


def _draw_legend(canvas: np.ndarray, sources: Mapping[str, str]) -> None:
    """A panel in the lower left corner: a swatch, the region and its source, one a line."""
    size = max(canvas.shape[1] / 640, 0.3)  # of the letters; 1 is about 20 px high
    line, pad = round(26 * size), round(8 * size)
    top = canvas.shape[0] - line * len(sources) - 2 * pad
    panel = canvas[max(top, 0) :, : round(210 * size)]
    panel[:] = (panel * 0.25).astype(np.uint8)
    for row, (region, source) in enumerate(sources.items()):
        y = top + pad + row * line
        cv2.rectangle(canvas, (pad, y + pad // 2), (pad + line - pad, y + line - pad // 2), COLOURS[region], -1)
        cv2.putText(
            canvas,
            f"{region}: {source}",
            (2 * pad + line, y + line - pad),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.62 * size,
            (255, 255, 255),
            max(1, round(1.4 * size)),
            cv2.LINE_AA,
        )
