"""What a run will take on this machine, from figures that were measured on another and the ratio of their speeds.

The figures fit `facts["timings"]` of a process that has rendered before, and `facts["peak_memory_mb"]` of one that has
not: photos of 0.3 to 12 megapixels at sizes 128 to 512 and full, speech of 2 to 22 s and clips of 8 to 22 s, on two
virtual cores of an Intel Xeon, November 2026. The first run of a process takes about 4 s more, start included, and a
busy machine takes longer.
"""

import time
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from actalker.pipelines.directing import direct
from actalker.pipelines.request import Request
from actalker.pipelines.stages import LEVEL_SECONDS, frame_count
from actalker.render.composite import reduction
from actalker.signals.face import Face, crop_of

# Seconds.
START = 0.054  # photo of no size and portrait
PHOTO = 0.229  # a megapixel: decoding, faces, masks
LISTEN = 0.045  # a second of speech, its sound track included
TRACK = 0.0045  # a frame of the clip
DENOISE = 0.00018  # a frame at 25 Hz and pass of the network
FRAME = 0.0029  # one of no size, rendered and encoded
RENDER = 0.0147  # a frame's megapixel of the animated part
ENCODE = 0.0089  # a frame's megapixel
PROBE = 0.0091  # what `_probe` takes where this was measured

# Megabytes of 2^20 bytes.
MEMORY = 686  # libraries, networks, detectors
MEMORY_PHOTO = 24  # a megapixel of the photo
MEMORY_FRAME = 112  # a megapixel of a frame


@dataclass(frozen=True)
class Estimate:
    """Seconds that a run takes on a machine with nothing else to do, and the memory that its process needs at most."""

    seconds: float
    memory_mb: int


@dataclass(frozen=True)
class Size:
    """Megapixels of the photo, of a frame of the result, and of the part of it that is animated."""

    photo: float
    frame: float
    part: float

    @classmethod
    def of(cls, request: Request, shape: tuple[int, ...], face: Face) -> "Size":
        """For a photo of `shape` (h, w, ...) and the face in it that is animated."""
        photo = shape[0] * shape[1] / 1e6
        if request.size != "full":
            return cls(photo, request.size**2 / 1e6, request.size**2 / 1e6)
        crop = crop_of(face, shape)
        scale = reduction(shape, crop)
        return cls(photo, photo * scale**2, (crop.side * scale) ** 2 / 1e6)


def estimate(request: Request, size: Size, seconds: float, driver_frames: int) -> Estimate:
    """For a checked request whose result lasts `seconds` and whose clip is measured for `driver_frames`."""
    frames = seconds * float(request.fps)
    heard = max(seconds, min(LEVEL_SECONDS, request.until or 0)) if request.speech else 0
    spent = START + PHOTO * size.photo + LISTEN * heard + TRACK * driver_frames
    spent += DENOISE * 25 * seconds * _passes(request, seconds)
    spent += frames * (FRAME + RENDER * size.part + ENCODE * size.frame)
    memory = MEMORY + MEMORY_PHOTO * size.photo + MEMORY_FRAME * size.frame
    return Estimate(round(spent * _slowness(), 1), round(memory))


def _passes(request: Request, seconds: float) -> int:
    """How often the network sees each frame."""
    maps = direct(request, frame_count(seconds, Fraction(25)), Fraction(25)).maps
    return len(maps) * request.steps * (1 if request.guidance == 1 else 2)


def _slowness() -> float:
    """How many times as long as there this machine takes for a task like the renderer's; about 50 ms."""
    return min(_probe() for _ in range(5)) / PROBE


def _probe() -> float:
    """Seconds of processor time for warping, blending and sorting half a megapixel."""
    picture = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    x, y = np.meshgrid(np.arange(512, dtype=np.float32) + 0.3, np.arange(512, dtype=np.float32) + 0.6)
    started = time.thread_time()
    cv2.remap(picture, x, y, cv2.INTER_LINEAR)
    (picture.astype(np.float32) * 0.5 + x[..., None]).astype(np.uint8)
    np.sort(picture[:128].ravel())
    return time.thread_time() - started
