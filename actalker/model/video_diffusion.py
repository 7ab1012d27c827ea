"""How the full tier denoises: three guidance scales, windows around the clip, the photo's latent as a beginning.

With what is told to it the prediction improves: nothing, then the photo and its identity, then speech, then motion;

    v = v0 + s1 (v1 - v0) + s2 (v2 - v1) + s3 (v3 - v2)

which is a weighted sum of rows that the network computes in one call. Rows that are told the same are one row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from actalker.config import VideoSampling
from actalker.model.diffusion import (
    ConditionalDenoise,
    Parts,
    Window,
    fading_windows,
    gathered,
    in_parts,
    precondition,
    sample_euler,
    sigmas,
)
from actalker.model.full import VideoDenoiser
from actalker.model.masks import Masks
from actalker.model.video_conditions import VideoConditions

TOLD = (set(), {"photo"}, {"photo", "audio"}, {"photo", "audio", "video"})


@dataclass(frozen=True)
class Film:
    """What a clip of t frames is told, whole: tokens of the open gates, and the tokens that say nothing."""

    identity: Tensor  # (e,)
    signals: dict[str, Tensor]  # name -> (t, m, e)
    silence: dict[str, Tensor]  # name -> (m, e)
    masks: Masks
    place: Tensor  # (t or 1, c, h, w)
    numbers: Tensor  # (3,)
    photo: Tensor  # (4, h, w): the photo's latent, not scaled
    frames: int

    def conditions(self, rows: list[set[str]], padding: int) -> VideoConditions:
        """Rows that are told these things, for the clip and `padding` silent frames behind it."""
        length = self.frames + padding
        told = torch.tensor([float("photo" in row) for row in rows]).to(self.identity)
        identity = (told[:, None, None] * self.identity).expand(-1, length, -1)
        signals = {}
        for name, signal in self.signals.items():
            silent = self.silence[name].expand(length, -1, -1)
            heard = torch.cat([signal, silent[:padding]])
            signals[name] = torch.stack([heard if name in row else silent for row in rows])
        inputs = torch.stack([torch.zeros_like(self.photo), self.photo])
        begun = tuple(int("photo" in row) for row in rows)
        return VideoConditions(identity, signals, self.masks, self.place[None], self.numbers, inputs, begun)


def guidance_rows(open_gates: set[str]) -> list[set[str]]:
    """What each row is told. A closed gate makes two of the four the same."""
    rows: list[set[str]] = []
    for told in TOLD:
        if (row := told & (open_gates | {"photo"})) not in rows:
            rows.append(row)
    return rows


def guidance_weights(open_gates: set[str], scales: tuple[float, float, float]) -> Tensor:
    """The weight of each of `guidance_rows`; they add up to 1."""
    rows, (appearance, audio, video) = guidance_rows(open_gates), scales
    weights = torch.zeros(len(rows))
    shares = (1 - appearance, appearance - audio, audio - video, video)
    for told, share in zip(TOLD, shares, strict=True):
        weights[rows.index(told & (open_gates | {"photo"}))] += share
    return weights


def guided_by_rows(denoise: ConditionalDenoise, shares: Tensor | None) -> ConditionalDenoise:
    """The rows' predictions, weighted by their shares; without these, the last row's alone."""

    def guide(x: Tensor, sigma: Tensor, conditions: VideoConditions) -> Tensor:
        if shares is None:
            return denoise(x, sigma, conditions.only(len(conditions.rows) - 1))
        rows = denoise(x, sigma, conditions)
        return torch.tensordot(shares.to(rows), rows, dims=1)[None]

    return guide


def remembering(network: VideoDenoiser, kept: dict[int, Tensor], fresh: bool) -> Callable[..., Tensor]:
    """The network, whose deep part is computed and kept by window if `fresh`, and else as it was kept (DeepCache)."""
    if fresh:
        kept.clear()  # windows may have moved

    def run(x: Tensor, level: Tensor, conditions: VideoConditions) -> Tensor:
        if fresh:
            kept[conditions.start] = network.deep(x, level, conditions)
        rows = len(conditions.identity) * x.shape[1]  # one row alone is the last of those that were kept
        return network(x, level, conditions, kept[conditions.start][-rows:])

    return run


@dataclass(frozen=True)
class Step:
    """What is done at a noise level."""

    shares: Tensor | None  # of `guidance_rows`; None: no guidance
    fresh: bool  # the network's deep part is computed, not remembered
    first: int  # how many frames before frame 0 windows around the clip are laid out


def planned(open_gates: set[str], window: int, config: VideoSampling) -> list[Step]:
    """The steps of a clip. What is remembered fits the same windows alone, so they move at fresh steps alone."""
    levels = video_levels(config)[:-1]
    (low, high), last_scales = config.guidance_interval, config.last_scales or config.scales
    ramps = [torch.linspace(a, b, len(levels)) for a, b in zip(config.scales, last_scales, strict=True)]
    steps: list[Step] = []
    age, first = config.cache_interval, 0
    for i, level in enumerate(levels.tolist()):
        scales = tuple(ramp[i].item() for ramp in ramps)
        shares = guidance_weights(open_gates, scales) if low <= level <= high else None
        new_rows = shares is not None and (not steps or steps[-1].shares is None)
        if new_rows or age == config.cache_interval:
            age, first = 0, i * config.shift % window
        steps.append(Step(shares, age == 0, first))
        age += 1
    return steps


def windows_around(length: int, size: int, overlap: int, first: int) -> list[Window]:
    """Windows around a clip whose end meets its beginning, laid out from `first` frames before frame 0.

    Those that run over the end into the beginning come before the others, so that frames are finished in order.
    """
    starts = range(-first, length - first, size - overlap)
    in_order = sorted(starts, key=lambda start: start + size <= length - first)
    return [Window(torch.arange(start, start + size), torch.ones(size)) for start in in_order]


def video_levels(config: VideoSampling) -> Tensor:
    """Noise levels that are run, and 0: with a strength below 1 the last of them."""
    levels = sigmas(config)
    return levels[len(levels) - 1 - int((len(levels) - 1) * config.strength) :]


def denoise_film(
    network: VideoDenoiser,
    film: Film,
    noise: Tensor,
    latent: Tensor,
    window: int,
    config: VideoSampling,
    after_step: Callable[[int], None],
) -> Parts:
    """Latents of a film, scaled as the VAE's are in diffusion: frames (n,) with (1, n, 4, h, w), as they are finished.

    `after_step(i)` may raise to stop; of the last step, every window yields the frames that it finishes.

    noise: standard normal (1, t + padding, 4, h, w), with a window of padding or none (`padded`). latent: (4, h, w),
    the photo's, scaled, from which the film begins.
    """
    levels, gates = video_levels(config), set(film.signals)
    padding = noise.shape[1] - film.frames
    conditions = film.conditions(guidance_rows(gates), padding)
    steps, kept = planned(gates, window, config), {}

    def parts(x: Tensor, sigma: Tensor) -> Parts:
        step = steps[int((levels[:-1] == sigma.cpu()).nonzero()[0])]
        run = network if config.cache_interval == 1 else remembering(network, kept, step.fresh)
        denoise = guided_by_rows(precondition(run), step.shares)
        if padding:
            windows = windows_around(x.shape[1], window, config.overlap, step.first)
        else:
            windows = fading_windows(x.shape[1], window, config.overlap)
        return in_parts(denoise, conditions, windows)(x, sigma)

    def whole(x: Tensor, sigma: Tensor) -> Tensor:
        return gathered(parts(x, sigma), x)

    on, unsettled = levels.to(noise.device), torch.tensor(False, device=noise.device)
    before_last = sample_euler(whole, noise + latent / levels[0], on[:-1], unsettled, after_step)
    yield from parts(before_last, on[-2])  # the step to no noise at all takes the prediction itself


def padded(frames: int, window: int, config: VideoSampling) -> int:
    """Frames that are denoised for a clip of `frames`."""
    return frames + window * config.padding
