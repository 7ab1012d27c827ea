"""What is asked for, what was measured, and the stages that both tiers share."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from actalker.config import PRESETS, REGIONS, SIGNALS
from actalker.errors import InputError
from actalker.signals import media
from actalker.signals.audio import Speech, read_speech
from actalker.signals.face import Face, choose_face, find_faces
from actalker.signals.motion import Motion, measure_motion
from actalker.signals.regions import check_sources, gates, region_masks

SOUND_RATE = 48000  # of the sound track; what is heard is not the 16 kHz that is measured
LONGEST = 600.0  # seconds
NEUTRAL_SECONDS = 10.0  # of a clip are read at least, lest a short voice change what counts as its neutral face


class Cancelled(Exception):
    """Raised by a progress callback to stop: nothing is kept of the run."""


Progress = Callable[[str, float], None]  # stage name and how much of it is done, 0 to 1


def silent(_stage: str, _done: float) -> None:
    """The progress callback that reports nothing."""


def _setting(default: object, help: str, low: float | None = None, high: float | None = None) -> object:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True)
class Request:
    """Everything that decides a result. The fields are the source of the command's options and the page's widgets."""

    photo: Path
    speech: Path | None = None
    driving: Path | None = None
    regions: dict[str, str] | None = (
        None  # region -> audio | video | still; None: the natural preset for what was given
    )
    audio_strength: float = _setting(1.0, "how strongly the voice moves its regions", 0.0, 1.5)
    video_strength: float = _setting(1.0, "how strongly the driving clip moves its regions", 0.0, 1.5)
    fps: Fraction = _setting(Fraction(25), "frames a second of the result", 10, 60)
    size: int | str = _setting(512, "side of the square result in pixels, or full for the whole picture", 128, 1024)
    steps: int = _setting(6, "denoising steps", 1, 50)
    seed: int = _setting(0, "seed of the noise", 0, 2**31 - 1)
    face: int | None = _setting(None, "which face of the photo, 0 being the largest")
    grow: float = _setting(0.0, "how far the region masks grow, in eye distances", -0.1, 0.3)
    feather: float = _setting(0.02, "softness of the masks' edges, in eye distances", 0.0, 0.2)

    def checked(self) -> "Request":
        """The request with its region map filled in. Raises InputError when something cannot work."""
        for name, setting in self.__dataclass_fields__.items():
            low, high = setting.metadata.get("low"), setting.metadata.get("high")
            value = getattr(self, name)
            if low is not None and not isinstance(value, str) and not low <= value <= high:
                raise InputError(f"{name} is {value}; give a value from {low} to {high}.")
        if self.size != "full" and (isinstance(self.size, str) or self.size % 2):
            raise InputError(f"size is {self.size}; give an even number of pixels, or full.")
        if self.given == set():
            raise InputError("Neither speech nor a driving clip was given; add --speech, --driving or both.")
        regions = dict.fromkeys(REGIONS, "still") | dict(
            self.natural_regions() if self.regions is None else self.regions
        )
        check_sources(regions, self.given)
        return replace(self, regions=regions, fps=Fraction(self.fps))

    @property
    def given(self) -> set[str]:
        """The signals that the user gave."""
        return {name for name, path in (("audio", self.speech), ("video", self.driving)) if path is not None}

    @property
    def strengths(self) -> dict[str, float]:
        return {"audio": self.audio_strength, "video": self.video_strength}

    def natural_regions(self) -> dict[str, str]:
        """The preset that suits what was given: joint, voice or video."""
        return PRESETS["joint" if len(self.given) == 2 else "voice" if "audio" in self.given else "video"]


class Pipeline(Protocol):
    """A tier: renders a request to `out`, with a recipe beside it, and returns the facts of the run."""

    def __call__(self, request: Request, out: Path, progress: Progress = silent) -> dict: ...


@dataclass(frozen=True)
class Measured:
    """The request's media as signals. A signal whose gate is closed was never opened."""

    photo: np.ndarray  # (h, w, 3) uint8 RGB
    face: Face
    faces_found: int
    masks: dict[str, np.ndarray]  # region -> (h, w) float32
    gates: dict[str, bool]
    speech: Speech | None
    driving: Motion | None
    seconds: float

    @property
    def sources(self) -> set[str]:
        return {name for name in SIGNALS if self.gates[name]}

    @property
    def filled(self) -> int:
        """Driver frames in which no face was found and which were filled from their neighbours."""
        return self.driving.filled if self.driving else 0


def measure(request: Request, progress: Progress = silent) -> Measured:
    """Read and measure what the open gates need. Raises InputError for anything that the user can mend."""
    photo = media.read_image(request.photo)
    faces = find_faces(photo)
    face = choose_face(faces, request.face, request.photo.name)
    masks = region_masks(face, photo.shape, request.grow, request.feather)
    opened = gates(request.regions, request.given, request.strengths)
    speech = read_speech(request.speech) if opened["audio"] else None
    needed = max(NEUTRAL_SECONDS, speech.seconds) if speech else None
    driving = _measure_driving(request.driving, needed, progress) if opened["video"] else None
    if speech is None and driving is None:
        raise InputError("No region follows a signal, so nothing would move; let the voice or the clip move a region.")
    seconds = speech.seconds if speech else driving.seconds
    if seconds > LONGEST:
        raise InputError(f"The result would last {seconds:.0f} s; give at most {LONGEST:.0f} s.")
    return Measured(photo, face, len(faces), masks, opened, speech, driving, seconds)


def _measure_driving(path: Path, needed: float | None, progress: Progress) -> Motion:
    info = media.probe_video(path)
    fps = float(info.fps)
    total = max(1.0, min(float(info.seconds), needed or LONGEST) * fps)
    frames = media.read_video(path, fps, needed)
    return measure_motion(frames, fps, lambda done: progress("measuring", min(1.0, done / total)), path.name)


def frame_count(seconds: float, fps: Fraction) -> int:
    """Frames of a clip that lasts `seconds`, to the nearest frame and at least one."""
    return max(1, round(seconds * fps))


def sound_track(request: Request, frames: int) -> tuple[np.ndarray, int] | None:
    """What is heard: the speech, else the clip's own sound, as long as the video. Samples (n,) and their rate."""
    if request.speech is not None:
        samples = media.read_audio(request.speech, SOUND_RATE)
    elif request.driving is not None and media.probe_video(request.driving).has_audio:
        samples = media.read_audio(request.driving, SOUND_RATE)
    else:
        return None
    length = round(frames / request.fps * SOUND_RATE)
    return np.pad(samples[:length], (0, max(0, length - len(samples)))), SOUND_RATE
