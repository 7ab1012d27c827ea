"""MotionNet: the embedded tier's denoiser. Tokens are frames × regions: mask-drop gives each signal its own.

Attention runs over the frames of one region and the scan of a branch over the regions of one signal: a region never
sees another signal than its own, also in joint mode.
"""

import torch
from torch import Tensor, nn

from actalker.config import COEFFICIENTS, REGIONS, MotionNet
from actalker.model.attention import TemporalAttention
from actalker.model.conditioning import Conditions, DrivingEncoder, SpeechEncoder
from actalker.model.control import ParallelControl

SIZES = [len(names) for names in REGIONS.values()]


def sinusoids(x: Tensor, width: int) -> Tensor:
    """(b,) -> (b, width): sines and cosines at frequencies e^0 .. e^5."""
    angles = x[:, None] * torch.exp(torch.linspace(0, 5, width // 2, device=x.device))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class MotionBlock(nn.Module):
    """Attention over time, parallel control, perceptron; each behind adaptive normalisation on the noise level."""

    def __init__(self, config: MotionNet):
        super().__init__()
        d = config.control.width
        self.attention = TemporalAttention(d, config.heads)
        self.control = ParallelControl(config.control)
        self.mlp = nn.Sequential(nn.Linear(d, 3 * d), nn.GELU(), nn.Linear(3 * d, d))
        self.norm = nn.LayerNorm(d, elementwise_affine=False)
        self.modulate = nn.Linear(d, 9 * d)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, level: Tensor, conditions: Conditions) -> Tensor:
        """x (b, t, n, d), level (b, d)."""
        shifts = self.modulate(level)[:, None, None].chunk(9, dim=-1)
        for part, (scale, shift, gate) in zip(
            (
                self.attention,
                lambda z: self.control(z, conditions.identity, conditions.signals, conditions.masks),
                self.mlp,
            ),
            (shifts[0:3], shifts[3:6], shifts[6:9]),
            strict=True,
        ):
            x = x + part(self.norm(x) * (1 + scale) + shift) * (1 + gate)
        return x


class MotionDenoiser(nn.Module):
    """The raw network F of EDM's preconditioning, and the encoders that make its conditions.

    Coefficients are whitened: `mean` and `std` (k,) travel with the weights.
    """

    def __init__(self, config: MotionNet):
        super().__init__()
        self.config = config
        c, k = config.control, len(COEFFICIENTS)
        self.speech = SpeechEncoder(config)
        self.driving = DrivingEncoder(config)
        self.shape = nn.Sequential(nn.Linear(config.shape, c.condition), nn.GELU(), nn.Linear(c.condition, c.condition))
        self.null = nn.ParameterDict({name: nn.Parameter(torch.zeros(c.condition)) for name in c.branches})
        self.enter = nn.ModuleList(nn.Linear(size, c.width) for size in SIZES)
        self.region = nn.Parameter(torch.randn(len(SIZES), c.width) * 0.5)
        self.level = nn.Sequential(nn.Linear(c.width, c.width), nn.SiLU(), nn.Linear(c.width, c.width), nn.SiLU())
        self.blocks = nn.ModuleList(MotionBlock(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(c.width)
        self.leave = nn.ModuleList(nn.Linear(c.width, size) for size in SIZES)
        self.register_buffer("mean", torch.zeros(k))
        self.register_buffer("std", torch.ones(k))

    def whiten(self, values: Tensor) -> Tensor:
        """Coefficients (..., k) -> zero mean, unit variance."""
        return (values - self.mean) / self.std

    def unwhiten(self, values: Tensor) -> Tensor:
        return values * self.std + self.mean

    def watch(self, driving: Tensor) -> Tensor:
        """Driving coefficients (b, t, k) -> tokens (b, t, regions, c)."""
        return self.driving(self.whiten(driving))

    def condition(
        self, shape: Tensor, masks: dict[str, Tensor], speech: Tensor | None = None, driving: Tensor | None = None
    ) -> Conditions:
        """shape (b, 8), masks of the open gates {name: (t, n)}, tokens: speech (b, t, c), clip (b, t, regions, c)."""
        signals = {}
        if "audio" in masks:
            signals["audio"] = speech[:, :, None]
        if "video" in masks:
            signals["video"] = driving
        if not self.config.control.gates:
            signals, masks = self._nothing_closed(signals, masks)
        return Conditions(self.shape(shape), signals, masks)

    def _nothing_closed(
        self, signals: dict[str, Tensor], masks: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Without gates, the branch of a signal that nobody follows runs on its null token, wherever another does."""
        b, t = next(iter(signals.values())).shape[:2]
        anywhere = torch.stack([*masks.values()]).any(dim=0)
        silent = {name: null.expand(b, t, 1, -1) for name, null in self.null.items() if name not in signals}
        return signals | silent, masks | dict.fromkeys(silent, anywhere)

    def forget(self, conditions: Conditions) -> Conditions:
        """The same conditions with every signal replaced by its learned null token, for guidance."""
        nulls = {name: self.null[name].expand_as(signal) for name, signal in conditions.signals.items()}
        return Conditions(conditions.identity, nulls, conditions.masks)

    def forward(self, x: Tensor, level: Tensor, conditions: Conditions) -> Tensor:
        """x (b, t, k) scaled, level (b,) = ln(sigma) / 4 -> (b, t, k)."""
        regions = x.split(SIZES, dim=-1)
        h = torch.stack([enter(part) for enter, part in zip(self.enter, regions, strict=True)], dim=2) + self.region
        level = self.level(sinusoids(level, h.shape[-1]))
        for block in self.blocks:
            h = block(h, level, conditions)
        parts = self.norm(h).unbind(dim=2)
        return torch.cat([leave(part) for leave, part in zip(self.leave, parts, strict=True)], dim=-1)
