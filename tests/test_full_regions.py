"""Each signal keeps to its region, exactly, in every layout; and what the config's values mean."""

from dataclasses import replace

import pytest
import torch

from actalker.checkpoints import load_denoiser, save_weights
from actalker.config import OWN, PAPER, RELEASE, Full, Unet
from actalker.model.control import ParallelControl
from actalker.model.full import VideoDenoiser
from actalker.model.masks import Masks
from actalker.model.unet import VideoUnet
from actalker.model.video_blocks import VideoTransformer
from actalker.model.video_conditions import VideoConditions

T, GRID, WIDTH, CONTEXT = 3, (8, 8), 32, 24
SMALL = {"width": WIDTH, "step_rank": 2, "condition": CONTEXT}
LAYOUTS = {"paper": replace(PAPER, **SMALL), "release": replace(RELEASE, **SMALL)}


def mouth_and_rest():
    mouth = torch.zeros(64, 64)
    mouth[32:56, 16:48] = 1
    face = torch.zeros(64, 64)
    face[8:56, 8:56] = 1
    return {"audio": mouth, "video": face - mouth}


def signals(changed=None):
    torch.manual_seed(3)
    told = {"audio": torch.randn(1, T, 32, CONTEXT), "video": torch.randn(1, T, 1, CONTEXT)}
    if changed:
        told[changed] = told[changed] + 2
    return told


@pytest.fixture(params=LAYOUTS)
def layer(request):
    torch.manual_seed(0)
    return ParallelControl(LAYOUTS[request.param]).requires_grad_(False)


@pytest.mark.parametrize("changed", ["audio", "video"])
def test_a_signal_moves_its_own_tokens_and_no_other(layer, changed):
    masks = Masks(mouth_and_rest())
    listening = {name: masks.tokens(name, GRID).expand(T, -1) for name in ("audio", "video")}
    torch.manual_seed(1)
    z, identity = torch.randn(1, T, 64, WIDTH), torch.randn(1, T, CONTEXT)
    one, two = (layer(z, identity, signals(which), listening) for which in (None, changed))
    apart = (one - two).abs().amax((0, 1, 3))
    inside = listening[changed][0]
    assert (apart[~inside] == 0).all()
    assert (apart[inside] > 0).all()


@pytest.mark.parametrize("changed", ["audio", "video"])
def test_a_whole_transformer_keeps_signals_apart(changed):
    torch.manual_seed(0)
    unet = Unet(
        control=PAPER, channels=(WIDTH,), heads=(2,), context=CONTEXT, mask_rule="threshold", masked_over_time=True
    )
    network = VideoTransformer(unet, 0, controlled=True).requires_grad_(False)
    masks = Masks(mouth_and_rest(), "threshold")
    torch.manual_seed(1)
    h, identity = torch.randn(T, WIDTH, *GRID), torch.randn(1, T, CONTEXT)
    told = (VideoConditions(identity, signals(which), masks, None, None) for which in (None, changed))
    one, two = (network(h, each) for each in told)
    apart, inside = (one - two).abs().amax((0, 1)).flatten(), masks.tokens(changed, GRID)
    assert (apart[~inside] == 0).all()
    assert (apart[inside] > 0).all()


def test_the_paper_s_scan_goes_through_time_and_the_release_s_does_not():
    torch.manual_seed(0)
    z, identity = torch.randn(1, T, 64, WIDTH), torch.randn(1, T, CONTEXT)
    every = {name: torch.ones(T, 64, dtype=torch.bool) for name in ("audio", "video")}
    later = z.clone()
    later[:, -1] += 1
    for name, config in LAYOUTS.items():
        layer = ParallelControl(config).requires_grad_(False)
        one, two = (layer(x, identity, signals(), every) for x in (z, later))
        assert torch.equal(one[:, 0], two[:, 0]) == (name == "release")


def test_one_direction_never_looks_back():
    config = replace(LAYOUTS["paper"], directions=1)
    layer = ParallelControl(config).requires_grad_(False)
    z, identity = torch.randn(1, T, 64, WIDTH), torch.randn(1, T, CONTEXT)
    every = {"audio": torch.ones(T, 64, dtype=torch.bool)}
    later = z.clone()
    later[:, -1] += 1
    one, two = (layer(x, identity, {"audio": signals()["audio"]}, every) for x in (z, later))
    assert torch.equal(one[:, :-1], two[:, :-1])


def test_the_identity_can_be_left_out():
    layer = ParallelControl(replace(LAYOUTS["paper"], identity=False)).requires_grad_(False)
    z = torch.randn(1, T, 64, WIDTH)
    every = {"audio": torch.ones(T, 64, dtype=torch.bool)}
    heard = {"audio": signals()["audio"]}
    one, two = (layer(z, torch.full((1, T, CONTEXT), value), heard, every) for value in (0.0, 9.0))
    assert torch.equal(one, two)


def test_rules_of_masks_differ_on_soft_edges():
    soft = torch.zeros(64, 64)
    soft[16:48, 16:48] = 0.9
    assert not Masks({"audio": soft}, "release").tokens("audio", GRID).any()
    assert Masks({"audio": soft}, "threshold").tokens("audio", GRID).sum() == 16


@pytest.mark.parametrize("inside", [False, True])
def test_control_in_the_middle_is_a_value(inside):
    with torch.device("meta"):
        names = VideoUnet(Unet(mid_control=inside)).state_dict()
    assert any(name.startswith("mid_block") and ".control." in name for name in names) == inside


def test_gradients_are_the_same_when_values_are_made_again():
    torch.manual_seed(0)
    network = VideoUnet(Unet(control=PAPER, channels=(32, 32), heads=(2, 2), layers=1, context=CONTEXT))
    told = VideoConditions(
        torch.randn(1, T, CONTEXT), signals(), Masks(mouth_and_rest()), torch.zeros(1, 1, 1, 1, 1), torch.ones(3)
    )
    x, gradients = torch.randn(1, T, 8, *GRID), []
    for network.checkpointing in (False, True):
        network.zero_grad()
        network(x, torch.zeros(1), told).square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert any(".control." in name for name in gradients[0])
    assert all(torch.allclose(one, gradients[1][name], atol=1e-7) for name, one in gradients[0].items())


def test_half_precision_stays_near(tmp_path):
    torch.manual_seed(0)
    unet = Unet(channels=(32, 32), heads=(2, 2), layers=1, context=CONTEXT)
    network = VideoDenoiser(Full(unet, replace(OWN, speech_hidden=8))).requires_grad_(False)
    save_weights(tmp_path / "toy.safetensors", network.state_dict(), network.config, {})
    x, answers = torch.randn(1, T, 4, *GRID), []
    for dtype in (torch.float32, torch.bfloat16):
        loaded = load_denoiser(tmp_path / "toy.safetensors", dtype)
        told = {name: signal.to(dtype) for name, signal in signals().items()}
        place, photo = torch.zeros(1, 1, 32, 1, 1, dtype=dtype), torch.ones(1, 4, *GRID, dtype=dtype)
        identity, numbers = torch.ones(1, T, CONTEXT, dtype=dtype), torch.ones(3)
        conditions = VideoConditions(identity, told, Masks(mouth_and_rest()), place, numbers, photo)
        answers.append(loaded(x, torch.zeros(1), conditions))
    exact, rough = answers
    assert rough.dtype == torch.bfloat16
    scans = [p.dtype for name, p in loaded.named_parameters() if name.endswith(("A_log", ".D", "step_bias"))]
    assert scans
    assert set(scans) == {torch.float32}
    assert (rough.float() - exact).norm() / exact.norm() < 0.03
