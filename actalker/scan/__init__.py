"""The selective scan: one signature, one definition (`reference`), and faster backends that must equal it.

A backend is a module with `refuses(...) -> str | None`, which says in words why it declines a call, and `scan(...)`.
`auto` takes the first that does not decline; a backend asked for by name never falls through.
"""

import logging
from functools import cache
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor

from actalker.scan import reference

ORDER = ("numba", "reference")
log = logging.getLogger(__name__)


@cache
def _module(name: str) -> ModuleType:
    if name == "reference":
        return reference
    from actalker.scan import numba_cpu

    return numba_cpu


def backends() -> dict[str, str]:
    """Every backend and "ready", or why it is not."""
    report = {}
    for name in ORDER:
        try:
            _module(name)
            report[name] = "ready"
        except ImportError as error:
            report[name] = f"not installed: {error}"
    return report


@cache
def _announce(name: str) -> None:
    log.info("selective scan: %s", name)


def _choose(u: Tensor, initial_state: Tensor | None, backend: str) -> ModuleType:
    if backend != "auto" and backend not in ORDER:
        raise ValueError(f"There is no scan backend {backend!r}; choose one of: auto, {', '.join(ORDER)}.")
    for name in ORDER if backend == "auto" else (backend,):
        try:
            reason = _module(name).refuses(u, initial_state)
        except ImportError as error:
            reason = f"is not installed ({error})"
        if reason is None:
            _announce(name)
            return _module(name)
        if backend != "auto":
            raise ValueError(f"The scan backend {name} declines: it {reason}.")
    raise AssertionError("the reference declines nothing")


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
    return_last_state: bool = False,
    *,
    initial_state: Tensor | None = None,
    reverse: bool = False,
    backend: str = "auto",
) -> Tensor | tuple[Tensor, Tensor]:
    """Mamba-1's scan (arXiv 2312.00752): y (b, d, l), and with `return_last_state` the state after it (b, d, n).

    u, delta, z: (b, d, l). A: (d, n), negative. B, C: (b, g, n, l) or (b, n, l), where d / g channels share a group.
    D, delta_bias: (d,). `reverse` scans from the last token to the first. y = scan + D u, times silu(z).
    Raises ValueError when the backend asked for by name declines the call, with its reason.
    """
    module = _choose(u, initial_state, backend)
    B, C = (x[:, None] if x.dim() == 3 else x for x in (B, C))
    if delta_bias is not None:
        delta = delta + delta_bias[:, None]
    if delta_softplus:
        delta = F.softplus(delta)
    tokens = (x.flip(-1) if reverse else x for x in (u, delta, B, C))
    flowing, step, enter, leave = tokens
    y, last = module.scan(flowing, step, A, enter, leave, initial_state)
    if reverse:
        y = y.flip(-1)
    if D is not None:
        y = y + D[:, None] * u
    if z is not None:
        y = y * F.silu(z)
    return (y, last) if return_last_state else y
