"""Pictures, sound and video, read from files and written to them: the only code that knows codecs."""

from actalker.signals.media.pictures import LEAST_SIDE, MOST_PIXELS, read_image, read_labels
from actalker.signals.media.reading import (
    LEAST_SOUND,
    MOST_VIDEO_PIXELS,
    VideoInfo,
    probe_video,
    read_audio,
    read_video,
)
from actalker.signals.media.writing import VideoWriter, write_video

__all__ = [
    "LEAST_SIDE",
    "LEAST_SOUND",
    "MOST_PIXELS",
    "MOST_VIDEO_PIXELS",
    "VideoInfo",
    "VideoWriter",
    "probe_video",
    "read_audio",
    "read_image",
    "read_labels",
    "read_video",
    "write_video",
]
