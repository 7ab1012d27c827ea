"""Diffusion against answers that are known: Gaussian data has an exact denoiser."""

import pytest
import torch

from actalker.config import Sampling
from actalker.model.conditioning import Conditions
from actalker.model.diffusion import (
    fading_windows,
    gathered,
    guided,
    in_calls,
    loss,
    precondition,
    sample_euler,
    sample_in_parts,
    sigmas,
    window_starts,
)

NOTHING = Conditions(torch.zeros(1, 1), {}, {})


def gaussian(mean, std):
    """The exact denoiser of N(mean, std²)."""
    return lambda x, sigma, _=None: (std**2 * x + sigma**2 * mean) / (std**2 + sigma**2)


def quiet(_):
    pass


def test_euler_finds_the_gaussian():
    levels = sigmas(Sampling(steps=400, sigma_max=80.0, sigma_min=0.002))
    noise = torch.randn(4000, 1, 1, generator=torch.Generator().manual_seed(0))
    drawn = sample_euler(gaussian(1.5, 0.5), noise, levels, torch.tensor([False]), quiet)
    assert drawn.mean().item() == pytest.approx(1.5, abs=0.03)
    assert drawn.std().item() == pytest.approx(0.5, rel=0.05)


def test_settled_coefficients_keep_their_first_estimate_whatever_the_noise():
    levels = sigmas(Sampling(steps=5))
    noise = torch.randn(2, 9, 2, generator=torch.Generator().manual_seed(0))
    drawn = sample_euler(gaussian(1.5, 0.5), noise, levels, torch.tensor([True, False]), quiet)
    assert torch.allclose(drawn[..., 0], gaussian(1.5, 0.5)(torch.zeros(2, 9), levels[0]))
    assert drawn[..., 1].std() > 0.3


def test_levels_fall_to_zero():
    levels = sigmas(Sampling(steps=7))
    assert len(levels) == 8
    assert levels[0] == pytest.approx(10)
    assert levels[-2] == pytest.approx(Sampling.sigma_min)
    assert levels[-1] == 0
    assert (levels.diff() < 0).all()


def test_preconditioning_of_a_zero_network_is_the_unit_gaussian():
    denoise = precondition(lambda x, *_: torch.zeros_like(x))
    x, sigma = torch.randn(3, 4, 2), torch.tensor([0.1, 1.0, 9.0])
    assert torch.allclose(denoise(x, sigma, NOTHING), x / (1 + sigma[:, None, None] ** 2))


def test_guidance_extrapolates_from_the_null():
    def denoise(x, _, conditions):
        return x * 0 + conditions.identity.mean()

    told, forgotten = Conditions(torch.ones(1, 1), {}, {}), Conditions(torch.zeros(1, 1), {}, {})
    x, sigma = torch.zeros(1, 2, 3), torch.tensor(1.0)
    assert guided(denoise, lambda _: forgotten, 1.7)(x, sigma, told).mean().item() == pytest.approx(1.7)
    assert guided(denoise, lambda _: forgotten, 1) is denoise


@pytest.mark.parametrize(
    ("length", "size", "overlap"), [(5, 10, 3), (10, 10, 3), (11, 10, 3), (95, 10, 4), (24, 10, 0)]
)
def test_windows_cover_every_frame(length, size, overlap):
    covered = torch.zeros(length)
    for start in window_starts(length, size, overlap):
        assert start >= 0
        covered[start : start + size] += 1
    assert (covered >= 1).all()


def in_windows(denoise, conditions, noise, levels, known=quiet, settled=False):
    """Samples in windows of 20 frames, part after part."""
    length = noise.shape[1]
    calls = in_calls(fading_windows(length, 20, 6), length)
    return sample_in_parts(denoise, conditions, noise, levels, torch.tensor(settled), calls, known)


@pytest.mark.parametrize("length", [11, 57, 130])
def test_windows_of_a_pointwise_denoiser_change_nothing(length):
    denoise, levels, settled = gaussian(0.3, 0.7), sigmas(Sampling()), [True, False, False, True]
    noise = torch.randn(1, length, 4)
    parts = list(in_windows(denoise, NOTHING, noise, levels, settled=settled))
    assert torch.equal(torch.cat([frames for frames, _ in parts]), torch.arange(length))
    whole = sample_euler(denoise, noise, levels, torch.tensor(settled), quiet)
    assert torch.allclose(gathered(iter(parts), noise), whole, atol=1e-6)


@pytest.mark.parametrize(("length", "rows"), [(57, {4}), (130, {1, 4})])
def test_windows_hear_their_own_frames(length, rows):
    signal, masks = torch.randn(1, length, 1, 4), {"audio": torch.ones(length, 1, dtype=torch.bool)}
    conditions, asked = Conditions(torch.zeros(1, 1), {"audio": signal}, masks), []

    def denoise(x, _, conditions):
        asked.append(len(x))
        assert conditions.masks["audio"].shape == (20, 1)
        return x * 0 + conditions.signals["audio"][:, :, 0] + conditions.identity[:, None]

    noise = torch.randn(1, length, 4)
    done = gathered(in_windows(denoise, conditions, noise, sigmas(Sampling(steps=1))), noise)
    assert torch.allclose(done, signal[:, :, 0], atol=1e-6)
    assert set(asked) == rows


def test_the_beginning_of_a_long_clip_is_done_before_its_end_is_known():
    signal, masks = torch.full((1, 260, 1, 4), torch.nan), {"audio": torch.ones(260, 1, dtype=torch.bool)}
    conditions, asked = Conditions(torch.zeros(1, 1), {"audio": signal}, masks), []

    def known(count):
        signal[:, :count] = 0
        asked.append(count)

    def denoise(x, _, conditions):
        return 0.5 * x + conditions.signals["audio"][:, :, 0]

    parts = in_windows(denoise, conditions, torch.randn(1, 260, 4), sigmas(Sampling(steps=3)), known)
    frames, values = next(parts)
    assert (len(frames), asked) == (14, [20, 34, 48])
    rest = [values, *(values for _, values in parts)]
    assert torch.isfinite(torch.cat(rest, dim=1)).all()
    assert asked[-1] == 260


def test_the_loss_sees_only_weighted_coefficients():
    target, noise, sigma = torch.randn(2, 6, 3), torch.randn(2, 6, 3), torch.tensor([0.5, 2.0])
    weight = torch.tensor([1.0, 0.0, 1.0]).expand(2, 6, 3)
    wrong_in_the_middle = target + torch.tensor([0.0, 10.0, 0.0])
    assert loss(wrong_in_the_middle, target, sigma, weight) == (0, 0)
    place, change = loss(target + noise, target, sigma, weight)
    assert place > 0.1
    assert change > 0.1
