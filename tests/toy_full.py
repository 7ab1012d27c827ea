"""Toy folders of the files that the full tier is made from: random weights, tiny sizes, the real formats."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from fill_rule import SHAPES, filled
from safetensors.torch import save_file

WHISPER = {
    "model_type": "whisper",
    "num_mel_bins": 80,
    "d_model": 16,
    "encoder_attention_heads": 2,
    "encoder_layers": 2,
    "max_source_positions": 1500,
}


def toy_svd(folder: Path) -> Path:
    """A folder in diffusers' format: tiny UNet A and a four-level VAE."""
    torch.manual_seed(0)
    UNetSpatioTemporalConditionModel(**SHAPES["e"]["unetA"]["config"]).save_pretrained(folder / "unet")
    AutoencoderKLTemporalDecoder(**SHAPES["g"]["vae"]["config"]).save_pretrained(folder / "vae")
    return folder


def toy_whisper(folder: Path) -> Path:
    """A two-layer Whisper in transformers' format, decoder included."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(WHISPER))
    d = WHISPER["d_model"]
    shapes = {"conv1.weight": [d, 80, 3], "conv1.bias": [d], "conv2.weight": [d, d, 3], "conv2.bias": [d]}
    shapes |= {"embed_positions.weight": [1500, d], "layer_norm.weight": [d], "layer_norm.bias": [d]}
    for i in range(WHISPER["encoder_layers"]):
        layer = {f"self_attn.{name}_proj.weight": [d, d] for name in ("q", "k", "v", "out")}
        layer |= {f"self_attn.{name}_proj.bias": [d] for name in ("q", "v", "out")}
        layer |= {
            f"{name}.{kind}": [d]
            for name in ("self_attn_layer_norm", "final_layer_norm")
            for kind in ("weight", "bias")
        }
        layer |= {"fc1.weight": [4 * d, d], "fc1.bias": [4 * d], "fc2.weight": [d, 4 * d], "fc2.bias": [d]}
        shapes |= {f"layers.{i}.{name}": shape for name, shape in layer.items()}
    state = {f"model.encoder.{name}": filled(name, shape) for name, shape in shapes.items()}
    state["model.decoder.layers.0.encoder_attn.q_proj.weight"] = torch.zeros(d, d)
    save_file(state, folder / "model.safetensors")
    return folder


def toy_released(folder: Path) -> Path:
    """ACTalker's files around tiny UNet A; the frozen networks have their full sizes."""
    folder.mkdir(parents=True)
    files, context, rows = SHAPES["files"], 32, 10 * 3 * WHISPER["d_model"]
    small = {
        "unet-7": SHAPES["e"]["unetA"]["shapes"],
        "adapter_module-7": SHAPES["e"]["unetA"]["adapter_shapes"],
        "audio_linear-7": {
            **{"proj1.weight": [8, rows], "proj1.bias": [8], "proj2.weight": [8, 8], "proj2.bias": [8]},
            **{"proj3.weight": [32 * context, 8], "proj3.bias": [32 * context]},
            **{"norm.weight": [context], "norm.bias": [context]},
        },
        "id_proj_model-7": {
            **{"proj1.weight": [16, 512], "proj1.bias": [16], "proj2.weight": [16, 16], "proj2.bias": [16]},
            **{"proj3.weight": [context, 16], "proj3.bias": [context]},
        },
        "vasa_linear-7": {"proj1.weight": [26, 512], "proj1.bias": [26], "norm.weight": [26], "norm.bias": [26]},
        "pose_guider-7": {
            name: [32 if size == 320 else size for size in shape] for name, shape in files["pose_guider"].items()
        },
        "backbone": files["arcface_r50"],
    }
    for name, shapes in small.items():
        torch.save({key: filled(key, shape) for key, shape in shapes.items()}, folder / f"{name}.pth")
    expression, pose = files["vasa_ckpt.generator (expression_model.*)"], files["vasa_ckpt.pose_model"]
    generator = {name: filled(name, shape) for name, shape in expression.items()} | {"other.weight": torch.zeros(2)}
    motion = {"generator": generator, "pose_model": {name: filled(name, shape) for name, shape in pose.items()}}
    torch.save(motion, folder / "MX31c_32k.ckpt")
    return folder
