"""Following the driver: how near a face comes to the pose, the blinks and the coefficients of the clip that drives it.

Motion (t, 38) is at 25 fps, of the result and of the driving clip, each relative to its own neutral face and usual pose
as `measure` finds it. Both are cut to the shorter one; a result that goes on after its driver's end is not compared.
"""

import numpy as np

from actalker.config import INDEX, REGIONS
from actalker.evaluate.series import FPS, best_lag, pearson, runs, shifted_products
from actalker.signals.rig import head_rotation

ANGLES = ("headYaw", "headPitch", "headRoll")
FULL_TURN = 30.0  # degrees that weigh as much as a whole mesh coefficient
FOLLOWS = 0.3  # correlation below which a head does not follow
MOVES = 0.02  # standard deviation below which a coefficient of the driver counts as still
SHUT, LEAST_SHUT = 0.5, 0.2  # of the clip's own widest closing, and at least: what a blink reaches
OPEN = 0.6  # of that: where a blink begins and ends
NEAR_BLINK = 0.1  # s that a blink and its copy may be apart


def scaled(motion: np.ndarray) -> np.ndarray:
    """Motion (t, 38) in comparable units: angles in turns of 30 degrees, everything else as it is."""
    units = np.ones(motion.shape[1])
    units[[INDEX[name] for name in ANGLES]] = FULL_TURN
    return motion / units


def pose_error_degrees(result: np.ndarray, driver: np.ndarray) -> float:
    """Mean angle between the heads.

        mean over t of arccos((trace(R_result(t) R_driver(t)') - 1) / 2)

    with R the rotation for headYaw, headPitch and headRoll, relative to the median rotation of the frames compared.
    In degrees, 0 to 180; below 2.5 is good, and a face that does not follow is at 8 beside a lively driver. Fooled by:
    a driver that keeps still (every still result scores 0), and results that are meant to hold back large turns.
    """
    a, b = _cut(result, driver)
    turns = [_rotations(motion) for motion in (a, b)]
    cosine = (np.einsum("tij,tij->t", *turns) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def lag_ms(result: np.ndarray, driver: np.ndarray) -> float:
    """By how much the head comes after the driver's.

    Where the cross-correlation of yaw, pitch and roll, added up, peaks; between frames by a parabola. In ms, -400 to
    400, positive where the result is late; within 40, a frame, of 0 is good. nan where the driver's head does not move
    and where the correlation is below 0.3 at every lag: then nothing is followed.
    Fooled by: a head that turns slowly has a broad peak, which is found to half a frame or so.
    """
    a, b = _cut(result, driver)
    columns = [INDEX[name] for name in ANGLES]
    if b[:, columns].std(axis=0).max() < MOVES * FULL_TURN:
        return float("nan")
    lag, r = best_lag(sum(shifted_products(a[:, column], b[:, column]) for column in columns))
    return lag if r >= FOLLOWS else float("nan")


def coefficient_correlations(result: np.ndarray, driver: np.ndarray) -> dict[str, float]:
    """Pearson's r of every coefficient that the driver moves (standard deviation above 0.02, or 0.6 degrees).

    -1 to 1, no unit; 0.9 is good for pose, jaw and lids, 0.5 for cheeks and squints, which a mesh hardly sees. It does
    not see gain: a result that does everything half as much scores 1, so read it beside `coefficient_errors`.
    Fooled by: coefficients that look alike in the mesh and share a movement differently in two faces.
    """
    a, b = _cut(result, driver)
    return {name: pearson(a[:, INDEX[name]], b[:, INDEX[name]]) for name in _moving(b)}


def coefficient_errors(result: np.ndarray, driver: np.ndarray) -> dict[str, float]:
    """Mean absolute difference of every coefficient that the driver moves, means removed.

    0 upwards, in the coefficient's unit (degrees for angles, eye distances for shifts, else 1 = full effect): below a
    third of the driver's own mean deviation is good. Fooled by: what `coefficient_correlations` names.
    """
    a, b = (motion - motion.mean(axis=0) for motion in _cut(result, driver))
    return {name: float(np.abs(a[:, INDEX[name]] - b[:, INDEX[name]]).mean()) for name in _moving(b)}


def region_correlation(result: np.ndarray, driver: np.ndarray, region: str) -> float:
    """Mean of `coefficient_correlations` in one region, each weighted by the driver's standard deviation there."""
    a, b = (scaled(motion) for motion in _cut(result, driver))
    columns = [INDEX[name] for name in _moving(_cut(result, driver)[1]) if name in REGIONS[region]]
    if not columns:
        return float("nan")
    r = [np.nan_to_num(pearson(a[:, column], b[:, column])) for column in columns]
    return float(np.average(r, weights=b[:, columns].std(axis=0)))


def blinks(motion: np.ndarray) -> np.ndarray:
    """(n, 2) seconds from start to end of each closing of the eyes, by the mean of both lids.

    A blink reaches half of what the clip's widest closing does: on a photo with glasses, or with narrow eyes, the mesh
    sees lids that shut as half shut.
    """
    lids = motion[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]].mean(axis=1)
    shut = max(SHUT * lids.max(), LEAST_SHUT)
    spans = [(start, end) for start, end in runs(lids > OPEN * shut) if lids[start:end].max() > shut]
    return np.array(spans).reshape(-1, 2) / FPS


def blink_hit(result: np.ndarray, driver: np.ndarray) -> float:
    """Share of the driver's blinks during which, 100 ms more or less, the result blinks: 0 to 1; 0.9 is good.

    Fooled by: eyes that blink all the time hit everything (see `false_blinks`); lids that close by half count as a
    blink. nan where the driver does not blink.
    """
    found, wanted = (blinks(motion) for motion in _cut(result, driver))
    return float(_met(wanted, found).mean()) if len(wanted) else float("nan")


def false_blinks(result: np.ndarray, driver: np.ndarray) -> float:
    """Blinks of the result, per minute, during which the driver does not blink, 100 ms more or less.

    0 upwards; below 2 is good. Fooled by: eyes that never blink score 0, so read it beside `blink_hit`; eyes that
    stay shut are one blink; a look downwards passes for a blink.
    """
    found, wanted = (blinks(motion) for motion in _cut(result, driver))
    minutes = min(len(result), len(driver)) / FPS / 60
    return float((~_met(found, wanted)).sum() / minutes)


def _met(spans: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(n,) bool: which spans (n, 2) overlap one of the others (m, 2), or nearly so."""
    starts, ends = np.maximum(spans[:, None, 0], others[None, :, 0]), np.minimum(spans[:, None, 1], others[None, :, 1])
    return (starts <= ends + NEAR_BLINK).any(axis=1)


def _cut(result: np.ndarray, driver: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    frames = min(len(result), len(driver))
    return result[:frames].astype(float), driver[:frames].astype(float)


def _rotations(motion: np.ndarray) -> np.ndarray:
    """(t, 3, 3) of the head, relative to their median."""
    turns = np.array([head_rotation(*angles) for angles in motion[:, [INDEX[name] for name in ANGLES]]])
    left, _, right = np.linalg.svd(np.median(turns, axis=0))
    return turns @ (left @ right).T


def _moving(driver: np.ndarray) -> list[str]:
    spread = scaled(driver).std(axis=0)
    return [name for name, column in INDEX.items() if spread[column] > MOVES]
