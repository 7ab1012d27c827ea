"""The selective scan on a CPU: plain loops that LLVM vectorises over contiguous channels, forward and backward.

Arrays are channel-last inside: u, dt, y (b, l, d); A (n, d); B, C (b, l, n). A task is one clip and one block of
channels, so tasks share nothing but the partial sums of dB and dC, which have a slot for each block. Threads come from
a pool rather than numba's own: its OpenMP layer kills forked children and its work queue aborts on concurrent callers.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numba import njit
from torch import Tensor

BLOCK = 32  # channels a task; two AVX-512 registers, four of AVX2
SERIAL = 1_000_000  # elements below which starting threads costs more than it saves
LOG2E = np.float32(1.4426950408889634)
# Minimax polynomial of 2**x on [0, 1), relative error 8e-8; written out, it becomes five fused multiply-adds a vector.
P0, P1, P2, P3, P4, P5 = (
    np.float32(c) for c in (0.9999999251, 0.6931530730, 0.2401536184, 0.05582631399, 0.008989344933, 0.001877574674)
)


def refuses(u: Tensor, initial_state: Tensor | None) -> str | None:
    """Why this backend declines the call, in words, or None."""
    if u.device.type != "cpu":
        return f"runs on the CPU, the tensors are on {u.device}"
    if u.dtype != torch.float32:
        return f"takes float32, got {u.dtype}"
    if initial_state is not None:
        return "starts from a zero state only"
    return None


@njit(inline="always", fastmath=True)
def _exp2(x):  # x <= 0
    x = max(x, np.float32(-126.0))
    whole = np.floor(x)
    f = x - whole
    p = ((((P5 * f + P4) * f + P3) * f + P2) * f + P1) * f + P0
    bits = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23))
    return p * bits.view(np.float32)


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _forward(u, dt, A2, B, C, y, last, first, stop):
    """Channels first..stop of one clip: u, dt, y (l, d), A2 = A log2(e) (n, d), B, C (l, n), last (n, d)."""
    length, states = B.shape
    size = stop - first
    h = np.zeros((states, BLOCK), np.float32)
    out = np.empty(BLOCK, np.float32)
    for t in range(length):
        out[:] = 0
        for n in range(states):
            b, c = B[t, n], C[t, n]
            for i in range(size):
                step = dt[t, first + i]
                h[n, i] = _exp2(step * A2[n, first + i]) * h[n, i] + step * u[t, first + i] * b
                out[i] += h[n, i] * c
        for i in range(size):
            y[t, first + i] = out[i]
    for n in range(states):
        for i in range(size):
            last[n, first + i] = h[n, i]


@njit(nogil=True, cache=True, fastmath=True, error_model="numpy")
def _backward(u, dt, A2, B, C, dy, du, ddt, dA, dB, dC, first, stop):
    """Gradients of channels first..stop of one clip; dB, dC (l, n) are this block's share. States are computed again.

    With g_t = C_t dy_t + a_{t+1} g_{t+1} and a_t = exp(dt_t A):
        du_t = sum_n g B dt      ddt_t = sum_n g (B u + A a h_{t-1})      dA = sum_t g dt a h_{t-1}
        dB_t = sum_d g dt u      dC_t = sum_d dy h_t
    """
    length, states = B.shape
    size = stop - first
    h = np.zeros((length + 1, states, BLOCK), np.float32)  # h[t + 1] follows token t
    a = np.empty((length, states, BLOCK), np.float32)
    for t in range(length):
        for n in range(states):
            b = B[t, n]
            for i in range(size):
                step = dt[t, first + i]
                a[t, n, i] = _exp2(step * A2[n, first + i])
                h[t + 1, n, i] = a[t, n, i] * h[t, n, i] + step * u[t, first + i] * b
    g = np.zeros((states, BLOCK), np.float32)
    gu = np.empty(BLOCK, np.float32)
    gdt = np.empty(BLOCK, np.float32)
    for t in range(length - 1, -1, -1):
        gu[:] = 0
        gdt[:] = 0
        for n in range(states):
            b, c = B[t, n], C[t, n]
            sum_b = np.float32(0)
            sum_c = np.float32(0)
            for i in range(size):
                x, step, up = u[t, first + i], dt[t, first + i], dy[t, first + i]
                g[n, i] += c * up
                flow = g[n, i] * a[t, n, i] * h[t, n, i]
                gu[i] += g[n, i] * b * step
                gdt[i] += g[n, i] * b * x + flow * A2[n, first + i] / LOG2E
                dA[n, first + i] += flow * step
                sum_b += g[n, i] * step * x
                sum_c += up * h[t + 1, n, i]
                g[n, i] *= a[t, n, i]
            dB[t, n] = sum_b
            dC[t, n] = sum_c
        for i in range(size):
            du[t, first + i] = gu[i]
            ddt[t, first + i] = gdt[i]


@lru_cache(maxsize=1)
def _pool(_pid: int) -> ThreadPoolExecutor:  # one for each process, so that a forked child makes its own
    return ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="scan")


def _blocks(u: Tensor, B: Tensor) -> list[tuple[int, int, int, int, int]]:
    """(clip, group, block, first channel, stop): what one task covers. A block lies within one group."""
    share = u.shape[2] // B.shape[1]
    spans = [
        (group, group * share + start, group * share + min(start + BLOCK, share))
        for group in range(B.shape[1])
        for start in range(0, share, BLOCK)
    ]
    return [(i, group, k, first, stop) for i in range(len(u)) for k, (group, first, stop) in enumerate(spans)]


def _run(task, blocks: list, elements: int) -> None:
    if elements < SERIAL or len(blocks) == 1 or torch.get_num_threads() == 1:
        for block in blocks:
            task(*block)
    else:
        list(_pool(os.getpid()).map(lambda block: task(*block), blocks))


class _Scan(torch.autograd.Function):
    """u, dt (b, l, d), A (n, d), B, C (b, g, l, n) -> y (b, l, d), last state (b, n, d)."""

    @staticmethod
    def forward(ctx, u, dt, A, B, C):
        ctx.save_for_backward(u, dt, A, B, C)
        y, last = torch.empty_like(u), u.new_empty(len(u), *A.shape)
        arrays = [x.detach().numpy() for x in (u, dt, A * float(LOG2E), B, C, y, last)]

        def task(i, group, _, first, stop):
            u, dt, A2, B, C, y, last = arrays
            _forward(u[i], dt[i], A2, B[i, group], C[i, group], y[i], last[i], first, stop)

        _run(task, _blocks(u, B), u.numel() * len(A))
        ctx.mark_non_differentiable(last)
        return y, last

    @staticmethod
    def backward(ctx, dy, _):
        u, dt, A, B, C = ctx.saved_tensors
        blocks = _blocks(u, B)
        per_clip = len(blocks) // len(u)
        du, ddt = torch.empty_like(u), torch.empty_like(u)
        dA = u.new_zeros(len(u), *A.shape)
        dB, dC = (u.new_zeros(len(u), per_clip, *B.shape[2:]) for _ in range(2))  # a slot for each block
        arrays = [x.detach().numpy() for x in (u, dt, A * float(LOG2E), B, C, dy.contiguous(), du, ddt, dA, dB, dC)]

        def task(i, group, k, first, stop):
            u, dt, A2, B, C, dy, du, ddt, dA, dB, dC = arrays
            shares = dB[i, k], dC[i, k]
            _backward(u[i], dt[i], A2, B[i, group], C[i, group], dy[i], du[i], ddt[i], dA[i], *shares, first, stop)

        _run(task, blocks, u.numel() * len(A))
        dB, dC = (x.unflatten(1, (B.shape[1], -1)).sum(2) for x in (dB, dC))
        return du, ddt, dA.sum(0), dB, dC


def scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, _state: Tensor | None) -> tuple[Tensor, Tensor]:
    """u, delta (b, d, l), A (d, n), B, C (b, g, n, l) -> y (b, d, l), last state (b, d, n) without gradient."""
    by_token = [x.transpose(-1, -2).contiguous() for x in (u, delta, B, C)]
    y, last = _Scan.apply(*by_token[:2], A.T.contiguous(), *by_token[2:])
    return y.transpose(1, 2), last.transpose(1, 2)
