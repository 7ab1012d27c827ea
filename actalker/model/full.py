"""The full tier's trainable network: the UNet, and the projections that make its conditions."""

import torch
from torch import Tensor, nn

from actalker.config import Full
from actalker.model.projections import IdentityProjection, MotionProjection, PlaceGuider, SpeechProjection
from actalker.model.unet import VideoUnet
from actalker.model.video_conditions import VideoConditions


class VideoDenoiser(nn.Module):
    """The raw network F of the preconditioning in model.diffusion, and the encoders that make its conditions."""

    def __init__(self, config: Full):
        super().__init__()
        self.config, context = config, config.unet.context
        self.unet = VideoUnet(config.unet)
        self.speech = SpeechProjection(config.encoders, context)
        self.identity = IdentityProjection(config.encoders, context)
        self.motion = MotionProjection(config.encoders, context)
        self.place = PlaceGuider(config.encoders, config.unet.channels[0])

    @property
    def numbers(self) -> Tensor:
        """(3,): frame rate and the two numbers of motion that the weights were trained with."""
        return torch.tensor([self.config.fps, *self.config.motion_numbers])

    def forward(self, x: Tensor, level: Tensor, conditions: VideoConditions, deep: Tensor | None = None) -> Tensor:
        """x (g or 1, t, 4, h, w) scaled, level (g or 1,) -> (b, t, 4, h, w), the negative of the velocity.

        deep: what `deep` gave, perhaps at an earlier noise level; without it, it is computed.
        """
        return -self.unet(*_with_photo(x, level, conditions), conditions, deep)

    def deep(self, x: Tensor, level: Tensor, conditions: VideoConditions) -> Tensor:
        """(b t, c, h, w): what the UNet's deep part makes of the same."""
        return self.unet.deep(*_with_photo(x, level, conditions), conditions)


def _with_photo(x: Tensor, level: Tensor, conditions: VideoConditions) -> tuple[Tensor, Tensor]:
    """(g, t, 8, h, w) and (g,): what the UNet takes."""
    g, t = len(conditions.photo), x.shape[1]
    photo = conditions.photo[:, None].expand(-1, t, -1, -1, -1)
    return torch.cat([x.expand(g, -1, -1, -1, -1).to(photo), photo], dim=2), level.expand(g)
