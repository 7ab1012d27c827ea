"""Clips for the full tier: a manifest, what is wrong with which clip, and the signals and latents of a clip, cached.

A clip is its own teacher: its sound is the speech, its face the driving motion, one of its frames the photo, and its
frames are what shall come out.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from actalker.config import Full
from actalker.errors import InputError
from actalker.model.whisper import Perception
from actalker.pipelines.ahead import Stream
from actalker.pipelines.listening import Sights, see
from actalker.pipelines.request import Progress, Request, silent
from actalker.pipelines.stages import Measured
from actalker.pipelines.vae import SCALE, Vae
from actalker.saving import replacing
from actalker.signals import media
from actalker.signals.audio import read_speech
from actalker.signals.face import find_faces
from actalker.signals.motion import motion_of, track
from actalker.signals.phones import evidence
from actalker.signals.place import face_maps, locate

TURNED = 0.3  # share of a clip's frames that may lack a face


@dataclass(frozen=True)
class Shot:
    """A clip as tensors, at the tier's frame rate."""

    latents: Tensor  # (t, 4, h, w), scaled
    identity: Tensor  # as in Sights
    speech: Tensor
    expression: Tensor
    pose: Tensor
    maps: Tensor  # (3, H, W) in [0, 1]: face, mouth, rest

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        with replacing(path) as part, part.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name).numpy() for field in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "Shot":
        with np.load(path) as file:
            return cls(**{field.name: torch.from_numpy(file[field.name]) for field in fields(cls)})


def read_manifest(path: Path) -> list[Path]:
    """The videos of a manifest: a JSON object with "video" in each line, or a path in each; relative to its folder."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}); give a text file with a video in each line.") from error
    videos = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            name = json.loads(line)["video"] if line.startswith("{") else line
        except (ValueError, KeyError, TypeError):
            raise InputError(f'Line {number} of {path} is no JSON object with "video"; mend it.') from None
        videos.append(path.parent / name)
    if not videos:
        raise InputError(f"{path} names no video; give one in each line.")
    return videos


def check_clips(videos: Iterable[Path], config: Full, frames: int, progress: Progress = silent) -> dict[str, str]:
    """Each video and "ok", or in one sentence what is wrong with it."""
    report, videos = {}, list(videos)
    for i, video in enumerate(videos):
        try:
            _read(video, config, frames)
            report[str(video)] = "ok"
        except InputError as fault:
            report[str(video)] = str(fault)
        progress("checking", (i + 1) / len(videos))
    return report


def cached_shots(
    videos: Iterable[Path], folder: Path, config: Full, frames: int, size: int, vae: Vae, senses: Perception | None
) -> list[Path]:
    """Files with the shots of all videos that are fit, measured once. Raises InputError for the first that is not."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for video in videos:
        if not video.is_file():
            raise InputError(f"{video} does not exist; mend the manifest.")
        stamp = video.stat()
        facts = f"{video.resolve()} {stamp.st_size} {stamp.st_mtime_ns} {size} {config.fps} {config.encoders.senses}"
        path = folder / f"{video.stem}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}.npz"
        if not path.exists():
            pictures, measured = _read(video, config, frames)
            make_shot(video, pictures, measured, config, size, vae, senses).save(path)
        paths.append(path)
    return paths


def _read(video: Path, config: Full, frames: int) -> tuple[list[np.ndarray], Measured]:
    """A video's frames and all that is measured in it."""
    if not video.is_file():
        raise InputError(f"{video} does not exist; mend the manifest.")
    pictures = list(media.read_video(video, config.fps, longest=media.MOST_SECONDS))
    if len(pictures) < frames:
        raise InputError(f"{video} has {len(pictures)} frames at {config.fps:g} a second; {frames} are needed.")
    if not media.probe_video(video).has_audio:
        raise InputError(f"{video} has no sound; a clip must speak for itself.")
    speech = read_speech(video)
    if speech.silent:
        raise InputError(f"{video} is silent; a clip must speak for itself.")
    faces = find_faces(pictures[0])
    if len(faces) != 1:
        raise InputError(f"{video} shows {len(faces)} faces in its first frame; it must show one.")
    motion = motion_of(track(pictures), config.fps, video.name)
    if motion.filled > TURNED * len(pictures):
        raise InputError(f"{video} hides its face in {motion.filled} of {len(pictures)} frames; leave it out.")
    gates = {"audio": True, "video": True}
    heard, clip = Stream.of(evidence(speech.samples)), Stream.of(motion)
    return pictures, Measured(pictures[0], faces[0], 1, {}, gates, speech, heard, clip, len(pictures) / config.fps)


def make_shot(
    video: Path,
    pictures: list[np.ndarray],
    measured: Measured,
    config: Full,
    size: int,
    vae: Vae,
    senses: Perception | None,
) -> Shot:
    """Latents, signals and maps of a clip."""
    request = Request(photo=video, speech=video, driving=video, fps=config.fps)
    sights: Sights = see(senses, request, measured, len(pictures))
    height, width = pictures[0].shape[:2]
    place = locate(pictures[0], face_maps(measured.face.box, height, width), size)
    maps = torch.from_numpy(np.stack([place.face, place.mouth, place.rest]) / np.float32(255))
    latents = []
    for picture in pictures:
        small = locate(picture, [picture[..., 0]] * 3, size).picture
        shown = torch.from_numpy(small / np.float32(127.5) - 1).permute(2, 0, 1)[None]
        latents.append(SCALE * vae.encode(shown)[0])
    return Shot(torch.stack(latents), sights.identity, sights.speech, sights.expression, sights.pose, maps)
