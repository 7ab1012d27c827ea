"""Training batches: speech and a driver that disagree, a region map that says whom to obey, and the motion that obeys.

Mel and mouth come from the corpus; the rest of the face and the driver are invented anew for every draw. Because both
signals' motions are known, the answer is known for every map: each region takes its source's motion, or rests.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from actalker.config import COEFFICIENTS, MEL_PER_FRAME, PRESETS, REGIONS, SOURCES, Training
from actalker.model.conditioning import coefficient_mask, region_masks
from actalker.signals.audio import BINS, joined
from actalker.training.corpus import FPS, Rendering, Utterance
from actalker.training.gestures import accompany, driver, measured

MOUTH = len(REGIONS["mouth"])
COLOUR_KNOTS = np.linspace(0, BINS - 1, 6)
PRESET_SHARE = 0.6  # of the draws; the others take a random source for each region


@dataclass(frozen=True)
class Batch:
    """One region map for all rows, as the layout of the scan is shared; t frames, k coefficients."""

    features: Tensor  # (b, 4t, 113), what is heard
    driving: Tensor  # (b, t, k) as a tracker would report it
    target: Tensor  # (b, t, k)
    voice: Tensor  # (b, t, k), what the speech alone would do
    truth: Tensor  # (b, t, k), what the driver did
    masks: dict[str, Tensor]  # signal -> (t, regions)
    heard: Tensor  # (t, k) coefficients that some signal drives
    shape: Tensor  # (b, 8)

    def rows(self, rows: slice) -> "Batch":
        """Some of the rows, under the same map."""
        names = ("features", "driving", "target", "voice", "truth", "shape")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device, but for the masks."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if name != "masks"})


class Batches:
    """Draws batches from a corpus; a draw depends on the seed and its number alone, so resuming changes nothing.

    Rows of a batch come from one stream of random numbers, so each of several processes draws all and takes its own.
    """

    def __init__(self, corpus: list[Utterance], config: Training, shape: int):
        self.renderings = [rendering for utterance in corpus for rendering in utterance.renderings]
        lengths = np.array([len(rendering.mouth) for rendering in self.renderings], float)
        self.chances = lengths / lengths.sum()
        self.config, self.shape = config, shape
        self.size, self.frames, self.seed = config.batch, config.frames, config.seed

    def __getitem__(self, number: int) -> Batch:
        return self.draw(number)

    def draw(self, number: int) -> Batch:
        rng = np.random.default_rng((self.seed, number))
        masks = region_masks(_draw_sources(rng), self.frames)
        rows = [self._row(rng) for _ in range(self.size)]
        features, voice, seen, truth = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
        audio, video = (
            coefficient_mask(masks[name]) if name in masks else torch.zeros(1) for name in ("audio", "video")
        )
        target = voice * audio + truth * video
        heard = (audio + video).expand(self.frames, len(COEFFICIENTS))
        shape = torch.from_numpy(rng.normal(size=(self.size, self.shape)).astype(np.float32))
        return Batch(features, seen, target, voice, truth, masks, heard, shape)

    def _row(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """What is heard, the voice's motion, the driver's motion as measured, and as it was."""
        mel, evidence, mouth, loudness = _window(self._pick(rng), self.frames, rng)
        voice = np.concatenate([mouth, accompany(loudness, FPS, rng)], axis=1)
        other = _window(self._pick(rng), self.frames, rng)[2] if rng.random() < 0.5 else None
        truth = driver(self.frames, FPS, rng, other)
        features = self._withheld(joined(_disturb(mel, rng), evidence), rng)
        return features, voice.astype(np.float32), measured(truth, rng), truth

    def _withheld(self, features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Now and then the phone evidence alone or the spectrogram alone, so that neither is needed."""
        chance, (mels, phones) = rng.random(), (slice(BINS), slice(BINS, None))
        if chance < self.config.without_mel:
            features[:, mels] = 0
        elif chance < self.config.without_mel + self.config.without_phones:
            features[:, phones] = 0
        return features

    def _pick(self, rng: np.random.Generator) -> Rendering:
        return self.renderings[rng.choice(len(self.renderings), p=self.chances)]


def _draw_sources(rng: np.random.Generator) -> dict[str, str]:
    if rng.random() < PRESET_SHARE:
        return PRESETS[str(rng.choice(list(PRESETS)))]
    while True:
        sources = {region: str(rng.choice(SOURCES)) for region in REGIONS}
        if set(sources.values()) != {"still"}:
            return sources


def _window(rendering: Rendering, frames: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A random stretch of `frames` frames: mel, evidence, mouth, loudness; a shorter one is padded with its edges."""
    spare = len(rendering.mouth) - frames
    start = int(rng.integers(min(spare, 0), max(spare, 0) + 1))  # below 0: frames of padding in front
    rows = np.clip(np.arange(start, start + frames), 0, len(rendering.mouth) - 1)
    fine = np.clip(np.arange(MEL_PER_FRAME * start, MEL_PER_FRAME * (start + frames)), 0, len(rendering.mel) - 1)
    stretches = rendering.mel[fine], rendering.evidence[fine], rendering.mouth[rows], rendering.loudness[rows]
    return tuple(stretch.astype(np.float32) for stretch in stretches)


def _disturb(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another vocal tract, colour and contrast; a masked band (as SpecAugment, arXiv 1904.08779); a little noise."""
    bins = np.arange(BINS)
    if rng.random() < 0.6:  # a tract that is longer or shorter stretches the mel axis
        at = (bins * np.exp(rng.normal(0, 0.06))).clip(0, BINS - 1)
        low = at.astype(int)
        share = at - low
        mel = mel[:, low] * (1 - share) + mel[:, (low + 1).clip(max=BINS - 1)] * share
    if rng.random() < 0.6:
        mel = mel + np.interp(bins, COLOUR_KNOTS, rng.normal(0, 0.25, len(COLOUR_KNOTS)))
    if rng.random() < 0.4:
        mel = mel * np.exp(rng.normal(0, 0.12)) + rng.normal() * 0.1
    if rng.random() < 0.3:
        low = int(rng.integers(0, 72))
        mel = mel.copy()
        mel[:, low : low + int(rng.integers(2, 10))] = mel.min()
    return (mel + rng.normal(size=mel.shape) * rng.choice([0.05, 0.1, 0.2])).astype(np.float32)
