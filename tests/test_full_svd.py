"""With control bypassed the full tier's UNet is Stable Video Diffusion's."""

from dataclasses import replace

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from fill_rule import SHAPES, relative
from test_full_model import tiny

from actalker.config import PAPER, RELEASE
from actalker.convert.names import translated
from actalker.model.masks import Masks
from actalker.model.unet import VideoUnet, start_as_identity
from actalker.model.video_conditions import VideoConditions


@pytest.fixture(scope="module", params=["A", "B"])
def svd(request):
    torch.manual_seed(0)
    network = UNetSpatioTemporalConditionModel(**SHAPES["e"][f"unet{request.param}"]["config"])
    for name, weight in network.named_parameters():
        if name.endswith("mix_factor"):
            torch.nn.init.normal_(weight)
    return request.param, network.eval().requires_grad_(False)


def answers(network, ours, signals=(), grid=(16, 24)):
    context = network.config.cross_attention_dim
    torch.manual_seed(1)
    b, t = 2, 3
    x, token, numbers = torch.randn(b, t, 8, *grid), torch.randn(b, 1, context), torch.tensor([12.5, 12.0, 20.0])
    tokens = {"audio": torch.randn(b, t, 32, context), "video": torch.randn(b, t, 1, context)}
    masks = Masks(dict.fromkeys(tokens, torch.ones(8 * grid[0], 8 * grid[1])))
    heard = {name: tokens[name] for name in signals}
    level = torch.tensor(0.7)
    told = VideoConditions(token.expand(-1, t, -1), heard, masks, torch.zeros(1, 1, 1, 1, 1), numbers)
    theirs = network(x, level, token, added_time_ids=numbers.expand(b, -1)).sample
    return theirs, ours(x, level.expand(b), told)


def test_without_control_it_is_svd(svd):
    name, network = svd
    ours = VideoUnet(replace(tiny(name), control=None))
    ours.load_state_dict(translated("unet", network.state_dict(), ours.state_dict()))
    theirs, mine = answers(network, ours.requires_grad_(False))
    assert relative(mine, theirs) < 1e-5


def test_odd_grids_are_svd_s_too(svd):
    name, network = svd
    ours = VideoUnet(replace(tiny(name), control=None))
    ours.load_state_dict(network.state_dict())
    theirs, mine = answers(network, ours.requires_grad_(False), grid=(11, 14))
    assert relative(mine, theirs) < 1e-5


@pytest.mark.parametrize("signals", [(), ("audio",), ("audio", "video")], ids=["none", "speech", "both"])
def test_training_starts_at_svd(svd, signals):
    name, network = svd
    ours = VideoUnet(replace(tiny(name), control=PAPER))
    start_as_identity(ours)
    missing, unknown = ours.load_state_dict(network.state_dict(), strict=False)
    assert not unknown
    assert all(".control." in key or ".adapters." in key for key in missing)
    theirs, mine = answers(network, ours.requires_grad_(False), signals)
    assert relative(mine, theirs) < 1e-5


def test_an_open_gate_without_that_start_changes_the_answer(svd):
    name, network = svd
    ours = VideoUnet(replace(tiny(name), control=RELEASE))
    ours.load_state_dict(network.state_dict(), strict=False)
    theirs, mine = answers(network, ours.requires_grad_(False), ("audio",))
    assert relative(mine, theirs) > 0.01
