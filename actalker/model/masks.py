"""Region masks in pixels, and which tokens of a grid they mean.

release    bicubic value, cut to a whole number: only a token that is wholly inside belongs, soft values weigh
threshold  share of the token's area, at least a half: a token belongs or does not
"""

import torch.nn.functional as F
from torch import Tensor

RULES = ("release", "threshold")


class Masks:
    """Masks of signals (H, W) in [0, 1], on the CPU, as tokens of any grid. Each grid is worked out once."""

    def __init__(self, pixels: dict[str, Tensor], rule: str = "release"):
        self.pixels, self.rule = pixels, rule
        self._kept: dict[tuple, Tensor] = {}

    def weights(self, name: str, grid: tuple[int, int]) -> Tensor:
        """(n,) float32: how far each token of a grid (h, w) is inside, row by row."""
        key = (name, *grid)
        if key not in self._kept:
            self._kept[key] = self._weights(self.pixels[name].float().cpu(), grid)
        return self._kept[key]

    def tokens(self, name: str, grid: tuple[int, int]) -> Tensor:
        """(n,) bool: the tokens that belong."""
        return self.weights(name, grid).int() != 0

    def _weights(self, mask: Tensor, grid: tuple[int, int]) -> Tensor:
        if self.rule == "release":
            return F.interpolate(mask[None, None], size=grid, mode="bicubic").flatten()
        return (F.adaptive_avg_pool2d(mask[None, None], grid).flatten() >= 0.5).float()
