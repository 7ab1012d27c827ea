"""Denoising: a measured request becomes facial motion, once for each region map that holds at some time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from actalker.config import COEFFICIENTS, INDEX, MEL_PER_FRAME, REGIONS, Sampling
from actalker.model.conditioning import Conditions, belonging, coefficient_mask, region_masks
from actalker.model.diffusion import (
    Call,
    fading_windows,
    guided,
    in_calls,
    precondition,
    sample_in_parts,
    sigmas,
)
from actalker.model.motion_net import MotionDenoiser
from actalker.pipelines.directing import Direction, direct, offset
from actalker.pipelines.request import Progress, Request, silent
from actalker.pipelines.stages import Measured, frame_count
from actalker.signals.audio import Speech, joined
from actalker.signals.face import Face
from actalker.signals.mesh import canonical_face
from actalker.signals.motion import Motion, between, resampled_at
from actalker.signals.phones import CHANNELS
from actalker.signals.rig import in_face_units

T = TypeVar("T")

# Pairs of mesh points whose distances describe a neutral face: height, width, mouth, lips, chin, eye, lids, brows.
SHAPE_PAIRS = np.array([(10, 152), (234, 454), (61, 291), (0, 17), (1, 152), (33, 133), (159, 145), (70, 300)])
SHAPE_SPREAD = 0.15  # of the logarithm of such a distance among people
HEARD_AT_ONCE = 125  # frames whose speech is encoded together, so that the first ones are soon there
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

    @classmethod
    def joined(cls, parts: Iterable["Performance"]) -> "Performance":
        """Parts that follow each other, at least one, as one."""
        parts = list(parts)
        seal = np.concatenate([part.seal for part in parts])
        return cls(Motion.joined(part.motion for part in parts), seal, sum(part.calls for part in parts))

    def until(self, frames: int) -> "Performance":
        """The first so many frames of it."""
        motion = replace(self.motion, values=self.motion.values[:frames])
        return replace(self, motion=motion, seal=self.seal[:frames])


def denoise(network: MotionDenoiser, request: Request, measured: Measured, progress: Progress = silent) -> Performance:
    """The performance of a measured request. Progress is told after every call of the network, and may raise."""
    return Performance.joined(denoise_in_parts(network, request, measured, progress))


def denoise_in_parts(
    network: MotionDenoiser,
    request: Request,
    measured: Measured,
    progress: Progress = silent,
    waiting: Callable[[Iterable[T]], Iterable[T]] = iter,
) -> Iterator[Performance]:
    """`denoise` part after part, each as soon as it is finished, of speech and clip that may still be measured.

    The last part comes when the whole clip is watched. `waiting` may look on while parts of speech and clip are waited
    for.
    """
    with _one_thread():
        yield from _in_parts(network, request, measured, progress, waiting)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Torch and the scan in one thread: several would wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def _in_parts(
    network: MotionDenoiser,
    request: Request,
    measured: Measured,
    progress: Progress,
    waiting: Callable[[Iterable[T]], Iterable[T]],
) -> Iterator[Performance]:
    own_frames, frames = (frame_count(measured.seconds, Fraction(fps)) for fps in (network.config.fps, request.fps))
    direction = direct(request, frames, request.fps)
    seal = _seal(request, measured, direction)
    calls = in_calls(fading_windows(own_frames, network.config.window, network.config.overlap), own_frames)
    signals: dict[str, _Heard | _Watched] = {}
    if measured.gates["audio"]:
        signals["audio"] = _Heard(network, measured.speech, waiting(measured.listened), own_frames)
    if measured.gates["video"]:
        signals["video"] = _Watched(network, waiting(measured.watched), own_frames)
    conditions = [_condition(network, regions, measured, signals, own_frames) for regions in direction.maps]
    each = len(calls) * request.steps * (1 if request.guidance == 1 else 2)
    count = _Count(network, each * sum(map(bool, conditions)), progress)
    takes = [one and _take(network, count, request, one, calls, signals) for one in conditions]
    made = np.zeros((len(takes), own_frames, len(COEFFICIENTS)), np.float32)
    at = resampled_at(frames, network.config.fps / float(request.fps))
    known = done = told = filled = 0
    for call in calls:
        for values, take in zip(made, takes, strict=True):
            if take:
                values[known : call.done] = next(take)
        known, last = call.done, call is calls[-1]
        if last and "video" in signals:
            signals["video"].reach_the_end()
        # A frame at another rate is there when both of those that it lies between are.
        end = frames if last else int(np.searchsorted(np.ceil(at), known))
        part = slice(done, end)
        blended = direction.blended([between(values, at[part]) for values in made], part)
        motion = Motion(offset(blended, request.offsets), float(request.fps), measured.filled - filled)
        yield Performance(motion, seal[part], count.done - told)
        done, told, filled = end, count.done, filled + motion.filled


def _seal(request: Request, measured: Measured, direction: Direction) -> np.ndarray:
    """(t,) as in Performance: it begins with a region map in which something is said."""
    speaks = np.array([measured.moves("mouth", regions) for regions in direction.maps])
    rising = np.minimum(1, np.arange(direction.shares.shape[1]) / (SEAL_SECONDS * float(request.fps)))
    return rising * (speaks[:, None] * direction.shares).sum(axis=0)


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


def _take(
    network: MotionDenoiser,
    call: Callable,
    request: Request,
    conditions: Conditions,
    calls: Sequence[Call],
    signals: Mapping[str, "_Heard | _Watched"],
) -> Iterator[np.ndarray]:
    """Coefficients (n, k) float32 sampled for one map from the request's seed, the same noise for every map."""
    frames = len(next(iter(conditions.masks.values())))
    sampling = Sampling(steps=request.steps, guidance=request.guidance)
    noise = torch.randn(1, frames, len(COEFFICIENTS), generator=torch.Generator().manual_seed(request.seed))
    one = guided(precondition(call), network.forget, sampling.guidance)
    strengths = _strengths(request, conditions, network.config.fps)

    def known(count: int) -> None:
        for name, signal in signals.items():
            if name in conditions.masks:
                signal.reach(count)

    parts = sample_in_parts(one, conditions, noise, sigmas(sampling), belonging(sampling.settled), calls, known)
    for places, values in parts:
        yield (network.unwhiten(values)[0] * strengths[places]).numpy()


def _condition(
    network: MotionDenoiser,
    regions: Mapping[str, str],
    measured: Measured,
    signals: Mapping[str, "_Heard | _Watched"],
    frames: int,
) -> Conditions | None:
    """The open gates' signals as tokens, and None where all are closed: a closed gate's encoder is not run."""
    masks = {name: mask for name, mask in region_masks(regions, frames).items() if measured.gates[name]}
    if not masks:
        return None
    shape = torch.from_numpy(face_shape(measured.face))[None]
    speech, driving = (signals[name].tokens if name in masks else None for name in ("audio", "video"))
    return network.condition(shape, masks, speech, driving)


class _Heard:
    """Speech as `tokens` (1, t, c), made as far as `reach` was asked to."""

    def __init__(self, network: MotionDenoiser, speech: Speech, parts: Iterable[np.ndarray], frames: int):
        self._network, self._mel, self._parts = network, speech.mel, iter(parts)
        self._evidence, self._first = np.empty((0, CHANNELS), np.float32), 0  # rows of it from the first that is needed
        self._done = 0
        self.tokens = torch.zeros(1, frames, network.config.control.condition)

    def reach(self, count: int) -> None:
        """Wait until the speech is heard as far as `count` frames need it."""
        frames = self.tokens.shape[1]
        while self._done < count:
            new = slice(self._done, min(self._done + HEARD_AT_ONCE, frames))
            first = max(0, new.start - REACH)
            heard = self._features(first, min(new.stop + REACH, frames))
            tokens = self._network.speech(torch.from_numpy(heard)[None])[0]
            self.tokens[:, new] = tokens[:, new.start - first : new.stop - first]
            self._done = new.stop

    def _features(self, first: int, last: int) -> np.ndarray:
        """All that is heard from one frame to another (4n, f), the last row repeated where the recording is shorter."""
        rows = np.minimum(np.arange(MEL_PER_FRAME * first, MEL_PER_FRAME * last), len(self._mel) - 1)
        kept = [self._evidence[rows[0] - self._first :]]
        while rows[0] + sum(map(len, kept)) <= rows[-1]:
            kept.append(next(self._parts))
        self._evidence, self._first = np.concatenate(kept), rows[0]
        return joined(self._mel[rows], self._evidence[rows - self._first])


class _Watched:
    """A clip as `tokens` (1, t, regions, c), made as far as `reach` was asked to."""

    def __init__(self, network: MotionDenoiser, parts: Iterable[Motion], frames: int):
        self._network, self._parts, self._frames = network, iter(parts), frames
        self._seen: list[Motion] = []
        self._done = 0
        self.tokens = torch.zeros(1, frames, len(REGIONS), network.config.control.condition)

    def reach(self, count: int) -> None:
        """Wait until the clip is watched as far as `count` frames at the network's rate need it."""
        new = slice(self._done, count)
        if new.start < new.stop:
            self.tokens[:, new] = self._network.watch(torch.from_numpy(self._driving(new))[None])
            self._done = count

    def reach_the_end(self) -> None:
        """Wait until all of the clip is watched."""
        self._seen.extend(self._parts)

    def _driving(self, new: slice) -> np.ndarray:
        """Coefficients (n, k) of the clip, which goes there and back again where it is shorter than the result."""
        fps, whole = float(self._network.config.fps), False
        while not (whole or self._knows(new.stop, fps)):
            coming = list(islice(self._parts, 1))
            self._seen, whole = self._seen + coming, not coming
        at_rate = Motion.joined(self._seen).resampled(fps)
        return (at_rate.extended(self._frames) if whole else at_rate).values[new]

    def _knows(self, count: int, fps: float) -> bool:
        """Whether the last of `count` frames lies between two of the clip that are known."""
        known = sum(map(len, self._seen))
        return known > 0 and resampled_at(count, self._seen[0].fps / fps)[-1] + 1 < known


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
