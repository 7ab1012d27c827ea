"""Parallel control: one masked selective scan per signal, so that signals do not fight (paper, sections 3.2 and 3.3).

    z' = f1(z)                                 one projection for all branches                 (equation 1)
    z_in = D(z', M)                            mask-drop: a branch sees its regions' tokens    (equation 5)
    z_out = SSM(Concat(e_id, e, z_in))         identity and signal tokens join the scan        (equation 6)
    o = f2(Norm(sum of pasted z_out)) + z      tokens of no open branch keep z                 (equations 3, 4, 7)

The config says where the release differs: a projection for each branch, conditions behind the tokens, a scan for each
frame, no residual. A closed gate is a signal that is absent from the call: its branch is not computed. Masks stay on
the CPU: they decide the shapes, which must be known without waiting for a GPU.
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
        d, s, r, k = config.inner, config.state, config.step_rank, config.directions
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
        self.attention = TemporalAttention(config.inner, heads=4)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x[:, :, None])[:, :, 0]


MIXERS = {"scan": ScanUnit, "attention": JointAttention}


class ControlBranch(nn.Module):
    """One signal: select the tokens of its regions, scan them with the identity and the signal's tokens, paste back."""

    def __init__(self, config: Control):
        super().__init__()
        self.config = config
        self.enter = _entrance(config) if config.projections == "branch" else nn.Identity()
        self.condition = nn.Linear(config.condition, config.inner, bias=config.bias)
        self.scan = MIXERS[config.mixer](config)

    def forward(self, z: Tensor, identity: Tensor, signal: Tensor, mask: Tensor) -> Tensor:
        """z (b, t, n, d), identity (b, i, d), signal (b, t, m, c), mask (t, n) -> (b, t, n, d).

        Off the mask it is zero, or with `elsewhere` "entered" what it was.
        """
        if not mask.any():
            return self.unheard(z)
        at = mask.flatten().nonzero()[:, 0].to(z.device)
        kept = z.flatten(1, 2).index_select(1, at)  # (b, l, d): frame by frame, the paper's spatio-temporal order
        heard = F.silu(self.condition(signal))
        parts = {"identity": identity, "tokens": kept, "signal": heard.flatten(1, 2)}
        order, place = self.config.order, slice(None)
        if "joined" in order:
            parts["joined"], place = _joined(heard, kept, mask)
        scanned = self.scan(torch.cat([parts[name] for name in order], dim=1))
        mine = next(i for i, name in enumerate(order) if name in ("tokens", "joined"))
        own = scanned.split([parts[name].shape[1] for name in order], dim=1)[mine]
        pasted = self.unheard(z).flatten(1, 2).index_copy(1, at, own[:, place])
        return pasted.view_as(z)

    def unheard(self, z: Tensor) -> Tensor:
        """What the branch gives where nobody listens."""
        return z if self.config.elsewhere == "entered" else torch.zeros_like(z)


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


def _entrance(config: Control) -> nn.Linear:
    return nn.Linear(config.width, config.inner, bias=config.bias)


class ParallelControl(nn.Module):
    """The paper's layer: a branch for each signal, added, normalised, projected and added to the input."""

    def __init__(self, config: Control):
        super().__init__()
        d, self.config = config.inner, config
        self.enter = _entrance(config) if config.projections == "shared" else nn.Identity()
        self.identity = nn.Linear(config.condition, d, bias=config.bias)
        self.branches = nn.ModuleDict({name: ControlBranch(config) for name in config.branches})
        self.norm = nn.LayerNorm(d)
        self.leave = nn.Linear(d, config.width, bias=config.bias)

    def forward(self, z: Tensor, identity: Tensor, signals: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        """z (b, t, n, d), identity (b, c) or (b, t, c), signals {name: (b, t, m, c)} of the open gates, masks
        {name: (t, n)}; in the layout "per_frame" the first frame's masks are those of all.

        Returns (b, t, n, d) without the residual; with `elsewhere` "nothing" zero where no open branch listens.
        """
        if self.config.layout == "per_frame":
            rows = {name: signal.flatten(0, 1)[:, None] for name, signal in signals.items()}
            token = identity.flatten(0, 1) if identity.dim() == 3 else identity.repeat_interleave(z.shape[1], 0)
            firsts = {name: mask[:1] for name, mask in masks.items()}
            return self._scanned(z.flatten(0, 1)[:, None], token, rows, firsts).view_as(z)
        return self._scanned(z, identity.mean(1) if identity.dim() == 3 else identity, signals, masks)

    def _scanned(self, z: Tensor, identity: Tensor, signals: dict[str, Tensor], masks: dict[str, Tensor]) -> Tensor:
        entered, token = self.enter(z), F.silu(self.identity(identity))[:, None]
        if not self.config.identity:
            token = token[:, :0]
        if not self.config.mask_drop:
            masks = {name: torch.ones_like(mask) for name, mask in masks.items()}
        total = torch.zeros_like(entered[..., :1])
        for name, branch in self.branches.items():
            if name in signals:
                total = total + branch(branch.enter(entered), token, signals[name], masks[name])
            elif self.config.elsewhere == "entered":
                total = total + branch.enter(entered)
        if self.config.elsewhere == "entered":
            return self.leave(self.norm(total))
        listened = torch.stack([masks[name] for name in signals]).any(dim=0)[..., None]  # (t, n, 1)
        return self.leave(self.norm(total)) * listened.to(z.device)
