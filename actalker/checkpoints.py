"""Weights on disk: safetensors with their config inside, found, built and filled strictly."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from actalker.config import Control, MotionNet
from actalker.errors import InputError
from actalker.model.motion_net import MotionDenoiser

EMBEDDED = "embedded/motion_net.safetensors"


def folder() -> Path:
    """Where checkpoints lie: $ACTALKER_CHECKPOINTS, or `checkpoints/` beside the package."""
    return Path(os.environ.get("ACTALKER_CHECKPOINTS") or Path(__file__).parents[1] / "checkpoints")


def save_motion_net(network: MotionDenoiser, path: Path, facts: dict) -> None:
    """Write weights, config and `facts` about the training (JSON values) into one file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"config": json.dumps(dataclasses.asdict(network.config)), "facts": json.dumps(facts)}
    part = path.with_suffix(".part")
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, part, metadata)
    part.replace(path)


def read_metadata(path: Path) -> tuple[MotionNet, dict]:
    """The config and the training facts in a checkpoint. Raises InputError when it is not one of ours."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        config = json.loads(metadata["config"])
        control = config.pop("control")
        control = Control(**control | {"branches": tuple(control["branches"])})  # JSON has no tuples
        return MotionNet(control=control, **config), json.loads(metadata["facts"])
    except FileNotFoundError:
        raise InputError(f"There is no checkpoint at {path}; train one or set ACTALKER_CHECKPOINTS.") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path.name} is not a checkpoint of this program ({error}); give one that it made."
        ) from error


def sha256(path: Path) -> str:
    """Hash of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_motion_net(path: Path | None = None) -> MotionDenoiser:
    """The embedded tier's network, filled strictly and ready for use. Raises InputError when there is none."""
    path = path or folder() / EMBEDDED
    config, _ = read_metadata(path)
    network = MotionDenoiser(config)
    with safe_open(path, "pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} was made by another version of this program; train one with this version.") from error
    return network.eval().requires_grad_(False)


def parameters(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())
