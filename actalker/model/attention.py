"""Attention over frames with rotary positions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def rotary(x: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864): in x (b, heads, t, d) each pair (i, i + d/2) turns with t."""
    t, half = x.shape[-2], x.shape[-1] // 2
    frequency = 100.0 ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(t, device=x.device)[:, None] * frequency
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=-1)


class TemporalAttention(nn.Module):
    """Self-attention over the frames of each region. (b, t, n, d) -> (b, t, n, d)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.enter = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, t, n, d = x.shape
        rows = self.enter(x).permute(0, 2, 1, 3).reshape(b * n, t, 3, self.heads, -1)
        q, k, v = rows.permute(2, 0, 3, 1, 4)  # (b n, heads, t, d / heads)
        mixed = F.scaled_dot_product_attention(rotary(q), rotary(k), v)
        return self.leave(mixed.transpose(1, 2).reshape(b, n, t, d).transpose(1, 2))
