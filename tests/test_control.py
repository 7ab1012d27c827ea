"""Parallel control: closed gates, dropped tokens and signals that must not reach each other."""

import pytest
import torch

from actalker.config import PRESETS, REGIONS, Control, MotionNet
from actalker.model.conditioning import coefficient_mask, region_masks
from actalker.model.control import ParallelControl
from actalker.model.motion_net import MotionDenoiser

T, N = 7, len(REGIONS)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    net = MotionDenoiser(MotionNet(Control(width=16, state=4, step_rank=2, condition=24), blocks=2, speech_blocks=1))
    for weight in net.parameters():  # zero-initialised layers would hide a leak
        torch.nn.init.normal_(weight, std=0.2)
    return net.requires_grad_(False)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return ParallelControl(Control(width=16, state=4, step_rank=2, condition=24)).requires_grad_(False)


def ask(network, sources, heard=None, driving=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    masks = region_masks(sources, T)
    speech = network.speech(heard)[0] if "audio" in masks else None
    watched = network.watch(driving) if "video" in masks else None
    conditions = network.condition(torch.zeros(1, 8), masks, speech, watched)
    return network(torch.randn(1, T, 38, generator=generator), torch.zeros(1), conditions)


def test_tokens_of_no_open_branch_are_left_alone(layer):
    masks = {"audio": torch.tensor([True, False, False, True, False]).expand(T, N)}
    out = layer(torch.randn(2, T, N, 16), torch.randn(2, 24), {"audio": torch.randn(2, T, 1, 24)}, masks)
    assert (out[:, :, [1, 2, 4]] == 0).all()
    assert (out[:, :, [0, 3]].abs().amax(-1) > 0).all()


def test_a_dropped_token_does_not_reach_the_scan(layer):
    masks = {"video": torch.tensor([True, True, False, False, False]).expand(T, N)}
    z, signal, identity = torch.randn(1, T, N, 16), torch.randn(1, T, 1, 24), torch.randn(1, 24)
    other = z.clone()
    other[:, :, 2:] += 5
    one, two = (layer(tokens, identity, {"video": signal}, masks) for tokens in (z, other))
    assert torch.equal(one, two)


def test_identity_and_signal_tokens_matter(layer):
    masks = {"audio": torch.ones(T, N, dtype=torch.bool)}
    z, signal, identity = torch.randn(1, T, N, 16), torch.randn(1, T, 1, 24), torch.randn(1, 24)
    out = layer(z, identity, {"audio": signal}, masks)
    assert not torch.allclose(out, layer(z, identity + 1, {"audio": signal}, masks))
    late = signal.clone()
    late[:, -1] += 1  # the backward direction carries a late signal to early frames
    assert not torch.allclose(out[:, 0], layer(z, identity, {"audio": late}, masks)[:, 0], atol=1e-7)


@pytest.mark.parametrize("preset", ["joint", "video-head"])
def test_a_region_hears_its_own_signal_alone(network, preset):
    heard, driving = torch.randn(1, 4 * T, 113), torch.randn(1, T, 38)
    mine = {name: coefficient_mask(mask)[0] for name, mask in region_masks(PRESETS[preset], T).items()}
    out = ask(network, PRESETS[preset], heard, driving)
    other_voice = ask(network, PRESETS[preset], heard + 1, driving)
    other_clip = ask(network, PRESETS[preset], heard, driving + 1)
    assert torch.equal(out[..., mine["video"]], other_voice[..., mine["video"]])
    assert torch.equal(out[..., mine["audio"]], other_clip[..., mine["audio"]])
    assert not torch.equal(out[..., mine["audio"]], other_voice[..., mine["audio"]])
    assert not torch.equal(out[..., mine["video"]], other_clip[..., mine["video"]])


def test_the_clip_is_heard_only_where_a_region_listens(network):
    driving = torch.randn(1, T, 38)
    sources = dict.fromkeys(REGIONS, "still") | {"head": "video"}
    elsewhere = driving.clone()
    elsewhere[..., :-6] += 3
    assert torch.equal(ask(network, sources, driving=driving), ask(network, sources, driving=elsewhere))


def test_a_closed_gate_leaves_its_branch_uncomputed(network, monkeypatch):
    called = []
    for block in network.blocks:
        for name, branch in block.control.branches.items():
            run = branch.forward
            monkeypatch.setattr(branch, "forward", lambda *a, run=run, name=name: (called.append(name), run(*a))[1])
    ask(network, PRESETS["voice"], heard=torch.randn(1, 4 * T, 113))
    assert set(called) == {"audio"}
