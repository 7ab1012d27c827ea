"""Lips and voice: whether a mouth moves when there is speech, closes for p, b and m, and rests in silence.

Motion (t, >= 19) is at 25 fps, mouth first, as `measure` finds it in a video or a model predicts it. The opening O of a
mouth is jawOpen - mouthClose + 0.3 (mouthUpperUp + mouthLowerDown): about 0 with the lips together, 0.6 wide open.
Measures of phones pool what they are given: long recordings count more. A measure is nan where there is nothing to tell
from (no silence, no closure, nothing moves).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d

from actalker.config import INDEX, MEL_PER_FRAME
from actalker.evaluate.series import FPS, MOST_LAG, best_lag, pearson, runs, shifted_products
from actalker.signals.alignment import Phone
from actalker.signals.audio import BAND, BINS, RATE, log_mel

BILABIALS = frozenset({"P", "B", "M"})
LEAD = 0.03  # s by which lips run ahead of the sound
CLOSED = 0.06  # opening below which lips count as closed
NEAR = 0.08  # s, from a phone's centre to frames that count as its own
BESIDE = 0.09  # s, round a bilabial, within which a closure is its own
SILENCE = 0.1  # s, shortest that counts where phones are known
AROUND_SILENCE = 0.1  # s, before and after one, in which the mouth may close or open of itself
SETTLING = (0.12, 0.15)  # s, of a silence: the mouth still closes at its start and opens again before its end
LEAST_SILENT = 5  # frames, 0.2 s, of settled silence that tell anything
GRID = 1e-3  # s, so that frames exactly on a limit are inside it

QUIETEST, LOUDEST = -4.0, 1.0  # natural logarithm of power, relative to a recording's loud end: what loudness tells
FORMANTS = 1000.0, 3500.0  # Hz
SLOW = 5.0  # frames, standard deviation of the Gaussian mean that is taken off: what is slower than a syllable
PAUSE = 0.1, 0.3  # loudness below this for so many seconds is a silence where phones are not known
MOST_SHIFTS = 200
ELSEWHERE = FPS  # frames by which speech is shifted at least to learn what chance gives


def opening(motion: np.ndarray) -> np.ndarray:
    """(t, >= 19) coefficients -> (t,) opening O."""
    names = "jawOpen", "mouthClose", "mouthUpperUp", "mouthLowerDown"
    jaw, close, upper, lower = (motion[:, INDEX[name]] for name in names)
    return jaw - close + 0.3 * (upper + lower)


def width(motion: np.ndarray) -> np.ndarray:
    """(t, >= 19) coefficients -> (t,) how far the corners are drawn apart: stretch and smile, less pucker."""
    stretch, left, right, pucker = (
        motion[:, INDEX[name]] for name in ("mouthStretch", "mouthSmileLeft", "mouthSmileRight", "mouthPucker")
    )
    return stretch + (left + right) / 2 - pucker


def rounding(motion: np.ndarray) -> np.ndarray:
    """(t, >= 19) coefficients -> (t,) how round the lips are: mouthFunnel + mouthPucker."""
    return motion[:, INDEX["mouthFunnel"]] + motion[:, INDEX["mouthPucker"]]


SHAPES = {"opening": opening, "width": width, "rounding": rounding}


def loudness(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) at 16 kHz -> (t,) loudness of each frame, from 0, quiet, to 1.

    Mean of the log-mel spectrogram, from 17 dB below the recording's loud end to 4 dB above.
    """
    return _level(samples, slice(None))


def envelope(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) at 16 kHz -> (t,) as `loudness`, but of 1 to 3.5 kHz: what a mouth shapes, above what a voice hums.

    The band of the second and third formant, whose level follows the mouth's area best in people (Chandrasekaran et
    al. 2009, "The natural statistics of audiovisual speech").
    """
    return _level(samples, slice(*np.searchsorted(_bin_centres(), FORMANTS)))


def _level(samples: np.ndarray, bins: slice) -> np.ndarray:
    mean, frames = log_mel(samples)[:, bins].mean(axis=1), round(len(samples) / RATE * FPS)
    rows = np.minimum(np.arange(MEL_PER_FRAME * frames), len(mean) - 1)
    level = np.clip(mean[rows] - np.percentile(mean, 95), QUIETEST, LOUDEST)
    return (level.reshape(-1, MEL_PER_FRAME).mean(axis=1) - QUIETEST) / (LOUDEST - QUIETEST)


def _bin_centres() -> np.ndarray:
    """(80,) Hz."""
    from librosa import mel_frequencies

    return mel_frequencies(BINS + 2, fmin=BAND[0], fmax=BAND[1])[1:-1]


def pauses(loud: np.ndarray) -> list[Phone]:
    """What loudness (t,) tells instead of phones: silences of 0.3 s and more, and speech, named "?", between."""
    level, seconds = PAUSE
    spans = [(start / FPS, end / FPS) for start, end in runs(loud < level) if end - start >= seconds * FPS]
    edges = [0.0, *(edge for span in spans for edge in span), len(loud) / FPS]
    names = ["SIL" if i % 2 else "?" for i in range(len(edges) - 1)]
    return [(start, end, name) for start, end, name in zip(edges[:-1], edges[1:], names, strict=True) if end > start]


def offset_ms(o: np.ndarray, voice: np.ndarray) -> float:
    """By how much the mouth comes after the voice.

        r(k) = correlation of O'(i) and V'(i - k), |k| <= 400 ms; the offset is the k of the highest r

    with the opening O (t,) and the speech's envelope V (t,), both less their Gaussian mean of 0.2 s: a smile or a gape
    that outlasts a syllable says nothing of timing. Between frames by a parabola. In ms, -400 to 400, positive where
    the mouth is late. Good: within 60 of 0. Fooled by: a `voice_correlation` that is not above `chance_correlation`,
    where the peak may be anywhere; music or a second voice; clips of a few seconds, which have few syllables.
    """
    return _offset(o, voice)[0]


def voice_correlation(o: np.ndarray, voice: np.ndarray) -> float:
    """Pearson's r of O' and V', see `offset_ms`, at the best offset within 400 ms.

    -1 to 1, no unit; to be read beside `chance_correlation` and beside real recordings: the lively speaker that was
    measured reached 0.2 to 0.3, our videos of synthetic and real speech 0.5 to 0.65. An "ee" is as loud as an "ah", so
    more is not better beyond what people reach. Fooled by: a jaw that copies the loudness beats every person; choosing
    the best lag lifts r also by chance.
    """
    return _offset(o, voice)[1]


def chance_correlation(o: np.ndarray, voice: np.ndarray) -> float:
    """What `voice_correlation` gives for the same mouth with speech that is not its own.

    The envelope is shifted round the clip by one second or more, in every way or 200 of them; the 95th percentile of
    the best correlations. 0 to 1, no unit: a mouth follows the voice if its correlation is above. nan below 4 seconds.
    Fooled by: speech that repeats itself in rhythm, and short clips, which have few independent shifts.
    """
    frames = min(len(o), len(voice))
    if frames < 4 * FPS:
        return float("nan")
    shifts = np.unique(np.linspace(ELSEWHERE, frames - ELSEWHERE, MOST_SHIFTS).astype(int))
    found = [_offset(o[:frames], np.roll(voice[:frames], shift))[1] for shift in shifts]
    return float(np.percentile(found, 95))


def _offset(late: np.ndarray, early: np.ndarray) -> tuple[float, float]:
    frames = min(len(late), len(early))
    return best_lag(shifted_products(_syllables(late[:frames]), _syllables(early[:frames]), MOST_LAG))


def _syllables(column: np.ndarray) -> np.ndarray:
    return column - gaussian_filter1d(column.astype(float), SLOW)


def likeness(motion: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Pearson's r of opening, width and rounding with those of a person who said the same, at the same time.

    -1 to 1, no unit; 0 is unrelated, and 0.5 would be good: ours reached 0.25 in the opening beside one lively speaker.
    Lips say the same words in many ways: a low r in width or rounding alone is no fault. Fooled by: recordings that do
    not start at the same moment (look at `real offset`), and faces so small that the mesh hardly moves.
    """
    frames = min(len(motion), len(real))
    return {name: pearson(of(motion[:frames]), of(real[:frames])) for name, of in SHAPES.items()}


def real_offset_ms(motion: np.ndarray, real: np.ndarray) -> float:
    """By how much O comes after that of a person who said the same: as `offset_ms`, good within 40 ms of 0."""
    return _offset(opening(motion), opening(real))[0]


@dataclass(frozen=True)
class Mouthing:
    """The opening (t,) of a mouth while phones, which fill the time, were said."""

    opening: np.ndarray
    phones: list[Phone]

    @cached_property
    def times(self) -> np.ndarray:
        """(t,) seconds."""
        return np.arange(len(self.opening)) / FPS

    def silent(self, before: float, after: float) -> np.ndarray:
        """(t,) bool: inside a silence whose start is moved by `before` seconds and whose end is moved by `after`."""
        inside = np.zeros(len(self.times), bool)
        for start, end, name in self.phones:
            if name == "SIL" and end - start >= SILENCE:
                inside |= (self.times >= start + before) & (self.times < end + after)
        return inside

    @cached_property
    def bilabials(self) -> np.ndarray:
        """(n, 2) start and end of each lip closure for p, b and m, which runs ahead of the sound."""
        spans = [(start - LEAD, end - LEAD) for start, end, name in self.phones if name in BILABIALS]
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
        for start, end, name in self.phones:
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


def closure_hit(said: Sequence[Mouthing]) -> float:
    """Share of p, b and m with min O < 0.06 within 80 ms of the closure: 0 to 1; 0.65 and above is good.

    Fooled by: a mouth that is always closed reaches 1: to be read beside `false_closures` and `closure_ranking`.
    """
    lows = np.concatenate([one.closure_lows for one in said])
    return float((lows < CLOSED).mean()) if len(lows) else float("nan")


def false_closures(said: Sequence[Mouthing]) -> float:
    """Share of all other phones in speech, not beside a p, b or m, with min O < 0.06 within 80 ms of their centre.

    0 to 1; below 0.2 is good. People do close their lips there now and then, and nearly close them for f, v and w.
    Fooled by: a mouth that never closes reaches 0: to be read beside `closure_hit`.
    """
    lows = np.concatenate([one.other_lows for one in said])
    return float((lows < CLOSED).mean()) if len(lows) else float("nan")


def spurious_closures(said: Sequence[Mouthing]) -> float:
    """Lows of O below 0.06 farther than 90 ms from any p, b, m, per second of speech: 0 upwards; at most 0.35 is good.

    Speech is what is farther than 100 ms from a silence. Fooled by: a mouth that hangs shut has no lows.
    """
    counts, seconds = zip(*(one.spurious for one in said), strict=True)
    return sum(counts) / sum(seconds) if sum(seconds) else float("nan")


def closure_ranking(said: Sequence[Mouthing]) -> float:
    """P(min O at a p, b, m < min O at another phone), ties half: area under the ROC curve, free of any threshold.

    0 to 1; 0.5 is chance, 0.82 and above is good. Fooled by: lips that near but never meet rank as well as a closure.
    """
    from scipy.stats import rankdata

    closures = np.concatenate([one.closure_lows for one in said])
    others = np.concatenate([one.other_lows for one in said])
    n, m = len(closures), len(others)
    if n == 0 or m == 0:
        return float("nan")
    ranks = rankdata(np.concatenate([closures, others]))[:n]
    return float(1 - (ranks.sum() - n * (n + 1) / 2) / (n * m))


def stillness(said: Sequence[Mouthing]) -> float:
    """Mean |dO/dt| inside silences over that in speech: 0 (still) upwards, no unit.

    At most 0.05 is good of a model's motion, 0.1 of a video, in which the mesh's own tremble counts, too.
    nan below 0.2 s of settled silence. Fooled by: a mouth that hardly speaks scores badly, and one that is frozen not
    at all, for 0 over 0 is nan; breaths and smiles in a pause are movement too.
    """
    silent, spoken = (np.concatenate(column) for column in zip(*(one.speeds for one in said), strict=True))
    return float(silent.mean() / spoken.mean()) if len(silent) >= LEAST_SILENT and spoken.any() else float("nan")
