"""Weights on disk: safetensors with their config inside, found, built and filled strictly."""

import dataclasses
import hashlib
import json
import os
import typing
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from actalker.config import Full, MotionNet, Whisper
from actalker.errors import InputError
from actalker.model.full import VideoDenoiser
from actalker.model.motion_net import MotionDenoiser
from actalker.model.unet import EXACT
from actalker.model.whisper import Perception

EMBEDDED = "embedded/motion_net.safetensors"
DENOISER, PERCEPTION, VAE = (f"full/{name}.safetensors" for name in ("denoiser", "perception", "vae"))
TRAINED = torch.float32  # precision of weights in training
KINDS = {"motion_net": MotionNet, "denoiser": Full, "perception": Whisper, "vae": None}  # None: diffusers' own config


def folder() -> Path:
    """Where checkpoints lie: $ACTALKER_CHECKPOINTS, or `checkpoints/` beside the package."""
    return Path(os.environ.get("ACTALKER_CHECKPOINTS") or Path(__file__).parents[1] / "checkpoints")


def save_motion_net(network: MotionDenoiser, path: Path, facts: dict) -> None:
    """Write weights, config and `facts` about the training (JSON values) into one file, whole or not at all."""
    save_weights(path, network.state_dict(), network.config, facts)


def save_weights(path: Path, state: dict[str, Tensor], config: object, facts: dict) -> None:
    """Write a state dict with its config, a dataclass or JSON values, and facts into one file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config
    kind = {Full: "denoiser", Whisper: "perception", dict: "vae"}.get(type(config), "motion_net")
    metadata = {"config": json.dumps(values), "facts": json.dumps(facts), "kind": kind}
    part = path.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, part, metadata)
    part.replace(path)


def verify(path: Path) -> None:
    """Raise InputError where a file is not the one whose hash lies beside it, as sha256sum writes it.

    What ships has a hash; what somebody made and put there has none, and is believed.
    """
    seal = path.with_name(f"{path.name}.sha256")
    if path.is_file() and seal.is_file() and seal.read_text().split()[:1] != [_hash(path, path.stat().st_mtime_ns)]:
        found = f"{path.name} is not the file whose SHA-256 lies beside it"
        raise InputError(f"{found}; fetch it again, or remove {seal.name} if you made the file yourself.")


@lru_cache
def _hash(path: Path, changed: int) -> str:  # noqa: ARG001 - a changed file is another one
    return sha256(path)


def read_metadata(path: Path) -> tuple[typing.Any, dict]:
    """The config and the facts in a checkpoint. Raises InputError when it is changed, or not one of ours."""
    verify(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        config, kind = json.loads(metadata["config"]), KINDS[metadata.get("kind", "motion_net")]
        return built(kind, config) if kind else config, json.loads(metadata["facts"])
    except FileNotFoundError:
        raise InputError(
            f"There is no checkpoint at {_short(path)}; {_remedy(path)} or set ACTALKER_CHECKPOINTS."
        ) from None
    except (SafetensorError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.name} is not a checkpoint of this program ({error}); give one that it made."
        ) from error


def _short(path: Path) -> str:
    """A checkpoint's name: where the program keeps its files is nobody's business."""
    return f"{path.parent.name}/{path.name}"


def _remedy(path: Path) -> str:
    return "make it with 'actalker convert'" if path.parent.name == "full" else "train one"


def built(kind: type, values: dict) -> typing.Any:
    """A frozen config from JSON, whose lists are tuples. Raises TypeError where a field is unknown."""
    hints = typing.get_type_hints(kind)
    made = {}
    for name, value in values.items():
        inner = next((each for each in (hints.get(name), *typing.get_args(hints.get(name))) if _is_config(each)), None)
        made[name] = (
            built(inner, value) if inner and value is not None else tuple(value) if value.__class__ is list else value
        )
    return kind(**made)


def _is_config(kind: object) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def sha256(path: Path) -> str:
    """Hash of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_motion_net(path: Path | None = None) -> MotionDenoiser:
    """The embedded tier's network, filled strictly and ready for use. Raises InputError when there is none."""
    path = path or folder() / EMBEDDED
    config, _ = read_metadata(path)
    network = _network(MotionDenoiser, config, path)
    _fill(network, path)
    return network.eval().requires_grad_(False)


def load_denoiser(path: Path, dtype: torch.dtype = torch.float32) -> VideoDenoiser:
    """The full tier's network on the CPU, in evaluation mode."""
    config, _ = read_metadata(path)
    with torch.device("meta"):
        network = _network(VideoDenoiser, config, path)
    _fill(network, path, dtype)
    return network.eval().requires_grad_(False)


def load_perception(path: Path) -> Perception:
    """The frozen networks that read faces and voices for the released weights, in float32."""
    config, _ = read_metadata(path)
    with torch.device("meta"):
        network = _network(Perception, config, path)
    _fill(network, path, torch.float32)
    return network.eval().requires_grad_(False)


def fill_vae(network: nn.Module, path: Path, dtype: torch.dtype) -> None:
    """Fill diffusers' network with what lies in a file."""
    _fill(network, path, dtype)


def _network(kind: type[nn.Module], config: object, path: Path) -> nn.Module:
    """A network of these sizes. Raises InputError where they make none."""
    try:
        return kind(config)
    except Exception as error:
        raise InputError(
            f"{_short(path)} has a config that makes no network; give one that this program made."
        ) from error


def _fill(network: nn.Module, path: Path, dtype: torch.dtype | None = None) -> None:
    """Give a network a file's tensors, exactly those that it has; in another precision where that does no harm."""
    verify(path)
    with safe_open(path, "pt") as file:
        weights = {name: _as(file.get_tensor(name), name, dtype) for name in file.keys()}  # noqa: SIM118 - not a dict
    try:
        network.load_state_dict(weights, assign=dtype is not None)
    except RuntimeError as error:
        remedy = "convert it again" if path.parent.name == "full" else "train one with this version"
        raise InputError(f"{_short(path)} was made by another version of this program; {remedy}.") from error


def _as(tensor: Tensor, name: str, dtype: torch.dtype | None) -> Tensor:
    if dtype is None or not tensor.is_floating_point():
        return tensor
    exact = name.rsplit(".", 1)[-1] in EXACT or name.startswith(("speech.", "motion."))
    return tensor.to(torch.float32 if exact else dtype)


def require_memory(paths: dict[Path, torch.dtype], free: int | None) -> None:
    """Raise InputError where the weights in files, in these precisions, need more than the `free` bytes."""
    needed = sum(_numbers(path) * dtype.itemsize for path, dtype in paths.items())
    if free is not None and needed > free:
        raise InputError(
            f"The weights need {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free; "
            "choose --precision bf16 or a machine with more."
        )


def _numbers(path: Path) -> int:
    read_metadata(path)
    with safe_open(path, "pt") as file:
        shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118 - not a dict
    return sum(torch.Size(shape).numel() for shape in shapes)


def free_memory() -> int | None:
    """Bytes that this machine can still give; None where it does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file. Raises InputError where it is cut short or something else."""
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise InputError(f"{_short(path)} cannot be read ({error}); fetch it again.") from error


def parameters(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
