"""What lies in the folders that are converted, and how it is read: safetensors, JSON, and pickles of tensors alone."""

import json
import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from actalker.checkpoints import read_tensors
from actalker.errors import InputError

ROLES = {  # role -> the released file's name
    "unet": "unet-*.pth",
    "pose_guider": "pose_guider-*.pth",
    "audio_linear": "audio_linear-*.pth",
    "id_proj_model": "id_proj_model-*.pth",
    "vasa_linear": "vasa_linear-*.pth",
    "motion": "MX31c_32k.ckpt",
    "arcface": "backbone.pth",
}
OPTIONAL = {"adapter_module": "adapter_module-*.pth"}  # holds nothing that the unet file does not


def find_released(folders: Sequence[Path]) -> dict[str, Path]:
    """The released files by role, of several training steps the last; empty where there is none at all.

    Raises InputError where some are there and others are not.
    """
    found = {role: path for role, name in (ROLES | OPTIONAL).items() if (path := _latest(folders, name))}
    missing = [ROLES[role] for role in ROLES if role not in found]
    if found and missing:
        raise InputError(f"Of the released files {', '.join(missing)} are missing; give the folders that hold them.")
    return found


def _latest(folders: Sequence[Path], name: str) -> Path | None:
    found = [path for folder in folders for path in folder.rglob(name)]
    return max(found, key=lambda path: [int(number) for number in re.findall(r"\d+", path.stem)[-1:]], default=None)


def find_model(folders: Sequence[Path], part: str, of: str) -> Path | None:
    """The folder `part` of a model in the format of diffusers or transformers, told by its config."""
    for config in sorted(path for folder in folders for path in folder.rglob("config.json")):
        values = read_json(config)
        if of in (values.get("_class_name"), values.get("model_type")) and (not part or config.parent.name == part):
            return config.parent
    return None


def read_model(folder: Path) -> tuple[dict, dict[str, Tensor]]:
    """The config and the tensors of such a folder. Raises InputError where the weights are not there."""
    files = sorted(folder.glob("*.safetensors"), key=lambda path: ("fp16" in path.name, path.name))
    if not files:
        raise InputError(f"{folder} has no .safetensors file; fetch the model again.")
    return read_json(folder / "config.json"), read_tensors(files[0])


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); fetch it again.") from error


def read_pickle(path: Path) -> dict:
    """A state dict, or a dictionary of them. Anything else in the file, code above all, is refused with InputError."""
    if _is_packed(path):
        raise InputError(f"{path.name} is compressed, as no file of weights is; fetch it again.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{path.name} holds more than tensors, perhaps code; it is not opened, fetch it again."
        ) from None
    except Exception as error:  # bytes that are no pickle make it raise whatever there is
        raise InputError(f"{path.name} cannot be read ({type(error).__name__}); fetch it again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds no dictionary of tensors; give the released file.")
    return content


def _is_packed(path: Path) -> bool:
    """Whether a file is a zip archive with compressed members; a small one can unfold to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist())
    except Exception:  # no archive: torch says what it is
        return False


def tensors_of(content: dict, path: Path) -> dict[str, Tensor]:
    """A state dict, checked to be one."""
    if not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise InputError(f"{path.name} holds something else than tensors; give the released file.")
    return content
