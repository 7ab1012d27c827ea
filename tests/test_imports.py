"""Importing does nothing: no file appears, no variable changes, nothing heavy is pulled in by light modules."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for folder in ("actalker", "demo")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__main__.py"
]
OPTIONAL = {  # modules that only import where their package is installed
    "actalker.scan.triton_gpu": "triton",
    "actalker.scan.triton_kernels": "triton",
    "actalker.scan.mamba_cuda": "mamba_ssm",
    "actalker.batch.cluster": "ray",
}
READY = [name for name in MODULES if name not in OPTIONAL or importlib.util.find_spec(OPTIONAL[name])]
LIGHT = {
    "actalker": ("torch", "mediapipe", "cv2", "av", "numpy"),
    "actalker.config": ("torch", "mediapipe", "cv2", "av", "numpy"),
    "actalker.errors": ("torch", "mediapipe", "cv2", "av", "numpy"),
    "actalker.cli": ("torch", "mediapipe", "cv2", "av", "gradio"),
    "actalker.signals.media": ("torch", "mediapipe", "librosa", "gradio"),
    "actalker.signals.audio": ("torch", "mediapipe", "librosa", "gradio"),
    "actalker.signals.face": ("torch", "mediapipe", "librosa", "gradio"),
    "actalker.signals.motion": ("torch", "mediapipe", "librosa", "gradio"),
    "actalker.render.portrait": ("torch", "mediapipe", "librosa", "gradio"),
    "demo": ("torch", "mediapipe", "gradio"),
}
EVERYTHING = """
import importlib.util, os, sys, threading
import av, cv2, gradio, numba, PIL, scipy, torch  # whatever others do when they are imported is done before we look
if importlib.util.find_spec("ray"):
    import ray.data
variables, threads, path = dict(os.environ), threading.active_count(), list(sys.path)
generator, torch_threads = torch.get_rng_state(), torch.get_num_threads()
for name in {modules}:
    importlib.import_module(name)
assert dict(os.environ) == variables, "the environment changed"
assert threading.active_count() == threads, "a thread was started"
assert sys.path == path, "sys.path changed"
assert torch.equal(torch.get_rng_state(), generator), "random numbers were drawn"
assert torch.get_num_threads() == torch_threads, "torch's threads changed"
assert "mediapipe" not in sys.modules, "mediapipe was imported"
"""


def python(code: str, folder: Path) -> str:
    """Run code in a bare process in an empty folder, and return what it prints."""
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of_the_project() -> set[Path]:
    hidden = {".git", ".venv", "venv", "__pycache__"}
    return {path for path in ROOT.rglob("*") if not hidden.intersection(path.parts)}


def test_importing_every_module_leaves_no_trace(tmp_path):
    before = files_of_the_project()
    printed = python(EVERYTHING.format(modules=READY), tmp_path)
    assert printed == ""
    assert [path for path in tmp_path.rglob("*") if ".cache" not in path.parts and ".config" not in path.parts] == []
    assert files_of_the_project() == before


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_stay_light(tmp_path, name):
    code = f"import json, sys, {name}; print(json.dumps(sorted({{key.split('.')[0] for key in sys.modules}})))"
    heavy = set(LIGHT[name]) & set(json.loads(python(code, tmp_path)))
    assert not heavy, f"importing {name} pulls in {', '.join(sorted(heavy))}"
