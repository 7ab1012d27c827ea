"""Convert: SVD's diffusers folder, and ACTalker's released files if they are there -> the full tier's checkpoints."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from actalker import checkpoints
from actalker.config import OWN, PAPER, RELEASE, Encoders, Full, Unet, Whisper
from actalker.convert.folders import find_model, find_released, read_json, read_model, read_pickle, tensors_of
from actalker.convert.names import translated
from actalker.errors import InputError
from actalker.model.full import VideoDenoiser
from actalker.model.perception import Expression, FaceIdentity, HeadPose
from actalker.model.unet import start_as_identity
from actalker.model.whisper import WhisperEncoder

UNET, VAE = "UNetSpatioTemporalConditionModel", "AutoencoderKLTemporalDecoder"
PROJECTIONS = {"speech": "audio_linear", "identity": "id_proj_model", "motion": "vasa_linear", "place": "pose_guider"}
STATED = {"trained": True, "from": "ACTalker's released files"}
BEGUN = {"trained": False, "from": "Stable Video Diffusion alone"}


def convert(folders: Sequence[Path], out: Path, own: Encoders = OWN, seed: int = 0) -> dict:
    """Write the checkpoints of the full tier into `out`, all or none. Returns what was made.

    Without ACTalker's files the control layers start as identities, and the signals are this program's own (`own`).
    Raises InputError in one sentence where a folder lacks something or a file is not what it should be.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; give the folders that hold the files.")
    svd, vae = (find_model(folders, part, of) for part, of in (("unet", UNET), ("vae", VAE)))
    if svd is None:
        raise InputError(f"No Stable Video Diffusion was found in {folders[0]}; give its diffusers folder.")
    if vae is None:
        raise InputError(f"The Stable Video Diffusion in {svd.parent} has no vae; give its whole diffusers folder.")
    released = find_released(folders)
    _require_room([svd, vae], released.values())
    made = {checkpoints.VAE: (*reversed(read_model(vae)), {"from": "Stable Video Diffusion"})}
    if released:
        made |= _released(released, _unet(svd), folders)
    else:
        made[checkpoints.DENOISER] = _begun(svd, own, seed)
    for name, (state, config, facts) in made.items():
        checkpoints.save_weights(out / f"{name}.new", state, config, facts)
    for name in made:
        (out / f"{name}.new").replace(out / name)
    numbers = {name: sum(map(Tensor.numel, state.values())) for name, (state, _, _) in made.items()}
    return {"out": str(out), "files": numbers, "trained": bool(released)}


def _require_room(models: Iterable[Path], files: Iterable[Path]) -> None:
    """InputError where what is to be read is more than this machine can hold."""
    weights = [path for model in models for path in model.glob("*.safetensors")]
    needed, free = sum(path.stat().st_size for path in (*weights, *files)), checkpoints.free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"Converting reads {needed / 1e9:.1f} GB into memory and {free / 1e9:.1f} GB are free; use more memory."
        )


def _unet(svd: Path) -> Unet:
    """The sizes of an SVD."""
    c = read_json(svd / "config.json")
    return Unet(
        channels=tuple(c["block_out_channels"]),
        heads=tuple(c["num_attention_heads"]),
        layers=c["layers_per_block"],
        context=c["cross_attention_dim"],
        latents=c["out_channels"],
        clip_numbers=c["addition_time_embed_dim"],
    )


def _begun(svd: Path, own: Encoders, seed: int) -> tuple[dict[str, Tensor], Full, dict]:
    unet = replace(_unet(svd), control=PAPER, mask_rule="threshold", masked_over_time=True)
    torch.manual_seed(seed)
    network = VideoDenoiser(Full(unet=unet, encoders=own, fps=25.0))
    start_as_identity(network.unet)
    torch.nn.init.zeros_(network.place.conv_out.weight)
    torch.nn.init.zeros_(network.place.conv_out.bias)
    wanted = network.unet.state_dict()
    fresh = {name: value for name, value in wanted.items() if ".control." in name or ".adapters." in name}
    kept = {name: value for name, value in wanted.items() if name not in fresh}
    network.unet.load_state_dict(fresh | translated("unet", read_model(svd)[1], kept))
    return network.state_dict(), network.config, BEGUN


def _released(files: dict[str, Path], unet: Unet, folders: Sequence[Path]) -> dict[str, tuple]:
    heard = find_model(folders, "", "whisper")
    if heard is None:
        raise InputError("ACTalker's files need Whisper, which was not found; give the folder of whisper-tiny, too.")
    values, weights = read_model(heard)
    whisper = Whisper(
        values["num_mel_bins"],
        values["d_model"],
        values["encoder_attention_heads"],
        values["encoder_layers"],
        values["max_source_positions"],
    )
    states = {role: read_pickle(path) for role, path in files.items()}
    motion = states.pop("motion")
    states = {role: tensors_of(state, files[role]) for role, state in states.items()}
    config = Full(unet=replace(unet, control=RELEASE), encoders=_sizes(states, whisper, unet.context))
    with torch.device("meta"):
        network = VideoDenoiser(config)
    state = _under("unet", translated("unet", states["unet"], network.unet.state_dict()))
    adapters = [name for name in state if ".adapters." in name]
    if len(states.get("adapter_module", adapters)) != len(adapters):
        raise InputError(f"{files['adapter_module']} belongs to another network; give the files of one training step.")
    for own, role in PROJECTIONS.items():
        state |= _under(own, translated(role, states[role], getattr(network, own).state_dict()))
    heard_weights = {name: value for name, value in weights.items() if "encoder." in name and "decoder." not in name}
    return {
        checkpoints.DENOISER: (state, config, STATED),
        checkpoints.PERCEPTION: (_perceiving(states, motion, files["motion"], heard_weights, whisper), whisper, STATED),
    }


def _perceiving(
    states: dict[str, dict], motion: dict, path: Path, heard: dict[str, Tensor], whisper: Whisper
) -> dict[str, Tensor]:
    if not {"generator", "pose_model"} <= motion.keys():
        raise InputError(f"{path} lacks generator or pose_model; give the released file.")
    marked = {name: value for name, value in motion["generator"].items() if "expression_model." in name}
    marked = {name[name.index("expression_model.") :]: value for name, value in marked.items()}
    with torch.device("meta"):
        parts = {
            "identity": (FaceIdentity(), "arcface", states["arcface"]),
            "expression": (Expression(), "expression", marked),
            "head": (HeadPose(), "pose", motion["pose_model"]),
            "whisper": (WhisperEncoder(whisper), "whisper", heard),
        }
    made: dict[str, Tensor] = {}
    for own, (network, part, state) in parts.items():
        made |= _under(own, translated(part, tensors_of(state, path), network.state_dict()))
    return made


def _sizes(states: dict[str, dict[str, Tensor]], whisper: Whisper, context: int) -> Encoders:
    """The encoders' sizes, read off their weights."""
    try:
        speech, identity, place = (states[role] for role in ("audio_linear", "id_proj_model", "pose_guider"))
        layers = whisper.layers + 1
        return Encoders(
            speech_rows=speech["proj1.weight"].shape[1] // (layers * whisper.width),
            speech_layers=layers,
            speech_width=whisper.width,
            speech_hidden=len(speech["proj1.weight"]),
            speech_tokens=len(speech["proj3.weight"]) // context,
            identity=identity["proj1.weight"].shape[1],
            identity_hidden=len(identity["proj1.weight"]),
            motion=states["vasa_linear"]["proj1.weight"].shape[1],
            place=(len(place["conv_in.weight"]), *(len(place[f"blocks.{i}.weight"]) for i in (1, 3, 5))),
            pose_numbers=context - len(states["vasa_linear"]["proj1.weight"]),
        )
    except KeyError as missing:
        raise InputError(f"The released files lack {missing}; give the files of one training step.") from None


def _under(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in state.items()}
