"""One frame of a result, quickly: for sliders."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from actalker.errors import InputError
from actalker.pipelines.denoising import Performance
from actalker.pipelines.directing import offset
from actalker.pipelines.request import Request
from actalker.pipelines.stages import Measured, Senses, stamp
from actalker.render.portrait import Portrait

PICTURE = ("size", "grow", "feather", "painted")  # what decides the portrait but not the motion


def still(
    denoise: Callable[[Request, Measured], Performance],
    portrait_of: Callable[[Request, Measured], Portrait],
    request: Request,
    at: float,
    senses: Senses,
) -> np.ndarray:
    """The frame (h, w, 3) uint8 that the result of a request shows `at` seconds, its last one beyond its end.

    `senses` keeps the last motion and `portrait_of` the last photo, so that a change of offsets or of the time renders
    one frame, and a change of the masks or the size keeps the motion. InputError as for a whole result, and for a time
    below 0.
    """
    if not at >= 0:
        raise InputError(f"There is no frame at {at} s; give 0 or more seconds.")
    request = request.checked()
    plain = replace(request, offsets={})
    measured = senses.last("measured", key_of(plain), lambda: senses(plain))
    others = (name for name in plain.__dataclass_fields__ if name not in PICTURE)
    performance = senses.last("performance", key_of(plain, *others), lambda: denoise(plain, measured))
    frame = min(int(at * request.fps + 1e-6), len(performance.motion) - 1)
    values = offset(performance.motion.values[frame : frame + 1], request.offsets)[0]
    return portrait_of(plain, measured).render(values, seal=float(performance.seal[frame]))


def key_of(request: Request, *names: str) -> tuple:
    """The fields of these names, or all, with files told apart from what they were before."""
    values = (getattr(request, name) for name in names or request.__dataclass_fields__)
    return tuple(stamp(value) if isinstance(value, Path) else value for value in values)
