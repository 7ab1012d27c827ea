"""Pictures, sound and video, read from files and written to them: the only code that knows codecs.

What is read is decoded by another process, within limits (`config.LIMITS`).
"""

from actalker.config import LIMITS
from actalker.signals.media.door import (
    VideoInfo,
    probe_video,
    read_audio,
    read_image,
    read_labels,
    read_track,
    read_video,
)
from actalker.signals.media.files import too_long
from actalker.signals.media.label import label_of, labelled
from actalker.signals.media.provenance import Claims, Marks, claims_of
from actalker.signals.media.reading import LEEWAY
from actalker.signals.media.track import Track
from actalker.signals.media.writing import Sound, VideoWriter, write_video

LEAST_SIDE = LIMITS.photo_side
LEAST_SOUND = LIMITS.sound_least
MOST_PIXELS = LIMITS.photo_pixels
MOST_SECONDS = LIMITS.sound_seconds  # of what this program made, and of what it learns from
MOST_VIDEO_PIXELS = LIMITS.clip_pixels

__all__ = [
    "LEEWAY",
    "LEAST_SIDE",
    "LEAST_SOUND",
    "MOST_PIXELS",
    "MOST_SECONDS",
    "MOST_VIDEO_PIXELS",
    "Claims",
    "Marks",
    "Sound",
    "Track",
    "VideoInfo",
    "VideoWriter",
    "claims_of",
    "label_of",
    "labelled",
    "probe_video",
    "read_audio",
    "read_image",
    "read_labels",
    "read_track",
    "read_video",
    "too_long",
    "write_video",
]
