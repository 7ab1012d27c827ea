"""Signals to tokens for the full tier: speech, identity, motion, and the map of the face's place."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actalker.config import Encoders


class SpeechProjection(nn.Module):
    """Whisper's hidden states around a frame -> its tokens: (..., rows, layers, width) -> (..., m, e)."""

    def __init__(self, config: Encoders, context: int):
        super().__init__()
        self.tokens, hidden = config.speech_tokens, config.speech_hidden
        self.proj1 = nn.Linear(config.speech_rows * config.speech_layers * config.speech_width, hidden)
        self.proj2 = nn.Linear(hidden, hidden)
        self.proj3 = nn.Linear(hidden, self.tokens * context)
        self.norm = nn.LayerNorm(context)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.proj2(F.relu(self.proj1(x.flatten(-3)))))
        return self.norm(self.proj3(h).unflatten(-1, (self.tokens, -1)))


class IdentityProjection(nn.Module):
    """A face embedding -> one token: (..., 512) -> (..., e)."""

    def __init__(self, config: Encoders, context: int):
        super().__init__()
        self.proj1 = nn.Linear(config.identity, config.identity_hidden)
        self.proj2 = nn.Linear(config.identity_hidden, config.identity_hidden)
        self.proj3 = nn.Linear(config.identity_hidden, context)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj3(F.relu(self.proj2(F.relu(self.proj1(x)))))


class MotionProjection(nn.Module):
    """An expression (..., 512) and a head pose (..., 6) -> one token (..., e) with the pose, unscaled, at its end."""

    def __init__(self, config: Encoders, context: int):
        super().__init__()
        self.proj1 = nn.Linear(config.motion, context - config.pose_numbers)
        self.norm = nn.LayerNorm(context - config.pose_numbers)

    def forward(self, expression: Tensor, pose: Tensor) -> Tensor:
        return torch.cat([self.norm(self.proj1(expression)), pose], dim=-1)


class PlaceGuider(nn.Module):
    """A picture of where the face is -> features on the latent's grid: (t, 3, H, W) -> (t, c, H / 8, W / 8)."""

    def __init__(self, config: Encoders, width: int):
        super().__init__()
        first, *others = config.place
        self.conv_in = nn.Conv2d(3, first, 3, padding=1)
        self.blocks = nn.ModuleList()
        for enter, leave in zip(config.place[:-1], others, strict=True):
            self.blocks.append(nn.Conv2d(enter, enter, 3, padding=1))
            self.blocks.append(nn.Conv2d(enter, leave, 3, stride=2, padding=1))
        self.conv_out = nn.Conv2d(config.place[-1], width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.conv_in(x))
        for block in self.blocks:
            h = F.silu(block(h))
        return self.conv_out(h)
