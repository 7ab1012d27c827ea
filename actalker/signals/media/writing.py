"""Video with sound, written."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import AudioFrame, VideoFrame
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from actalker.errors import InputError
from actalker.saving import part_of, writing
from actalker.signals.media import files
from actalker.signals.media.label import labelled
from actalker.signals.media.provenance import COMMENT, Marks, sign
from actalker.signals.media.track import Track

Sound = tuple[np.ndarray | Track, int]  # samples and their rate

_AAC_RATES = {8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000}
_THREADS = "2"  # of the encoder, whose result depends on their number: the same on every machine
_PACE, _HASTE = "veryfast", "ultrafast"  # of x264: the same quality in half the time takes six times the bytes
_BT709 = 1  # FFmpeg's number for this colour space, its primaries and its transfer curve
_LIMITED = 1  # FFmpeg's number for the range 16 to 235


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: Fraction | float,
    sound: Sound | None = None,
    marks: Marks | None = None,
) -> None:
    """Write all frames as a `VideoWriter` does; the file appears when the last one is in it."""
    with VideoWriter(path, fps, sound, marks) as video:
        for frame in frames:
            video.add(frame)
        video.finish()


class VideoWriter:
    """Writes frames (h, w, 3) uint8 RGB as H.264 in an mp4, with AAC sound exactly as long as the picture.

    `sound` is samples, (n,) or (n, channels), float32 in [-1, 1] or int16, and their rate; it is heard from sample
    `first` on, and cut, or followed by silence. An odd last row or column is left out, as H.264 needs even sizes. With
    `marks` the video says that it is made. A `hasty` one is soon written, and large, for what is thrown away.

    Use it as a context manager: the file appears under its name with `finish`, and without that nothing is left.
    InputError: the folder does not exist or cannot be written to; the disk is full.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Fraction | float,
        sound: Sound | None = None,
        marks: Marks | None = None,
        first: int = 0,
        hasty: bool = False,
    ) -> None:
        self._path, self._sound, self._marks, self._first, self._hasty = Path(path), sound, marks, first, hasty
        _check_place(self._path)
        self._part = part_of(self._path)
        self._fps = Fraction(fps).limit_denominator(1001)
        self.frames = 0
        # Without a time scale that fits the frame rate, lengths would be rounded to milliseconds.
        options = {"movflags": "+faststart", "movie_timescale": str(1000 * self._fps.numerator)}
        with writing(self._path):
            self._container = av.open(files.location(self._part), "w", format="mp4", options=options)
        if marks:
            self._container.metadata["comment"] = COMMENT
        self._converter = VideoReformatter()
        self._picture: VideoStream | None = None
        self._track: _SoundStream | None = None

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._container.close()
        except OSError:  # told before, or nobody waits for the file
            pass
        finally:
            self._part.unlink(missing_ok=True)

    @property
    def seconds(self) -> float:
        """How long the picture is so far."""
        return float(self.frames / self._fps)

    def add(self, frame: np.ndarray) -> None:
        """Encode one more frame and, in step with it, the sound."""
        if self._marks and self._marks.label:
            frame = labelled(frame, self._marks.label)
        if self._picture is None:
            self._picture = _picture_stream(self._container, frame.shape, self._fps, _HASTE if self._hasty else _PACE)
            self._track = None if self._sound is None else _SoundStream(self._container, *self._sound, self._first)
        with writing(self._path):
            self._container.mux(self._picture.encode(_yuv(self._converter, frame, self.frames, self._fps)))
            self.frames += 1
            if self._track is not None:
                self._track.advance(self.frames / self._fps)

    def finish(self) -> None:
        """Complete the file, sign it if it is marked, and give it its name. ValueError: there are no frames in it."""
        if self._picture is None:
            raise ValueError("there are no frames to write")
        with writing(self._path):
            self._container.mux(self._picture.encode(None))
            if self._track is not None:
                self._track.close()
            self._container.close()
            if self._marks:
                sign(self._part)
            os.replace(self._part, self._path)


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; create it or choose another place for the video.")
    if not os.access(path.parent, os.W_OK) or path.is_dir():
        raise InputError(f"{path} cannot be written to; choose another place for the video.")


def _picture_stream(container: OutputContainer, shape: tuple[int, ...], fps: Fraction, pace: str) -> VideoStream:
    """An H.264 stream of even size, its colours declared as BT.709."""
    stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": pace, "threads": _THREADS})
    stream.height, stream.width = shape[0] // 2 * 2, shape[1] // 2 * 2
    stream.pix_fmt = "yuv420p"
    stream.time_base = 1 / fps
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    return stream


def _yuv(converter: VideoReformatter, frame: np.ndarray, index: int, fps: Fraction) -> VideoFrame:
    """RGB (h, w, 3) uint8 converted as its BT.709 tags say; tags alone would shift saturated colours.

    A video's frames share the `converter`: setting one up takes longer than converting a frame.
    """
    even = np.ascontiguousarray(frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2])
    converted = converter.reformat(
        VideoFrame.from_ndarray(even, format="rgb24"),
        format="yuv420p",
        src_colorspace="ITU709",
        dst_colorspace="ITU709",
        src_color_range="JPEG",
        dst_color_range="MPEG",
    )
    converted.pts, converted.time_base = index, 1 / fps
    return converted


class _SoundStream:
    """The sound of a video that is being written, encoded up to the picture's time and no further."""

    def __init__(self, container: OutputContainer, samples: np.ndarray | Track, rate: int, first: int) -> None:
        self.layout = "stereo" if samples.shape[1:] == (2,) else "mono"
        self.samples, self.rate, self.first, self.written, self.container = samples, rate, first, 0, container
        coded_rate = rate if rate in _AAC_RATES else 48000
        self.stream = container.add_stream("aac", rate=coded_rate, layout=self.layout, bit_rate=128_000)

    def advance(self, seconds: Fraction) -> None:
        """Encode what is missing up to `seconds`, with silence after the end of the samples."""
        end = round(seconds * self.rate)
        planes = self._planes(self.first + self.written, self.first + end)
        planes = np.pad(planes, ((0, 0), (0, end - self.written - planes.shape[1])))
        planes = np.ascontiguousarray(np.clip(planes, -1.0, 1.0))
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout=self.layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.written, Fraction(1, self.rate)
        self.container.mux(self.stream.encode(frame))
        self.written = end

    def _planes(self, start: int, end: int) -> np.ndarray:
        """Some of the samples as (channels, n) float32."""
        planes = np.atleast_2d(self.samples[start:end].T)
        planes = planes / np.float32(32767) if planes.dtype == np.int16 else planes.astype(np.float32)
        return planes if len(planes) <= 2 else planes.mean(axis=0, keepdims=True)

    def close(self) -> None:
        """Encode what the encoder still holds."""
        self.container.mux(self.stream.encode(None))
