"""How well lips follow speech: the measures, their intervals, and the table that shows them.

Every measure takes pairs of a recording and the motion predicted for it and pools them: long recordings count more. The
opening O of a mouth is jawOpen - mouthClose + 0.3 (mouthUpperUp + mouthLowerDown): about 0 with the lips together, 0.6
wide open. Motion is at 25 fps. A measure is nan where the pairs do not tell (no silence, no closure, nothing moves).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from actalker.evaluate.lips import Mouthing, closure_hit, closure_ranking, opening, spurious_closures, stillness
from actalker.evaluate.series import COVERAGE, DRAWS, Estimate, best_lag, bootstrap, pearson, shifted_products
from actalker.training.alignment import Recording
from actalker.training.visemes import COLUMN


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
    def said(self) -> Mouthing:
        """The predicted opening beside the recording's phones."""
        return Mouthing(self.opening, self.recording.phones)

    @cached_property
    def shifted_products(self) -> np.ndarray:
        """(21, 3) for each lag in frames: sums of predicted x wanted and of the squares of both, means removed."""
        return shifted_products(self.opening, self.wanted)


def opening_correlation(pairs: Sequence[Pair]) -> float:
    """Pearson's r of predicted and reference opening over all frames: -1 to 1, no unit; 0.76 and above is good."""
    return pearson(np.concatenate([p.opening for p in pairs]), np.concatenate([p.wanted for p in pairs]))


def jaw_correlation(pairs: Sequence[Pair]) -> float:
    """Pearson's r of jawOpen over all frames: -1 to 1, no unit; 0.84 and above is good."""
    jaw = COLUMN["jawOpen"]
    predicted = np.concatenate([pair.motion[:, jaw] for pair in pairs])
    return pearson(predicted, np.concatenate([pair.recording.mouth[:, jaw] for pair in pairs]))


def lag_ms(pairs: Sequence[Pair]) -> float:
    """By how much the prediction comes late, in ms: where O's pooled cross-correlation with the reference peaks.

    -400 to 400, between frames by the parabola through the best three; within 20 of 0 is good.
    """
    return best_lag(sum(pair.shifted_products for pair in pairs))[0]


Measure = Callable[[Sequence[Pair]], float]


def _of_phones(measure: Callable[[Sequence[Mouthing]], float]) -> Measure:
    return lambda pairs: measure([pair.said for pair in pairs])


MEASURES: dict[str, Measure] = {
    "opening r": opening_correlation,
    "jaw r": jaw_correlation,
    "p/b/m hit": _of_phones(closure_hit),
    "spurious/s": _of_phones(spurious_closures),
    "ranking AUC": _of_phones(closure_ranking),
    "stillness": _of_phones(stillness),
    "lag ms": lag_ms,
}


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
