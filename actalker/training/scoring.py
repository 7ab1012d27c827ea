"""How well lips follow speech: the measures, their intervals, and the table that shows them.

Every measure takes pairs of a recording and the motion predicted for it and pools them: long recordings count more. The
opening O of a mouth is jawOpen - mouthClose + 0.3 (mouthUpperUp + mouthLowerDown): about 0 with the lips together, 0.6
wide open. Motion is at 25 fps. A measure is nan where the pairs do not tell (no silence, no closure, nothing moves).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from actalker.training.alignment import Recording
from actalker.training.corpus import FPS
from actalker.training.visemes import BILABIALS, COLUMN, LEAD

CLOSED = 0.06  # opening below which lips count as closed
NEAR = 0.08  # s, from a phone's centre to frames that count as its own
BESIDE = 0.09  # s, round a bilabial, within which a closure is its own
SILENCE = 0.1  # s, shortest that counts
AROUND_SILENCE = 0.1  # s, before and after one, in which the mouth may close or open of itself
SETTLING = (0.12, 0.15)  # s, of a silence: the mouth still closes at its start and opens again before its end
MOST_LAG = 10  # frames
GRID = 1e-3  # s, so that frames exactly on a limit are inside it

DRAWS = 1000  # of the bootstrap
COVERAGE = 90  # per cent of the draws that an interval holds


def opening(motion: np.ndarray) -> np.ndarray:
    """(t, >= 19) coefficients -> (t,) opening O."""
    names = "jawOpen", "mouthClose", "mouthUpperUp", "mouthLowerDown"
    jaw, close, upper, lower = (motion[:, COLUMN[name]] for name in names)
    return jaw - close + 0.3 * (upper + lower)


@dataclass(frozen=True)
class Pair:
    """A recording and the motion (t, >= 19) that was predicted from its samples, and what the measures need of both."""

    recording: Recording
    motion: np.ndarray

    def __post_init__(self) -> None:
        if len(self.motion) != len(self.recording.mouth):
            wanted = len(self.recording.mouth)
            raise ValueError(f"{len(self.motion)} frames for {self.recording.name}, which lasts {wanted}")

    @cached_property
    def opening(self) -> np.ndarray:
        """(t,) predicted."""
        return opening(self.motion)

    @cached_property
    def wanted(self) -> np.ndarray:
        """(t,) of the reference mouth."""
        return opening(self.recording.mouth)

    @cached_property
    def times(self) -> np.ndarray:
        """(t,) seconds."""
        return np.arange(len(self.motion)) / FPS

    def silent(self, before: float, after: float) -> np.ndarray:
        """(t,) bool: inside a silence whose start is moved by `before` seconds and whose end is moved by `after`."""
        inside = np.zeros(len(self.times), bool)
        for start, end, name in self.recording.phones:
            if name == "SIL" and end - start >= SILENCE:
                inside |= (self.times >= start + before) & (self.times < end + after)
        return inside

    @cached_property
    def bilabials(self) -> np.ndarray:
        """(n, 2) start and end of each lip closure for p, b and m, which runs ahead of the sound."""
        spans = [(start - LEAD, end - LEAD) for start, end, name in self.recording.phones if name in BILABIALS]
        return np.array(spans).reshape(-1, 2)

    def beside_bilabial(self, time: float) -> bool:
        """Whether a closure at this time belongs to a p, b or m."""
        return bool(((self.bilabials[:, 0] - BESIDE <= time) & (time <= self.bilabials[:, 1] + BESIDE)).any())

    @cached_property
    def closure_lows(self) -> np.ndarray:
        """(n,) least opening within 80 ms of each closure's centre."""
        return self._lows(self.bilabials.mean(axis=1))

    @cached_property
    def other_lows(self) -> np.ndarray:
        """(n,) the same of every other phone in speech that is not beside a bilabial."""
        pausing = self.silent(-AROUND_SILENCE, AROUND_SILENCE)
        centres = []
        for start, end, name in self.recording.phones:
            centre = (start + end) / 2 - LEAD
            frame = int(np.clip(round(centre * FPS), 0, len(pausing) - 1))
            if name not in {*BILABIALS, "SIL"} and not pausing[frame] and not self.beside_bilabial(centre):
                centres.append(centre)
        return self._lows(np.array(centres))

    def _lows(self, centres: np.ndarray) -> np.ndarray:
        near = [np.abs(self.times - centre) <= NEAR + GRID for centre in centres]
        return np.array([self.opening[window].min() for window in near if window.any()])

    @cached_property
    def spurious(self) -> tuple[int, float]:
        """Closures in speech that no p, b or m asks for, and the seconds of speech. A closure is a low of O < 0.06."""
        o, pausing = self.opening, self.silent(-AROUND_SILENCE, AROUND_SILENCE)
        low = (o[1:-1] < CLOSED) & (o[1:-1] < o[:-2]) & (o[1:-1] <= o[2:]) & ~pausing[1:-1]
        count = sum(not self.beside_bilabial(time) for time in self.times[1:-1][low])
        return count, float((~pausing).sum() / FPS)

    @cached_property
    def speeds(self) -> tuple[np.ndarray, np.ndarray]:
        """|dO/dt| a second between frames inside silences, and between those in speech."""
        speed, settled = np.abs(np.diff(self.opening)) * FPS, self.silent(SETTLING[0], -SETTLING[1])
        return speed[settled[1:] & settled[:-1]], speed[~self.silent(0, 0)[1:]]

    @cached_property
    def shifted_products(self) -> np.ndarray:
        """(21, 3) for each lag in frames: sums of predicted x wanted and of the squares of both, means removed."""
        return shifted_products(self.opening, self.wanted, MOST_LAG)


def shifted_products(late: np.ndarray, early: np.ndarray, most: int) -> np.ndarray:
    """(2 most + 1, 3) sums of late[i] early[i - k] and of both squares, k from -most to most; means removed."""
    a, b = late - late.mean(), early - early.mean()
    sums = np.zeros((2 * most + 1, 3))
    for row, k in enumerate(range(-most, most + 1)):
        if len(a) > abs(k):
            x, y = (a[k:], b[: len(b) - k]) if k >= 0 else (a[:k], b[-k:])
            sums[row] = x @ y, x @ x, y @ y
    return sums


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two columns; nan where one does not vary."""
    return float(np.corrcoef(a, b)[0, 1]) if min(np.ptp(a), np.ptp(b)) > 1e-9 else float("nan")


def opening_correlation(pairs: Sequence[Pair]) -> float:
    """Pearson's r of predicted and reference opening over all frames: -1 to 1, no unit; 0.76 and above is good."""
    return pearson(np.concatenate([p.opening for p in pairs]), np.concatenate([p.wanted for p in pairs]))


def jaw_correlation(pairs: Sequence[Pair]) -> float:
    """Pearson's r of jawOpen over all frames: -1 to 1, no unit; 0.84 and above is good."""
    jaw = COLUMN["jawOpen"]
    predicted = np.concatenate([pair.motion[:, jaw] for pair in pairs])
    return pearson(predicted, np.concatenate([pair.recording.mouth[:, jaw] for pair in pairs]))


def closure_hit(pairs: Sequence[Pair]) -> float:
    """Share of p, b and m with min O < 0.06 within 80 ms of the closure: 0 to 1; 0.65 and above is good.

    A mouth that is always closed reaches 1: to be read beside `spurious_closures` and `closure_ranking`.
    """
    lows = np.concatenate([pair.closure_lows for pair in pairs])
    return float((lows < CLOSED).mean()) if len(lows) else float("nan")


def spurious_closures(pairs: Sequence[Pair]) -> float:
    """Lows of O below 0.06 farther than 90 ms from any p, b, m, per second of speech: 0 upwards; at most 0.35 is good.

    Speech is what is farther than 100 ms from a silence.
    """
    counts, seconds = zip(*(pair.spurious for pair in pairs), strict=True)
    return sum(counts) / sum(seconds) if sum(seconds) else float("nan")


def closure_ranking(pairs: Sequence[Pair]) -> float:
    """P(min O at a p, b, m < min O at another phone), ties half: area under the ROC curve, free of any threshold.

    0 to 1; 0.5 is chance, 0.82 and above is good.
    """
    from scipy.stats import rankdata

    closures = np.concatenate([pair.closure_lows for pair in pairs])
    others = np.concatenate([pair.other_lows for pair in pairs])
    n, m = len(closures), len(others)
    if n == 0 or m == 0:
        return float("nan")
    ranks = rankdata(np.concatenate([closures, others]))[:n]
    return float(1 - (ranks.sum() - n * (n + 1) / 2) / (n * m))


def stillness(pairs: Sequence[Pair]) -> float:
    """Mean |dO/dt| inside silences over that in speech: 0 (still) upwards, no unit; at most 0.05 is good."""
    silent, spoken = (np.concatenate(column) for column in zip(*(pair.speeds for pair in pairs), strict=True))
    return float(silent.mean() / spoken.mean()) if len(silent) and spoken.any() else float("nan")


def lag_ms(pairs: Sequence[Pair]) -> float:
    """By how much the prediction comes late, in ms: where O's pooled cross-correlation with the reference peaks.

    -400 to 400, between frames by the parabola through the best three; within 20 of 0 is good.
    """
    products, power, wanted = sum(pair.shifted_products for pair in pairs).T
    r = products / np.sqrt(np.maximum(power * wanted, 1e-12))
    if not r.any():
        return float("nan")
    best = int(r[1:-1].argmax()) + 1
    before, peak, after = r[best - 1 : best + 2]
    curvature = before - 2 * peak + after
    shift = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return float((best - MOST_LAG + np.clip(shift, -1, 1)) / FPS * 1000)


Measure = Callable[[Sequence[Pair]], float]
MEASURES: dict[str, Measure] = {
    "opening r": opening_correlation,
    "jaw r": jaw_correlation,
    "p/b/m hit": closure_hit,
    "spurious/s": spurious_closures,
    "ranking AUC": closure_ranking,
    "stillness": stillness,
    "lag ms": lag_ms,
}


@dataclass(frozen=True)
class Estimate:
    """A measured value and its 90 % interval."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float | None]:
        """For JSON, which knows no nan."""
        return {name: round(v, 4) if np.isfinite(v) else None for name, v in vars(self).items()}

    def as_text(self, digits: int) -> str:
        """The value, and its interval in brackets."""
        if not np.isfinite(self.value):
            return "-"
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


def score(
    recordings: Sequence[Recording], samplings: Sequence[Sequence[np.ndarray]], draws: int = DRAWS
) -> dict[str, Estimate]:
    """Every measure of predicted motions: `samplings` holds a motion for each recording once or, by seeds, more often.

    Intervals are over recordings: what the seeds made of one recording stays together.
    """
    columns = zip(recordings, *samplings, strict=True)
    groups = [[Pair(recording, motion) for motion in motions] for recording, *motions in columns]
    return {
        name: bootstrap(lambda drawn, measure=measure: measure([p for group in drawn for p in group]), groups, draws)
        for name, measure in MEASURES.items()
    }


@dataclass(frozen=True)
class Section:
    """One set of recordings: predictors and their estimates by measure, and what would be good."""

    title: str
    rows: dict[str, dict[str, Estimate]]
    wanted: dict[str, str]

    def as_dict(self) -> dict:
        """For JSON."""
        rows = {name: {key: one.as_dict() for key, one in row.items()} for name, row in self.rows.items()}
        return {"title": self.title, "rows": rows, "wanted": self.wanted}


def table(sections: Sequence[Section]) -> str:
    """Sections one below the other: a predictor a line, a measure a column, what is wanted in the last line."""
    return "\n\n".join(_section_text(section) for section in sections)


def _section_text(section: Section) -> str:
    names = list(next(iter(section.rows.values())))
    lines = [["", *names]]
    for predictor, estimates in section.rows.items():
        lines.append([predictor, *(estimates[name].as_text(0 if name == "lag ms" else 2) for name in names)])
    lines.append(["wanted", *(section.wanted.get(name, "") for name in names)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)
    return "\n".join([f"{section.title} (in brackets: {COVERAGE} % interval)", *rows])
