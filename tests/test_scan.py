"""Every scan backend that is ready against the loop that defines it, and the loop against the authors' own numbers."""

import importlib.util
import logging
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scan_inputs import arguments, assert_agree, outcome, relative

from actalker import scan
from actalker.config import Control
from actalker.errors import InputError
from actalker.model.control import ScanUnit

GOLDEN = Path(__file__).parent / "golden"  # made by the released program at commit 109de52
OPTIONAL = ("D", "z", "delta_bias", "initial_state", "softplus")
LIMITS = {torch.float64: (1e-12, 1e-11), torch.float32: (5e-6, 2e-5), torch.float16: (1e-3, 2e-3)}
LIMITS[torch.bfloat16] = (5e-3, 1e-2)
PAIRS = [("numba", torch.float32), ("chunked", torch.float32), ("chunked", torch.float64)]
HALVES = [(name, dtype) for name in ("numba", "chunked") for dtype in (torch.float16, torch.bfloat16)]


@pytest.fixture(autouse=True)
def _poisoned(monkeypatch):
    """Memory that is handed out uninitialised holds NaN, so that a cell which nobody writes shows."""
    for owner, name in ((torch, "empty_like"), (torch.Tensor, "new_empty"), (torch, "empty")):
        plain = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *a, plain=plain, **k: plain(*a, **k).fill_(math.nan))


def named(pair):
    return f"{pair[0]}-{str(pair[1]).removeprefix('torch.')}" if isinstance(pair, tuple) else None


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("length", [1, 2, 7, 63, 64, 65, 257, 1200])
@pytest.mark.parametrize("pair", PAIRS, ids=named)
def test_a_backend_equals_the_reference(pair, length, reverse):
    given = arguments(2, 33, 4, length)
    true = outcome(given, "reference", torch.float64, delta_softplus=True, reverse=reverse)
    assert_agree(outcome(given, *pair, delta_softplus=True, reverse=reverse), true, *LIMITS[pair[1]])


@pytest.mark.parametrize("without", [(), *((name,) for name in OPTIONAL), OPTIONAL], ids="-".join)
@pytest.mark.parametrize(("d", "n", "groups"), [(5, 1, 5), (80, 16, 2), (129, 3, 1)])
@pytest.mark.parametrize("pair", PAIRS, ids=named)
def test_what_is_absent_is_left_out(pair, d, n, groups, without):
    given = arguments(1, d, n, 70, groups, without)
    options = {"delta_softplus": "softplus" not in without, "reverse": d == 80}
    true = outcome(given, "reference", torch.float64, **options)
    assert_agree(outcome(given, *pair, **options), true, *LIMITS[pair[1]])


@pytest.mark.parametrize("pair", HALVES, ids=named)
def test_half_precision_tokens_keep_a_float32_state(pair):
    given = arguments(2, 40, 8, 150)
    for name in ("u", "delta", "z", "B", "C"):
        given[name] = given[name].to(pair[1]).double()
    got = outcome(given, *pair, delta_softplus=True)
    assert_agree(got, outcome(given, "reference", torch.float64, delta_softplus=True), *LIMITS[pair[1]])
    assert got["y"].dtype == got["du"].dtype == pair[1]
    assert got["last"].dtype == torch.float32
    assert relative(got["last"], outcome(given, "reference", torch.float64, delta_softplus=True)["last"]) < 5e-6


def test_the_reference_has_true_gradients():
    given = arguments(1, 3, 2, 5)

    def run(*tensors):
        options = {"delta_softplus": True, "return_last_state": True, "backend": "reference"}
        return scan.selective_scan(**dict(zip(given, tensors, strict=True)), **options)

    assert torch.autograd.gradcheck(run, [x.requires_grad_() for x in given.values()])


@pytest.mark.parametrize("backend", ["reference", "numba", "chunked"])
@pytest.mark.parametrize("case", sorted({name.split("/")[0] for name in np.load(GOLDEN / "selective_scan.npz")}))
def test_the_released_scan(case, backend):
    stored = np.load(GOLDEN / "selective_scan.npz")
    values = {k.split("/")[1]: torch.from_numpy(stored[k]) for k in stored if k.startswith(f"{case}/")}
    out, last = values.pop("out"), values.pop("last_state")
    if case == "half_inputs":
        values |= {name: values[name].half() for name in ("u", "delta", "B", "C")}
    softplus = "no_softplus" not in case
    y, state = scan.selective_scan(**values, delta_softplus=softplus, return_last_state=True, backend=backend)
    assert relative(y, out) <= (1e-3 if case == "half_inputs" else 5e-6)
    assert relative(state, last) <= 5e-6


@pytest.mark.parametrize("case", ["d32_L1", "d32_L33", "d32_L97", "d20_L1", "d20_L33", "d20_L97"])
def test_the_released_unit(case):
    stored = np.load(GOLDEN / "scan_unit.npz")
    weights = {k.split("/")[1]: torch.from_numpy(stored[k]) for k in stored if k.startswith(f"{case[:3]}/")}
    width = weights["Ds"].numel() // 2
    unit = ScanUnit(Control(width=width, state=16, step_rank=2))
    unit.load_state_dict(
        {
            "project": weights["x_proj_weight"],
            "step": weights["dt_projs_weight"],
            "step_bias": weights["dt_projs_bias"],
            "A_log": weights["A_logs"].view(2, width, 16),
            "D": weights["Ds"].view(2, width),
        }
    )
    with torch.no_grad():
        out = unit(torch.from_numpy(stored[f"{case}/x"]).transpose(1, 2)).transpose(1, 2)
    assert relative(out, torch.from_numpy(stored[f"{case}/out"])) <= 1e-5


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("backend", ["numba", "chunked"])
def test_two_scans_that_pass_the_state_on_are_one(backend, reverse):
    given = {name: x.float().requires_grad_() for name, x in arguments(2, 40, 4, 90).items()}
    options = {"delta_softplus": True, "return_last_state": True, "reverse": reverse, "backend": backend}
    whole = scan.selective_scan(**given, **options)
    parts, state = [], given["initial_state"]
    for span in (slice(37, 90), slice(0, 37)) if reverse else (slice(0, 37), slice(37, 90)):
        tokens = {name: given[name][..., span] for name in ("u", "delta", "B", "C", "z")}
        y, state = scan.selective_scan(**given | tokens | {"initial_state": state}, **options)
        parts.append(y)
    joined = torch.cat(parts[::-1] if reverse else parts, dim=-1), state
    gradients = [torch.autograd.grad((y.sum(), last.sum()), list(given.values())) for y, last in (whole, joined)]
    for a, b in zip((*joined, *gradients[1]), (*whole, *gradients[0]), strict=True):
        assert relative(a, b) < 3e-6


@pytest.mark.parametrize("backend", ["numba", "chunked"])
def test_a_batch_is_its_items(backend):
    given = arguments(3, 40, 4, 50)
    shared = ("A", "D", "delta_bias")
    batch = outcome(given, backend, torch.float32, delta_softplus=True)
    for i in range(3):
        item = {name: x if name in shared else x[i : i + 1] for name, x in given.items()}
        got = scan.selective_scan(**{k: x.float() for k, x in item.items()}, delta_softplus=True, backend=backend)
        assert relative(got, batch["y"][i : i + 1]) < 1e-6


@pytest.mark.parametrize("backend", ["numba", "chunked"])
@pytest.mark.parametrize("name", ["u", "delta", "A", "B", "z", "initial_state"])
def test_what_is_not_a_number_shows_where_the_reference_shows_it(name, backend):
    given = {key: x.float() for key, x in arguments(1, 40, 4, 70).items()}
    given[name][..., 2] = math.nan
    true, got = (scan.selective_scan(**given, delta_softplus=True, backend=each) for each in ("reference", backend))
    assert true.isnan().any()
    assert torch.equal(true.isnan(), got.isnan())


@pytest.mark.parametrize("backend", ["numba", "chunked"])
def test_extreme_steps_decay_to_nothing_and_none_to_everything(backend):
    given = {name: x.float() for name, x in arguments(1, 16, 2, 40, without=OPTIONAL).items()}
    for step in (0.0, 1e-8, 300.0, 1e4):
        given["delta"] = torch.full_like(given["delta"], step)
        true, got = (scan.selective_scan(**given, backend=each) for each in ("reference", backend))
        assert relative(got, true) < 5e-6


def test_no_tokens_leave_the_state(subtests):
    given = {name: x.float() for name, x in arguments(2, 5, 3, 0).items()}
    for backend in ("reference", "numba", "chunked"):
        with subtests.test(backend):
            y, last = scan.selective_scan(**given, return_last_state=True, backend=backend)
            assert y.shape == (2, 5, 0)
            assert torch.equal(last, given["initial_state"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"u": torch.zeros(3, 5)}, r"u is \(3, 5\)"),
        ({"B": torch.zeros(2, 3, 4, 7)}, "6 channels cannot share 4 groups"),
        ({"C": torch.zeros(2, 1, 3, 8)}, r"C is \(2, 1, 3, 8\); .* it must be \(2, 1, 3, 7\)"),
        ({"D": torch.zeros(5)}, r"D is \(5,\); .* it must be \(6,\)"),
        ({"A": torch.zeros(6, 3, dtype=torch.int64)}, "A is torch.int64"),
    ],
)
def test_shapes_that_do_not_fit_are_told(changes, message):
    given = {name: x.float() for name, x in arguments(2, 6, 3, 7).items()}
    if "B" in changes:
        changes["B"] = torch.zeros(2, 4, 3, 7)
    with pytest.raises(ValueError, match=message):
        scan.selective_scan(**given | changes)


def test_a_backend_asked_for_by_name_declines_in_words(monkeypatch):
    given = arguments(1, 4, 2, 3)
    with pytest.raises(ValueError, match="numba declines: it takes float32, float16 and bfloat16, got torch.float64"):
        scan.selective_scan(**given, backend="numba")
    with pytest.raises(ValueError, match="no scan backend 'cuda9'"):
        scan.selective_scan(**given, backend="cuda9")
    monkeypatch.setenv("ACTALKER_SCAN", "numba")
    with pytest.raises(InputError, match="ACTALKER_SCAN is 'numba'. The scan backend numba declines"):
        scan.selective_scan(**given)
    monkeypatch.setenv("ACTALKER_SCAN", "")
    scan.selective_scan(**given)
    if importlib.util.find_spec("mamba_ssm") is None:
        with pytest.raises(ValueError, match="The scan backend mamba_ssm declines: it is not installed"):
            scan.selective_scan(**given, backend="mamba_ssm")


def test_the_choice_is_recorded_and_logged_once(caplog):
    scan._announce.cache_clear()
    float32 = {name: x.float() for name, x in arguments(1, 4, 2, 3).items()}
    with caplog.at_level(logging.INFO, "actalker.scan"), scan.recorded() as names:
        for _ in range(3):
            scan.selective_scan(**float32)
        scan.selective_scan(**arguments(1, 4, 2, 3))
    assert names == {"numba", "chunked"}
    assert [record.getMessage() for record in caplog.records] == ["selective scan: numba", "selective scan: chunked"]
    with scan.recorded() as later:
        pass
    assert later == set()


def test_every_backend_reports_itself():
    report = scan.backends()
    assert list(report) == ["triton", "mamba_ssm", "numba", "chunked", "reference"]
    assert [report[name] for name in ("numba", "chunked", "reference")] == ["ready"] * 3
    assert all(report[name] for name in ("triton", "mamba_ssm"))
