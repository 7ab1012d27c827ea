"""Weights made from names alone, by the rule that the golden numbers were made with: no weight file is needed."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from actalker.convert.names import translated

GOLDEN = Path(__file__).parent / "golden"  # made by the released program at commit 109de52
SHAPES = json.loads((GOLDEN / "shapes.json").read_text())


def filled(name: str, shape: list[int]) -> Tensor:
    """The tensor of a released name: standard normals, seeded by the name and scaled by what kind of weight it is."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return torch.zeros(tuple(shape), dtype=torch.int64)
    n = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(tuple(shape))
    plain = [
        (leaf == "running_mean", lambda: 0.1 * n),
        (leaf == "running_var", lambda: 1 + 0.1 * n.clip(-3, 3)),
        (leaf == "A_logs", lambda: np.log(np.arange(1.0, shape[-1] + 1)) + 0.1 * n),
        (leaf == "Ds", lambda: 1 + 0.1 * n),
        (leaf == "dt_projs_bias", lambda: -3 + 0.5 * n),
        (leaf in ("dt_projs_weight", "x_proj_weight"), lambda: n / math.sqrt(shape[-1])),
        (leaf == "mix_factor", lambda: 0.5 * n),
        ("prelu" in name, lambda: 0.25 + 0.05 * n),
        (leaf == "bias", lambda: 0.05 * n),
        (len(shape) == 1, lambda: 1 + 0.1 * n),
        (True, lambda: n / math.sqrt(math.prod(shape[1:]))),
    ]
    value = next(make for holds, make in plain if holds)()
    return torch.from_numpy(np.asarray(value, np.float32))


def fill(network: nn.Module, part: str, shapes: dict[str, list[int]], prefix: str = "", own: str = "") -> nn.Module:
    """Fill a network through the table of released names; `prefix` and `own` complete the names of a part of one."""
    released = {prefix + name: filled(name, shape) for name, shape in shapes.items()}
    wanted = {own + name: tensor for name, tensor in network.state_dict().items()}
    state = translated(part, released, wanted)
    network.load_state_dict({name.removeprefix(own): tensor for name, tensor in state.items()})
    return network.eval().requires_grad_(False)


def case(file: str, name: str) -> dict[str, Tensor]:
    """The arrays of a golden case."""
    arrays = np.load(GOLDEN / f"{file}.npz")
    return {key.split("/", 1)[1]: torch.from_numpy(arrays[key]) for key in arrays.files if key.split("/", 1)[0] == name}


def relative(ours: Tensor, golden: Tensor) -> float:
    """max |difference| / max |golden|."""
    return ((ours - golden).abs().max() / golden.abs().max()).item()
