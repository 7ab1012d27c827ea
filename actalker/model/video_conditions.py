"""What the video denoiser is told. b rows that differ in what they are told, of g inputs that differ in the photo."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from actalker.model.masks import Masks


@dataclass(frozen=True)
class VideoConditions:
    """Built once for a clip. `signals` holds the open gates alone: a closed gate is absent, not a zero."""

    identity: Tensor  # (b, t, e)
    signals: dict[str, Tensor]  # name -> (b, t, m, e)
    masks: Masks
    place: Tensor  # (g or 1, t or 1, c, h, w): where the face is
    numbers: Tensor  # (3,): frames a second and two numbers of motion
    photo: Tensor | None = None  # (g, 4, h, w): the photo's latent, or zeros
    rows: tuple[int, ...] | None = None  # which of the g inputs each of the b rows starts from; None: its own
    start: int = 0  # of these frames in the clip

    def only(self, row: int) -> "VideoConditions":
        """The conditions of one row."""
        told = {name: signal[row : row + 1] for name, signal in self.signals.items()}
        photo = self.photo[self.rows[row] : self.rows[row] + 1]
        return replace(self, identity=self.identity[row : row + 1], signals=told, photo=photo, rows=None)

    def around(self, places: Tensor) -> "VideoConditions":
        """The conditions of the frames at `places` (k,), which count around the clip."""
        frames = (places % self.identity.shape[1]).to(self.identity.device)
        signals = {name: signal.index_select(1, frames) for name, signal in self.signals.items()}
        face = self.place.index_select(1, (places % self.place.shape[1]).to(self.place.device))
        identity, start = self.identity.index_select(1, frames), int(places[0])
        return replace(self, identity=identity, signals=signals, place=face, start=start)

    def spread(self, x: Tensor, frames: int) -> Tensor:
        """(g t, ...) -> (b t, ...): once rows begin to differ, each goes its own way. What has b rows stays."""
        if self.rows is None or len(x) == len(self.rows) * frames:
            return x
        rows = torch.tensor(self.rows, device=x.device)
        return x.unflatten(0, (-1, frames)).index_select(0, rows).flatten(0, 1)
