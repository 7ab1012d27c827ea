"""Video with sound, written."""

import os
import uuid
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import AudioFrame, VideoFrame
from av.container import OutputContainer
from av.video.stream import VideoStream

from actalker.errors import InputError
from actalker.signals.media import files

_AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
_BT709 = 1  # FFmpeg's number for this colour space, its primaries and its transfer curve
_LIMITED = 1  # FFmpeg's number for the range 16 to 235


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: Fraction | float,
    sound: tuple[np.ndarray, int] | None = None,
) -> None:
    """Write frames (h, w, 3) uint8 RGB as H.264 in an mp4, with AAC sound exactly as long as the picture.

    `sound` is samples, (n,) or (n, channels) float32 in [-1, 1], and their rate; it is cut, or followed by silence. An
    odd last row or column is left out, as H.264 needs even sizes. Frames are taken one at a time, and the file appears
    under its name only when it is complete. InputError: the folder does not exist or cannot be written to.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; create it or choose another place for the video.")
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise InputError(f"{path} cannot be written to; choose another place for the video.")
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
    fps = Fraction(fps).limit_denominator(1001)
    # Without a time scale that fits the frame rate, lengths would be rounded to milliseconds.
    options = {"movflags": "+faststart", "movie_timescale": str(1000 * fps.numerator)}
    try:
        with av.open(files.location(part), "w", format="mp4", options=options) as container:
            _encode(container, frames, fps, sound)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _encode(
    container: OutputContainer, frames: Iterable[np.ndarray], fps: Fraction, sound: tuple[np.ndarray, int] | None
) -> None:
    """Encode frames and, in step with them, the sound."""
    picture = track = None
    count = 0
    for count, frame in enumerate(frames, start=1):
        if picture is None:
            picture = _picture_stream(container, frame.shape, fps)
            track = None if sound is None else _Track(container, *sound)
        container.mux(picture.encode(_yuv(frame, count - 1, fps)))
        if track is not None:
            track.advance(count / fps)
    if picture is None:
        raise ValueError("there are no frames to write")
    container.mux(picture.encode(None))
    if track is not None:
        track.close()


def _picture_stream(container: OutputContainer, shape: tuple[int, ...], fps: Fraction) -> VideoStream:
    """An H.264 stream of even size, its colours declared as BT.709."""
    stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast"})
    stream.height, stream.width = shape[0] // 2 * 2, shape[1] // 2 * 2
    stream.pix_fmt = "yuv420p"
    stream.time_base = 1 / fps
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    return stream


def _yuv(frame: np.ndarray, index: int, fps: Fraction) -> VideoFrame:
    """RGB (h, w, 3) uint8 converted as its BT.709 tags say; tags alone would shift saturated colours."""
    even = np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])
    converted = VideoFrame.from_ndarray(even, format="rgb24").reformat(
        format="yuv420p",
        src_colorspace="ITU709",
        dst_colorspace="ITU709",
        src_color_range="JPEG",
        dst_color_range="MPEG",
    )
    converted.pts, converted.time_base = index, 1 / fps
    return converted


class _Track:
    """The sound track of a video that is being written, encoded up to the picture's time and no further."""

    def __init__(self, container: OutputContainer, samples: np.ndarray, rate: int) -> None:
        planes = np.atleast_2d(np.asarray(samples, np.float32).T)  # (channels, n)
        self.planes = planes if len(planes) <= 2 else planes.mean(axis=0, keepdims=True)
        self.layout = "mono" if len(self.planes) == 1 else "stereo"
        self.rate, self.written, self.container = rate, 0, container
        coded_rate = rate if rate in _AAC_RATES else 48000
        self.stream = container.add_stream("aac", rate=coded_rate, layout=self.layout, bit_rate=128_000)

    def advance(self, seconds: Fraction) -> None:
        """Encode what is missing up to `seconds`, with silence after the end of the samples."""
        end = round(seconds * self.rate)
        planes = self.planes[:, self.written : end]
        planes = np.pad(planes, ((0, 0), (0, end - self.written - planes.shape[1])))
        planes = np.ascontiguousarray(np.clip(planes, -1.0, 1.0))
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout=self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.written, Fraction(1, self.rate)
        self.container.mux(self.stream.encode(frame))
        self.written = end

    def close(self) -> None:
        """Encode what the encoder still holds."""
        self.container.mux(self.stream.encode(None))
