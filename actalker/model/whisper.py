"""Whisper's encoder (arXiv 2212.04356), which hears for the full tier, and the frozen networks together."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actalker.config import Whisper
from actalker.model.perception import Expression, FaceIdentity, HeadPose


class SelfAttention(nn.Module):
    """(b, t, d) -> (b, t, d)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.to_v, self.leave = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (to(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for to in (self.to_q, self.to_k, self.to_v))
        return self.leave(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class WhisperLayer(nn.Module):
    """Attention and perceptron, each behind a normalisation, residual."""

    def __init__(self, config: Whisper):
        super().__init__()
        self.attend, self.expand = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.attention = SelfAttention(config.width, config.heads)
        self.fc1, self.fc2 = nn.Linear(config.width, 4 * config.width), nn.Linear(4 * config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.attend(x))
        return x + self.fc2(F.gelu(self.fc1(self.expand(x))))


class WhisperEncoder(nn.Module):
    """Log-mel (b, 80, 2 t) -> every hidden state (b, t, layers + 1, d), the last one normalised."""

    def __init__(self, config: Whisper):
        super().__init__()
        self.conv1 = nn.Conv1d(config.mels, config.width, 3, padding=1)
        self.conv2 = nn.Conv1d(config.width, config.width, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.zeros(config.positions, config.width))
        self.layers = nn.ModuleList(WhisperLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, mel: Tensor) -> Tensor:
        h = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        states = [h + self.positions[: h.shape[1]]]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return torch.stack([*states[:-1], self.norm(states[-1])], dim=2)


class Perception(nn.Module):
    """What the released weights were trained to be told: who it is, the face's expression, its pose, what is heard."""

    def __init__(self, config: Whisper):
        super().__init__()
        self.identity, self.expression, self.head = FaceIdentity(), Expression(), HeadPose()
        self.whisper = WhisperEncoder(config)
