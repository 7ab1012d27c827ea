"""The architecture, as a test: a module imports only from layers below its own, and heavy packages stay at home."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (  # lowest first: one line is one layer, and neighbours on a line do not know each other
    {"actalker.config", "actalker.errors", "actalker.memory"},
    {"actalker.saving"},
    {"actalker.scan", "actalker.signals"},
    {"actalker.model", "actalker.render"},
    {"actalker.checkpoints"},
    {"actalker.pipelines", "actalker.convert"},
    {"actalker.options", "actalker.evaluate"},
    {"actalker.compare", "actalker.batch", "actalker.training", "actalker.bench", "actalker.doctor"},
    {"actalker.verbs", "demo"},
    {"actalker.cli"},
    {"actalker.__main__", "app"},
)
STRANGERS = {
    ("actalker.model", "actalker.signals"),
    ("actalker.render", "actalker.scan"),
    *(("demo", f"actalker.{name}") for name in ("scan", "model", "render", "checkpoints", "training", "evaluate")),
}
HOMES = {
    "accelerate": ("actalker.training",),
    "av": ("actalker.signals.media",),
    "c2pa": ("actalker.signals.media",),
    "cryptography": ("actalker.signals.media",),
    "diffusers": ("actalker.pipelines",),
    "gradio": ("demo", "app"),
    "insightface": ("actalker.signals",),
    "matplotlib": ("actalker.compare",),
    "mamba_ssm": ("actalker.scan",),
    "mediapipe": ("actalker.signals", "actalker.render.background"),
    "pocketsphinx": ("actalker.signals",),
    "onnxruntime": ("actalker.evaluate",),
    "ray": ("actalker.batch.cluster",),
    "safetensors": ("actalker.checkpoints",),
    "transformers": ("actalker.signals",),
    "triton": ("actalker.scan",),
}
WITHOUT_TORCH = ("actalker.config", "actalker.errors", "actalker.signals", "actalker.render", "demo")
FILES = [ROOT / "app.py", *sorted((ROOT / "actalker").rglob("*.py")), *sorted((ROOT / "demo").rglob("*.py"))]


def module(path: Path) -> str:
    """actalker/scan/__init__.py -> actalker.scan"""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def unit(name: str) -> str:
    """actalker.scan.numba_cpu -> actalker.scan, demo.runner -> demo"""
    return ".".join(name.split(".")[: 2 if name.startswith("actalker") else 1])


def level(name: str) -> int:
    for number, layer in enumerate(LAYERS):
        if unit(name) in layer:
            return number
    raise AssertionError(f"{name} belongs to no layer; give {unit(name)} a place in LAYERS")


def imported(path: Path) -> Iterator[str]:
    """Every name a file imports, at its top or inside a function, by its full name."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def inside(name: str, homes: tuple[str, ...]) -> bool:
    return any(name == home or name.startswith(f"{home}.") for home in homes)


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_down(path):
    me = module(path)
    for name in imported(path):
        if name.split(".")[0] in {"actalker", "demo", "app"} and unit(name) != unit(me):
            assert (unit(me), unit(name)) not in STRANGERS, f"{me} must not know {name}"
            assert level(name) < level(me), f"{me} (layer {level(me)}) imports {name} (layer {level(name)})"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_heavy_packages_stay_at_home(path):
    me = module(path)
    for name in imported(path):
        package = name.split(".")[0]
        assert inside(me, HOMES.get(package, (me,))), f"{me} imports {name}, which belongs in {HOMES[package]}"
        assert package != "torch" or not inside(me, WITHOUT_TORCH), f"{me} imports {name}; tensors are not for it"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_only_the_command_prints(path):
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    prints = [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]
    assert not prints or module(path) == "actalker.cli", f"{module(path)} prints at line {prints[0]}"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 400, f"{module(path)} is longer than 400 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 60, f"{node.name} in {module(path)} is {lines} lines long"


def test_a_package_says_what_it_is_and_pulls_in_nothing():
    body = ast.parse((ROOT / "actalker" / "__init__.py").read_text()).body
    assert len(body) == 1
    assert isinstance(body[0].value, ast.Constant)


def test_every_module_opens_with_a_docstring():
    silent = [module(path) for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent
