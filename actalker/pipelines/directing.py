"""Who moves what, when: the region maps of a clip, how much each counts in every frame, and constant offsets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from actalker.config import INDEX, bounds
from actalker.pipelines.request import Request

BLEND_SECONDS = 0.2  # in which one region map gives way to the next


@dataclass(frozen=True)
class Direction:
    """The distinct region maps that hold during a clip, and their shares (maps, t) float32: 1 in sum in every frame.

    Each map is denoised for the whole clip and the results are blended by these shares. A frame in which one map has
    the share 1 is therefore, bit for bit, the frame of a clip of this length with this map alone, and a signal that the
    map leaves out does not reach it. Only the frames of a change mix maps.
    """

    maps: tuple[Mapping[str, str], ...]
    shares: np.ndarray

    def blended(self, values: Sequence[np.ndarray], frames: slice = slice(None)) -> np.ndarray:
        """The values (n, k) of each map in these frames as one result (n, k)."""
        return sum(share[:, None] * value for share, value in zip(self.shares[:, frames], values, strict=True))


def direct(request: Request, frames: int, fps: Fraction) -> Direction:
    """The direction of a checked request's clip of `frames`. Cues after its end take no part."""
    time = np.arange(frames, dtype=np.float32) / float(fps)
    maps, shares = [request.regions], [np.ones(frames, np.float32)]
    for cue in request.timeline:
        if cue.start >= frames / fps:
            break
        level = _rising(time, cue.start)
        shares = [share * (1 - level) for share in shares]
        if cue.regions not in maps:
            maps.append(cue.regions)
            shares.append(np.zeros(frames, np.float32))
        shares[maps.index(cue.regions)] += level
    seen = [i for i, share in enumerate(shares) if share.any()]
    return Direction(tuple(maps[i] for i in seen), np.stack([shares[i] for i in seen]))


def _rising(time: np.ndarray, start: float) -> np.ndarray:
    """(t,) from 0 at `start` to 1 when the change is over; a clip does not begin with a change."""
    if start == 0:
        return np.ones_like(time)
    done = np.clip((time - np.float32(start)) / np.float32(BLEND_SECONDS), 0, 1)
    return done * done * (3 - 2 * done)


def offset(values: np.ndarray, offsets: Mapping[str, float]) -> np.ndarray:
    """Coefficients (t, k) with constants added to those that are named, which then stay within their bounds."""
    values = values.copy()
    for name, constant in offsets.items():
        if constant:
            column = values[:, INDEX[name]]
            column[:] = np.clip(column + constant, *bounds(name))
    return values
