"""The scan's GPU backends. Without a GPU, Triton's kernels run in its interpreter and mamba-ssm is a stand-in.

The interpreter must be on before Triton is imported and must not meet other tests, so a process of its own measures all
cases: this file, run as a script, prints their errors. Every new tensor there starts as NaN, so a kernel that leaves a
cell unwritten, or reads one that nobody wrote, fails.
"""

import importlib
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from actalker import scan
from actalker.scan.call import Call

ROOT = Path(__file__).parents[1]
TOLERANCE = {  # of outputs and of gradients, relative to the largest value; the interpreter truncates to bfloat16
    "float32": (5e-6, 2e-5),
    "float16": (1e-3, 1e-3),
    "bfloat16": (8e-3, 8e-3),
}
OPTIONAL = ("D", "z", "delta_bias", "initial_state")
CASES = {  # what differs from `drawn` and `measured` below
    "one token": {"length": 1, "d": 1, "n": 1},
    "two tokens": {"length": 2, "d": 3},
    "two clips of seven tokens": {"length": 7, "b": 2},
    "63 tokens": {"length": 63, "d": 7, "n": 1},
    "64 tokens, reverse": {"length": 64, "n": 1, "reverse": True},
    "65 tokens": {"length": 65, "n": 1},
    "130 tokens, reverse, no last state": {"length": 130, "n": 1, "reverse": True, "through_last": False},
    "three states": {"n": 3},
    "no D": {"without": ("D",)},
    "no z": {"without": ("z",)},
    "no bias": {"without": ("delta_bias",)},
    "no initial state": {"without": ("initial_state",)},
    "no softplus": {"softplus": False},
    "nothing optional, reverse": {"softplus": False, "reverse": True, "without": OPTIONAL},
    "two groups in blocks of two": {"d": 6, "n": 1, "groups": 2, "BLOCK": 2},
    "a group for each channel": {"d": 3, "groups": 3, "n": 1},
    "B and C constant": {"d": 2, "constant": True},
    "three segments": {"length": 17, "PROGRAMS": 3, "SHORTEST": 1},
    "five segments, reverse": {"length": 33, "n": 1, "PROGRAMS": 16, "SHORTEST": 1, "reverse": True},
    "three segments, two clips": {"length": 24, "b": 2, "n": 1, "PROGRAMS": 6, "SHORTEST": 1, "without": OPTIONAL},
    "steps from tiny to large": {"scale": 12.0},
    "tiny steps alone": {"shift": -16.0, "without": ("D", "initial_state")},
    "bfloat16": {"dtype": "bfloat16"},
    "float16, reverse": {"dtype": "float16", "reverse": True},
    "bfloat16 tokens, float32 weights": {"dtype": "bfloat16", "weights": "float32"},
}


def drawn(
    length=9, b=1, d=5, n=2, groups=1, constant=False, scale=1.0, shift=0.0, softplus=True, without=(), **_
) -> dict:
    """Arguments of `selective_scan`: u and delta with their channels together, z with its times, C with neither."""
    generator = torch.Generator().manual_seed(length + d)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    steps = draw(b, length, d).transpose(1, 2) * scale + shift
    matrices = [draw(d, n), draw(d, n)] if constant else [draw(b, groups, n, length), draw(b, length, groups, n)]
    given = {
        "u": draw(b, length, d).transpose(1, 2),
        "delta": steps if softplus else steps.abs(),
        "A": -draw(n, d).abs().T - 0.1,
        "B": matrices[0],
        "C": matrices[1] if constant else matrices[1].permute(0, 2, 3, 1),
        "D": draw(d),
        "z": draw(b, d, length),
        "delta_bias": draw(d) if softplus else draw(d).abs(),
        "initial_state": draw(b, d, n),
    }
    return {name: x for name, x in given.items() if name not in without}


def scanned(backend, given, device, dtypes, softplus=True, reverse=False, through_last=True, **_) -> dict:
    """Outputs and gradients by name. The pulls on the outputs are the same for every backend."""
    given = {name: x.detach().to(device, dtypes[name]).requires_grad_() for name, x in given.items()}
    options = {"delta_softplus": softplus, "return_last_state": True, "reverse": reverse, "backend": backend}
    y, last = scan.selective_scan(**given, **options)
    loss = sum(
        (x.double() * torch.linspace(-1, 1, x.numel(), device=device).view(x.shape)).sum()
        for x in ((y, last) if through_last else (y,))
    )
    gradients = torch.autograd.grad(loss, list(given.values()))
    results = {"y": y, "last state": last, **{f"d{name}": x for name, x in zip(given, gradients, strict=True)}}
    if backend == "triton":
        expected = {"y": given["u"].dtype, "last state": torch.float32, **{f"d{k}": x.dtype for k, x in given.items()}}
        assert {name: x.dtype for name, x in results.items()} == expected
        assert y.stride() == given["u"].stride(), "y does not lie as u does"
    if y.shape[2] < 10:
        with torch.no_grad():
            assert torch.equal(scan.selective_scan(**given, **options)[0], y), "y differs when no gradient is wanted"
    return {name: x.detach() for name, x in results.items()}


def measured(device, dtype="float32", weights=None, **case) -> dict[str, float]:
    """The largest error of every output and gradient, relative to the largest value of the reference in float64."""
    given = drawn(**case)
    light = {"A", "D", "delta_bias"} if weights else set()
    dtypes = {name: getattr(torch, weights if name in light else dtype) for name in given}
    given = {name: x.to(dtypes[name]) for name, x in given.items()}
    true = scanned("reference", given, "cpu", dict.fromkeys(given, torch.float64), **case)
    fast = scanned("triton", given, device, dtypes, **case)
    return {
        name: ((fast[name].cpu().double() - x).abs().max() / x.abs().max().clamp(min=1e-30)).item()
        for name, x in true.items()
    }


def poisoned(patch: pytest.MonkeyPatch) -> None:
    """Every tensor that is made without values starts as NaN."""

    def filled(make):
        def made(*args, **kwargs):
            x = make(*args, **kwargs)
            return x.fill_(float("nan")) if x.is_floating_point() else x

        return made

    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        patch.setattr(owner, name, filled(getattr(owner, name)))


def backend() -> ModuleType:
    pytest.importorskip("triton")
    return importlib.import_module("actalker.scan.triton_gpu")


def sized(patch: pytest.MonkeyPatch, case: dict) -> None:
    """Blocks and segments as a case wants them."""
    for name in {"BLOCK", "PROGRAMS", "SHORTEST"}.intersection(case):
        patch.setattr(backend(), name, case[name])


def run_all_cases() -> dict[str, dict[str, float] | str]:
    """The errors of every case, or what was raised instead."""
    torch.set_num_threads(1)
    results = {}
    for name, case in CASES.items():
        with pytest.MonkeyPatch.context() as patch:
            sized(patch, case)
            poisoned(patch)
            try:
                results[name] = measured("cpu", **case)
            except Exception:  # reported by the test of this case
                results[name] = traceback.format_exc()
    return results


def python(*arguments: str, **variables: str) -> str:
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    done = subprocess.run([sys.executable, *arguments], env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(errors: dict[str, float], dtype: str) -> None:
    for name, error in errors.items():
        assert error <= TOLERANCE[dtype][name.startswith("d")], f"{name} is off by {error}"


@pytest.fixture(scope="module")
def interpreted() -> dict[str, dict[str, float] | str]:
    pytest.importorskip("triton")
    return json.loads(python(__file__, TRITON_INTERPRET="1"))


@pytest.mark.parametrize("case", CASES)
def test_triton_in_its_interpreter_equals_the_reference(interpreted, case):
    assert isinstance(interpreted[case], dict), interpreted[case]
    assert len(interpreted[case]) >= 7
    check(interpreted[case], CASES[case].get("dtype", "float32"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("case", CASES)
def test_triton_on_a_gpu_equals_the_reference(monkeypatch, case):
    pytest.importorskip("triton")
    sized(monkeypatch, CASES[case])
    poisoned(monkeypatch)
    check(measured("cuda", **CASES[case]), CASES[case].get("dtype", "float32"))


def on_a_gpu(dtype=torch.float32, b=2, d=4, n=3, length=5, **more) -> Call:
    """A call whose tensors say that they are on a GPU and hold nothing."""
    with FakeTensorMode():
        tokens, matrices = (
            torch.empty(*shape, device="cuda", dtype=dtype) for shape in ((b, d, length), (b, 1, n, length))
        )
        return Call(tokens, tokens, torch.empty(d, n, device="cuda"), matrices, matrices, **more)


def test_triton_declines_in_words():
    triton_gpu = backend()
    with pytest.raises(ValueError, match="triton declines: it runs on CUDA tensors, these are on cpu"):
        scan.selective_scan(**drawn(), backend="triton")
    assert triton_gpu.refuses(on_a_gpu(torch.float64)) == "takes float32, float16 and bfloat16, got torch.float64"
    mixed = triton_gpu.refuses(on_a_gpu(D=torch.ones(4)))
    assert mixed == "takes tensors on one device, these are on cpu and cuda:0"
    if not torch.cuda.is_available():
        assert triton_gpu.refuses(on_a_gpu()) == "needs an NVIDIA GPU"
        assert scan.backends()["triton"] == "needs an NVIDIA GPU"


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        ({"b": 1, "d": 640, "length": 129_000}, True),
        ({"b": 1, "d": 640, "length": 250}, False),
        ({"b": 25, "d": 320, "length": 5184}, True),
        ({"b": 100, "d": 320, "length": 5184}, False),
        ({"b": 0, "d": 8, "length": 100}, False),
    ],
)
def test_time_is_cut_where_programs_are_few_and_tokens_many(sizes, cut):
    triton_gpu = backend()
    plan, block, segments, programs = triton_gpu._planned(on_a_gpu(**sizes))
    tokens = plan.long * triton_gpu.TILE
    assert (segments > 1) == cut
    assert (segments - 1) * tokens < sizes["length"] <= segments * tokens
    assert programs == sizes["b"] * segments * -(-sizes["d"] // block)


COMPILATION = """
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver

class Absent:
    get_current_device = get_current_stream = lambda *_: 0
    get_current_target = lambda _: GPUTarget("cuda", 90, 32)

driver.set_active(Absent())
from actalker.scan import triton_gpu, triton_kernels
from actalker.scan.call import Call

class Compiled:
    def __getattr__(self, name):
        return {(256,): lambda **given: getattr(triton_kernels, name).warmup(grid=(256,), **given)}

triton_gpu.kernels, triton_gpu.TILE, triton_gpu.SHORTEST, triton_gpu.PROGRAMS = Compiled(), 2, 1, 256
rates, weights = torch.zeros(8, 4), torch.zeros(8)
for dtype, full in ((torch.float32, False), (torch.bfloat16, True)):
    tokens, matrices = torch.zeros(1, 8, 512, dtype=dtype), torch.zeros(1, 1, 4, 512, dtype=dtype)
    options = (weights, tokens, weights, True) if full else ()
    call = Call(tokens, tokens, rates, matrices, matrices, *options, reverse=full)
    y, last, first, sums = triton_gpu._forward(call)
    triton_gpu._backward(call, y, last, first, sums)
"""


def test_triton_compiles_the_kernels_for_a_gpu_that_is_not_here(tmp_path):
    """The interpreter takes Python that the compiler does not."""
    pytest.importorskip("triton")
    python("-c", COMPILATION, TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0")


def stand_in(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False, return_last_state=False):
    """`selective_scan_fn` of mamba-ssm 2.3.2: what its kernels demand, and our definition for the values."""
    assert all(x is None or x.dtype == u.dtype for x in (delta, B, C, z))
    assert all(x is None or (x.dtype == torch.float32 and x.stride(-1) == 1) for x in (A, D, delta_bias))
    y, last = scan.selective_scan(
        u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state=True, backend="reference"
    )
    return (y, last.detach()) if return_last_state else y


@pytest.fixture
def mamba_cuda(monkeypatch) -> ModuleType:
    """The adapter, with a stand-in for the package; afterwards both are forgotten."""
    names = ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.selective_scan_interface")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    sys.modules[names[-1]].selective_scan_fn = stand_in
    monkeypatch.setitem(sys.modules, "actalker.scan.mamba_cuda", None)  # so that the end puts back what was here
    del sys.modules["actalker.scan.mamba_cuda"]
    monkeypatch.setattr(scan, "mamba_cuda", None, raising=False)
    return importlib.import_module("actalker.scan.mamba_cuda")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("without", [(), ("D", "z", "delta_bias")], ids=["all", "bare"])
def test_a_stand_in_for_mamba_ssm_gets_its_arguments_in_order(mamba_cuda, without, reverse, dtype):
    given = drawn(without=(*without, "initial_state"))
    given = {name: x.to(dtype).requires_grad_() for name, x in given.items()}
    options = {"delta_softplus": True, "return_last_state": True, "reverse": reverse}
    y, last = mamba_cuda.scan(Call(**given, **options).checked())
    true_y, true_last = scan.selective_scan(**given, **options, backend="reference")
    assert torch.allclose(y, true_y, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)
    assert torch.allclose(last, true_last, rtol=1e-5, atol=1e-5)
    assert not last.requires_grad
    pull = torch.linspace(-1, 1, y.numel()).view_as(y)
    pairs = [torch.autograd.grad((x * pull).sum(), list(given.values())) for x in (y, true_y)]
    for name, ours, true in zip(given, *pairs, strict=True):
        assert torch.allclose(ours, true, rtol=1e-2 if dtype == torch.bfloat16 else 1e-4, atol=1e-4), name


def test_mamba_ssm_declines_in_words(mamba_cuda):
    plain = on_a_gpu()
    wanted = {"return_last_state": True}
    with FakeTensorMode():
        halves = torch.empty(2, 4, 5, device="cuda", dtype=torch.float16)
        state = torch.empty(2, 4, 3, device="cuda")
    assert mamba_cuda.refuses(plain) is None
    assert mamba_cuda.refuses(on_a_gpu(torch.float64)) == "takes float32, float16 and bfloat16, got torch.float64"
    assert mamba_cuda.refuses(on_a_gpu(n=257)) == "takes up to 256 states, got 257"
    assert mamba_cuda.refuses(on_a_gpu(initial_state=state)) == "starts from a zero state only"
    mixed = mamba_cuda.refuses(on_a_gpu(z=halves))
    assert mixed == "takes u, delta, B, C and z in one dtype, got torch.float16 and torch.float32"
    assert mamba_cuda.refuses(on_a_gpu(**wanted)) is None
    trained = on_a_gpu(**wanted)
    trained.u.requires_grad_()
    assert mamba_cuda.refuses(trained) == "gives the last state no gradient"
    here = Call(**drawn(without=("initial_state",))).checked()
    assert mamba_cuda.refuses(here) == "runs on tensors of one CUDA device, these are on cpu"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run_all_cases()))
