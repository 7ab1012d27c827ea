"""Arguments for the selective scan, and what every backend is compared by."""

import torch
from torch import Tensor

from actalker import scan


def arguments(b: int, d: int, n: int, length: int, groups: int = 1, without: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """float64 tensors for every argument but those in `without`, the same for the same sizes."""
    generator = torch.Generator().manual_seed(1000 * length + d)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    given = {
        "u": draw(b, d, length),
        "delta": draw(b, d, length),
        "A": -4 * draw(d, n).abs() - 0.05,
        "B": draw(b, groups, n, length),
        "C": draw(b, groups, n, length),
        "D": draw(d),
        "z": draw(b, d, length),
        "delta_bias": draw(d),
        "initial_state": draw(b, d, n),
    }
    if "softplus" in without:  # steps must be positive by themselves
        given["delta"], given["delta_bias"] = given["delta"].abs(), given["delta_bias"].abs()
    return {name: x for name, x in given.items() if name not in without}


def outcome(given: dict[str, Tensor], backend: str, dtype: torch.dtype, **options: bool) -> dict[str, Tensor]:
    """y, the last state and the gradient of every argument, for fixed pulls on y and on the last state.

    Tokens (u, delta, z, B, C) come in `dtype`, all else in float32 at least.
    """
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    leaves = {
        name: x.to(dtype if name in ("u", "delta", "z", "B", "C") else wide).requires_grad_()
        for name, x in given.items()
    }
    y, last = scan.selective_scan(**leaves, return_last_state=True, backend=backend, **options)
    pulls = [torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view_as(x).to(x.dtype) for x in (y, last)]
    gradients = torch.autograd.grad([y, last], list(leaves.values()), pulls)
    return {"y": y, "last": last} | {f"d{name}": g for name, g in zip(leaves, gradients, strict=True)}


def relative(a: Tensor, b: Tensor) -> float:
    """Largest difference over the largest value of b."""
    return ((a.double() - b.double()).abs().max() / b.double().abs().max().clamp(min=1e-9)).item()


def assert_agree(got: dict[str, Tensor], true: dict[str, Tensor], outputs: float, gradients: float) -> None:
    for name, x in true.items():
        limit = outputs if name in ("y", "last") else gradients
        assert relative(got[name], x) <= limit, f"{name} differs by {relative(got[name], x):.1e}"
