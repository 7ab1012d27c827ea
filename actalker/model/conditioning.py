"""What a denoiser is told: speech, driving motion, the photo's shape as tokens, and which region listens to which."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actalker.config import REGIONS, SIGNALS, MotionNet


@dataclass(frozen=True)
class Conditions:
    """Built once for a clip. `signals` holds the open gates alone: a closed gate is absent, not a zero."""

    identity: Tensor  # (b, c)
    signals: dict[str, Tensor]  # name -> (b, t, m, c): a token a frame for speech, one a region for driving motion
    masks: dict[str, Tensor]  # name -> (t, n) bool: which tokens of which frames listen

    def windows(self, places: Tensor) -> "Conditions":
        """Of one clip (b = 1) those of windows at its frames `places` (w, n), which share the first one's masks."""
        signals = {name: signal[0, places] for name, signal in self.signals.items()}
        masks = {name: mask[places[0]] for name, mask in self.masks.items()}
        return Conditions(self.identity.expand(len(places), -1), signals, masks)


def region_masks(sources: dict[str, str], frames: int) -> dict[str, Tensor]:
    """Region map -> {signal: (frames, regions) bool} for the signals that some region listens to."""
    maps = {name: torch.tensor([sources[region] == name for region in REGIONS]) for name in SIGNALS}
    return {name: mask.expand(frames, -1) for name, mask in maps.items() if mask.any()}


def coefficient_mask(mask: Tensor) -> Tensor:
    """(t, regions) -> (t, k): every coefficient has its region's value."""
    return mask.repeat_interleave(torch.tensor([len(names) for names in REGIONS.values()], device=mask.device), dim=1)


def belonging(regions: Collection[str]) -> Tensor:
    """(k,) bool: the coefficients of these regions."""
    return torch.tensor([region in regions for region, names in REGIONS.items() for _ in names])


class ConvBlock(nn.Module):
    """Depthwise convolution over time and a two-layer perceptron, residual. (b, t, d) -> (b, t, d)."""

    def __init__(self, width: int, kernel: int = 7):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.expand = nn.Linear(width, 2 * width)
        self.shrink = nn.Linear(2 * width, width)
        nn.init.zeros_(self.shrink.weight)
        nn.init.zeros_(self.shrink.bias)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(self.norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.shrink(F.gelu(self.expand(mixed)))


class SpeechEncoder(nn.Module):
    """What is heard at 100 Hz to one token a frame at 25 Hz: features (b, 4t, mels + phones) -> (b, t, c)."""

    def __init__(self, config: MotionNet, width: int = 144):
        super().__init__()
        self.listen = nn.Conv1d(config.mels + config.phones, 96, 5, padding=2)
        self.halve = nn.Conv1d(96, 96, 5, stride=2, padding=2)
        self.quarter = nn.Conv1d(96, width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(ConvBlock(width) for _ in range(config.speech_blocks))
        self.leave = nn.Linear(width, config.control.condition)
        self.mouth = nn.Linear(width, len(REGIONS["mouth"]))  # the auxiliary head: the mouth by regression

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (b, t, c) and the auxiliary head's whitened mouth (b, t, 19)."""
        h = F.gelu(self.listen(features.transpose(1, 2)))
        h = self.quarter(F.gelu(self.halve(h))).transpose(1, 2)
        for block in self.blocks:
            h = block(h)
        return self.leave(h), self.mouth(h)


class DrivingEncoder(nn.Module):
    """Whitened driving coefficients -> one token a frame and region: (b, t, k) -> (b, t, regions, c)."""

    def __init__(self, config: MotionNet):
        super().__init__()
        c = config.control.condition
        self.enter = nn.ModuleList(nn.Linear(len(names), c) for names in REGIONS.values())
        self.region = nn.Parameter(torch.randn(len(REGIONS), c) * 0.5)

    def forward(self, values: Tensor) -> Tensor:
        parts = values.split([len(names) for names in REGIONS.values()], dim=-1)
        return torch.stack([enter(part) for enter, part in zip(self.enter, parts, strict=True)], dim=2) + self.region
