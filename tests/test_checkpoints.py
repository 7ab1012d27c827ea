"""Weights are used as they were made or not at all, and nothing in a file of weights is ever run."""

import ast
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from actalker import checkpoints
from actalker.config import Control, MotionNet
from actalker.convert.folders import read_pickle
from actalker.errors import InputError
from actalker.model.motion_net import MotionDenoiser

ROOT = Path(__file__).parents[1]
TINY = MotionNet(control=Control(width=8, state=2, step_rank=1, condition=8), blocks=1, heads=2, speech_blocks=1)


@pytest.fixture
def made(tmp_path) -> Path:
    """A small network's file, with its hash beside it."""
    path = tmp_path / "embedded" / "tiny.safetensors"
    checkpoints.save_motion_net(MotionDenoiser(TINY), path, {"steps": 1})
    path.with_name("tiny.safetensors.sha256").write_text(f"{checkpoints.sha256(path)}  tiny.safetensors\n")
    return path


def refusal(read, *arguments) -> str:
    with pytest.raises(InputError) as refused:
        read(*arguments)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert str(ROOT) not in sentence
    assert "/tmp" not in sentence
    return sentence


def test_every_shipped_file_is_the_one_whose_hash_lies_beside_it():
    shipped = sorted((ROOT / "checkpoints").rglob("*.safetensors"))
    assert shipped
    for path in shipped:
        digits, name = path.with_name(f"{path.name}.sha256").read_text().split()
        assert (digits, name) == (checkpoints.sha256(path), path.name)


def test_a_file_is_used_as_it_was_made(made):
    assert checkpoints.load_motion_net(made).config == TINY


def test_a_changed_file_is_refused_in_a_sentence(made):
    checkpoints.load_motion_net(made)
    with open(made, "r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    sentence = refusal(checkpoints.load_motion_net, made)
    assert sentence.startswith("tiny.safetensors is not the file whose SHA-256 lies beside it; fetch it again")


def test_weights_of_another_file_are_refused_wherever_they_are_read(made):
    other = load_file(made)
    save_file(other, made)
    for read in (checkpoints.read_metadata, checkpoints.load_denoiser, checkpoints.load_perception):
        assert "SHA-256" in refusal(read, made)
    with pytest.raises(InputError, match="SHA-256"):
        checkpoints.fill_vae(torch.nn.Linear(1, 1), made, torch.float32)


def test_a_file_without_a_hash_is_believed(made, tmp_path):
    shutil.copy(made, tmp_path / "own.safetensors")
    assert checkpoints.load_motion_net(tmp_path / "own.safetensors").config == TINY


class Evil:
    """A pickle that would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return Path.mkdir, (self.folder,)


def test_code_in_a_pickle_is_not_run(tmp_path):
    torch.save({"weight": Evil(tmp_path / "made by code")}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(tmp_path / "made by code"), protocol=2))
    for name in ("evil.pth", "plain.pth"):
        assert refusal(read_pickle, tmp_path / name).startswith(f"{name} holds more than tensors, perhaps code;")
    assert not (tmp_path / "made by code").exists()


def test_a_compressed_archive_is_not_unfolded(tmp_path):
    torch.save({"weight": torch.zeros(4 << 20)}, tmp_path / "whole.pth")
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for member in whole.namelist():
            bomb.writestr(member, whole.read(member))
    assert (tmp_path / "bomb.pth").stat().st_size < 100_000
    assert refusal(read_pickle, tmp_path / "bomb.pth").startswith("bomb.pth is compressed")
    assert read_pickle(tmp_path / "whole.pth")["weight"].shape == (4 << 20,)


def test_pickles_are_read_in_one_place_and_as_tensors_alone():
    found = []
    for path in [ROOT / "app.py", *(ROOT / "actalker").rglob("*.py"), *(ROOT / "demo").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {"torch.load", "pickle.load", "pickle.loads"}:
                found.append((path.relative_to(ROOT).as_posix(), ast.unparse(node)))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                assert {"weights_only": True}.items() <= {
                    word.arg: getattr(word.value, "value", None) for word in node.keywords
                }.items()
    assert found == [("actalker/convert/folders.py", "torch.load")]
