"""The selective scan: one signature, one definition (`reference`), and faster backends that must equal it.

A backend is a module with `refuses(call) -> str | None`, which says in words why it declines a call, and
`scan(call) -> (y, last state)`. `auto` takes the first that does not decline, or the one that $ACTALKER_SCAN names; a
backend asked for by name never falls through.
"""

import importlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import ModuleType

from torch import Tensor

from actalker.errors import InputError
from actalker.scan.call import Call

BACKENDS = {  # name: module, fastest first; the last two take every call
    "triton": "triton_gpu",
    "mamba_ssm": "mamba_cuda",
    "numba": "numba_cpu",
    "chunked": "chunked",
    "reference": "reference",
}
log = logging.getLogger(__name__)
_used: ContextVar[set[str] | None] = ContextVar("used", default=None)


@cache
def _module(name: str) -> ModuleType:
    return importlib.import_module(f"actalker.scan.{BACKENDS[name]}")


def backends() -> dict[str, str]:
    """Every backend and "ready", or why it is not."""
    report = {}
    for name in BACKENDS:
        try:
            report[name] = getattr(_module(name), "unready", lambda: None)() or "ready"
        except ImportError as error:
            report[name] = f"not installed: {error}"
    return report


@contextmanager
def recorded() -> Iterator[set[str]]:
    """Collects the names of the backends that are used inside the `with`, for the recipe of a result."""
    names: set[str] = set()
    token = _used.set(names)
    try:
        yield names
    finally:
        _used.reset(token)


@cache
def _announce(name: str) -> None:
    log.info("selective scan: %s", name)


@cache
def _missing(name: str) -> str | None:
    """Why the backend cannot be imported. A failed import takes milliseconds, and a denoiser asks for every scan."""
    try:
        _module(name)
    except ImportError as error:
        return f"is not installed ({error})"
    return None


def _refusal(name: str, call: Call) -> str | None:
    return _missing(name) or _module(name).refuses(call)


def _choose(call: Call, backend: str) -> str:
    if backend == "auto" and (wanted := os.environ.get("ACTALKER_SCAN") or "auto") != "auto":
        try:
            return _choose(call, wanted)
        except ValueError as refusal:
            raise InputError(f"ACTALKER_SCAN is {wanted!r}. {refusal}") from None
    if backend == "auto":
        return next(name for name in BACKENDS if _refusal(name, call) is None)
    if backend not in BACKENDS:
        raise ValueError(f"There is no scan backend {backend!r}; choose one of: auto, {', '.join(BACKENDS)}.")
    reason = _refusal(backend, call)
    if reason is not None:
        raise ValueError(f"The scan backend {backend} declines: it {reason}.")
    return backend


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

    u, delta, z: (b, d, l). A: (d, n), negative. B, C: (b, g, n, l), whose groups d / g channels share; (b, n, l), one
    group; or (d, n), constant. D, delta_bias: (d,). initial_state: (b, d, n), zero if absent. `reverse` scans from the
    last token to the first; its last state then follows the first token. The last state of one part of a sequence is
    the initial state of the next. y has u's dtype; the state is float32, or float64 for float64. Tensors whose channels
    lie together in memory (`x.transpose(1, 2)` of (b, l, d)) are read without a copy.

    Raises ValueError where shapes do not fit, and when the backend asked for by name declines, with its reason; and
    InputError when the one that $ACTALKER_SCAN names does.
    """
    call = Call(
        u, delta, A, B, C, D, z, delta_bias, delta_softplus, return_last_state, initial_state, reverse
    ).checked()
    name = _choose(call, backend)
    _announce(name)
    if (names := _used.get()) is not None:
        names.add(name)
    y, last = _module(name).scan(call)
    return (y, last) if return_last_state else y
