"""The selective scan on an NVIDIA GPU, forward and backward: plans, launches and what autograd needs around them."""

from functools import cache, partial

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from actalker.scan import triton_kernels as kernels
from actalker.scan.call import Call
from actalker.scan.triton_kernels import INTERPRETED, Groups, Plan, Tokens, Weights

BLOCK = 32  # channels a program: a lane of one warp each
TILE = 8  # tokens; the backward holds ten numbers for each of them in registers
PROGRAMS = 1024  # two for each scheduler of a large GPU; where there are far fewer, time is cut into segments
SHORTEST = 32  # tiles; a segment is a multiple of them, long enough to repay its second pass
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


@cache
def unready() -> str | None:
    """Why nothing runs here, in words, or None. Triton's interpreter, if it was on at the import, needs no GPU."""
    if INTERPRETED:
        return None
    if not torch.cuda.is_available() or torch.version.cuda is None:
        return "needs an NVIDIA GPU"
    if torch.cuda.get_device_capability() < (8, 0):
        return f"needs an NVIDIA GPU of compute capability 8.0 or later, not a {torch.cuda.get_device_name()}"
    return None


def refuses(call: Call) -> str | None:
    """Why this backend declines the call, in words, or None."""
    devices = sorted({str(x.device) for x in call.tensors.values()})
    if len(devices) > 1:
        return f"takes tensors on one device, these are on {' and '.join(devices)}"
    if call.u.device.type != ("cpu" if INTERPRETED else "cuda"):
        return f"runs on CUDA tensors, these are on {devices[0]}"
    for x in call.tensors.values():
        if x.dtype not in DTYPES:
            return f"takes float32, float16 and bfloat16, got {x.dtype}"
    return unready()


def scan(call: Call) -> tuple[Tensor, Tensor]:
    """y (b, d, l) in u's dtype, last state (b, d, n) in float32."""
    with torch.cuda.device_of(call.u):
        if call.differentiated:
            return _Scan.apply(call, *call.tensors.values())
        return _forward(call)[:2]


class _Scan(torch.autograd.Function):
    """The tensors of a call -> y, last state."""

    @staticmethod
    def forward(ctx, call: Call, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        y, last, first, sums = _forward(call)
        ctx.settings = {"delta_softplus": call.delta_softplus, "reverse": call.reverse}
        ctx.names = list(call.tensors)
        ctx.save_for_backward(first, sums, *tensors)
        return y, last

    @staticmethod
    @once_differentiable
    def backward(ctx, dy: Tensor, dlast: Tensor) -> tuple[Tensor | None, ...]:
        first, sums, *tensors = ctx.saved_tensors
        call = Call(**dict(zip(ctx.names, tensors, strict=True)), **ctx.settings)
        with torch.cuda.device_of(call.u):
            gradients = _backward(call, dy, dlast, first, sums)
        return None, *(gradients[name].to(x.dtype) for name, x in zip(ctx.names, tensors, strict=True))


def _planned(call: Call) -> tuple[Plan, int, int, int]:
    """Sizes for the kernels, channels a program, segments and programs. Only shapes decide, so results repeat."""
    (b, d, length), groups = call.u.shape, call.B.shape[1]
    share, tiles = d // groups, triton.cdiv(length, TILE)
    block = min(BLOCK, triton.next_power_of_2(max(share, 1)))
    programs = b * groups * triton.cdiv(share, block)
    segments = PROGRAMS // max(programs, 1)
    if segments < 3:  # two passes over halves of the time would gain nothing
        segments = 1
    long = triton.cdiv(triton.cdiv(tiles, segments), SHORTEST) * SHORTEST or SHORTEST
    segments = triton.cdiv(tiles, long)
    return Plan(length, call.A.shape[1], d, share, long), block, segments, programs * segments


def _tokens(x: Tensor | None) -> Tokens | None:
    return None if x is None else Tokens(x, *x.stride())


def _arguments(call: Call, plan: Plan, block: int) -> dict:
    """What the kernels read and how they are compiled; tensors go in as they lie in memory, with their strides."""
    return {
        "u": _tokens(call.u),
        "delta": _tokens(call.delta),
        "A": Weights(call.A, *call.A.stride()),
        "B": Groups(call.B, *call.B.stride()),
        "C": Groups(call.C, *call.C.stride()),
        "D": None if call.D is None else call.D.contiguous(),
        "z": _tokens(call.z),
        "bias": None if call.delta_bias is None else call.delta_bias.contiguous(),
        "plan": plan,
        "SOFTPLUS": call.delta_softplus,
        "REVERSE": call.reverse,
        "TILE": TILE,
        "BLOCK": block,
        "num_warps": 1,
    }


def _carried(start: Tensor, gained: Tensor, sums: Tensor | None, A: Tensor) -> Tensor:
    """(b, s, n, d) from (b, n, d): what is at each segment, namely what is left of the one before and what it gained.

    What a segment leaves is the exponential of A times the sum of its steps (b, s, d).
    """
    at = [start.float()]
    for k in range(gained.shape[1] - 1):
        at.append(torch.exp(sums[:, k, None] * A.T.float()) * at[-1] + gained[:, k])
    return torch.stack(at, dim=1)


def _start(call: Call) -> Tensor:
    """(b, n, d) of its own: the given state, or zero."""
    (d, n), given = call.A.shape, call.initial_state
    start = call.u.new_zeros(len(call.u), n, d, dtype=torch.float32)
    return start if given is None else start.copy_(given.transpose(1, 2))


def _forward(call: Call) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """y, last state and, where time is cut, the first state (b, s, n, d) and the sum of steps (b, s, d) of segments."""
    plan, block, segments, programs = _planned(call)
    run = partial(kernels.forward[(programs,)], **_arguments(call, plan, block), saved=None)
    y, states, first, sums = torch.empty_like(call.u), _start(call)[:, None], None, None
    if segments > 1:
        ends = torch.zeros_like(states).repeat(1, segments, 1, 1)
        sums = ends.new_empty(len(ends), segments, plan.channels)
        run(y=None, states=ends, sums=sums)
        first = _carried(states[:, 0], ends, sums, call.A)
        states = first.clone()
    run(y=_tokens(y), states=states, sums=None)
    return y, states[:, -1].transpose(1, 2), first, sums


def _backward(
    call: Call, dy: Tensor, dlast: Tensor, first: Tensor | None, sums: Tensor | None
) -> dict[str, Tensor | None]:
    """The gradient of every tensor a call may have, by name.

    The states before tiles are computed again, so that nothing of their size is held between forward and backward.
    """
    (b, d, length), (groups, n) = call.u.shape, call.B.shape[1:3]
    plan, block, segments, programs = _planned(call)
    read = _arguments(call, plan, block)
    states = _start(call)[:, None] if first is None else first.clone()
    saved = states.new_empty(b, triton.cdiv(length, TILE), n, d)
    kernels.forward[(programs,)](**read, y=None, states=states, saved=saved, sums=None)
    into = dlast.transpose(1, 2).unsqueeze(1).clone(memory_format=torch.contiguous_format)
    if segments > 1:
        fronts, less = torch.zeros_like(states), {name: x for name, x in read.items() if name not in ("u", "B", "D")}
        kernels.handed_back[(programs,)](**less, dy=_tokens(dy), fronts=fronts)
        into = _carried(into[:, 0], fronts.flip(1), sums.flip(1), call.A).flip(1)
    du, ddelta = torch.empty_like(call.u), torch.empty_like(call.delta)
    dz = None if call.z is None else torch.empty_like(call.z)
    dA, dD, dbias = torch.zeros_like(into), *(into.new_empty(b, segments, d) for _ in range(2))
    dB, dC = (into.new_empty(b, groups, triton.cdiv(plan.share, block), n, length) for _ in range(2))
    tokens = {name: _tokens(x) for name, x in (("dy", dy), ("du", du), ("ddelta", ddelta), ("dz", dz))}
    kernels.backward[(programs,)](**read, **tokens, saved=saved, into=into, dA=dA, dB=dB, dC=dC, dD=dD, dbias=dbias)
    return {
        "u": du,
        "delta": ddelta,
        "A": dA.sum((0, 1)).T,
        "B": dB.sum(2),
        "C": dC.sum(2),
        "D": dD.sum((0, 1)),
        "z": dz,
        "delta_bias": dbias.sum((0, 1)),
        "initial_state": into[:, 0].transpose(1, 2),
    }
