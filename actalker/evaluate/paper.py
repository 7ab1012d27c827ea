"""The measures of papers: FID, FVD and LPIPS, by their own networks, which the user brings as TorchScript files.

    FID    `inception-2015-12-05.pt` of StyleGAN's metrics: network(images, return_features=True) -> (n, 2048)
           with images (n, 3, h, w) uint8 RGB; the network resizes to 299 x 299 itself
    FVD    `i3d_torchscript.pt` of StyleGAN-V's metrics: network(clips, rescale=True, resize=True,
           return_features=True) -> (n, 400) with clips (n, 3, 16, h, w) float32 RGB in 0 to 255; it, too, resizes
    LPIPS  torch.jit.trace(lpips.LPIPS(net="alex").eval(), (x, x)): network(a, b) -> (n, 1, 1, 1)
           with a and b (n, 3, 256, 256) float32 RGB in -1 to 1

Without its file a measure is left out; nothing else is ever reported under its name. These numbers compare results of
one study with one another. They do not compare across papers, whose clips, crops and codecs differ, and hardly follow
what people prefer (peer studies find correlations of about 0.2 to 0.3).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from actalker.errors import InputError

BATCH = 16  # images at a time
CLIP = 16  # frames of one sample of FVD
LPIPS_SIDE = 256  # px
LEAST = 2  # samples of which a covariance can be taken


def load_network(path: Path, what: str) -> torch.jit.ScriptModule:
    """A TorchScript network. InputError: there is none at `path`."""
    if not Path(path).is_file():
        raise InputError(f"{path} does not exist; give the TorchScript file of {what}.")
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as fault:
        raise InputError(f"{path} is not a TorchScript file; save the network of {what} with torch.jit.") from fault


def inception_features(network: torch.nn.Module, frames: Iterable[np.ndarray]) -> np.ndarray:
    """(n, d) features of every frame (h, w, 3) uint8, for FID."""
    found = []
    for batch in _batches(frames, BATCH):
        images = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            found.append(network(images, return_features=True).numpy())
    return np.concatenate(found) if found else np.zeros((0, 0))


def i3d_features(network: torch.nn.Module, frames: Iterable[np.ndarray]) -> np.ndarray:
    """(n, d) features of every 16 frames (h, w, 3) uint8 that do not overlap, for FVD; the network resizes them."""
    found = []
    for clip in _batches(frames, CLIP):
        if len(clip) == CLIP:
            tensor = torch.from_numpy(np.stack(clip)).permute(3, 0, 1, 2)[None].float()
            with torch.inference_mode():
                found.append(network(tensor, rescale=True, resize=True, return_features=True).numpy())
    return np.concatenate(found) if found else np.zeros((0, 0))


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of the normal distributions fitted to two sets of features (n, d) and (m, d): FID or FVD by the network.

        |mean1 - mean2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))

    0 upwards; smaller is better. Fooled by: few samples, which make it large (of 2048 features FID wants thousands of
    frames, so compare only sets of equal size); frames of one clip, which are far from independent; codecs and
    sharpness, which move it more than motion does. nan of fewer than two samples.
    """
    if min(len(one), len(other)) < LEAST:
        return float("nan")
    means = [samples.mean(axis=0) for samples in (one, other)]
    first, second = (np.atleast_2d(np.cov(samples.astype(np.float64), rowvar=False)) for samples in (one, other))
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    # (C1 C2)^(1/2) has the trace of (C1^(1/2) C2 C1^(1/2))^(1/2), whose matrix is symmetric.
    shared = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return float(np.square(means[0] - means[1]).sum() + np.trace(first) + np.trace(second) - 2 * shared)


def lpips(network: torch.nn.Module, frames: Iterable[np.ndarray], real: Iterable[np.ndarray]) -> float:
    """Mean LPIPS of frames with those of a real clip at the same time, both squeezed to 256 x 256.

    0 upwards, about 1 at most; smaller is better. It means something where the result should equal the real clip, as
    when a person is driven by their own video. Fooled by: a shift of a few pixels, or a different crop.
    """
    found = []
    for pairs in _batches(zip(frames, real, strict=False), BATCH):
        a, b = (_signed([_square(frame, LPIPS_SIDE) for frame in side]) for side in zip(*pairs, strict=True))
        with torch.inference_mode():
            found += network(a, b).flatten().tolist()
    return float(np.mean(found)) if found else float("nan")


def _batches(items: Iterable, size: int) -> Iterator[list]:
    items = iter(items)
    while batch := list(islice(items, size)):
        yield batch


def _square(frame: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)


def _signed(frames: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
