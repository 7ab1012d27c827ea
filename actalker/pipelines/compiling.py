"""torch.compile for the full tier: of the parts between control layers, whose shapes depend on the masks."""

import torch
from torch import nn

from actalker.errors import InputError
from actalker.model.video_blocks import FeedForward, ResBlock

PARTS = (ResBlock, FeedForward)  # norms, gates and sums around convolutions and products: what fusing helps
SHAPES = 256  # kept of one part's code; beyond, torch would silently run it as it is


def compile_parts(network: nn.Module, device: torch.device) -> None:
    """Have the parts of a network compiled when they first run. InputError where the device has no compiler."""
    try:
        torch.compile(_probe)(torch.ones(8, device=device))
    except (RuntimeError, ImportError, OSError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"Nothing can be compiled here for {device} ({reason}); leave --compile out.") from error
    for module in network.modules():
        if isinstance(module, PARTS):
            module.compile(recompile_limit=SHAPES)


def _probe(x: torch.Tensor) -> torch.Tensor:
    return x.exp() + 1
