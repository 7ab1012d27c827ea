"""Control: whether a region listens to its own signal alone.

Two motions (t, 38) at 25 fps are compared region by region: of two results that differ in one signal (leak), or of one
region in two modes (conflict). They may be a model's own motion or measured from rendered frames.
"""

from collections.abc import Mapping

import numpy as np

from actalker.config import INDEX, REGIONS
from actalker.evaluate.following import scaled

STILL = 1e-4  # mean variance, in `scaled` units, below which a region does not move


def change(one: np.ndarray, other: np.ndarray, region: str) -> float:
    """How much a region's motion differs between two results.

        sum over its coefficients of var(one - other) / sum of (var(one) + var(other)) / 2

    with variances over time, angles in turns of 30 degrees. 0 (the same) upwards; 2 is two unrelated motions of equal
    size. As the means are taken off, a constant difference is not seen: `measure` is relative to each clip's own
    neutral face. nan where the region moves in neither. Fooled by: a region that hardly moves, whose own variance
    is the mesh's tremble; and, measured from frames, by the mesh itself: it reads the lips of a turned head
    differently, which looks like a leak of the head's signal into the mouth. `patches.pixel_changes` is not fooled so.
    """
    frames, columns = min(len(one), len(other)), [INDEX[name] for name in REGIONS[region]]
    a, b = (scaled(motion[:frames].astype(float))[:, columns] for motion in (one, other))
    own = (a.var(axis=0).sum() + b.var(axis=0).sum()) / 2
    return float((a - b).var(axis=0).sum() / own) if own > STILL else float("nan")


def leaks(one: np.ndarray, other: np.ndarray, regions: Mapping[str, str], replaced: str) -> dict[str, float]:
    """`change` of every region that does not listen to the signal that was replaced between the two: region -> leak.

    `regions` maps regions to sources. 0 to about 2, no unit: exactly 0 is right for a model's motion; measured from
    frames at most 0.02 is good, where what fools `change` is kept away. A region that listens to nothing does not move,
    and is nan. The two results should be equally long: a model may plan a longer one differently.
    """
    return {name: change(one, other, name) for name, source in regions.items() if source != replaced}


def conflicts(joint: np.ndarray, single: np.ndarray, regions: Mapping[str, str], signal: str) -> dict[str, float]:
    """`change`, between the joint mode and a signal's single mode, of every region that follows the signal in both.

    0 upwards, no unit: 0 means that a second signal costs the first nothing. Below 0.1 is good where chance plays a
    part, as in a diffusion model's brows that only the voice moves. What fools it: see `change`; two seeds differ too.
    """
    return {name: change(joint, single, name) for name, source in regions.items() if source == signal}
