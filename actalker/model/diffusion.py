"""Diffusion as composition (EDM, arXiv 2206.00364).

A denoiser is a function (x, sigma) -> denoised; guidance and windows are wrappers of that shape. Everything here is for
data of unit variance, sigma_data = 1: frames of k coefficients, or of latents (c, h, w) in the place of k.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from actalker.config import Sampling, VideoSampling
from actalker.model.conditioning import Conditions

WINDOWS_AT_ONCE = 4  # of a clip's motion: as rows of one call they take two thirds of the time, and memory stays flat

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


def windowed(denoise: ConditionalDenoise, conditions: Conditions, size: int, overlap: int) -> Denoise:
    """Denoise a clip (1, t, k) of any length in overlapping windows, several of them in a call."""

    def whole(x: Tensor, sigma: Tensor) -> Tensor:
        total, weights = torch.zeros_like(x), x.new_zeros(x.shape[1], 1)
        windows = fading_windows(x.shape[1], size, overlap)
        for group in (windows[i : i + WINDOWS_AT_ONCE] for i in range(0, len(windows), WINDOWS_AT_ONCE)):
            places = torch.stack([window.places for window in group])
            for window, denoised in zip(group, denoise(x[0, places], sigma, conditions.windows(places)), strict=True):
                fade = window.weights[:, None]
                total[0, window.places] += fade * denoised
                weights[window.places] += fade
        return total / weights

    return whole


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
        denoised = denoise(x, sigma)
        moved = denoised + (x - denoised) * (following / sigma)
        x = torch.where(settled, denoised if i == 0 else x, moved)
        after_step(i)
    return x


def loss(denoised: Tensor, target: Tensor, sigma: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Error and error of velocity for denoised, target and weight (b, t, k), sigma (b,) -> two scalars.

    Weighted by sqrt(1 + 1 / sigma²): half-way, in logarithms, between plain error and EDM's unit-variance weight.
    """
    level = (1 + sigma**-2).sqrt().clamp(max=8)[:, None, None]
    place = (((denoised - target) * level) ** 2 * weight).sum() / weight.sum()
    change = ((denoised - target) * level.clamp(max=3)).diff(dim=1) ** 2 * weight[:, 1:]
    return place, change.sum() / weight[:, 1:].sum()
