"""The selective scan on a CPU, compiled by numba: the call as arrays, tasks over threads, and autograd around both.

Threads come from a pool of our own rather than numba's: its OpenMP layer kills forked children and its work queue
aborts on concurrent callers. Tasks share nothing and their widths depend on the shapes alone, so the number of threads
(torch's) changes no bit of a result.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from actalker.scan import numba_kernels as kernels
from actalker.scan.call import HALVES, Call
from actalker.scan.numba_kernels import TILE, WIDEST, Given

NARROWEST, TASKS = 48, 4  # channels of a task at least, if there are, and how many tasks there should be to share
SERIAL = 6_000_000  # elements up to which a second thread, which must take a core from torch's, saves nothing
LOG2E = float(kernels.LOG2E)


def refuses(call: Call) -> str | None:
    """Why this backend declines the call, in words, or None."""
    if call.u.device.type != "cpu":
        return f"runs on the CPU, the tensors are on {call.u.device}"
    if call.u.dtype not in (torch.float32, *HALVES):
        return f"takes float32, float16 and bfloat16, got {call.u.dtype}"
    return None


@lru_cache(maxsize=1)
def _pool(_pid: int) -> ThreadPoolExecutor:  # one for each process, so that a forked child makes its own
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="scan")


@lru_cache(maxsize=256)
def _tasks(clips: int, channels: int, groups: int) -> np.ndarray:
    """(k, 5) uint64: clip, group, slot, first channel and number of channels of every task."""
    share = channels // groups  # is cut for the cores, into rows neither too short to read nor too long for a cache
    parts = max(min(-(-TASKS // max(clips * groups, 1)), share // NARROWEST), -(-share // WIDEST), 1)
    width = min(share, -(-share // parts // 16) * 16)
    firsts = [(group, at) for group in range(groups) for at in range(0, share, width)]
    rows = [
        (clip, group, slot, group * share + at, min(width, share - at))
        for clip in range(clips)
        for slot, (group, at) in enumerate(firsts)
    ]
    return np.array(rows, np.uint64).reshape(-1, 5)


def _run(kernel, tasks: np.ndarray, elements: int, *arguments) -> None:
    """Run a kernel over all tasks: this thread takes one share of them, threads of the pool the others."""
    shares = np.array_split(tasks, min(torch.get_num_threads(), max(1, len(tasks)))) if elements > SERIAL else [tasks]
    others = [_pool(os.getpid()).submit(kernel, share, *arguments) for share in shares[1:]]
    kernel(shares[0], *arguments)
    for other in others:
        other.result()


class _Scan(torch.autograd.Function):
    """Channel-last float32: u, delta, z (b, l, d), A (n, d), B, C (b, g, l, n) -> y (b, l, d), last state (b, n, d)."""

    @staticmethod
    def forward(ctx, u, delta, A, B, C, D, bias, z, start, softplus, reverse, keep):
        (b, length, d), n = u.shape, len(A)
        tiles = -(-length // TILE) if keep else 0
        y, last, saved = torch.empty_like(u), u.new_empty(b, n, d), u.new_empty(b, tiles, n, d)
        tasks = _tasks(b, d, B.shape[1])
        results = (x.numpy() for x in (y, last, saved))
        _run(
            kernels.forward,
            tasks,
            u.numel() * n,
            _given(u, delta, A, B, C, D, bias, z, softplus),
            start.detach().numpy(),
            reverse,
            *results,
        )
        ctx.save_for_backward(u, delta, A, B, C, D, bias, z, saved)
        ctx.softplus, ctx.reverse = softplus, reverse
        return y, last

    @staticmethod
    def backward(ctx, dy, dlast):
        *tensors, saved = ctx.saved_tensors
        u, _, A, B, _, D, bias, z = tensors
        b, d = len(u), u.shape[2]
        tasks = _tasks(b, d, B.shape[1])
        slots = len(tasks) // b
        du, ddelta, dz = torch.empty_like(u), torch.empty_like(u), torch.empty_like(z)
        dA, dstart = u.new_empty(b, *A.shape), u.new_empty(b, *A.shape)
        dB, dC = (u.new_empty(b, slots, *B.shape[2:]) for _ in range(2))
        dD, dbias = u.new_zeros(b, d), u.new_zeros(b, d)
        pulls = (x.contiguous().numpy() for x in (dy, dlast))
        results = (x.numpy() for x in (du, ddelta, dA, dB, dC, dz, dD, dbias, dstart))
        _run(
            kernels.backward,
            tasks,
            u.numel() * len(A),
            _given(*tensors, ctx.softplus),
            ctx.reverse,
            saved.numpy(),
            *pulls,
            *results,
        )
        dB, dC = (x.unflatten(1, (B.shape[1], -1)).sum(2) for x in (dB, dC))
        return du, ddelta, dA.sum(0), dB, dC, dD.sum(0), dbias.sum(0), dz, dstart, None, None, None


def _given(u, delta, A, B, C, D, bias, z, softplus: bool) -> Given:
    return Given(*(x.detach().numpy() for x in (u, delta, A * LOG2E, B, C, D, bias, z)), softplus)


def scan(call: Call) -> tuple[Tensor, Tensor]:
    """y (b, d, l) in u's dtype, last state (b, d, n) float32; both carry gradients."""
    wide = call.to(torch.float32)
    (b, d, _), n = wide.u.shape, wide.A.shape[1]
    u, delta, B, C = (x.transpose(-1, -2).contiguous() for x in (wide.u, wide.delta, wide.B, wide.C))
    nothing = u.new_zeros(d)
    D, bias = (nothing if x is None else x.contiguous() for x in (wide.D, wide.delta_bias))
    z = u.new_empty(0, 0, 0) if wide.z is None else wide.z.transpose(1, 2).contiguous()
    start = u.new_zeros(b, n, d) if wide.initial_state is None else wide.initial_state.transpose(1, 2).contiguous()
    y, last = _Scan.apply(
        u, delta, wide.A.T.contiguous(), B, C, D, bias, z, start, wide.delta_softplus, wide.reverse, call.differentiated
    )
    return y.transpose(1, 2).to(call.u.dtype), last.transpose(1, 2)
