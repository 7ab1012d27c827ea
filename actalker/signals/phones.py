"""What a phone recogniser hears in speech: evidence for sixteen classes of sounds that lips tell apart, at 100 Hz.

The acoustic model is pocketsphinx's English one, trained on people; only its files are read, no decoder runs. Features
are its own (25 mel filters, 13 cepstra, differences), a row's likelihoods come from its Gaussian mixtures, and
a loop of three-state phones, joined by a bigram, smooths them by forward-backward with a look-ahead of 0.1 to 0.3 s.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

RATE, HOP = 16000, 160
CLASSES = (
    "SIL +NSN+ +SPN+",
    "P B",
    "M",
    "F V",
    "W UW",
    "OW AO UH OY",
    "ER R",
    "SH ZH CH JH",
    "S Z",
    "T D N L",
    "TH DH",
    "K G NG HH",
    "AA AE AY AW",
    "AH",
    "EH EY IH",
    "IY Y",
)
CHANNELS = 2 * len(CLASSES)
SCALE = 0.3  # of acoustic log-likelihoods: neighbouring rows are not independent
ROWS_AT_ONCE = 100  # so that long recordings need little more memory than short ones
LAG, BLOCK = 10, 20  # rows that are looked ahead at least, and rows that share a look-ahead

WINDOW, FFT, FILTERS, CEPSTRA = 410, 512, 25, 13
BAND = (130.0, 6800.0)  # Hz
LIFTER = 22
POWER_FLOOR = 1e-4
WEIGHT_UNIT = 1024 * np.log(1.0001)  # of the stored logarithms of mixture weights
BIGRAM = Path(__file__).with_name("phone_bigram.npy")  # (42, 42), counted over synthetic speech


def evidence(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) at 16 kHz -> (ceil(n / 160), 32) float32; row i is centred on sample 160 i.

    The square roots of the classes' posteriors: sixteen smoothed over time, then sixteen of each row alone.
    """
    return np.concatenate([np.zeros((0, CHANNELS), np.float32), *evidence_in_parts(samples)])


def evidence_in_parts(samples: np.ndarray) -> Iterator[np.ndarray]:
    """`evidence` part after part, a second or so each, as soon as it is heard."""
    if len(samples) == 0:
        return
    model = acoustic_model()
    classes = np.array([[name in words.split() for words in CLASSES] for name in model.names], np.float32)
    smoother, alone = _Smoother(model), np.empty((0, len(model.names)), np.float32)
    for scores in model.scores(_dynamics(_cepstra(samples))):
        alone, smoothed = np.concatenate([alone, _posteriors(scores)]), smoother.add(_likely(scores))
        yield _rooted(smoothed @ classes, alone[: len(smoothed)] @ classes)
        alone = alone[len(smoothed) :]
    yield _rooted(smoother.rest() @ classes, alone @ classes)


def _rooted(*posteriors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.concatenate(posteriors, axis=1)).astype(np.float32)


def _posteriors(scores: np.ndarray) -> np.ndarray:
    """Of phones in each row alone: scores (rows, phones, 3) -> (rows, phones)."""
    best = np.exp(SCALE * (scores.max(axis=2) - scores.max(axis=(1, 2))[:, None]))
    return best / best.sum(axis=1, keepdims=True)


def _likely(scores: np.ndarray) -> np.ndarray:
    """Likelihoods of scores (rows, phones, 3), each row's best being 1."""
    return np.exp(np.maximum(SCALE * (scores - scores.max(axis=(1, 2), keepdims=True)), -30)).astype(float)


def _cepstra(samples: np.ndarray) -> np.ndarray:
    """(rows, 13), less their mean."""
    rows = -(-len(samples) // HOP)
    sound = _emphasised(samples, rows)
    frames = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP][:rows]
    pieces = (frames[start : start + ROWS_AT_ONCE] for start in range(0, rows, ROWS_AT_ONCE))
    power = [np.abs(np.fft.rfft(piece * np.hamming(WINDOW), FFT)) ** 2 @ _mel_filters() for piece in pieces]
    cepstra = np.log(_denoised(np.concatenate(power)) + POWER_FLOOR) @ _cosines().T
    return cepstra - cepstra.mean(axis=0)


def _emphasised(samples: np.ndarray, rows: int) -> np.ndarray:
    """High tones lifted, with silence around: enough for `rows` windows."""
    from scipy.signal import lfilter

    margin = WINDOW // 2
    sound = np.zeros(margin + max(len(samples), (rows - 1) * HOP + margin), np.float32)
    for start in range(0, len(samples), ROWS_AT_ONCE * HOP):
        before = min(start, 1)
        piece = np.asarray(samples[start - before : start + ROWS_AT_ONCE * HOP], np.float32) * 32768
        lifted = lfilter([1, -0.97], [1], piece)[before:]
        sound[margin + start : margin + start + len(lifted)] = lifted
    return sound


@lru_cache(maxsize=1)
def _mel_filters() -> np.ndarray:
    """(257, 25), edges on bins of the transform."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in BAND)
    mels = np.linspace(low, high, FILTERS + 2)
    step = RATE / FFT
    edges = np.floor(700 * (10 ** (mels / 2595) - 1) / step + 0.5) * step
    hertz, first, peak, last = np.arange(FFT // 2 + 1)[:, None] * step, edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (hertz - first) / (peak - first), (last - hertz) / (last - peak)
    return np.maximum(np.minimum(rise, fall), 0) * 2 / (last - first)


@lru_cache(maxsize=1)
def _cosines() -> np.ndarray:
    """The liftered cosine transform, (13, 25)."""
    order, number = np.arange(CEPSTRA)[:, None], np.arange(FILTERS)[None]
    table = np.cos(np.pi * order * (number + 0.5) / FILTERS) * np.sqrt(2 / FILTERS)
    table[0] = np.sqrt(1 / FILTERS)
    return table * (1 + LIFTER / 2 * np.sin(np.arange(CEPSTRA) * np.pi / LIFTER))[:, None]


def _denoised(power: np.ndarray) -> np.ndarray:
    """Spectral subtraction with temporal masking, row by row: (rows, 25)."""
    near = np.abs(np.arange(FILTERS)[:, None] - np.arange(FILTERS)) <= 4
    average = near / near.sum(axis=1, keepdims=True)
    level, noise, floor, peak = power[0].copy(), power[0] / 20, power[0] / 20, np.zeros(FILTERS)
    out = np.empty_like(power)
    for row, now in enumerate(power):
        level = 0.7 * level + 0.3 * now
        noise = _followed(level, noise)
        signal = np.maximum(level - noise, 1.0)
        floor = _followed(signal, floor)
        peak = 0.85 * peak
        masked = np.maximum(np.where(signal < 0.85 * peak, 0.2 * peak, signal), floor)
        peak = np.maximum(peak, signal)
        out[row] = now * (average @ np.clip(masked / np.maximum(level, 1e-9), 1 / 20, 20))
    return out


def _followed(value: np.ndarray, low: np.ndarray) -> np.ndarray:
    """A lower envelope: slow to rise, quick to fall."""
    return np.where(value >= low, 0.995 * low + 0.005 * value, 0.5 * low + 0.5 * value)


def _dynamics(cepstra: np.ndarray) -> np.ndarray:
    """Cepstra, their differences over four rows and the differences of those: (rows, 39)."""
    padded = np.pad(cepstra, ((3, 3), (0, 0)), mode="edge")

    def at(shift: int) -> np.ndarray:
        return padded[3 + shift : 3 + shift + len(cepstra)]

    return np.concatenate([cepstra, at(2) - at(-2), at(3) - at(-1) - at(1) + at(-3)], axis=1).astype(np.float32)


@dataclass(frozen=True)
class AcousticModel:
    """One codebook of 3 x 128 Gaussians for each phone, shared by the senones of its three states."""

    names: list[str]
    gaussians: list[np.ndarray]  # for each stream (27, phones * 128): weights of x^2, of x and a constant
    weights: np.ndarray  # (3, 128, senones)
    codebook: np.ndarray  # (senones,) phone
    state: np.ndarray  # (senones,) 0 to 2
    stay: np.ndarray  # (phones, 3): chance to stay in a state

    def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
        """Log-likelihoods (rows, phones, 3) of the best senone of each phone's state, but for a constant a row.

        They come in pieces of ROWS_AT_ONCE.
        """
        for start in range(0, len(features), ROWS_AT_ONCE):
            yield self._scores(features[start : start + ROWS_AT_ONCE])

    def _scores(self, features: np.ndarray) -> np.ndarray:
        rows, phones = len(features), len(self.names)
        terms = []
        for stream, table in enumerate(self.gaussians):
            x = features[:, CEPSTRA * stream : CEPSTRA * (stream + 1)]
            fit = np.concatenate([x * x, x, np.ones((rows, 1), np.float32)], axis=1) @ table
            terms.append(np.exp(np.maximum(fit - fit.max(axis=1, keepdims=True), -60)).reshape(rows, phones, -1))
        out = np.empty((rows, phones, 3), np.float32)
        for phone in range(phones):
            own = np.flatnonzero(self.codebook == phone)
            mixed = (term[:, phone] @ weights[:, own] for term, weights in zip(terms, self.weights, strict=True))
            total = sum(np.log(one + 1e-30) for one in mixed)
            for state in range(3):
                out[:, phone, state] = total[:, self.state[own] == state].max(axis=1)
        return out


@lru_cache(maxsize=1)
def acoustic_model() -> AcousticModel:
    """The model in pocketsphinx's package."""
    import pocketsphinx

    folder = Path(pocketsphinx.get_model_path()) / "en-us/en-us"
    mean, variance = _parameters(folder / "means"), np.maximum(_parameters(folder / "variances"), 1e-4)
    constant = (-0.5 * np.log(2 * np.pi * variance) - 0.5 * mean**2 / variance).sum(axis=-1)
    tables = [
        np.concatenate(
            [
                (-0.5 / variance)[:, stream].reshape(-1, CEPSTRA).T,
                (mean / variance)[:, stream].reshape(-1, CEPSTRA).T,
                constant[:, stream].reshape(1, -1),
            ]
        ).astype(np.float32)
        for stream in range(3)
    ]
    names, codebook, state = _definition(folder / "mdef")
    weights = _mixture_weights(folder / "sendump", len(codebook))
    return AcousticModel(names, tables, weights, codebook, state, _stay(folder))


def _body(path: Path) -> bytes:
    """A file of the recogniser's third format, after its text header and byte-order mark."""
    raw = path.read_bytes()
    return raw[raw.index(b"endhdr\n") + 7 + 4 :]


def _parameters(path: Path) -> np.ndarray:
    """Means or variances (codebooks, streams, densities, 13)."""
    body = _body(path)
    shape = struct.unpack("<4i", body[:16])  # the width of each stream and the number of values follow
    return np.frombuffer(body, "<f4", int(np.prod(shape)), 12 + 4 * shape[1] + 4).reshape(shape)


def _stay(folder: Path) -> np.ndarray:
    body = _body(folder / "transition_matrices")
    count, rows, columns, size = struct.unpack("<4i", body[:16])
    table = np.frombuffer(body, "<f4", size, 16).reshape(count, rows, columns)
    return np.stack([table[:, i, i] / table[:, i].sum(axis=1) for i in range(3)], axis=1)


def _mixture_weights(path: Path, senones: int) -> np.ndarray:
    """(3, 128, senones), from eight-bit logarithms."""
    raw, at = path.read_bytes(), 0
    while (length := struct.unpack("<i", raw[at : at + 4])[0]) != 0:  # title and header strings, then a zero
        at += 4 + length
    rows, columns = struct.unpack("<2i", raw[at + 4 : at + 12])
    stored = np.frombuffer(raw, "u1", 3 * rows * columns, at + 12).reshape(3, rows, columns)[:, :, :senones]
    return np.exp(-stored.astype(np.float32) * WEIGHT_UNIT)


def _definition(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the phones, and for each senone its phone and its state."""
    raw = path.read_bytes()
    at = 12 + struct.unpack("<i", raw[8:12])[0]
    bases, phones, states, _, senones, _, sequences, _, tree, _ = struct.unpack("<10i", raw[at : at + 40])
    at = start = at + 40
    names = []
    for _ in range(bases):
        end = raw.index(b"\0", at)
        names.append(raw[at:end].decode())
        at = end + 1
    at = start + -(-(at - start) // 4) * 4 + 8 * tree
    table = np.frombuffer(raw, np.dtype([("sequence", "<i4"), ("matrix", "<i4"), ("about", "u1", 4)]), phones, at)
    sequence = np.frombuffer(raw, "<i2", sequences * states, at + 12 * phones + 4).reshape(sequences, states)
    base = np.concatenate([np.arange(bases), table["about"][bases:, 1]])  # the phone that a triphone is a case of
    codebook, state = np.full(senones, -1), np.full(senones, -1)
    codebook[sequence[table["sequence"]]] = base[:, None]
    state[sequence[table["sequence"]]] = range(states)
    return names, codebook, state


class _Smoother:
    """Posteriors in a loop of three-state phones, by forward-backward over blocks with a look-ahead.

    It is given likelihoods (n, phones, 3) of rows that follow each other, and returns posteriors (m, phones) of the
    blocks behind which enough is known.
    """

    def __init__(self, model: AcousticModel) -> None:
        self._loop = _Loop(np.load(BIGRAM), model.stay)
        self._likely = self._ahead = np.empty((0, *model.stay.shape))

    def add(self, likely: np.ndarray) -> np.ndarray:
        """Take more rows."""
        self._likely = np.concatenate([self._likely, likely])
        self._ahead = np.concatenate([self._ahead, self._loop.forward(likely)])
        return self._blocks(BLOCK + LAG)

    def rest(self) -> np.ndarray:
        """Nothing follows."""
        return self._blocks(1)

    def _blocks(self, known: int) -> np.ndarray:
        """All blocks from whose first row on at least so many are known."""
        blocks = [np.empty((0, self._likely.shape[1]), np.float32)]
        while len(self._likely) >= known:
            blocks.append(self._loop.backward(self._likely[: BLOCK + LAG], self._ahead[:BLOCK]))
            self._likely, self._ahead = self._likely[BLOCK:], self._ahead[BLOCK:]
        return np.concatenate(blocks)


class _Loop:
    """Phones of three states, any of them after any other with the chance in `links` (phones, phones)."""

    def __init__(self, links: np.ndarray, stay: np.ndarray) -> None:
        self._links, self._stay, self._leave = links, stay, 1 - stay
        self._now: np.ndarray | None = None

    def forward(self, likely: np.ndarray) -> np.ndarray:
        """Chances of phone and state given all rows so far: (rows, phones, 3)."""
        out, stay, leave = np.empty_like(likely), self._stay, self._leave
        for row, here in enumerate(likely):
            if self._now is None:
                now = np.full(here.shape, 1 / here.size)
            else:
                entering = ((self._now[:, 2] * leave[:, 2]) @ self._links)[:, None]
                now = self._now * stay + np.concatenate([entering, self._now[:, :2] * leave[:, :2]], axis=1)
            now = now * here
            self._now = out[row] = now / now.sum()
        return out

    def backward(self, likely: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """Posteriors (n, phones) of the first n rows, given `ahead` (n, phones, 3) for them and likely ones beyond."""
        out, back = np.empty(ahead.shape[:2], np.float32), np.ones(likely.shape[1:])
        for row in range(len(likely) - 1, -1, -1):
            if row < len(ahead):
                joint = (ahead[row] * back).sum(axis=1)
                out[row] = joint / joint.sum()
            here = back * likely[row]
            following = np.concatenate([here[:, 1:], (self._links @ here[:, 0])[:, None]], axis=1)
            back = self._stay * here + self._leave * following
            back /= back.sum()
        return out
