"""Denoising: a measured request becomes facial motion, once for each region map that holds at some time."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from actalker.config import COEFFICIENTS, INDEX, MEL_PER_FRAME, Sampling
from actalker.model.conditioning import Conditions, belonging, coefficient_mask, region_masks
from actalker.model.diffusion import (
    WINDOWS_AT_ONCE,
    guided,
    precondition,
    sample_euler,
    sigmas,
    window_starts,
    windowed,
)
from actalker.model.motion_net import MotionDenoiser
from actalker.pipelines.directing import direct, offset
from actalker.pipelines.request import Progress, Request, silent
from actalker.pipelines.stages import Measured, frame_count
from actalker.signals.face import Face
from actalker.signals.mesh import canonical_face
from actalker.signals.motion import Motion
from actalker.signals.rig import in_face_units

# Pairs of mesh points whose distances describe a neutral face: height, width, mouth, lips, chin, eye, lids, brows.
SHAPE_PAIRS = np.array([(10, 152), (234, 454), (61, 291), (0, 17), (1, 152), (33, 133), (159, 145), (70, 300)])
SHAPE_SPREAD = 0.15  # of the logarithm of such a distance among people
HEARD_AT_ONCE = 500  # frames whose speech is encoded together, so that long recordings need no more memory
REACH = 25  # frames to each side that a token of speech is made from, at most
WAKING_SECONDS = 0.3  # in which lids that follow the voice begin to: its blinks are free, and none opens a video
LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
SEAL_SECONDS = 0.3  # in which an open-mouthed photo closes its lips before it speaks


@dataclass(frozen=True)
class Performance:
    """What the face does at the request's frame rate.

    `seal` (t,) in [0, 1]: how far an open-mouthed photo closes its lips; `calls`: how often the network ran.
    """

    motion: Motion
    seal: np.ndarray
    calls: int

    def until(self, frames: int) -> "Performance":
        """The first so many frames of it."""
        motion = replace(self.motion, values=self.motion.values[:frames])
        return replace(self, motion=motion, seal=self.seal[:frames])


def denoise(network: MotionDenoiser, request: Request, measured: Measured, progress: Progress = silent) -> Performance:
    """The performance of a measured request. Progress is told after every call of the network, and may raise."""
    with _one_thread():
        return _denoised(network, request, measured, progress)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch and the scan in one thread: several would wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _denoised(network: MotionDenoiser, request: Request, measured: Measured, progress: Progress) -> Performance:
    frames = frame_count(measured.seconds, request.fps)
    direction = direct(request, frames, request.fps)
    own_frames = frame_count(measured.seconds, Fraction(network.config.fps))
    conditions = []
    for regions in direction.maps:
        progress("denoising", 0.0)
        conditions.append(_condition(network, regions, measured, own_frames))
    count = _Count(network, sum(map(bool, conditions)) * _calls(network, request, own_frames), progress)
    values = []
    for one in conditions:
        made = np.zeros((own_frames, len(COEFFICIENTS)), np.float32)
        if one is not None:
            strengths = _strengths(request, one, network.config.fps)
            made = _sampled(network, count, request, one, own_frames) * strengths.numpy()
        values.append(Motion(made, float(network.config.fps)).resampled(float(request.fps), frames).values)
    motion = Motion(offset(direction.blended(values), request.offsets), float(request.fps), measured.filled)
    speaks = np.array([measured.moves("mouth", regions) for regions in direction.maps])
    seal = np.minimum(1, np.arange(frames) / (SEAL_SECONDS * float(request.fps)))
    return Performance(motion, seal * (speaks[:, None] * direction.shares).sum(axis=0), count.done)


class _Count:
    """The network, called and counted."""

    def __init__(self, network: MotionDenoiser, total: int, progress: Progress):
        self._network, self._total, self._progress, self.done = network, total, progress, 0
        progress("denoising", 0.0)

    def __call__(self, x: torch.Tensor, level: torch.Tensor, conditions: Conditions) -> torch.Tensor:
        result = self._network(x, level, conditions)
        self.done += 1
        self._progress("denoising", min(1.0, self.done / self._total))
        return result


def _calls(network: MotionDenoiser, request: Request, frames: int) -> int:
    windows = len(window_starts(frames, network.config.window, network.config.overlap))
    return request.steps * math.ceil(windows / WINDOWS_AT_ONCE) * (1 if request.guidance == 1 else 2)


@torch.inference_mode()
def _sampled(
    network: MotionDenoiser, call: Callable, request: Request, conditions: Conditions, frames: int
) -> np.ndarray:
    """(t, k) float32: coefficients sampled from the request's seed, the same noise for every map."""
    config, sampling = network.config, Sampling(steps=request.steps, guidance=request.guidance)
    generator = torch.Generator().manual_seed(request.seed)
    noise = torch.randn(1, frames, len(COEFFICIENTS), generator=generator)
    one = guided(precondition(call), network.forget, sampling.guidance)
    whole = windowed(one, conditions, config.window, config.overlap)
    done = sample_euler(whole, noise, sigmas(sampling), belonging(sampling.settled), lambda _step: None)
    return network.unwhiten(done)[0].numpy()


@torch.inference_mode()
def _condition(
    network: MotionDenoiser, regions: Mapping[str, str], measured: Measured, frames: int
) -> Conditions | None:
    """The open gates' signals as tokens, and None where all are closed: a closed gate's encoder is not run."""
    masks = {name: mask for name, mask in region_masks(regions, frames).items() if measured.gates[name]}
    if not masks:
        return None
    speech = driving = None
    if "audio" in masks:
        speech = _speech_tokens(network, torch.from_numpy(_fitted(measured.speech.features, MEL_PER_FRAME * frames)))
    if "video" in masks:
        at_rate = measured.driving.resampled(float(network.config.fps))
        driving = torch.from_numpy(at_rate.extended(frames).values)[None]
    shape = torch.from_numpy(face_shape(measured.face))[None]
    return network.condition(shape, masks, speech, driving)


def _speech_tokens(network: MotionDenoiser, features: torch.Tensor) -> torch.Tensor:
    """Features (4t, f) -> (1, t, c), 20 s at a time with all that a token is made from around it."""
    pieces, frames = [], len(features) // MEL_PER_FRAME
    for start in range(0, frames, HEARD_AT_ONCE):
        first, last = max(0, start - REACH), start + HEARD_AT_ONCE + REACH
        tokens = network.speech(features[None, MEL_PER_FRAME * first : MEL_PER_FRAME * last])[0]
        pieces.append(tokens[:, start - first : start - first + HEARD_AT_ONCE])
    return torch.cat(pieces, dim=1)


def _strengths(request: Request, conditions: Conditions, fps: float) -> torch.Tensor:
    """(t, k): each coefficient's strength, 0 where its region keeps still; that of lids with the voice rises from 0."""
    kept = {name: coefficient_mask(mask).float() for name, mask in conditions.masks.items()}
    strengths = {name: one * request.strengths[name] for name, one in kept.items()}
    if "audio" in strengths:
        waking = torch.arange(len(strengths["audio"])) / (WAKING_SECONDS * fps)
        strengths["audio"][:, LIDS] *= waking.clamp(max=1)[:, None]
    whole = sum(strengths.values())
    return torch.where(belonging({"head"}), whole * request.head_strength, whole)


def face_shape(face: Face) -> np.ndarray:
    """The identity token's input (8,) float32: how a face's proportions differ from the canonical one, in spreads."""
    own, usual = (_distances(points) for points in (in_face_units(face.points), canonical_face()))
    return (np.log(own / usual) / SHAPE_SPREAD).clip(-3, 3).astype(np.float32)


def _distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[SHAPE_PAIRS[:, 0]] - points[SHAPE_PAIRS[:, 1]], axis=1)


def _fitted(features: np.ndarray, rows: int) -> np.ndarray:
    """The first `rows` rows, the last one repeated where the recording is shorter."""
    if len(features) >= rows:
        return features[:rows]
    return np.pad(features, ((0, rows - len(features)), (0, 0)), mode="edge")
