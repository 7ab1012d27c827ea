"""Every scan backend against the loop that defines it: outputs and gradients, awkward sizes included."""

import pytest
import torch

from actalker import scan

TOLERANCE = {"outputs": 5e-6, "gradients": 2e-5}


def inputs(b, d, n, length, groups, dtype=torch.float32):
    generator = torch.Generator().manual_seed(length)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    return {
        "u": draw(b, d, length),
        "delta": draw(b, d, length),
        "A": -draw(d, n).abs() - 0.1,
        "B": draw(b, groups, n, length),
        "C": draw(b, groups, n, length),
        "D": draw(d),
        "delta_bias": draw(d),
    }


def relative(a, b):
    return ((a - b).abs().max() / b.abs().max().clamp(min=1e-6)).item()


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("length", [1, 2, 63, 64, 65, 300])
@pytest.mark.parametrize(("d", "groups"), [(33, 1), (80, 2), (5, 5)])
def test_numba_equals_the_reference(d, groups, length, reverse):
    given = {name: x.requires_grad_() for name, x in inputs(2, d, 4, length, groups).items()}
    results = {}
    for backend in ("reference", "numba"):
        y = scan.selective_scan(**given, delta_softplus=True, reverse=reverse, backend=backend)
        pull = torch.linspace(-1, 1, y.numel()).view_as(y)
        results[backend] = y, torch.autograd.grad((y * pull).sum(), list(given.values()))
    assert relative(results["numba"][0], results["reference"][0]) < TOLERANCE["outputs"]
    for name, fast, true in zip(given, results["numba"][1], results["reference"][1], strict=True):
        assert relative(fast, true) < TOLERANCE["gradients"], name


def test_the_last_state_continues_a_sequence():
    given = inputs(2, 8, 4, 30, 1)
    whole = scan.selective_scan(**given, delta_softplus=True, backend="reference")
    cut = {name: (x[..., :11], x[..., 11:]) if x.shape[-1] == 30 else (x, x) for name, x in given.items()}
    head, tail = ({name: pair[i] for name, pair in cut.items()} for i in (0, 1))
    first, state = scan.selective_scan(**head, delta_softplus=True, return_last_state=True, backend="numba")
    second = scan.selective_scan(**tail, delta_softplus=True, initial_state=state)
    assert torch.allclose(torch.cat([first, second], dim=-1), whole, atol=1e-5)


def test_the_reference_has_true_gradients():
    given = inputs(1, 3, 2, 5, 1, torch.float64)
    names = list(given)
    values = [x.requires_grad_() for x in given.values()]

    def run(*tensors):
        return scan.selective_scan(**dict(zip(names, tensors, strict=True)), delta_softplus=True, backend="reference")

    assert torch.autograd.gradcheck(run, values)


def test_a_backend_asked_for_by_name_declines_in_words():
    given = inputs(1, 4, 2, 3, 1, torch.float64)
    with pytest.raises(ValueError, match="numba declines: it takes float32, got torch.float64"):
        scan.selective_scan(**given, backend="numba")
    with pytest.raises(ValueError, match="no scan backend 'cuda9'"):
        scan.selective_scan(**given, backend="cuda9")


def test_every_backend_reports_itself():
    assert scan.backends() == {"numba": "ready", "reference": "ready"}


def test_z_gates_the_output():
    given = inputs(1, 4, 2, 6, 1)
    z = torch.randn(1, 4, 6)
    plain = scan.selective_scan(**given)
    assert torch.allclose(scan.selective_scan(**given, z=z), plain * torch.nn.functional.silu(z))
