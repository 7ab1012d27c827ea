"""The selective scan as a loop over time: the definition that every other backend must equal, gradients included.

Per channel, with state size n (Mamba-1, arXiv 2312.00752, algorithm 2):

    step_t = softplus(delta_t + delta_bias)
    h_t = exp(step_t A) h_{t-1} + step_t B_t u_t
    y_t = (C_t . h_t + D u_t) silu(z_t)
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from actalker.scan.call import Call


def refuses(_call: Call) -> str | None:
    """Never: the definition takes every shape, dtype and device."""
    return None


def scan(call: Call) -> tuple[Tensor, Tensor]:
    """y (b, d, l) in u's dtype, last state (b, d, n)."""
    wide = call.to(call.state_dtype)
    u, step, length = wide.u, step_sizes(wide), wide.u.shape[2]
    share = u.shape[1] // wide.B.shape[1]
    B, C = (x.repeat_interleave(share, dim=1) for x in (wide.B, wide.C))  # (b, d, n, l)
    h = first_state(wide)
    y = list(u.unbind(-1))  # each is replaced by its result
    for t in reversed(range(length)) if call.reverse else range(length):
        s = step[..., t, None]  # (b, d, 1)
        h = torch.exp(s * wide.A) * h + s * B[..., t] * u[..., t, None]
        y[t] = (h * C[..., t]).sum(-1)
    y = torch.stack(y, dim=-1) if y else torch.zeros_like(u)
    return finished(wide, y).to(call.u.dtype), h


def step_sizes(call: Call) -> Tensor:
    """delta (b, d, l) with its bias, made positive."""
    step = call.delta if call.delta_bias is None else call.delta + call.delta_bias[:, None]
    return F.softplus(step) if call.delta_softplus else step


def first_state(call: Call) -> Tensor:
    """(b, d, n): the given state, or zero."""
    (b, d, _), n = call.u.shape, call.A.shape[1]
    return call.u.new_zeros(b, d, n) if call.initial_state is None else call.initial_state


def finished(call: Call, y: Tensor) -> Tensor:
    """y (b, d, l) with the skip connection D and the gate z."""
    y = y if call.D is None else y + call.D[:, None] * call.u
    return y if call.z is None else y * F.silu(call.z)
