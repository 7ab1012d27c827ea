"""Pictures, sound and video, read from files and written to them: the only code that knows codecs."""

from actalker.signals.media.label import label_of, labelled
from actalker.signals.media.pictures import LEAST_SIDE, MOST_PIXELS, read_image, read_labels
from actalker.signals.media.provenance import Claims, Marks, claims_of
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
    "Claims",
    "Marks",
    "VideoInfo",
    "VideoWriter",
    "claims_of",
    "label_of",
    "labelled",
    "probe_video",
    "read_audio",
    "read_image",
    "read_labels",
    "read_video",
    "write_video",
]
