"""Stable Video Diffusion's image encoder and video decoder, frozen, from diffusers."""

from collections.abc import Iterator

import torch
from torch import Tensor

from actalker.model.diffusion import Parts

SCALE = 0.18215  # diffusion sees latents of about unit variance


class Vae:
    """Pictures in [-1, 1] to latents, latents to frames in [0, 1]."""

    def __init__(self, model: torch.nn.Module):
        self.model = model

    @classmethod
    def build(cls, config: dict) -> "Vae":
        """From diffusers' configuration of an AutoencoderKLTemporalDecoder, without weights worth the name."""
        from diffusers import AutoencoderKLTemporalDecoder

        return cls(AutoencoderKLTemporalDecoder.from_config(config).eval().requires_grad_(False))

    def encode(self, picture: Tensor) -> Tensor:
        """(t, 3, H, W) in [-1, 1] -> the mean latent (t, 4, H / 8, W / 8), not scaled, float32."""
        self.model.encoder.float(), self.model.quant_conv.float()  # they overflow in float16
        return self.model.encode(picture.float()).latent_dist.mode()

    def decode(self, parts: Parts, length: int, frames: int, chunk: int) -> Iterator[Tensor]:
        """Scaled latents of `length` frames, (n,) with (1, n, 4, h, w) at a time -> the first `frames` frames.

        They come as (n, 3, H, W) in [0, 1], a chunk as soon as its latents are there: the decoder mixes the frames of
        a chunk. Chunks without a wanted frame are left out.
        """
        dtype = next(self.model.decoder.parameters()).dtype
        waiting: dict[int, Tensor] = {}
        starts = iter(range(0, frames, chunk))
        wanted = _chunk(next(starts), chunk, length)
        for numbers, latents in parts:
            waiting.update(zip(numbers.tolist(), latents[0], strict=True))
            while wanted and all(number in waiting for number in wanted):
                part = torch.stack([waiting.pop(number) for number in wanted]).to(dtype) / SCALE
                film = self.model.decode(part, num_frames=len(part)).sample
                yield (film[: frames - wanted.start].float() / 2 + 0.5).clamp(0, 1)
                wanted = _chunk(next(starts, length), chunk, length)


def _chunk(start: int, size: int, length: int) -> range:
    return range(start, min(start + size, length))
