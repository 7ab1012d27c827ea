"""Sound and video, read."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import VideoFrame
from av.container import InputContainer
from av.frame import Frame
from av.stream import Stream
from av.video.stream import VideoStream

from actalker.errors import InputError
from actalker.signals.media import files

LEAST_SOUND = 0.1  # seconds
MOST_VIDEO_PIXELS = 4096 * 2304

_RESAMPLER_DELAY = 0.1  # seconds of sound that a resampler may still hold

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: upright size in px, mean frame rate, length in seconds, and whether there is sound."""

    width: int
    height: int
    fps: Fraction
    seconds: float
    has_audio: bool


def read_audio(path: str | Path, rate: int = 16000, max_seconds: float | None = None) -> np.ndarray:
    """The sound of any audio or video file, float32 (n,) in [-1, 1] at `rate`: the mean of its channels.

    Reading stops after `max_seconds`.
    InputError: no such file, no sound in it, damaged, shorter than 0.1 s, or (without `max_seconds`) longer than 10
    minutes.
    """
    path = files.existing(path, "recording")
    with files.open_media(path, "recording") as container:
        if not container.streams.audio:
            raise InputError(f"{files.name(path)} has no sound track; {files.ADVICE['recording']}.")
        with files.decoding(path, "recording"):
            pieces = list(_sound_pieces(path, container, rate, max_seconds))
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    samples = samples if max_seconds is None else samples[: round(max_seconds * rate)]
    if len(samples) == 0:
        raise InputError(f"{files.name(path)} holds no sound; {files.ADVICE['recording']}.")
    if len(samples) < LEAST_SOUND * rate:
        seconds = f"{len(samples) / rate:.2f} s"
        raise InputError(f"{files.name(path)} lasts only {seconds}; give a recording of at least {LEAST_SOUND} s.")
    return np.clip(np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


def probe_video(path: str | Path) -> VideoInfo:
    """What a video file holds, from its header and its first frame. InputError as `read_video`."""
    path = files.existing(path, "video")
    with _open_video(path) as (container, stream), files.decoding(path, "video"):
        first = next(_decoded(container, stream), None)
        if first is None:
            raise files.damaged(path, "video")
        sideways = first.rotation % 180 != 0
        width, height = (first.height, first.width) if sideways else (first.width, first.height)
        seconds = _declared_seconds(container, stream) or _demuxed_seconds(container, stream)
        return VideoInfo(width, height, _frame_rate(stream), seconds, bool(container.streams.audio))


def read_video(path: str | Path, fps: float | None = None, max_seconds: float | None = None) -> Iterator[np.ndarray]:
    """The frames of a video, one at a time, upright, (h, w, 3) uint8 RGB, at `fps` (default: the file's own mean rate).

    Output frame i is the one nearest to i / fps by timestamp, so a variable rate becomes a steady one; there are
    round(seconds * fps) of them. Reading stops after `max_seconds`.
    InputError: no such file, no video in it, damaged, more than 4096 x 2304 px, or (without `max_seconds`) longer than
    10 minutes.
    """
    path = files.existing(path, "video")
    with _open_video(path) as (container, stream), files.decoding(path, "video"):
        declared = _declared_seconds(container, stream)
        if max_seconds is None and declared > files.MOST_SECONDS:
            raise files.too_long(path, declared)
        step = float(1 / _frame_rate(stream))
        rate = float(fps or 1 / step)
        limit = round(rate * min(max_seconds or files.MOST_SECONDS, files.MOST_SECONDS))
        count, size = 0, None
        for frame in _steady(_timed(container, stream, step), rate, step):
            if count == limit:
                return
            size = size or (frame.width, frame.height)
            yield _upright(frame, size)
            count += 1
    if count == 0:
        raise files.damaged(path, "video")
    if count < 0.9 * declared * rate:
        here = count / rate
        log.warning("%s breaks off after %.1f of %.1f s; only that part is used.", files.name(path), here, declared)


@contextmanager
def _open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """An opened container and its video, whose size has been checked."""
    with files.open_media(path, "video") as container:
        streams = files.moving_pictures(container)
        if not streams:
            raise files.mistaken(path, "video")
        stream, context = streams[0], streams[0].codec_context
        if context is None:  # nothing here can decode it
            raise files.damaged(path, "video")
        if context.width * context.height > MOST_VIDEO_PIXELS:
            shape = f"{context.width} x {context.height} pixels"
            raise InputError(f"{files.name(path)} has {shape}; reduce the video to 4096 x 2304 or less.")
        context.options = {"max_pixels": str(MOST_VIDEO_PIXELS)}
        stream.thread_type = "AUTO"
        yield container, stream


def _declared_seconds(container: InputContainer, stream: VideoStream) -> float:
    """The length that a file claims to have; 0 if it claims none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _demuxed_seconds(container: InputContainer, stream: VideoStream) -> float:
    """When the last packet of a stream ends, for files without a length, such as a browser's recordings."""
    ends = (packet.pts + (packet.duration or 0) for packet in container.demux(stream) if packet.pts is not None)
    return float(max(ends, default=0) * stream.time_base)


def _frame_rate(stream: VideoStream) -> Fraction:
    """The mean frame rate, or 25 where a file gives none that makes sense."""
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 1 <= rate <= 240 else Fraction(25)


def _decoded(container: InputContainer, stream: Stream) -> Iterator[Frame]:
    """Every frame of a stream that can be decoded; damaged packets are passed over."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from frames


def _sound_pieces(
    path: Path, container: InputContainer, rate: int, max_seconds: float | None = None
) -> Iterator[np.ndarray]:
    """The sound track as mono float32 pieces, led in by silence where the track starts later than the file does."""
    resampler = av.AudioResampler(format="fltp", rate=rate)
    seconds = 0.0
    for frame in _decoded(container, container.streams.audio[0]):
        if seconds == 0 and frame.time is not None:
            late = frame.time - (container.start_time or 0) / av.time_base
            yield np.zeros(round(min(max(late, 0.0), files.MOST_SECONDS) * rate), np.float32)
        seconds += frame.samples / frame.sample_rate
        if max_seconds is None and seconds > files.MOST_SECONDS:
            raise files.too_long(path, max(seconds, (container.duration or 0) / av.time_base))
        yield from (piece.to_ndarray().mean(axis=0) for piece in resampler.resample(frame))
        if max_seconds is not None and seconds > max_seconds + _RESAMPLER_DELAY:
            return
    if seconds:
        yield from (piece.to_ndarray().mean(axis=0) for piece in resampler.resample(None))


def _timed(container: InputContainer, stream: VideoStream, step: float) -> Iterator[tuple[float, VideoFrame]]:
    """Frames with the seconds at which each begins, from 0 and never falling; where a file gives none, `step` apart."""
    start = last = None
    for frame in _decoded(container, stream):
        seconds = frame.time
        if seconds is None:
            seconds = 0.0 if last is None else last + step
        start = seconds if start is None else start
        last = seconds if last is None else max(seconds, last)
        yield last - start, frame


def _steady(frames: Iterable[tuple[float, VideoFrame]], rate: float, step: float) -> Iterator[VideoFrame]:
    """The frames nearest to the times 0, 1 / rate, 2 / rate, ...; the last one lasts `step` seconds."""
    shown, begin, count = None, 0.0, 0
    for seconds, frame in frames:
        while shown is not None and count / rate < (begin + seconds) / 2:
            yield shown
            count += 1
        shown, begin = frame, seconds
    while shown is not None and count < round((begin + step) * rate):
        yield shown
        count += 1


def _upright(frame: VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """A decoded frame as (h, w, 3) uint8 RGB, turned as its file says; `size` is (width, height) before turning."""
    image = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    return np.ascontiguousarray(np.rot90(image, frame.rotation // 90))
