"""The full tier's networks against numbers of the released program: parts, transformer, UNet."""

from dataclasses import replace

import pytest
import torch
from fill_rule import SHAPES, case, fill, relative

from actalker.config import RELEASE, Encoders, Unet
from actalker.convert.names import translated
from actalker.model.control import ParallelControl
from actalker.model.masks import Masks
from actalker.model.perception import Expression, FaceIdentity, HeadPose
from actalker.model.projections import IdentityProjection, MotionProjection, PlaceGuider, SpeechProjection
from actalker.model.unet import VideoUnet
from actalker.model.video_blocks import VideoTransformer
from actalker.model.video_conditions import VideoConditions


def tiny(name):
    """The configuration of a tiny released UNet."""
    c = SHAPES["e"][f"unet{name}"]["config"]
    return Unet(
        channels=tuple(c["block_out_channels"]),
        heads=tuple(c["num_attention_heads"]),
        layers=c["layers_per_block"],
        context=c["cross_attention_dim"],
        clip_numbers=c["addition_time_embed_dim"],
    )


def conditions(g, rows, place=None):
    """Conditions of a golden case: signals of b rows, all frames in one axis there."""
    split = {name: g[name].unflatten(0, (rows, -1)) for name in ("id", "audio", "vasa")}
    masks = Masks({"audio": g["mask0"][0, 0], "video": g["mask1"][0, 0]})
    signals = {"audio": split["audio"], "video": split["vasa"]}
    numbers = g["added_time_ids"][0] if "added_time_ids" in g else torch.zeros(3)
    return VideoConditions(split["id"][:, :, 0], signals, masks, place, numbers)


CONTROL = [name for name in SHAPES["c"] if name != "module"]


@pytest.mark.parametrize("name", CONTROL)
def test_control_layer_agrees_with_the_release(name):
    facts, g, size = SHAPES["c"]["module"], case("control", name), SHAPES["c"][name]
    config = replace(RELEASE, width=facts["d_model"], step_rank=facts["dt_rank"], condition=facts["d_cond"])
    layer = fill(ParallelControl(config), "unet", facts["shapes"], "_.mamba_blocks.0.", "_.control.")
    grid, masks = (size["h"], size["w"]), Masks({"audio": g["mask0"][0, 0], "video": g["mask1"][0, 0]})
    heard = {}
    for i, signal in enumerate(("audio", "video")):
        assert torch.allclose(masks.weights(signal, grid), g[f"mask{i}_down"], atol=1e-6)
        heard[signal] = masks.tokens(signal, grid)
        assert torch.equal(heard[signal].nonzero()[:, 0], g[f"sel{i}"])
    z = g["x"][None]
    signals = {"audio": g["conds"][None, :, :32], "video": g["conds"][None, :, 32:]}
    out = layer(z, g["id_emb"][None, :, 0], signals, {k: v.expand(z.shape[1], -1) for k, v in heard.items()})
    assert relative(out[0], g["out"]) < 1e-5


@pytest.mark.parametrize("kind", ["v10", "plain"])
@pytest.mark.parametrize("shape", ["sq_partial", "rect_ones_zeros"])
def test_transformer_agrees_with_the_release(kind, shape):
    g, facts = case("transformer", f"{kind}_{shape}"), SHAPES["d"][f"v10_{shape}"]
    config = Unet(channels=(64,), heads=(facts["heads"],), context=facts["cross_dim"])
    network = VideoTransformer(config, 0, controlled=kind == "v10")
    fill(network, "unet", SHAPES["d"][f"{kind}_shapes"], "_.", "_.")
    assert relative(network(g["x"], conditions(g, facts["B"])), g["out"]) < 1e-5


def test_parts_of_the_transformer_agree_with_the_release():
    g = case("transformer", "v10_parts")
    config = Unet(channels=(64,), heads=(4,), context=32)
    network = fill(VideoTransformer(config, 0, controlled=True), "unet", SHAPES["d"]["v10_shapes"], "_.", "_.")
    told, grid = conditions(g, 2), (4, 4)
    space = network._space(network.transformer_blocks[0].alone(g["x"]), told, grid)
    assert relative(space, g["spatial_out"]) < 1e-5
    steered = network._steer(g["x"].unflatten(0, (2, -1)), told, grid).flatten(0, 1)
    assert relative(steered, g["mamba_out"]) < 1e-5
    still = {name: torch.zeros_like(tensor) for name, tensor in network.time_pos_embed.state_dict().items()}
    network.time_pos_embed.load_state_dict(still)  # the golden part starts behind the embedding of time
    assert relative(network._time(g["x"], told, grid), g["temporal_out"]) < 1e-5


LAST = {  # what a whole block gives out
    "down_blocks.0": "down_blocks.0.downsamplers.0",
    "down_blocks.1": "down_blocks.1.resnets.0",
    "mid_block": "mid_block.resnets.1",
    "up_blocks.0": "up_blocks.0.upsamplers.0",
    "up_blocks.1": "up_blocks.1.attentions.1",
}
UNETS = [name for name in SHAPES["e"] if not name.startswith("unet")]


@pytest.mark.parametrize("name", UNETS)
def test_unet_agrees_with_the_release(name):
    facts, g = SHAPES["e"][name], case("unet", name)
    network = fill(VideoUnet(tiny(facts["unet"])), "unet", SHAPES["e"][f"unet{facts['unet']}"]["shapes"])
    rows = facts["B"]
    seen, taps = {}, [key.removeprefix("tap_") for key in g if key.startswith("tap_")]
    for tap in taps:
        part = network.get_submodule(LAST.get(tap, tap))
        part.register_forward_hook(lambda _m, _i, out, tap=tap: seen.update({tap: out}))
    told = conditions(g, rows, place=g["spatial_condition"])
    out = network(g["sample"], g["timestep"].expand(rows), told)
    assert relative(out, g["out"]) < 5e-5
    assert seen.keys() == set(taps)
    for tap, value in seen.items():
        golden = g[f"tap_{tap}"]
        assert relative(value.expand_as(golden), golden) < 5e-5, tap


MODULES = {
    "audio": ("audio_linear", lambda c: SpeechProjection(c, 1024)),
    "id": ("id_proj_model", lambda c: IdentityProjection(c, 1024)),
    "vasa": ("vasa_linear", lambda c: MotionProjection(c, 1024)),
    "pose": ("pose_guider", lambda c: PlaceGuider(c, 320)),
}


def small(kind):
    """A tiny module of group f: its encoder config and output width."""
    c = SHAPES["f"][f"{kind}_tiny"]
    if kind == "audio":
        sizes = {"speech_width": c["channels"], "speech_hidden": c["intermediate_dim"]}
        return SpeechProjection(Encoders(**sizes), c["output_dim"])
    if kind == "id":
        sizes = {"identity": c["input_dim"], "identity_hidden": c["intermediate_dim"]}
        return IdentityProjection(Encoders(**sizes), c["output_dim"])
    if kind == "vasa":
        return MotionProjection(Encoders(motion=c["input_dim"]), c["output_dim"] + 6)
    return PlaceGuider(Encoders(place=tuple(c["block_out_channels"])), c["conditioning_embedding_channels"])


@pytest.mark.parametrize("size", ["tiny", "full"])
@pytest.mark.parametrize("kind", MODULES)
def test_projections_agree_with_the_release(kind, size):
    part, make = MODULES[kind]
    network, g = (small(kind) if size == "tiny" else make(Encoders())), case("modules", f"{kind}_{size}")
    fill(network, part, {name: list(value.shape) for name, value in network.state_dict().items()})
    if kind == "vasa":
        nothing = torch.zeros(3, 6)
        assert relative(network(g["x"], nothing)[:, :-6], g["out"]) < 2e-5
        assert relative(network(0 * g["x"], nothing)[:, :-6], g["out_zero"]) < 2e-5
    elif kind == "pose":
        assert relative(network(g["x"][0].transpose(0, 1)), g["out"][0].transpose(0, 1)) < 2e-5
    else:
        assert relative(network(g["x"]), g["out"]) < 2e-5
        if kind == "audio":
            assert relative(network(0 * g["x"][:1, :1]), g["out_zero"]) < 2e-5


def test_perception_agrees_with_the_release():
    files = SHAPES["files"]
    g = case("modules", "head_expression")
    shapes = files["vasa_ckpt.generator (expression_model.*)"]
    alone = {name.removeprefix("expression_model."): shape for name, shape in shapes.items()}
    network = fill(Expression(), "expression", alone)
    assert relative(network(g["x"]), g["out"]) < 2e-5
    g = case("modules", "head_pose")
    rotation, translation = fill(HeadPose(), "pose", files["vasa_ckpt.pose_model"])(g["x01"])
    assert relative(rotation, g["rotation"]) < 2e-5
    assert relative(translation, g["translation"]) < 2e-5
    g = case("modules", "arcface_r50")
    assert relative(fill(FaceIdentity(), "arcface", files["arcface_r50"])(g["x"]), g["out"]) < 2e-5


def test_every_released_tensor_has_its_place():
    files = SHAPES["files"]
    with torch.device("meta"):
        networks = {
            "unet": (VideoUnet(Unet()), "unet"),
            "pose_guider": (PlaceGuider(Encoders(), 320), "pose_guider"),
            "audio_linear": (SpeechProjection(Encoders(), 1024), "audio_linear"),
            "id_proj_model": (IdentityProjection(Encoders(), 1024), "id_proj_model"),
            "vasa_linear": (MotionProjection(Encoders(), 1024), "vasa_linear"),
            "vasa_ckpt.generator (expression_model.*)": (Expression(), "expression"),
            "vasa_ckpt.pose_model": (HeadPose(), "pose"),
            "arcface_r50": (FaceIdentity(), "arcface"),
        }
    for file, (network, part) in networks.items():
        released = {name: torch.empty(shape, device="meta") for name, shape in files[file].items()}
        state = translated(part, released, network.state_dict())
        assert state.keys() == network.state_dict().keys()
    assert len(files["unet"]) == 1826
    assert sum(weight.numel() for weight in networks["unet"][0].parameters()) == 1_775_460_842
    adapters = {k: v for k, v in networks["unet"][0].state_dict().items() if ".adapters." in k}
    assert len(adapters) == len(files["adapter_module"]) == 128
    assert sum(map(torch.Tensor.numel, adapters.values())) == 102_236_160
