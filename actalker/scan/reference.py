"""The selective scan, as a loop over time: the definition that every other backend must equal, gradients included.

Per channel, with state size n (Mamba-1, arXiv 2312.00752, algorithm 2):

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t        y_t = C_t . h_t
"""

import torch
from torch import Tensor


def refuses(_u: Tensor, _initial_state: Tensor | None) -> str | None:
    """Never: the definition takes every shape, dtype and device."""
    return None


def scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """u, delta (b, d, l), A (d, n), B, C (b, g, n, l), state (b, d, n) or None -> y (b, d, l), last state (b, d, n)."""
    b, d, length = u.shape
    share = d // B.shape[1]  # channels that read the same B and C
    B, C = (x.repeat_interleave(share, dim=1) for x in (B, C))  # (b, d, n, l)
    h = u.new_zeros(b, d, A.shape[1]) if state is None else state
    ys = []
    for t in range(length):
        step = delta[:, :, t, None]  # (b, d, 1)
        h = torch.exp(step * A) * h + step * B[..., t] * u[:, :, t, None]
        ys.append((h * C[..., t]).sum(-1))
    return (torch.stack(ys, dim=-1) if ys else torch.zeros_like(u)), h
