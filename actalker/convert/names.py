"""Names in released files -> names in this program, as one table. What matches nothing keeps its name, as SVD's do."""

import re

from torch import Tensor

from actalker.errors import InputError

UNET = (
    (r"\.attn2\.processor\.to_([kv])_ip\.0\.", r".attn2.adapters.audio.to_\1."),
    (r"\.attn2\.processor\.to_([kv])_ip\.1\.", r".attn2.adapters.video.to_\1."),
    (r"\.mamba_blocks\.0\.in_proj1\.", r".control.branches.audio.enter."),
    (r"\.mamba_blocks\.0\.in_proj2\.", r".control.branches.video.enter."),
    (r"\.mamba_blocks\.0\.audio_proj\.", r".control.branches.audio.condition."),
    (r"\.mamba_blocks\.0\.exp_proj\.", r".control.branches.video.condition."),
    (r"\.mamba_blocks\.0\.audio_unit\.", r".control.branches.audio.scan."),
    (r"\.mamba_blocks\.0\.exp_unit\.", r".control.branches.video.scan."),
    (r"\.mamba_blocks\.0\.id_proj\.", r".control.identity."),
    (r"\.mamba_blocks\.0\.out_norm\.", r".control.norm."),
    (r"\.mamba_blocks\.0\.out_proj\.", r".control.leave."),
    (r"\.x_proj_weight$", r".project"),  # (2, r + 2 s, d)
    (r"\.dt_projs_weight$", r".step"),  # (2, d, r)
    (r"\.dt_projs_bias$", r".step_bias"),  # (2, d)
    (r"\.A_logs$", r".A_log"),  # (2 d, s) there, (2, d, s) here: forward first
    (r"\.Ds$", r".D"),  # (2 d,) there, (2, d) here
)
STACKED = ("A_log", "D")  # whose directions are stacked on the first axis in the released files
WHISPER = (
    (r"^(model\.)?encoder\.", ""),
    (r"layers\.(\d+)\.self_attn\.([qkv])_proj\.", r"layers.\1.attention.to_\2."),
    (r"layers\.(\d+)\.self_attn\.out_proj\.", r"layers.\1.attention.leave."),
    (r"layers\.(\d+)\.self_attn_layer_norm\.", r"layers.\1.attend."),
    (r"layers\.(\d+)\.final_layer_norm\.", r"layers.\1.expand."),
    (r"layer_norm\.", "norm."),
    (r"embed_positions\.weight", "positions"),
)
PARTS: dict[str, tuple[tuple[str, str], ...]] = {  # file -> its changes of name
    "unet": UNET,
    "vae": (),
    "pose_guider": (),
    "audio_linear": (),
    "id_proj_model": (),
    "vasa_linear": (),
    "expression": ((r"^expression_model\.(resnet50\.)?", ""), (r"^resnet50\.", "")),
    "pose": ((r"^head_pose_net\.", ""),),
    "arcface": (),
    "whisper": WHISPER,
}


def ours(part: str, name: str) -> str:
    """This program's name for a released one."""
    for pattern, replacement in PARTS[part]:
        name = re.sub(pattern, replacement, name)
    return name


def translated(part: str, released: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict under this program's names, complete and without remainder.

    `wanted` is the state dict of the network that will receive it, which may lie on the meta device. Raises InputError
    in one sentence where a tensor is missing, left over or of another shape.
    """
    state, origin = {}, {}
    for name, tensor in released.items():
        own = ours(part, name)
        if own.rsplit(".", 1)[-1] in STACKED and own in wanted and tensor.numel() == wanted[own].numel():
            tensor = tensor.reshape(wanted[own].shape)
        state[own], origin[own] = tensor, name
    if missing := sorted(wanted.keys() - state.keys()):
        raise InputError(f"The {part} file lacks {_some(missing)}; give the released file.")
    if extra := sorted(origin[name] for name in state.keys() - wanted.keys()):
        raise InputError(
            f"The {part} file has {_some(extra)}, which this network does not know; give the released file."
        )
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            here, there = tuple(tensor.shape), tuple(wanted[name].shape)
            raise InputError(f"{origin[name]} of the {part} file is {here}, not {there}; give the released file.")
    return state


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + rest
