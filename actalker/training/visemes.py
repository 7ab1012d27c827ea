"""Phones to mouth motion: a target shape for each phone, blended by dominance, with lips that really meet at p, b, m.

The blend follows Cohen and Massaro (1993): near its centre a phone pulls every coefficient to its own shape with a
strength that fades over time, so that neighbours overlap. Columns are REGIONS["mouth"] in order.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from actalker.config import REGIONS
from actalker.training.voices import Phone

MOUTH = REGIONS["mouth"]
COLUMN = {name: i for i, name in enumerate(MOUTH)}

HZ = 200  # inner sampling rate of the curves
LEAD = 0.03  # s by which lips run ahead of the sound
CLOSED_AT_LEAST = 0.06  # s
CLOSING_TIME = 0.045  # s
CLOSED = 0.97  # seal above which the lips count as touching
REST_STRENGTH = 0.12  # total dominance below which the mouth falls back to rest
SMOOTHING = 0.012  # s, Gaussian

# By phones: how strongly they pull, and where to. Rounding brings the lips together before a low jaw: mouthClose.
SHAPES: dict[str, tuple[float, dict[str, float]]] = {
    "SIL": (0.7, {}),
    "AA": (1.0, {"jawOpen": 0.55, "mouthLowerDown": 0.10}),
    "AE": (1.0, {"jawOpen": 0.46, "mouthStretch": 0.25, "mouthUpperUp": 0.15}),
    "AH": (0.7, {"jawOpen": 0.27, "mouthLowerDown": 0.08}),
    "AX": (0.5, {"jawOpen": 0.20}),
    "AO": (1.0, {"jawOpen": 0.42, "mouthClose": 0.12, "mouthFunnel": 0.45}),
    "EH": (0.9, {"jawOpen": 0.34, "mouthStretch": 0.22, "mouthUpperUp": 0.10}),
    "ER": (0.8, {"jawOpen": 0.20, "mouthClose": 0.07, "mouthFunnel": 0.40, "mouthPucker": 0.15}),
    "IH": (0.8, {"jawOpen": 0.20, "mouthStretch": 0.25}),
    "IY": (
        1.0,
        {
            "jawOpen": 0.13,
            "mouthStretch": 0.45,
            "mouthSmileLeft": 0.12,
            "mouthSmileRight": 0.12,
            "mouthLowerDown": 0.10,
        },
    ),
    "UH": (0.9, {"jawOpen": 0.20, "mouthClose": 0.09, "mouthFunnel": 0.45, "mouthPucker": 0.20}),
    "UW": (1.0, {"jawOpen": 0.15, "mouthClose": 0.08, "mouthPucker": 0.65, "mouthFunnel": 0.30}),
    "OW": (1.0, {"jawOpen": 0.30, "mouthClose": 0.12, "mouthFunnel": 0.50, "mouthPucker": 0.30}),
    "P B M": (1.2, {"jawOpen": 0.06, "mouthRollLower": 0.25, "mouthRollUpper": 0.20}),
    "F V": (1.1, {"jawOpen": 0.10, "mouthRollLower": 0.75, "mouthUpperUp": 0.28, "mouthShrugLower": 0.15}),
    "TH DH": (0.8, {"jawOpen": 0.17, "tongueUp": 0.90, "mouthLowerDown": 0.10}),
    "T D N": (0.5, {"jawOpen": 0.13, "tongueUp": 0.60, "mouthLowerDown": 0.08}),
    "L": (0.5, {"jawOpen": 0.20, "tongueUp": 0.80}),
    "S Z": (0.8, {"jawOpen": 0.07, "mouthStretch": 0.25, "mouthLowerDown": 0.28, "mouthUpperUp": 0.12}),
    "SH ZH CH JH": (
        1.0,
        {
            "jawOpen": 0.12,
            "mouthClose": 0.05,
            "mouthFunnel": 0.60,
            "mouthPucker": 0.15,
            "mouthLowerDown": 0.12,
            "mouthUpperUp": 0.15,
        },
    ),
    "K G NG": (0.4, {"jawOpen": 0.20}),
    "HH": (0.15, {"jawOpen": 0.25}),
    "R": (0.8, {"jawOpen": 0.15, "mouthClose": 0.05, "mouthPucker": 0.35, "mouthFunnel": 0.25}),
    "W": (1.1, {"jawOpen": 0.14, "mouthClose": 0.07, "mouthPucker": 0.80, "mouthFunnel": 0.15}),
    "Y": (0.8, {"jawOpen": 0.12, "mouthStretch": 0.35}),
}
GLIDES = {"AY": ("AA", "IY"), "AW": ("AA", "UW"), "OY": ("AO", "IY"), "EY": ("EH", "IY"), "OW": ("OW", "UW")}
GLIDE_AT = 0.55  # share of a diphthong that its first vowel takes
BILABIALS = frozenset({"P", "B", "M"})
OPENED_BY = ("mouthFunnel", "mouthUpperUp", "mouthLowerDown", "mouthStretch")  # shapes that would part sealed lips


def _target_table() -> dict[str, tuple[float, np.ndarray]]:
    table = {}
    for phones, (dominance, shape) in SHAPES.items():
        target = np.zeros(len(MOUTH))
        for name, value in shape.items():
            target[COLUMN[name]] = value
        table.update(dict.fromkeys(phones.split(), (dominance, target)))
    return table


TARGETS = _target_table()
PHONES = frozenset(TARGETS) | frozenset(GLIDES)


def mouth_motion(phones: list[Phone], seconds: float, fps: float = 25.0) -> np.ndarray:
    """Mouth coefficients (round(seconds * fps), 19) float32 of the given phones; frame i shows the time i / fps.

    Every p, b and m that lies inside the clip has at least one frame with closed lips. KeyError: unknown phone.
    """
    times = np.arange(int(seconds * HZ) + 1) / HZ
    pieces = [(start - LEAD, end - LEAD, name) for start, end, name in _split_glides(phones)]
    seal = _lip_seal(pieces, times)
    curves = _close_lips(_blend(pieces, times), seal)
    return curves[_sampling_instants(seal, round(seconds * fps), fps)].astype(np.float32)


def _split_glides(phones: list[Phone]) -> list[Phone]:
    pieces: list[Phone] = []
    for start, end, name in phones:
        if name in GLIDES:
            first, second = GLIDES[name]
            middle = start + GLIDE_AT * (end - start)
            pieces += [(start, middle, first), (middle, end, second)]
        else:
            pieces.append((start, end, name))
    return pieces


def _blend(pieces: list[Phone], times: np.ndarray) -> np.ndarray:
    """Dominance-weighted mean of the targets: (times, 19)."""
    weighted = np.zeros((len(times), len(MOUTH)))
    total = np.zeros(len(times))
    for start, end, name in pieces:
        dominance, target = TARGETS[name]
        strength = dominance * _pull(times, start, end, name, target)
        weighted += strength[:, None] * target
        total += strength
    return gaussian_filter1d(weighted / np.maximum(total, REST_STRENGTH)[:, None], SMOOTHING * HZ, axis=0)


def _pull(times: np.ndarray, start: float, end: float, name: str, target: np.ndarray) -> np.ndarray:
    """How strongly a phone acts at each time, 0 to 1: full in its middle 45 %, then fading; rounding starts early."""
    centre, half = (start + end) / 2, max((end - start) / 2, 0.015)
    distance = np.maximum(np.abs(times - centre) - 0.45 * half, 0)
    reach = 0.06 if name == "SIL" else 0.045 + 0.35 * half
    rounded = target[COLUMN["mouthPucker"]] + target[COLUMN["mouthFunnel"]] > 0.3
    reach_before = reach * (1.25 if rounded else 1.0)
    return np.exp(-((distance / np.where(times < centre, reach_before, reach)) ** 1.5))


def _lip_seal(pieces: list[Phone], times: np.ndarray) -> np.ndarray:
    """1 while a bilabial holds the lips together, 0 away from it, smooth between: (times,)."""
    seal = np.zeros(len(times))
    for start, end, name in pieces:
        if name in BILABIALS:
            centre, half = (start + end) / 2, max(end - start, CLOSED_AT_LEAST) / 2
            away = np.abs(times - centre) - half
            seal = np.maximum(seal, np.clip(1 - away / CLOSING_TIME, 0, 1))
    return seal * seal * (3 - 2 * seal)


def _close_lips(curves: np.ndarray, seal: np.ndarray) -> np.ndarray:
    """Let the seal win: jaw mostly up, nothing that parts the lips, and mouthClose cancelling what opening is left."""
    closed = curves.copy()
    jaw = COLUMN["jawOpen"]
    closed[:, jaw] *= 1 - 0.55 * seal
    closed[:, [COLUMN[name] for name in OPENED_BY]] *= 1 - seal[:, None]
    sealed = seal * (1.05 * closed[:, jaw] + 0.02)
    closed[:, COLUMN["mouthClose"]] = np.maximum(sealed, (1 - seal) * curves[:, COLUMN["mouthClose"]])
    return closed


def _sampling_instants(seal: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """Row of the curves for each frame: its own time, or the closest closure within half a frame, lest one be lost."""
    rows = np.clip(np.round(np.arange(frames) / fps * HZ).astype(int), 0, len(seal) - 1)
    reach = int(HZ / fps / 2)
    for frame, row in enumerate(rows):
        first = max(row - reach, 0)
        window = seal[first : row + reach + 1]
        if window.max() > CLOSED:
            closed = first + np.flatnonzero(window > CLOSED)
            rows[frame] = closed[np.abs(closed - row).argmin()]
    return rows
