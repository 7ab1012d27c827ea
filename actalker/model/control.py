"""Parallel control: one masked selective scan per signal, so that signals do not fight (paper, sections 3.2 and 3.3).

    z' = f1(z)                                 one projection for all branches                 (equation 1)
    z_in = D(z', M)                            mask-drop: a branch sees its regions' tokens    (equation 5)
    z_out = SSM(Concat(e_id, e, z_in))         identity and signal tokens join the scan        (equation 6)
    o = f2(Norm(sum of pasted z_out)) + z      tokens of no open branch keep z                 (equations 3, 4, 7)

A closed gate is a signal that is absent from the call: its branch is not computed. Masks stay on the CPU: they decide
the shapes, which must be known without waiting for a GPU.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actalker.config import Control
from actalker.model.attention import TemporalAttention
from actalker.scan import selective_scan


class ScanUnit(nn.Module):
    """Selective scan with input-dependent step, B and C, in one or both directions, summed. (b, l, d) -> (b, l, d)."""

    def __init__(self, config: Control):
        super().__init__()
        d, s, r, k = config.width, config.state, config.step_rank, config.directions
        self.splits = (r, s, s)
        self.project = nn.Parameter(torch.randn(k, r + 2 * s, d) / math.sqrt(d))
        self.step = nn.Parameter(torch.randn(k, d, r) / math.sqrt(r))
        first_steps = torch.exp(torch.rand(k, d) * math.log(100) + math.log(1e-3))  # Mamba: log-uniform in [1e-3, 1e-1]
        self.step_bias = nn.Parameter(first_steps + torch.log(-torch.expm1(-first_steps)))  # inverse of softplus
        self.A_log = nn.Parameter(torch.arange(1, s + 1).float().log().repeat(k, d, 1))
        self.D = nn.Parameter(torch.ones(k, d))

    def forward(self, x: Tensor) -> Tensor:
        ahead, *others = (self._directed(x, k) for k in range(len(self.D)))
        return ahead + others[0] if others else ahead

    def _directed(self, x: Tensor, k: int) -> Tensor:
        step, B, C = F.linear(x, self.project[k]).split(self.splits, dim=-1)
        tokens = (y.transpose(1, 2) for y in (x, F.linear(step, self.step[k])))  # (b, d, l)
        enter, leave = (y.transpose(1, 2) for y in (B, C))  # (b, s, l)
        options = {"delta_bias": self.step_bias[k], "delta_softplus": True, "reverse": k == 1}
        y = selective_scan(*tokens, -self.A_log[k].exp(), enter, leave, self.D[k], **options)
        return y.transpose(1, 2)


class JointAttention(nn.Module):
    """In the scan's place, for comparison: attention over the same tokens. (b, l, d) -> (b, l, d)."""

    def __init__(self, config: Control):
        super().__init__()
        self.attention = TemporalAttention(config.width, heads=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x[:, :, None])[:, :, 0]


MIXERS = {"scan": ScanUnit, "attention": JointAttention}


class ControlBranch(nn.Module):
    """One signal: select the tokens of its regions, scan them with the identity and the signal's tokens, paste back."""

    def __init__(self, config: Control):
        super().__init__()
        self.condition = nn.Linear(config.condition, config.width)
        self.scan = MIXERS[config.mixer](config)

    def forward(self, z: Tensor, identity: Tensor, signal: Tensor, mask: Tensor) -> Tensor:
        """z (b, t, n, d), identity (b, i, d), signal (b, t, m, c), mask (t, n) -> (b, t, n, d), zero off the mask."""
        at = mask.flatten().nonzero()[:, 0].to(z.device)
        kept = z.flatten(1, 2).index_select(1, at)  # (b, l, d): frame by frame, the paper's spatio-temporal order
        sequence, place = _joined(F.silu(self.condition(signal)), kept, mask)
        scanned = self.scan(torch.cat([identity, sequence], dim=1))[:, identity.shape[1] :]
        pasted = torch.zeros_like(z).flatten(1, 2).index_copy(1, at, scanned[:, place])
        return pasted.view_as(z)


def _joined(signal: Tensor, kept: Tensor, mask: Tensor) -> tuple[Tensor, slice | Tensor]:
    """The scan's tokens (b, s, d), and where those of z (b, l, d) lie among them.

    A signal (b, t, m, d) with one token for each of z's goes pairwise, each before its own, and is dropped with it. Any
    other goes before the frame's z, and is dropped from frames in which nobody listens.
    """
    if signal.shape[2] == mask.shape[1]:
        own = signal.flatten(1, 2).index_select(1, mask.flatten().nonzero()[:, 0].to(kept.device))
        return torch.stack([own, kept], dim=2).flatten(1, 2), slice(1, None, 2)
    heard = mask.any(dim=1).nonzero()[:, 0]
    spoken = signal.index_select(1, heard.to(kept.device)).flatten(1, 2)
    frames = torch.cat([heard.repeat_interleave(signal.shape[2]), mask.nonzero()[:, 0]])
    order = frames.argsort(stable=True)  # by frame, and within a frame the signal first
    place = (order >= spoken.shape[1]).nonzero()[:, 0].to(kept.device)
    return torch.cat([spoken, kept], dim=1).index_select(1, order.to(kept.device)), place


class ParallelControl(nn.Module):
    """The paper's layer: a branch for each signal, added, normalised, projected and added to the input."""

    def __init__(self, config: Control):
        super().__init__()
        d, self.config = config.width, config
        self.enter = nn.Linear(d, d)
        self.identity = nn.Linear(config.condition, d)
        self.branches = nn.ModuleDict({name: ControlBranch(config) for name in config.branches})
        self.norm = nn.LayerNorm(d)
        self.leave = nn.Linear(d, d)

    def forward(self, z: Tensor, identity: Tensor, signals: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """z (b, t, n, d), identity (b, c), signals {name: (b, t, m, c)} of the open gates, masks {name: (t, n)}.

        Returns (b, t, n, d) without the residual, zero where no open branch listens.
        """
        entered, token = self.enter(z), F.silu(self.identity(identity))[:, None]
        if not self.config.identity:
            token = token[:, :0]
        if not self.config.mask_drop:
            masks = {name: torch.ones_like(mask) for name, mask in masks.items()}
        total = torch.zeros_like(z)
        for name, signal in signals.items():
            total = total + self.branches[name](entered, token, signal, masks[name])
        listened = torch.stack([masks[name] for name in signals]).any(dim=0)[..., None]  # (t, n, 1)
        return self.leave(self.norm(total)) * listened.to(z.device)
