"""A request's media as the full tier's tokens: who it is, what is heard, how the clip moves, and where each holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from actalker.config import LIMITS, MEL_PER_FRAME
from actalker.model.full import VideoDenoiser
from actalker.model.masks import Masks
from actalker.model.video_diffusion import Film
from actalker.model.whisper import Perception
from actalker.pipelines.denoising import face_shape
from actalker.pipelines.request import Request
from actalker.pipelines.stages import Measured
from actalker.signals import media
from actalker.signals.face import FaceTracker
from actalker.signals.hidden_states import state_rows, whisper_mel
from actalker.signals.motion import Motion
from actalker.signals.place import (
    Place,
    expression_crop,
    face_maps,
    head_crop,
    identity_crop,
    locate,
    square_around,
)

HEARD = 25 * MEL_PER_FRAME  # rows of this program's own features in a second
SMALL = ("eyes", "gaze", "brows")


@dataclass(frozen=True)
class Sights:
    """What a network is shown, before any of its own: pictures and features as tensors."""

    identity: Tensor  # (512,), or the face's shape (8,)
    speech: Tensor | None  # (t, rows, layers, width)
    expression: Tensor | None  # (t, 512), or coefficients (t, 32)
    pose: Tensor | None  # (t, 6)


def place_of(request: Request, measured: Measured, short: int) -> tuple[Place, dict[str, np.ndarray]]:
    """The photo and its maps at working size, and each open signal's map (h, w) uint8."""
    height, width = measured.photo.shape[:2]
    maps = face_maps(measured.face.box, height, width)
    place = locate(measured.photo, maps, short)
    owned = signal_maps(request, measured, maps)
    names = list(owned)
    signals = [locate(measured.photo, [owned[name]] * 3, short).face for name in names]
    return place, dict(zip(names, signals, strict=True))


def signal_maps(request: Request, measured: Measured, maps: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Each open signal's part of the face; one that is alone has all of it, as in training (paper, section 3.4)."""
    face, mouth, rest = maps
    open_gates = [name for name, open_gate in measured.gates.items() if open_gate]
    if len(open_gates) == 1 and set(request.regions.values()) == {open_gates[0]}:
        return {open_gates[0]: face}
    owner = np.full(face.shape, "still", object)
    owner[rest > 0] = request.regions["head"]
    for region in SMALL:
        owner[(measured.masks[region] > 0.5) & (face > 0)] = request.regions[region]
    owner[mouth > 0] = request.regions["mouth"]
    return {name: np.where(owner == name, 255, 0).astype(np.uint8) for name in open_gates}


def see(senses: Perception | None, request: Request, measured: Measured, frames: int) -> Sights:
    """What the photo, the speech and the driving clip show, at the request's frame rate."""
    if senses is None:
        return _own(request, measured, frames)
    fps = float(request.fps)
    face = _tensor(identity_crop(measured.photo, measured.face.box)) * 2 - 1
    speech = expression = pose = None
    if measured.speech is not None:
        mel = torch.from_numpy(whisper_mel(measured.speech.samples))
        states = torch.cat([senses.whisper(chunk[None])[0] for chunk in mel])
        states = states[: len(measured.speech.samples) // 640 * 2]
        speech = _rows(states, state_rows(frames, fps, len(states)))
    if measured.driving is not None:
        expression, pose = _driving(senses, request.driving, fps, frames)
    return Sights(senses.identity(face[None])[0], speech, expression, pose)


def _own(request: Request, measured: Measured, frames: int) -> Sights:
    """This program's own measurements."""
    speech = expression = pose = None
    if measured.speech is not None:
        speech = own_speech(measured.features, frames, float(request.fps))
    if measured.driving is not None:
        expression, pose = own_motion(measured.driving, frames, float(request.fps))
    return Sights(torch.from_numpy(face_shape(measured.face)), speech, expression, pose)


def own_speech(features: np.ndarray, frames: int, fps: float) -> Tensor:
    """Features (n, 113) at 100 Hz -> (t, 20, 1, 113): 80 ms before each frame and 120 ms from it on."""
    rows = state_rows(frames, fps, len(features), HEARD, before=8, after=12)
    return _rows(torch.from_numpy(features)[:, None], rows)


def own_motion(motion: Motion, frames: int, fps: float) -> tuple[Tensor, Tensor]:
    """Coefficients -> those of the face (t, 32), and the head's six (t, 6)."""
    values = torch.from_numpy(motion.resampled(fps).extended(frames).values)
    return values[:, :-6], values[:, -6:]


def _rows(states: Tensor, rows: np.ndarray) -> Tensor:
    """states (n, layers, width) at rows (t, r) -> (t, r, layers, width), zeros for row -1."""
    index = torch.from_numpy(rows)
    return states[index.clamp(min=0)] * (index >= 0)[..., None, None]


def _driving(senses: Perception, clip: Path, fps: float, frames: int) -> tuple[Tensor, Tensor]:
    """Expression (t, 512) and head pose (t, 6) of a clip, whose motion runs back and forth when it is too short."""
    seen: list[tuple[Tensor, Tensor]] = []
    seconds = min(frames / fps, LIMITS.clip_seconds)
    for face, head in _crops(islice(media.read_video(clip, fps, seconds), frames)):
        rotation, translation = senses.head(_tensor(head)[None])
        seen.append((senses.expression(_tensor(face)[None])[0], torch.cat([rotation, 0 * translation], 1)[0]))
    there_and_back = [*range(len(seen)), *range(len(seen) - 2, 0, -1)]
    order = [there_and_back[i % len(there_and_back)] for i in range(frames)]
    expression, pose = (torch.stack(column)[order] for column in zip(*seen, strict=True))
    return expression, pose


def _crops(frames: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The face of each frame, and its head in the first frame's square; a frame without a face repeats the last."""
    square = last = None
    with FaceTracker() as tracker:
        for frame in frames:
            points = tracker.points(frame)
            if points is not None:
                last = points[:, :2]
                if square is None:
                    box = (*last.min(axis=0), *last.max(axis=0))
                    square = square_around(box, 1.0, *frame.shape[:2])
            if last is not None:
                yield expression_crop(frame, last), head_crop(frame, square, 576)


def film_of(
    network: VideoDenoiser, sights: Sights, place: Place, masks: Masks, photo: Tensor, frames: int, fps: float
) -> Film:
    """Tokens of everything that was seen. photo: the VAE's latent (4, h, w), not scaled."""
    like = network.place.conv_in.weight
    face = (_tensor(place.face)[None].expand(1, 3, -1, -1)).to(like)
    signals, silence = {}, {}
    if sights.speech is not None:
        signals["audio"] = network.speech(sights.speech.to(network.speech.proj1.weight))
        silence["audio"] = network.speech(torch.zeros_like(sights.speech[0]).to(network.speech.proj1.weight))
    if sights.expression is not None:
        expression, pose = (x.to(network.motion.proj1.weight) for x in (sights.expression, sights.pose))
        signals["video"] = network.motion(expression, pose)[:, None]
        silence["video"] = network.motion(0 * expression[:1], 0 * pose[:1])
    identity = network.identity(sights.identity.to(network.identity.proj1.weight))
    numbers = torch.tensor([fps, *network.config.motion_numbers], device=like.device)
    signals, silence = ({name: x.to(like) for name, x in group.items()} for group in (signals, silence))
    where = network.place(face)
    return Film(identity.to(like), signals, silence, masks, where, numbers, photo.to(like), frames)


def _tensor(picture: np.ndarray) -> Tensor:
    """(h, w, 3) or (h, w) uint8 -> (3, h, w) or (h, w) in [0, 1]."""
    values = torch.from_numpy(picture.astype(np.float32) / 255)
    return values.permute(2, 0, 1) if values.dim() == 3 else values
