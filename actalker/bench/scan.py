"""`actalker bench scan`: the selective scan as a control layer uses it, against other ways to compute the same.

A candidate computes both directions of a layer and adds them: two scans with softplus, bias and D, and 16 states for a
channel. numba is the yardstick of every ratio.
"""

import platform
import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from actalker import scan
from actalker.bench.machine import copy_throughput, exponential_throughput
from actalker.bench.timing import extra_memory, keep_freed_memory, take_turns
from actalker.config import Control
from actalker.errors import InputError
from actalker.model.control import ControlBranch

STATES = 16
SHAPES = ("25x177x64", "25x1057x256", "1x25633x128", "1x5217x640")  # clips x tokens x channels of the paper's levels
YARDSTICK = "numba"
OUTSIDE = ("associative_scan", "mamba.py")  # parallel-prefix scans of torch and of the package mambapy
AGAINST = ("chunked", "reference", "associative_scan")
TRAINABLE = ("chunked", "mamba.py")  # the others keep all their steps for autograd, which large shapes have no room for
KEPT = (1.0, 0.5, 0.25)  # shares of the tokens in a branch's mask
Arguments = tuple[Tensor, ...]  # u, delta, A, B, C, D, delta_bias


def bench_scan(shapes: list[str], against: list[str], rounds: int) -> dict:
    """Times, ratios and shares of the machine's own throughput. Raises InputError for what cannot be run."""
    rivals = {name: _rival(name) for name in against}
    keep_freed_memory()
    threads = torch.get_num_threads()
    exponentials, copies = exponential_throughput(threads), copy_throughput(threads)
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "torch": torch.__version__,
        "rounds": rounds,
        "exponentials_per_second": round(exponentials),
        "copied_bytes_per_second": round(copies),
        "shapes": [_bench_shape(parse_shape(shape), rivals, rounds, exponentials, copies) for shape in shapes],
    }


def parse_shape(text: str) -> tuple[int, int, int]:
    """Clips, tokens and channels of "25x177x64"."""
    found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    sizes = tuple(map(int, found.groups())) if found else ()
    if not sizes or min(sizes) < 1:
        raise InputError(f"{text!r} is not a shape; give CLIPSxTOKENSxCHANNELS, such as {SHAPES[0]}.")
    return sizes


def _bench_shape(
    shape: tuple[int, int, int], rivals: dict[str, Callable], rounds: int, exponentials: float, copies: float
) -> dict:
    forward, backward = _arguments(*shape, state=False), _arguments(*shape, state=True)
    elements = 2 * shape[0] * shape[1] * shape[2] * STATES
    moved = sum(4 * x.numel() for one in forward for x in one) + 4 * forward[0][0].numel()
    candidates = {YARDSTICK: _backend(YARDSTICK)} | rivals
    with torch.no_grad():
        turns = take_turns({name: lambda run=run: _both(run, forward) for name, run in candidates.items()}, rounds)
        held = extra_memory(lambda: _both(candidates[YARDSTICK], forward))
    trained = {name: run for name, run in candidates.items() if name == YARDSTICK or name in TRAINABLE}
    training = take_turns({name: lambda run=run: _pulled(run, backward) for name, run in trained.items()}, rounds)
    second = turns[YARDSTICK].row["ms"] / 1e3
    return {
        "clips": shape[0],
        "tokens": shape[1],
        "channels": shape[2],
        "states": STATES,
        "forward": {name: each.row for name, each in turns.items()},
        "forward_and_backward": {name: each.row for name, each in training.items()},
        "share_of_exponentials": round(elements / second / exponentials, 3),
        "share_of_copies": round(moved / second / copies, 3),
        "extra_memory": None if held is None else round(held / moved, 2),
        "masked": _masked(shape, rounds),
    }


def _arguments(clips: int, tokens: int, channels: int, state: bool) -> tuple[Arguments, Arguments]:
    """One set for each direction; u is the same. Memory is channel-last, as it is in a layer."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    u = draw(clips, tokens, channels).transpose(1, 2)
    directions = []
    for _ in range(2):
        delta = draw(clips, tokens, channels).transpose(1, 2)
        B, C = (draw(clips, tokens, STATES).transpose(1, 2) for _ in range(2))
        A = -torch.arange(1, STATES + 1).float().repeat(channels, 1)
        directions.append((u, delta, A, B, C, torch.ones(channels), draw(channels) - 3))
    return tuple(tuple(x.detach().clone().requires_grad_(state) for x in one) for one in directions)


def _both(run: Callable, arguments: tuple[Arguments, Arguments]) -> Tensor:
    ahead, back = arguments
    return run(*ahead, reverse=False) + run(*back, reverse=True)


def _pulled(run: Callable, arguments: tuple[Arguments, Arguments]) -> None:
    for x in (x for one in arguments for x in one):
        x.grad = None
    _both(run, arguments).sum().backward()


def _backend(name: str) -> Callable:
    def run(u, delta, A, B, C, D, bias, reverse):
        options = {"delta_bias": bias, "delta_softplus": True, "reverse": reverse, "backend": name}
        return scan.selective_scan(u, delta, A, B, C, D, **options)

    return run


def _rival(name: str) -> Callable:
    if name not in OUTSIDE:
        if (said := scan.backends().get(name, "unknown")) != "ready":
            raise InputError(f"The scan backend {name} cannot be measured here: {said}.")
        return _backend(name)
    prefix = _associative_scan() if name == "associative_scan" else _mamba_py()

    def run(u, delta, A, B, C, D, bias, reverse):
        u, delta, B, C = ((x.flip(2) if reverse else x).transpose(1, 2) for x in (u, delta, B, C))  # (b, l, ...)
        step = F.softplus(delta + bias)[..., None]  # (b, l, d, 1)
        h = prefix(torch.exp(step * A), step * u[..., None] * B[:, :, None])  # (b, l, d, n)
        y = ((h @ C[..., None])[..., 0] + D * u).transpose(1, 2)
        return y.flip(2) if reverse else y

    return run


def _associative_scan() -> Callable:
    from torch._higher_order_ops.associative_scan import associative_scan

    def join(early, late):
        return early[0] * late[0], late[0] * early[1] + late[1]

    return lambda decay, flow: associative_scan(join, (decay, flow), 1, combine_mode="generic")[1]


def _mamba_py() -> Callable:
    try:
        from mambapy.pscan import pscan
    except ImportError:
        raise InputError("The package mambapy is not installed; 'pip install --no-deps mambapy' brings it.") from None
    return pscan


def _masked(shape: tuple[int, int, int], rounds: int) -> dict[str, dict[str, float]]:
    """A whole control branch (project, select, scan, paste) by the share of its tokens that the mask keeps."""
    clips, tokens, channels = shape
    signals = min(32, tokens - 1)
    grid = max(1, tokens - signals - 1)
    branch = ControlBranch(Control(width=channels, state=STATES, step_rank=max(1, channels // 32), condition=64))
    generator = torch.Generator().manual_seed(0)
    z, signal = torch.randn(clips, 1, grid, channels), torch.randn(clips, 1, signals, 64)
    identity, order = torch.randn(clips, 1, channels), torch.randperm(grid, generator=generator)
    masks = {share: (order < max(1, round(share * grid)))[None] for share in KEPT}
    with torch.no_grad():
        turns = take_turns(
            {f"{share:.0%}": lambda mask=mask: branch(z, identity, signal, mask) for share, mask in masks.items()},
            rounds,
        )
    return {name: each.row for name, each in turns.items()}


def as_text(facts: dict) -> str:
    """The figures as a table for each shape."""
    lines = [
        f"{facts['machine']}, {facts['threads']} threads, torch {facts['torch']}, medians of {facts['rounds']} rounds;",
        f"alone this machine computes {facts['exponentials_per_second'] / 1e9:.1f} G exponentials "
        f"and copies {facts['copied_bytes_per_second'] / 1e9:.1f} GB a second.",
    ]
    for one in facts["shapes"]:
        size = "{clips} x {tokens} tokens, {channels} channels, {states} states, two directions".format_map(one)
        shares = "numba: {share_of_exponentials:.0%} of the exponentials, {share_of_copies:.0%} of the copies"
        held = (
            "" if one["extra_memory"] is None else "; at its peak it holds {extra_memory:.2f} x inputs and output more"
        )
        lines += [
            "",
            size,
            "  " + (shares + held).format_map(one),
            *_rows("forward", one["forward"]),
            *_rows("and backward", one["forward_and_backward"]),
            *_rows("branch, kept", one["masked"]),
        ]
    return "\n".join(lines)


def _rows(title: str, rows: dict[str, dict[str, float]]) -> list[str]:
    return [
        f"  {title:<14}{name:<18}{row['ms']:>11.2f} ms {row['ratio']:>9.2f} x"
        f"   ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
        for name, row in rows.items()
    ]
