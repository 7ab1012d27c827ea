"""One call of the selective scan, checked: what every backend is given."""

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

HALVES = (torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Call:
    """u, delta, z (b, d, l); A (d, n); B, C (b, g, n, l), read by d / g channels each; D, delta_bias (d,).

    The state is (b, d, n), held in `state_dtype` whatever the tokens come in. What is absent is None.
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor | None = None
    z: Tensor | None = None
    delta_bias: Tensor | None = None
    delta_softplus: bool = False
    return_last_state: bool = False
    initial_state: Tensor | None = None
    reverse: bool = False

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What was given, by name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    @property
    def state_dtype(self) -> torch.dtype:
        """float64 for float64 tokens, else float32."""
        return torch.float64 if self.u.dtype == torch.float64 else torch.float32

    @property
    def differentiated(self) -> bool:
        """Whether autograd will want to come back through this call."""
        return torch.is_grad_enabled() and any(x.requires_grad for x in self.tensors.values())

    def to(self, dtype: torch.dtype) -> "Call":
        """The same call with every tensor in one dtype."""
        return dataclasses.replace(self, **{name: x.to(dtype) for name, x in self.tensors.items()})

    def checked(self) -> "Call":
        """The call with B and C brought to (b, g, n, l). Raises ValueError in one sentence where shapes do not fit."""
        if self.u.dim() != 3 or self.A.dim() != 2:
            raise ValueError(f"u is {shape(self.u)} and A {shape(self.A)}; give u (b, d, l) and A (d, n).")
        (b, d, length), n = self.u.shape, self.A.shape[1]
        call = dataclasses.replace(self, B=_grouped(self.B, b, length), C=_grouped(self.C, b, length))
        groups = call.B.shape[1]
        if not groups or d % groups:
            raise ValueError(f"{d} channels cannot share {groups} groups of B; give a number that divides {d}.")
        wanted = {
            **dict.fromkeys(("delta", "z"), (b, d, length)),
            **dict.fromkeys(("B", "C"), (b, groups, n, length)),
            **dict.fromkeys(("D", "delta_bias"), (d,)),
            "A": (d, n),
            "initial_state": (b, d, n),
        }
        for name, x in call.tensors.items():
            if name != "u" and tuple(x.shape) != wanted[name]:
                raise ValueError(
                    f"{name} is {shape(x)}; beside u {shape(self.u)} and A {shape(self.A)} it must be {wanted[name]}."
                )
            if not x.is_floating_point():
                raise ValueError(f"{name} is {x.dtype}; the scan takes real floating-point tensors.")
        return call


def _grouped(x: Tensor, b: int, length: int) -> Tensor:
    """B or C as (b, g, n, l), from that, from (b, n, l) with one group, or from (d, n) that is the same everywhere."""
    if x.dim() == 2:
        return x[None, :, :, None].expand(b, -1, -1, length)
    return x[:, None] if x.dim() == 3 else x


def shape(x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)
