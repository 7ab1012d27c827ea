"""Small media files for tests, made on the spot, and what a refusal must look like."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from actalker.errors import InputError
from actalker.signals import media


def unsigned(path: Path) -> bytes:
    """An mp4 without the box of its manifest, in which salts are random and all else follows from the same frames."""
    content, at, kept = Path(path).read_bytes(), 0, []
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        assert size >= 8
        kept += [content[at : at + size]] if content[at + 4 : at + 8] != b"uuid" else []
        at += size
    return b"".join(kept)


def scene(width: int = 96, height: int = 64) -> np.ndarray:
    """A picture whose four quarters differ, so that every turn and flip shows."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (230, 30, 20)
    picture[: height // 2, width // 2 :] = (20, 200, 40)
    picture[height // 2 :, : width // 2] = (30, 60, 220)
    picture[height // 2 :, width // 2 :] = (240, 240, 240)
    return picture


def moving(count: int, width: int = 96, height: int = 64):
    """Frames that get brighter by four levels each."""
    for i in range(count):
        yield np.full((height, width, 3), 20 + 4 * i, np.uint8)


def tone(seconds: float, rate: int, hertz: float = 440.0) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write_sound(path: Path, planes: np.ndarray, rate: int, codec: str = "pcm_s16le", start: float = 0.0) -> Path:
    """Planes (channels, n) float32 -> a sound file."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(planes)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(start * rate), Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_frames(path: Path, frames, times: list[Fraction], size: tuple[int, int] = (96, 64), rate: int = 30) -> Path:
    """Frames shown from the given times on: a variable frame rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, pix_fmt="yuv420p")
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        stream.width, stream.height = size
        for image, seconds in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(seconds * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def refusal(read, path) -> str:
    """The sentence with which a reader refuses a file; `read_video` refuses when its first frame is asked for."""
    with pytest.raises(InputError) as refused:
        list(read(path)) if read is media.read_video else read(path)
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert ";" in sentence  # what was found; what to do
    return sentence
