"""Sound and video, decoded."""

import logging
import os
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
from av.packet import Packet
from av.stream import Stream
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from actalker.config import MediaLimits
from actalker.errors import InputError
from actalker.signals.media import files

_RESAMPLER_DELAY = 0.1  # seconds of sound that a resampler may still hold
LEEWAY = 0.5  # seconds that a clip may last beyond its limit: containers round, and tracks end apart
_THREADS = 4  # each holds frames
_WHOLE = 0.9  # share of the declared length below which a file breaks off
_ESTIMATED = ("mp3", "aac")  # formats whose length is a guess from the bit rate
_HDR = {16: "PQ", 18: "HLG"}  # FFmpeg's numbers for transfer curves
MOST_COMMENT = 500  # letters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: upright size in px, mean frame rate, length in seconds, whether there is sound, and the
    beginning of its comment.

    The length is what its frames last, unless it claims to be longer than a clip may be.
    """

    width: int
    height: int
    fps: Fraction
    seconds: float
    has_audio: bool
    comment: str | None = None


def decode_audio(path: Path, rate: int, max_seconds: float | None, limits: MediaLimits) -> Iterator[np.ndarray]:
    """The sound of any audio or video file in pieces of about a second. InputError as `read_audio`."""
    with files.open_media(path, "recording") as container:
        if not container.streams.audio:
            raise InputError(f"{files.name(path)} has no sound track; {files.ADVICE['recording']}.")
        with files.decoding(path, "recording"):
            most = None if max_seconds is None else round(max_seconds * rate)
            count = 0
            for piece in _joined(_sound_pieces(path, container, rate, max_seconds, limits), rate):
                piece = piece if most is None else piece[: most - count]
                count += len(piece)
                yield np.clip(np.nan_to_num(piece, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)
        if count == 0:
            raise InputError(f"{files.name(path)} holds no sound; {files.ADVICE['recording']}.")
        if count < limits.sound_least * rate:
            shown, least = f"{count / rate:.2f} s", limits.sound_least
            raise InputError(f"{files.name(path)} lasts only {shown}; give a recording of at least {least} s.")
        declared = _declared_seconds(container, container.streams.audio[0])
        if max_seconds is None and container.format.name not in _ESTIMATED:
            _compare(path, count / rate, declared)


def decode_info(path: Path, limits: MediaLimits) -> VideoInfo:
    """What a video file holds, from its header, its packets and its first frame. InputError as `read_video`."""
    with _open_video(path, limits) as (container, stream), files.decoding(path, "video"):
        first, seconds = _measured_seconds(container, stream, limits.clip_seconds)
        if first is None:
            raise files.damaged(path, "video")
        sideways = first.rotation % 180 != 0
        width, height = (first.height, first.width) if sideways else (first.width, first.height)
        comment = container.metadata.get("comment", "")[:MOST_COMMENT] or None
        return VideoInfo(width, height, _frame_rate(stream), seconds, bool(container.streams.audio), comment)


def decode_video(
    path: Path, fps: float | None, max_seconds: float | None, longest: float, side: int | None, limits: MediaLimits
) -> Iterator[np.ndarray]:
    """The frames of a video, one at a time, upright, (h, w, 3) uint8 RGB. InputError as `read_video`."""
    with _open_video(path, limits) as (container, stream), files.decoding(path, "video"):
        declared = _declared_seconds(container, stream)
        if max_seconds is None and declared > longest + LEEWAY:
            raise files.too_long(path, declared, longest)
        _warn_of_hdr(path, stream)
        step = float(1 / _frame_rate(stream))
        rate = float(fps or 1 / step)
        limit = round(rate * (longest + LEEWAY if max_seconds is None else max_seconds))
        count, size, convert = 0, None, VideoReformatter()  # one for all: it keeps its tables
        for frame in _steady(_timed(container, stream, step), rate, step):
            if count == limit and max_seconds is None:  # longer than declared
                raise files.too_long(path, count / rate, longest)
            if count == limit:
                return
            size = size or _within(frame.width, frame.height, side)
            yield _upright(frame, size, convert)
            count += 1
    if count == 0:
        raise files.damaged(path, "video")
    _compare(path, count / rate, declared)


def _compare(path: Path, decoded: float, declared: float) -> None:
    """Say so where fewer seconds were decoded than the file declares."""
    if decoded < _WHOLE * declared:
        log.warning("%s breaks off after %.1f of %.1f s; only that part is used.", files.name(path), decoded, declared)


def _warn_of_hdr(path: Path, stream: VideoStream) -> None:
    curve = _HDR.get(stream.codec_context.color_trc)
    if curve:
        log.warning("%s is an HDR video (%s), so its colours may look pale; save it as SDR.", files.name(path), curve)


@contextmanager
def _open_video(path: Path, limits: MediaLimits) -> Iterator[tuple[InputContainer, VideoStream]]:
    """An opened container and its video, whose size has been checked."""
    with files.open_media(path, "video") as container:
        streams = files.moving_pictures(container)
        if not streams:
            raise files.mistaken(path, "video")
        stream, context = streams[0], streams[0].codec_context
        if context is None:  # nothing here can decode it
            raise files.damaged(path, "video")
        if context.width * context.height > limits.clip_pixels:
            shape = f"{context.width} x {context.height} pixels"
            raise InputError(f"{files.name(path)} has {shape}; reduce the video to 4096 x 2304 or less.")
        context.options = {"max_pixels": str(limits.clip_pixels)}
        stream.thread_type, context.thread_count = "AUTO", min(_THREADS, os.cpu_count() or 1)
        yield container, stream


def _declared_seconds(container: InputContainer, stream: Stream) -> float:
    """The length that a file claims to have; 0 if it claims none."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return (container.duration or 0) / av.time_base


def _measured_seconds(
    container: InputContainer, stream: VideoStream, longest: float
) -> tuple[VideoFrame | None, float]:
    """The first frame, and how long all that are packed last: as `_steady` shows them, but without decoding them.

    Of a clip that claims more than `longest` seconds the claim is taken: it may be long to read.
    """
    claimed, first, times, packets = _declared_seconds(container, stream), None, [], 0
    for packet in container.demux(stream):
        if first is None:
            first = next(iter(_frames_of(packet)), None)
        if first is not None and claimed > longest + LEEWAY:
            return first, claimed
        if packet.size and not packet.is_discard:
            packets += 1
            times += [packet.pts] if packet.pts is not None else []
    step = 1 / _frame_rate(stream)
    if first is None or first.pts is None or len(times) < packets:
        return first, float(packets * step)
    return first, float((max(times) - first.pts) * stream.time_base + step)


def _frame_rate(stream: VideoStream) -> Fraction:
    """The mean frame rate, or 25 where a file gives none that makes sense."""
    rate = stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate and 1 <= rate <= 240 else Fraction(25)


def _decoded(container: InputContainer, stream: Stream) -> Iterator[Frame]:
    """Every frame of a stream that can be decoded; damaged packets are passed over."""
    for packet in container.demux(stream):
        yield from _frames_of(packet)


def _frames_of(packet: Packet) -> list[Frame]:
    """What comes of a packet, nothing if it is damaged."""
    try:
        return packet.decode()
    except av.error.InvalidDataError:
        return []


def _joined(pieces: Iterable[np.ndarray], least: int) -> Iterator[np.ndarray]:
    """Pieces of sound (n,) put together to at least so many samples each, but for the last."""
    kept, count = [], 0
    for piece in pieces:
        kept.append(piece)
        count += len(piece)
        if count >= least:
            yield np.concatenate(kept)
            kept, count = [], 0
    if count:
        yield np.concatenate(kept)


def _sound_pieces(
    path: Path, container: InputContainer, rate: int, max_seconds: float | None, limits: MediaLimits
) -> Iterator[np.ndarray]:
    """The sound track as mono float32 pieces, led in by silence where the track starts later than the file does."""
    resampler = av.AudioResampler(format="fltp", rate=rate)
    seconds = 0.0
    for frame in _decoded(container, container.streams.audio[0]):
        if seconds == 0 and frame.time is not None:
            late = frame.time - (container.start_time or 0) / av.time_base
            yield np.zeros(round(min(max(late, 0.0), limits.sound_seconds) * rate), np.float32)
        seconds += frame.samples / frame.sample_rate
        if max_seconds is None and seconds > limits.sound_seconds:
            declared = (container.duration or 0) / av.time_base
            raise files.too_long(path, max(seconds, declared), limits.sound_seconds)
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


def _within(width: int, height: int, side: int | None) -> tuple[int, int]:
    """The size of a picture whose shorter side is at most `side`."""
    scale = min(1.0, side / min(width, height)) if side else 1.0
    return round(scale * width), round(scale * height)


def _upright(frame: VideoFrame, size: tuple[int, int], convert: VideoReformatter) -> np.ndarray:
    """A decoded frame as (h, w, 3) uint8 RGB, turned as its file says; `size` is (width, height) before turning."""
    width, height = size
    plane = convert.reformat(frame, width, height, "rgb24").planes[0]
    image = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)[:, : 3 * width].reshape(height, width, 3)
    return np.rot90(image, frame.rotation // 90)
