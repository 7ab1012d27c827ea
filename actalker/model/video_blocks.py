"""Parts of the spatio-temporal UNet: residual blocks, attention with adapters, and the transformer with control.

Parts that Stable Video Diffusion (arXiv 2311.15127) has bear SVD's names. Letters: b rows, t frames, n = h w tokens of
a frame, d width, m tokens of a condition, e their width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actalker.config import Unet
from actalker.model.control import ParallelControl
from actalker.model.video_conditions import VideoConditions

Source = tuple[nn.Linear, nn.Linear, Tensor, Tensor | None]  # to_k, to_v, tokens (b, m, e), weights (n,) or None


def waves(x: Tensor, width: int) -> Tensor:
    """(...,) -> (..., width): cosines, then sines, at frequencies 1 .. 1e-4."""
    half = width // 2
    angles = x[..., None].float() * torch.exp(-math.log(10000) / half * torch.arange(half, device=x.device))
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Embedding(nn.Module):
    """Two layers behind `waves`. (..., i) -> (..., o)."""

    def __init__(self, enter: int, hidden: int, leave: int):
        super().__init__()
        self.linear_1 = nn.Linear(enter, hidden)
        self.linear_2 = nn.Linear(hidden, leave)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x.to(self.linear_1.weight.dtype))))


class Mixer(nn.Module):
    """a · spatial + (1 - a) · temporal, with a learned a in (0, 1)."""

    def __init__(self):
        super().__init__()
        self.mix_factor = nn.Parameter(torch.tensor([0.5]))

    def forward(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        return torch.lerp(temporal, spatial, torch.sigmoid(self.mix_factor).to(spatial.dtype))


class ConvBlock(nn.Module):
    """Two convolutions over space or over time, and the embedding between them. (r, c, ...), (r, k) -> (r, c', ...)."""

    def __init__(self, enter: int, leave: int, embedding: int, eps: float, over_time: bool):
        super().__init__()
        self.norm1 = nn.GroupNorm(32, enter, eps)
        self.conv1 = _convolution(enter, leave, over_time)
        self.time_emb_proj = nn.Linear(embedding, leave)
        self.norm2 = nn.GroupNorm(32, leave, eps)
        self.conv2 = _convolution(leave, leave, over_time)
        self.conv_shortcut = nn.Conv2d(enter, leave, 1) if enter != leave else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = h + self.time_emb_proj(F.silu(embedding)).view(*h.shape[:2], *(1,) * (h.dim() - 2))
        return self.conv_shortcut(x) + self.conv2(F.silu(self.norm2(h)))


def _convolution(enter: int, leave: int, over_time: bool) -> nn.Module:
    if over_time:
        return nn.Conv3d(enter, leave, (3, 1, 1), padding=(1, 0, 0))
    return nn.Conv2d(enter, leave, 3, padding=1)


class ResBlock(nn.Module):
    """Over space, then over time, mixed. (b t, c, h, w) and embedding (b, k) -> (b t, c', h, w)."""

    def __init__(self, enter: int, leave: int, embedding: int, eps: float):
        super().__init__()
        self.spatial_res_block = ConvBlock(enter, leave, embedding, eps, over_time=False)
        self.temporal_res_block = ConvBlock(leave, leave, embedding, eps, over_time=True)
        self.time_mixer = Mixer()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        t = len(x) // len(embedding)
        spatial = self.spatial_res_block(x, embedding.repeat_interleave(t, dim=0))
        film = spatial.unflatten(0, (-1, t)).transpose(1, 2)  # (b, c, t, h, w)
        temporal = self.temporal_res_block(film, embedding)
        return self.time_mixer(spatial, temporal.transpose(1, 2).flatten(0, 1))


class Geglu(nn.Module):
    """(..., d) -> (..., k), half of the projection gating the other."""

    def __init__(self, enter: int, leave: int):
        super().__init__()
        self.proj = nn.Linear(enter, 2 * leave)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = self.proj(x).chunk(2, dim=-1)
        return values * F.gelu(gate)


class FeedForward(nn.Module):
    """(..., d) -> (..., d)."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(Geglu(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Adapter(nn.Module):
    """Keys and values of one more signal, beside an attention's own."""

    def __init__(self, context: int, width: int):
        super().__init__()
        self.to_k = nn.Linear(context, width, bias=False)
        self.to_v = nn.Linear(context, width, bias=False)


class Attention(nn.Module):
    """Multi-head attention; over itself, or over the identity and the adapters' signals, added."""

    def __init__(self, width: int, heads: int, context: int | None = None, adapters: tuple[str, ...] = ()):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context or width, width, bias=False)
        self.to_v = nn.Linear(context or width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.adapters = nn.ModuleDict({name: Adapter(context, width) for name in adapters})

    def over_itself(self, x: Tensor) -> Tensor:
        """(r, l, d) -> (r, l, d)."""
        return self.to_out[0](self._attend(self.to_q(x), self.to_k(x), self.to_v(x)))

    def forward(self, x: Tensor, identity: Tensor, signals: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """x (b, l, d), identity (b, 1, e), signals {name: (tokens (b, m, e), weights (l,) or ())} -> (b, l, d).

        A softmax over one key is 1, so a single token needs neither queries nor keys and is projected once, not at
        every place: the result is (b, 1, d) where nothing differs from place to place.
        """
        project = self.to_out[0]
        mixed, constant = None, F.linear(self.to_v(identity), project.weight, project.bias)
        for name, (tokens, weights) in signals.items():
            adapter, weights = self.adapters[name], weights.to(x)[..., None]
            if tokens.shape[1] == 1:
                constant = constant + weights * F.linear(adapter.to_v(tokens), project.weight)
            else:
                heard = self._attend(self.to_q(x), adapter.to_k(tokens), adapter.to_v(tokens)) * weights
                mixed = heard if mixed is None else mixed + heard
        return constant if mixed is None else constant + F.linear(mixed, project.weight)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class SpatialBlock(nn.Module):
    """Attention among a frame's tokens, then to the conditions of that frame. (b t, n, d) -> (b t, n, d)."""

    def __init__(self, width: int, heads: int, context: int, adapters: tuple[str, ...]):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.attn1 = Attention(width, heads)
        self.attn2 = Attention(width, heads, context, adapters)
        self.ff = FeedForward(width)

    def alone(self, x: Tensor) -> Tensor:
        """The part that conditions do not reach."""
        return x + self.attn1.over_itself(self.norm1(x))

    def told(self, x: Tensor, identity: Tensor, signals: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """The rest: identity (b t, 1, e), signals as in Attention."""
        x = x + self.attn2(self.norm2(x), identity, signals)
        return x + self.ff(self.norm3(x))


class TemporalBlock(nn.Module):
    """Attention among the frames of a token, then to the window's mean conditions. (b n, t, d) -> (b n, t, d)."""

    def __init__(self, width: int, heads: int, context: int, adapters: tuple[str, ...]):
        super().__init__()
        self.norm_in, self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(4))
        self.ff_in, self.ff = FeedForward(width), FeedForward(width)
        self.attn1 = Attention(width, heads)
        self.attn2 = Attention(width, heads, context, adapters)

    def forward(self, x: Tensor, identity: Tensor, signals: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """identity (b, 1, e), signals {name: (tokens (b, m, e), weights (n t,) or ())}; keys are made once a row."""
        x = x + self.ff_in(self.norm_in(x))
        x = x + self.attn1.over_itself(self.norm1(x))
        rows = self.norm2(x).view(len(identity), -1, x.shape[-1])  # (b, n t, d)
        x = x + self.attn2(rows, identity, signals).expand_as(rows).reshape(x.shape)
        return x + self.ff(self.norm3(x))


class VideoTransformer(nn.Module):
    """Space, control, time. (b t, c, h, w) -> (b t, c, h, w)."""

    def __init__(self, config: Unet, level: int, controlled: bool):
        super().__init__()
        width, heads = config.channels[level], config.heads[level]
        self.config = config
        adapters = config.control.branches if config.control else ()
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([SpatialBlock(width, heads, config.context, adapters)])
        self.control = ParallelControl(config.control_at(level)) if controlled and config.control else None
        self.temporal_transformer_blocks = nn.ModuleList([TemporalBlock(width, heads, config.context, adapters)])
        self.time_pos_embed = Embedding(width, 4 * width, width)
        self.time_mixer = Mixer()
        self.proj_out = nn.Linear(width, width)

    def forward(self, h: Tensor, conditions: VideoConditions) -> Tensor:
        """h has b t rows, or g t where rows have not begun to differ."""
        t, grid = conditions.identity.shape[1], tuple(h.shape[-2:])
        y = self.proj_in(self.norm(h).flatten(2).transpose(1, 2))
        y, h = (conditions.spread(x, t) for x in (self.transformer_blocks[0].alone(y), h))
        y = self._space(y, conditions, grid)
        if self.control is not None and conditions.signals:
            steered = self._steer(y.unflatten(0, (-1, t)), conditions, grid).flatten(0, 1)
            y = y + steered if self.config.control.residual else steered
        y = self.time_mixer(y, self._time(y, conditions, grid))
        return h + self.proj_out(y).transpose(1, 2).view_as(h)

    def _space(self, y: Tensor, conditions: VideoConditions, grid: tuple[int, int]) -> Tensor:
        scale = self.config.adapter_scale
        signals = {
            name: (signal.flatten(0, 1), scale * conditions.masks.weights(name, grid))
            for name, signal in conditions.signals.items()
        }
        return self.transformer_blocks[0].told(y, conditions.identity.flatten(0, 1)[:, None], signals)

    def _steer(self, y: Tensor, conditions: VideoConditions, grid: tuple[int, int]) -> Tensor:
        masks = {name: conditions.masks.tokens(name, grid).expand(y.shape[1], -1) for name in conditions.signals}
        return self.control(y, conditions.identity, conditions.signals, masks)

    def _time(self, y: Tensor, conditions: VideoConditions, grid: tuple[int, int]) -> Tensor:
        t, scale = conditions.identity.shape[1], torch.tensor(self.config.adapter_scale)
        where = self.time_pos_embed(waves(torch.arange(t, device=y.device), y.shape[-1]))  # (t, d)
        film = y.unflatten(0, (-1, t)).transpose(1, 2)  # (b, n, t, d)
        signals = {}
        for name, signal in conditions.signals.items():
            inside = conditions.masks.weights(name, grid).repeat_interleave(t) if self.config.masked_over_time else 1.0
            signals[name] = (signal.mean(dim=1), scale * inside)
        moved = (film + where).flatten(0, 1)
        moved = self.temporal_transformer_blocks[0](moved, conditions.identity.mean(dim=1, keepdim=True), signals)
        return moved.view_as(film).transpose(1, 2).flatten(0, 1)
