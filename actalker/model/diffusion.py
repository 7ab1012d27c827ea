"""Diffusion as composition (EDM, arXiv 2206.00364).

A denoiser is a function (x, sigma) -> denoised; guidance and windows are wrappers of that shape. Everything here is for
data of unit variance, sigma_data = 1: frames of k coefficients, or of latents (c, h, w) in the place of k.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from actalker.config import Sampling, VideoSampling
from actalker.model.conditioning import Conditions

WINDOWS_AT_ONCE = 4  # of a clip's motion at most: as rows of one call they take four fifths of the time

Denoise = Callable[[Tensor, Tensor], Tensor]  # x (b, t, k), sigma () -> denoised (b, t, k)
ConditionalDenoise = Callable[[Tensor, Tensor, Conditions], Tensor]
Parts = Iterator[tuple[Tensor, Tensor]]  # frames (n,) of a clip and what they became (b, n, k), as they are finished


def precondition(network: nn.Module) -> ConditionalDenoise:
    """Equation 7: D(x) = c_skip x + c_out F(c_in x, c_noise), for sigma (b,) or ()."""

    def denoise(x: Tensor, sigma: Tensor, conditions: Conditions) -> Tensor:
        sigma = sigma.expand(len(x))
        s = sigma.view(-1, *(1,) * (x.dim() - 1))
        c_in = (s**2 + 1).rsqrt()
        return c_in**2 * x + s * c_in * network(c_in * x, sigma.log() / 4, conditions)

    return denoise


def guided(denoise: ConditionalDenoise, forget: Callable[[Conditions], Conditions], scale: float) -> ConditionalDenoise:
    """Classifier-free guidance: null + scale (conditional - null). At scale 1 there is no second pass."""
    if scale == 1:
        return denoise

    def guide(x: Tensor, sigma: Tensor, conditions: Conditions) -> Tensor:
        null = denoise(x, sigma, forget(conditions))
        return null + scale * (denoise(x, sigma, conditions) - null)

    return guide


def window_starts(length: int, size: int, overlap: int) -> list[int]:
    """First frames of windows that cover 0..length; the last one ends with the clip."""
    if length <= size:
        return [0]
    return [*range(0, length - size, size - overlap), length - size]


@dataclass(frozen=True)
class Window:
    """Places (n,) in a clip that are denoised together, counted around it, and their weights (n,) in averages."""

    places: Tensor
    weights: Tensor


def fading_windows(length: int, size: int, overlap: int) -> list[Window]:
    """Windows that cover a clip, with weights that fade at their ends."""
    edge = torch.arange(1, min(size, length) + 1)
    fade = torch.minimum(edge, edge.flip(0)).clamp(max=overlap + 1).float()
    return [Window(start + edge - 1, fade) for start in window_starts(length, size, overlap)]


def in_parts(
    denoise: ConditionalDenoise, conditions: Conditions, windows: Sequence[Window]
) -> Callable[[Tensor, Tensor], Parts]:
    """Denoise window by window, averaged where they overlap; after each come the frames that no later one touches.

    Averaging predictions equals averaging Euler steps, which are linear in the prediction.
    """

    def parts(x: Tensor, sigma: Tensor) -> Parts:
        length = x.shape[1]
        total, weights = torch.zeros_like(x), x.new_zeros(length, *(1,) * (x.dim() - 2))
        last = torch.zeros(length, dtype=torch.long)
        for number, window in enumerate(windows):
            last[window.places % length] = number
        for number, window in enumerate(windows):
            frames = (window.places % length).to(x.device)
            fade = window.weights.to(x).view(-1, *weights.shape[1:])
            denoised = denoise(x[:, frames], sigma, conditions.around(window.places))
            total.index_add_(1, frames, fade * denoised.to(x))
            weights.index_add_(0, frames, fade)
            done = (last == number).nonzero().flatten().to(x.device)
            yield done, total[:, done] / weights[done]

    return parts


def gathered(parts: Parts, like: Tensor) -> Tensor:
    """All parts of a clip as one tensor of the shape and kind of `like`."""
    whole = torch.empty_like(like)
    for frames, values in parts:
        whole[:, frames] = values
    return whole


@dataclass(frozen=True)
class Call:
    """Windows of a clip at its frames `places` (w, n) that are denoised as rows of one call, and their weights (n,).

    It needs the frames before `needs`, and no later call touches those before `done`.
    """

    places: Tensor
    weights: Tensor
    needs: int
    done: int


def in_calls(windows: Sequence[Window], length: int) -> list[Call]:
    """The windows in groups. The first ones of a long clip are on their own, so that its beginning is soon there."""
    most = WINDOWS_AT_ONCE
    alone = most if len(windows) > most else 0
    rest = range(alone, len(windows), most)
    groups = [*([window] for window in windows[:alone]), *(windows[start : start + most] for start in rest)]
    ends = [*(int(group[0].places[0]) for group in groups[1:]), length]
    places = (torch.stack([window.places for window in group]) for group in groups)
    return [
        Call(where, group[0].weights, int(where.max()) + 1, end)
        for group, where, end in zip(groups, places, ends, strict=True)
    ]


def sigmas(config: Sampling | VideoSampling) -> Tensor:
    """Equation 5: `steps` noise levels from sigma_max to sigma_min, then 0."""
    if getattr(config, "levels", None):
        return torch.tensor([*config.levels, 0.0])
    ramp = torch.linspace(0, 1, config.steps)
    low, high = config.sigma_min ** (1 / config.rho), config.sigma_max ** (1 / config.rho)
    return torch.cat([(high + ramp * (low - high)) ** config.rho, torch.zeros(1)])


def sample_euler(
    denoise: Denoise, noise: Tensor, levels: Tensor, settled: Tensor, after_step: Callable[[int], None]
) -> Tensor:
    """Deterministic Euler from sigma_max · noise (b, t, k). `after_step(i)` may raise to stop.

    Coefficients that are `settled` (k,) start without noise, and the first estimate of them stands.
    """
    x = noise.masked_fill(settled, 0) * levels[0]
    for i, (sigma, following) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        x = euler_step(x, denoise(x, sigma), following / sigma, settled, first=i == 0)
        after_step(i)
    return x


def sample_in_parts(
    denoise: ConditionalDenoise,
    conditions: Conditions,
    noise: Tensor,
    levels: Tensor,
    settled: Tensor,
    calls: Sequence[Call],
    known: Callable[[int], None],
) -> Parts:
    """`sample_euler` of a clip (1, t, k) of any length in overlapping windows, whose frames come as they are finished.

    Every step follows the step before it as closely as its windows let it. `known(n)` is called before the first one
    needs the conditions of frames up to n, and may wait for them.
    """
    x, ready = noise.masked_fill(settled, 0) * levels[0], _known(calls, known)
    for i, (sigma, following) in enumerate(zip(levels[:-1], levels[1:], strict=True)):
        predict = partial(_predict, denoise, conditions, sigma)
        move = partial(euler_step, ratio=following / sigma, settled=settled, first=i == 0)
        moved = torch.empty_like(x)
        x, ready = moved, _step(x, moved, ready, calls, predict, move)
    done = 0
    for end in ready:
        yield torch.arange(done, end), x[:, done:end]
        done = end


def _known(calls: Sequence[Call], known: Callable[[int], None]) -> Iterator[int]:
    for call in calls:
        known(call.needs)
        yield call.needs


def _predict(denoise: ConditionalDenoise, conditions: Conditions, sigma: Tensor, x: Tensor, places: Tensor) -> Tensor:
    return denoise(x[0, places], sigma, conditions.windows(places))


def _step(
    x: Tensor,
    moved: Tensor,
    ready: Iterator[int],
    calls: Sequence[Call],
    predict: Callable[[Tensor, Tensor], Tensor],
    move: Callable[[Tensor, Tensor], Tensor],
) -> Iterator[int]:
    """Fill `moved` from `x` (1, t, k), which is `ready` so far, call by call; tells how much of it is done."""
    total, weights = torch.zeros_like(x), x.new_zeros(x.shape[1], 1)
    there = done = 0
    for call in calls:
        while there < call.needs:
            there = next(ready)
        for places, denoised in zip(call.places, predict(x, call.places), strict=True):
            total[0, places] += call.weights[:, None] * denoised
            weights[places] += call.weights[:, None]
        part = slice(done, call.done)
        moved[:, part] = move(x[:, part], total[:, part] / weights[part])
        done = call.done
        yield done


def euler_step(x: Tensor, denoised: Tensor, ratio: Tensor, settled: Tensor, first: bool) -> Tensor:
    """From x (b, t, k) at one noise level to a level that is `ratio` times as high."""
    moved = denoised + (x - denoised) * ratio
    return torch.where(settled, denoised if first else x, moved)


def loss(denoised: Tensor, target: Tensor, sigma: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Error and error of velocity for denoised, target and weight (b, t, k), sigma (b,) -> two scalars.

    Weighted by sqrt(1 + 1 / sigma²): half-way, in logarithms, between plain error and EDM's unit-variance weight.
    """
    level = (1 + sigma**-2).sqrt().clamp(max=8)[:, None, None]
    place = (((denoised - target) * level) ** 2 * weight).sum() / weight.sum()
    change = ((denoised - target) * level.clamp(max=3)).diff(dim=1) ** 2 * weight[:, 1:]
    return place, change.sum() / weight[:, 1:].sum()
