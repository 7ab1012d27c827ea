"""The table of released names: readable, complete, strict."""

import pytest
import torch
from fill_rule import SHAPES, filled
from test_full_model import tiny

from actalker.config import Unet
from actalker.convert.names import ours, translated
from actalker.errors import InputError
from actalker.model.unet import VideoUnet

SHAPE = SHAPES["e"]["unetA"]["shapes"]
CONTROL = "down_blocks.0.attentions.0.mamba_blocks.0."


@pytest.fixture
def wanted():
    with torch.device("meta"):
        return VideoUnet(tiny("A")).state_dict()


@pytest.fixture
def released():
    return {name: filled(name, shape) for name, shape in SHAPE.items()}


def test_names_read_as_what_they_are():
    assert ours("unet", f"{CONTROL}audio_unit.A_logs").endswith("control.branches.audio.scan.A_log")
    assert ours("unet", f"{CONTROL}in_proj2.weight").endswith("control.branches.video.enter.weight")
    assert ours("unet", "mid_block.resnets.1.time_mixer.mix_factor") == "mid_block.resnets.1.time_mixer.mix_factor"
    assert ours("whisper", "model.encoder.layers.3.self_attn.q_proj.bias") == "layers.3.attention.to_q.bias"


def test_no_two_released_names_become_one():
    names = SHAPES["files"]["unet"]
    assert len({ours("unet", name) for name in names}) == len(names) == 1826


def test_adapters_follow_the_release_s_order():
    """The redundant file numbers them in this order; each number is an attention that has adapters."""
    with torch.device("meta"):
        names = {name for name in VideoUnet(Unet()).state_dict() if ".adapters." in name}
    order = SHAPES["adapter_order"]
    assert len(order) == 32
    assert {
        ours("unet", f"{place}.to_{kind}_ip.{i}.weight") for place in order for kind in "kv" for i in (0, 1)
    } == names


def test_directions_are_unstacked_forward_first(released, wanted):
    state = translated("unet", released, wanted)
    stacked = released[f"{CONTROL}audio_unit.A_logs"]
    own = state[ours("unet", f"{CONTROL}audio_unit.A_logs")]
    assert torch.equal(own[0], stacked[: len(stacked) // 2])
    assert torch.equal(own[1], stacked[len(stacked) // 2 :])


def test_a_missing_tensor_is_named(released, wanted):
    del released["conv_in.bias"]
    with pytest.raises(InputError, match="lacks conv_in.bias; give"):
        translated("unet", released, wanted)


def test_what_is_left_over_is_named(released, wanted):
    released["conv_in.more"] = torch.zeros(1)
    with pytest.raises(InputError, match="has conv_in.more, which"):
        translated("unet", released, wanted)


def test_another_shape_is_named(released, wanted):
    released["conv_in.bias"] = torch.zeros(3)
    with pytest.raises(InputError, match=r"conv_in.bias of the unet file is \(3,\), not \(32,\)"):
        translated("unet", released, wanted)
