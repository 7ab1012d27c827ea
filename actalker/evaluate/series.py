"""Columns over time: how alike two are, at which lag, and how far a number may be trusted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

FPS = 25  # frames a second of everything that is compared over time
MOST_LAG = 10  # frames, 400 ms, either way
DRAWS = 1000  # of the bootstrap
COVERAGE = 90  # per cent of the draws that an interval holds


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two columns; nan where one does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if len(a) and min(np.ptp(a), np.ptp(b)) > 1e-9 else float("nan")


def shifted_products(late: np.ndarray, early: np.ndarray, most: int = MOST_LAG) -> np.ndarray:
    """(2 most + 1, 3) sums of late[i] early[i - k] and of both squares, k from -most to most; means removed."""
    a, b = late - late.mean(), early - early.mean()
    sums = np.zeros((2 * most + 1, 3))
    for row, k in enumerate(range(-most, most + 1)):
        if len(a) > abs(k):
            x, y = (a[k:], b[: len(b) - k]) if k >= 0 else (a[:k], b[-k:])
            sums[row] = x @ y, x @ x, y @ y
    return sums


def best_lag(products: np.ndarray) -> tuple[float, float]:
    """Where `shifted_products`, added up if there are several, correlate best: ms that the first is late, and r there.

    -400 to 400, between frames by the parabola through the best three. nan where nothing varies.
    """
    product, power, wanted = products.T
    r = product / np.sqrt(np.maximum(power * wanted, 1e-12))
    if not r.any():
        return float("nan"), float("nan")
    best = int(r[1:-1].argmax()) + 1
    before, peak, after = r[best - 1 : best + 2]
    curvature = before - 2 * peak + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return float((best - len(r) // 2 + np.clip(shift, -1, 1)) / FPS * 1000), float(peak)


def runs(flags: np.ndarray) -> np.ndarray:
    """(n, 2) first frame of each run of True in `flags` (t,), and the frame after its last."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return edges.reshape(-1, 2)


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 90 % interval; of a value that stands alone, the ends are nan."""

    value: float
    low: float
    high: float

    @classmethod
    def alone(cls, value: float) -> "Estimate":
        """A single measurement, without an interval."""
        return cls(float(value), float("nan"), float("nan"))

    def as_dict(self) -> dict[str, float | None]:
        """For JSON, which knows no nan."""
        return {name: round(v, 4) if np.isfinite(v) else None for name, v in vars(self).items()}

    def as_text(self, digits: int) -> str:
        """The value, and its interval in brackets."""
        if not np.isfinite(self.value):
            return "-"
        if not np.isfinite(self.low):
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def bootstrap(value: Callable[[Sequence], float], groups: Sequence, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """`value(groups)` and its interval when as many groups are drawn from them with replacement, `draws` times.

    Equal numbers of groups and equal seeds draw alike, so that differences between predictors mean something.
    """
    rng = np.random.default_rng(seed)
    drawn = [value([groups[i] for i in rng.integers(0, len(groups), len(groups))]) for _ in range(draws)]
    kept = [one for one in drawn if np.isfinite(one)] or [float("nan")]
    edge = (100 - COVERAGE) / 2
    low, high = np.percentile(kept, [edge, 100 - edge])
    return Estimate(float(value(groups)), float(low), float(high))
