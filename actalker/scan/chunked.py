"""The selective scan in plain torch, for every device and dtype: the fallback where nothing faster is ready.

A window of tokens is cut into chunks that walk side by side, so that 2 x CHUNK + chunks steps take the place of one for
each token. The first walk starts every chunk at zero and finds its last state; what a chunk forgets of its first state
is exp(A sum of steps), so the first states follow from one another; the second walk starts from them and gives y.
For gradients a window keeps its inputs alone and is walked again, which bounds memory by a window's states.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from actalker.scan.call import Call
from actalker.scan.reference import finished, first_state, step_sizes

CHUNK = 32  # tokens that follow each other
WINDOW = 32 * CHUNK  # tokens whose chunks walk side by side


def refuses(_call: Call) -> str | None:
    """Never: whatever torch can add and multiply."""
    return None


def scan(call: Call) -> tuple[Tensor, Tensor]:
    """y (b, d, l) in u's dtype, last state (b, d, n); both carry gradients."""
    wide = call.to(call.state_dtype)
    step, B, C = step_sizes(wide), wide.B.transpose(2, 3), wide.C.transpose(2, 3)  # (b, d, l), (b, g, l, n)
    flow, h = step * wide.u, first_state(wide)
    starts = list(range(0, call.u.shape[2], WINDOW))
    y = [torch.zeros_like(wide.u[..., :0])] * max(1, len(starts))
    for k in reversed(range(len(starts))) if call.reverse else range(len(starts)):
        span = slice(starts[k], starts[k] + WINDOW)
        tokens = step[..., span], flow[..., span], B[:, :, span], C[:, :, span]
        if call.differentiated:
            y[k], h = checkpoint(_window, *tokens, wide.A, h, call.reverse, use_reentrant=False)
        else:
            y[k], h = _window(*tokens, wide.A, h, call.reverse)
    return finished(wide, torch.cat(y, dim=-1)).to(call.u.dtype), h


def _window(
    step: Tensor, flow: Tensor, B: Tensor, C: Tensor, A: Tensor, first: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """step, flow (b, d, l), B, C (b, g, l, n), A (d, n), first state (b, d, n) -> y (b, d, l), last state (b, d, n)."""
    length, groups = step.shape[2], B.shape[1]
    if reverse:
        step, flow, B, C = step.flip(2), flow.flip(2), B.flip(2), C.flip(2)
    step, flow = (_side_by_side(x.unflatten(1, (groups, -1)), 3) for x in (step, flow))  # (chunk, b, g, d/g, chunks)
    B, C = (_side_by_side(x, 2)[:, :, :, None] for x in (B, C))  # (chunk, b, g, 1, chunks, n)
    A = A.unflatten(0, (groups, -1))[:, :, None]  # (g, d/g, 1, n)
    h = step.new_zeros(*step.shape[1:], A.shape[-1])
    for t in range(len(step)):
        h = _advanced(h, step[t], flow[t], B[t], A)
    starts, state = [], first.unflatten(1, (groups, -1))  # (b, g, d/g, n)
    kept = torch.exp(step.sum(0)[..., None] * A)
    for k in range(step.shape[-1]):
        starts.append(state)
        state = kept[..., k, :] * state + h[..., k, :]
    h, y = torch.stack(starts, dim=-2), []
    for t in range(len(step)):
        h = _advanced(h, step[t], flow[t], B[t], A)
        y.append((h * C[t]).sum(-1))
    y = torch.stack(y, dim=-1).flatten(1, 2).flatten(2)[..., :length]  # (b, d, l)
    return y.flip(2) if reverse else y, state.flatten(1, 2)


def _side_by_side(x: Tensor, dim: int) -> Tensor:
    """(..., l, ...) -> (chunk, ..., chunks, ...): zeros fill the last chunk, and a step of zero changes no state."""
    rest = x.dim() - 1 - dim
    x = F.pad(x, (0, 0) * rest + (0, -x.shape[dim] % CHUNK))
    return x.unflatten(dim, (-1, CHUNK)).movedim(dim + 1, 0).contiguous()


def _advanced(h: Tensor, step: Tensor, flow: Tensor, B: Tensor, A: Tensor) -> Tensor:
    return torch.exp(step[..., None] * A) * h + flow[..., None] * B
