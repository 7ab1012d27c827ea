"""The full tier's network: SVD-XT's spatio-temporal UNet (arXiv 2311.15127) with adapters and parallel control."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from actalker.config import Unet
from actalker.model.video_blocks import Embedding, ResBlock, VideoTransformer, waves
from actalker.model.video_conditions import VideoConditions

EXACT = ("A_log", "D", "step_bias")  # parameters of the scan that stay float32 whatever the rest is


class Resample(nn.Module):
    """A convolution that halves, or that follows doubling. (r, c, h, w)."""

    def __init__(self, width: int, stride: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride, padding=1)

    def forward(self, x: Tensor, size: torch.Size | None = None) -> Tensor:
        return self.conv(x if size is None else F.interpolate(x, size=size, mode="nearest"))


class Block(nn.Module):
    """Residual blocks, each with a transformer behind it where there is attention, and a change of resolution."""

    def __init__(
        self,
        widths: list[tuple[int, int]],
        embedding: int,
        eps: float,
        transformers: list[VideoTransformer],
        down: bool = False,
        up: bool = False,
    ):
        super().__init__()
        self.resnets = nn.ModuleList(ResBlock(enter, leave, embedding, eps) for enter, leave in widths)
        if transformers:
            self.attentions = nn.ModuleList(transformers)
        if down:
            self.downsamplers = nn.ModuleList([Resample(widths[-1][1], 2)])
        if up:
            self.upsamplers = nn.ModuleList([Resample(widths[-1][1], 1)])

    def steps(self) -> list[tuple[ResBlock, VideoTransformer | None]]:
        """What is run, in order."""
        return list(zip(self.resnets, getattr(self, "attentions", [None] * len(self.resnets)), strict=True))


class MiddleBlock(Block):
    """Residual block, transformer, residual block."""

    def steps(self) -> list[tuple[ResBlock, VideoTransformer | None]]:
        return [(self.resnets[0], self.attentions[0]), (self.resnets[1], None)]


class VideoUnet(nn.Module):
    """Velocity of a noisy latent film, as SVD predicts it."""

    def __init__(self, config: Unet):
        super().__init__()
        self.config, self.checkpointing = config, False
        widths, first = config.channels, config.channels[0]
        k, last = 4 * first, len(widths) - 1
        self.conv_in = nn.Conv2d(2 * config.latents, first, 3, padding=1)
        self.time_embedding = Embedding(first, k, k)
        self.add_embedding = Embedding(3 * config.clip_numbers, k, k)
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(widths):
            enter = [widths[max(level - 1, 0)], *[width] * (config.layers - 1)]
            transformers = [self._transformer(level) for _ in enter if level < last]
            pairs, eps = [(each, width) for each in enter], 1e-6 if transformers else 1e-5
            self.down_blocks.append(Block(pairs, k, eps, transformers, down=level < last))
        middle = VideoTransformer(config, last, config.mid_control)
        self.mid_block = MiddleBlock([(widths[-1], widths[-1])] * 2, k, 1e-5, [middle])
        skips = [first, *(width for i, width in enumerate(widths) for _ in range(config.layers + (i < last)))]
        self.up_blocks, h = nn.ModuleList(), widths[-1]
        for level in range(last, -1, -1):
            pairs = []
            for _ in range(config.layers + 1):
                pairs.append((h + skips.pop(), widths[level]))
                h = widths[level]
            transformers = [self._transformer(level) for _ in pairs if level < last]
            self.up_blocks.append(Block(pairs, k, 1e-6, transformers, up=level > 0))
        self.conv_norm_out = nn.GroupNorm(32, first, eps=1e-5)
        self.conv_out = nn.Conv2d(first, config.latents, 3, padding=1)

    def _transformer(self, level: int) -> VideoTransformer:
        return VideoTransformer(self.config, level, controlled=True)

    def forward(self, x: Tensor, level: Tensor, conditions: VideoConditions, deep: Tensor | None = None) -> Tensor:
        """x (g, t, 8, h, w): noisy latents and the photo's; level (g,) = ln(sigma) / 4 -> (b, t, 4, h, w).

        deep (b t, c, h, w): what `deep` gave, perhaps at an earlier noise level; without it, it is computed.
        """
        embedding, entered = self._embed(level, conditions), self._enter(x, conditions)
        h = self._deep(entered, embedding, conditions) if deep is None else deep
        h = self._join(h, entered, *self.up_blocks[-1].steps()[-1], embedding, conditions)
        return self.conv_out(F.silu(self.conv_norm_out(h))).unflatten(0, (-1, x.shape[1]))

    def deep(self, x: Tensor, level: Tensor, conditions: VideoConditions) -> Tensor:
        """(b t, c, h, w): all the way down and up again, but for the last residual block and transformer."""
        return self._deep(self._enter(x, conditions), self._embed(level, conditions), conditions)

    def _enter(self, x: Tensor, conditions: VideoConditions) -> Tensor:
        """(g t, c, h, w)."""
        h = self.conv_in(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))
        return (h + conditions.place).flatten(0, 1)

    def _deep(self, h: Tensor, embedding: Tensor, conditions: VideoConditions) -> Tensor:
        skips = [h]
        for block in self.down_blocks:
            for resnet, attention in block.steps():
                h = self._run(h, resnet, attention, embedding, conditions)
                skips.append(h)
            if hasattr(block, "downsamplers"):
                h = block.downsamplers[0](h)
                skips.append(h)
        for resnet, attention in self.mid_block.steps():
            h = self._run(h, resnet, attention, embedding, conditions)
        for block in self.up_blocks:
            for resnet, attention in block.steps()[: len(skips) - 1]:  # the first skip is for the shallow part
                h = self._join(h, skips.pop(), resnet, attention, embedding, conditions)
            if hasattr(block, "upsamplers"):
                h = block.upsamplers[0](h, skips[-1].shape[-2:])
        return h

    def _join(
        self,
        h: Tensor,
        skip: Tensor,
        resnet: ResBlock,
        attention: VideoTransformer | None,
        embedding: Tensor,
        told: VideoConditions,
    ) -> Tensor:
        """A step of the way up, with what the way down had there."""
        h, skip = (told.spread(y, told.identity.shape[1]) for y in (h, skip))
        return self._run(torch.cat([h, skip], dim=1), resnet, attention, embedding, told)

    def _embed(self, level: Tensor, conditions: VideoConditions) -> Tensor:
        """(g, k): the noise level, and the numbers about the clip."""
        time = self.time_embedding(waves(level, self.config.channels[0]))
        return time + self.add_embedding(waves(conditions.numbers, self.config.clip_numbers).flatten())

    def _run(
        self, h: Tensor, resnet: ResBlock, attention: VideoTransformer | None, embedding: Tensor, told: VideoConditions
    ) -> Tensor:
        t = told.identity.shape[1]
        if len(h) != len(embedding) * t:
            embedding = told.spread(embedding, 1)
        h = self._maybe_recomputed(resnet, h, embedding)
        return h if attention is None else self._maybe_recomputed(attention, h, told)

    def _maybe_recomputed(self, part: nn.Module, *given: object) -> Tensor:
        """A part's output; with `checkpointing`, its inner values are not kept for the gradient but made again."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(part, *given, use_reentrant=False)
        return part(*given)


def start_as_identity(network: VideoUnet) -> None:
    """Make every control layer the identity and every adapter silent: training begins at SVD's own function."""
    for module in network.modules():
        if isinstance(module, VideoTransformer):
            for block in (*module.transformer_blocks, *module.temporal_transformer_blocks):
                for adapter in block.attn2.adapters.values():
                    nn.init.zeros_(adapter.to_v.weight)
            if module.control is not None:
                nn.init.zeros_(module.control.leave.weight)
