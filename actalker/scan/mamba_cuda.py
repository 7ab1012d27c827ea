"""The selective scan by the kernels of mamba-ssm (github.com/state-spaces/mamba), version 2.3.2.

They take contiguous time, so views are copied, start from zero, run forwards and give the last state no gradient.
"""

import torch
from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
from torch import Tensor

from actalker.scan.call import Call

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
STATES = 256  # the most their kernels take


def unready() -> str | None:
    """Why nothing runs here, in words, or None."""
    return None if torch.cuda.is_available() else "needs an NVIDIA GPU"


def refuses(call: Call) -> str | None:
    """Why this backend declines the call, in words, or None."""
    tokens = [x for name, x in call.tensors.items() if name in ("u", "delta", "B", "C", "z")]
    dtypes = {x.dtype for x in tokens}
    devices = {str(x.device) for x in call.tensors.values()}
    if len(devices) > 1 or call.u.device.type != "cuda":
        return f"runs on tensors of one CUDA device, these are on {' and '.join(sorted(devices))}"
    if len(dtypes) > 1:
        return f"takes u, delta, B, C and z in one dtype, got {' and '.join(sorted(map(str, dtypes)))}"
    if call.u.dtype not in DTYPES:
        return f"takes float32, float16 and bfloat16, got {call.u.dtype}"
    if call.A.shape[1] > STATES:
        return f"takes up to {STATES} states, got {call.A.shape[1]}"
    if call.initial_state is not None:
        return "starts from a zero state only"
    if call.return_last_state and call.differentiated:
        return "gives the last state no gradient"
    return None


def scan(call: Call) -> tuple[Tensor, Tensor]:
    """y (b, d, l) in u's dtype, last state (b, d, n) in float32, without gradient."""
    u, delta, B, C, z = (_turned(x, call) for x in (call.u, call.delta, call.B, call.C, call.z))
    A, D, bias = (x if x is None else x.float().contiguous() for x in (call.A, call.D, call.delta_bias))
    with torch.cuda.device_of(u):
        y, last = selective_scan_fn(u, delta, A, B, C, D, z, bias, call.delta_softplus, return_last_state=True)
    return _turned(y, call), last.detach()


def _turned(x: Tensor | None, call: Call) -> Tensor | None:
    """Time from last to first if the call asks for it."""
    return x.flip(-1) if call.reverse and x is not None else x
