"""What is asked for. Light to import: the command's options are made from it before anything else is loaded."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from actalker.config import INDEX, PRESETS, REGIONS, SCHEDULES, Sampling, bounds, natural_preset
from actalker.errors import InputError


class Cancelled(Exception):
    """Raised by a progress callback to stop. Of a run that has rendered a second or more, that part is kept."""


STAGES = ("measuring", "denoising", "rendering")
Progress = Callable[[str, float], None]  # one of the stages and how much of it is done, 0 to 1


def silent(_stage: str, _done: float) -> None:
    """The progress callback that reports nothing."""


@dataclass(frozen=True)
class Cue:
    """From `start` seconds on, the regions named here follow these sources, and all others the request's own map."""

    start: float
    regions: dict[str, str]


def _setting(default: object, help: str, low: float | None = None, high: float | None = None) -> object:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True)
class Request:
    """Everything that decides a result. The fields are the source of the command's options and the page's widgets."""

    photo: Path
    speech: Path | None = None
    driving: Path | None = None
    regions: dict[str, str] | None = None  # region -> source; None: the natural preset for what was given
    audio_strength: float = _setting(1.0, "how strongly the voice moves its regions", 0.0, 1.5)
    video_strength: float = _setting(1.0, "how strongly the driving clip moves its regions", 0.0, 1.5)
    head_strength: float = _setting(1.0, "how far the head moves, whoever moves it", 0.0, 1.5)
    fps: Fraction = _setting(Fraction(25), "frames a second of the result", 10, 60)
    size: int | str = _setting(512, "side of the square result in pixels, or full for the whole picture", 128, 1024)
    steps: int = _setting(Sampling.steps, "denoising steps", 1, 50)
    guidance: float = _setting(
        Sampling.guidance, "how far to push towards the signals; above 1 takes a second pass", 1.0, 3.0
    )
    seed: int = _setting(0, "seed of the noise", 0, 2**31 - 1)
    face: int | None = _setting(None, "which face of the photo, 0 being the largest", 0, 999)
    grow: float = _setting(0.0, "how far the region masks grow, in eye distances", -0.1, 0.3)
    feather: float = _setting(0.02, "softness of the masks' edges, in eye distances", 0.0, 0.2)
    painted: Path | bytes | None = None  # PNG of the photo's size: 0 or the number of a region; a path or its content
    until: float | None = _setting(None, "seconds after which to stop, for a preview", 0.2, 600)
    offsets: dict[str, float] = field(default_factory=dict)  # coefficient -> what is added to it throughout
    timeline: tuple[Cue, ...] = ()  # later region maps; a change takes directing.BLEND_SECONDS
    label: bool = True  # whether the video shows that it is made

    def checked(self) -> "Request":
        """The request with its region maps filled in and its cues in order. InputError when something cannot work.

        A region that was painted nowhere keeps still.
        """
        self._check_settings()
        self._check_offsets()
        if not self.given:
            raise InputError("Neither speech nor a driving clip was given; add --speech, --driving or both.")
        chosen = PRESETS[natural_preset(self.given)] if self.regions is None else self.regions
        absent = dict.fromkeys(self._unpainted(), "still")
        regions = self._checked_map(dict.fromkeys(REGIONS, "still"), chosen) | absent
        cues = sorted(map(_checked_cue, self.timeline), key=lambda cue: cue.start)
        timeline = tuple(Cue(cue.start, self._checked_map(regions, cue.regions) | absent) for cue in cues)
        return replace(self, regions=regions, timeline=timeline, fps=Fraction(self.fps))

    def _checked_map(self, base: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
        """A whole region map: `base` with what was chosen in its place."""
        from actalker.signals.regions import check_sources

        if not isinstance(chosen, Mapping):
            raise InputError(f"The region map is {chosen!r}; give a source for each region.")
        regions = dict(base) | dict(chosen)
        check_sources(regions, self.given)
        return regions

    def _unpainted(self) -> list[str]:
        """The regions without any pixel in the painted masks."""
        if self.painted is None:
            return []
        from actalker.signals.media import read_labels
        from actalker.signals.regions import check_labels

        painted = check_labels(read_labels(self.painted))
        return [region for region in REGIONS if region not in painted]

    def _check_settings(self) -> None:
        for name, setting in self.__dataclass_fields__.items():
            value, low, high = getattr(self, name), setting.metadata.get("low"), setting.metadata.get("high")
            if low is None or (name, value) in (("size", "full"), ("face", None), ("until", None)):
                continue
            if not isinstance(value, int | float | Fraction) or not low <= value <= high:
                raise InputError(f"{name} is {value}; give a value from {low} to {high}.")
            if name in ("size", "steps", "seed", "face") and not isinstance(value, int):
                raise InputError(f"{name} is {value}; give a whole number.")
        if not isinstance(self.label, bool):
            raise InputError(f"label is {self.label!r}; give true or false.")
        if self.size != "full" and self.size % 2:
            raise InputError(f"size is {self.size}; give an even number of pixels, or full.")

    def _check_offsets(self) -> None:
        for name, value in self.offsets.items():
            if name not in INDEX:
                raise InputError(f"There is no coefficient {name!r} to offset; choose one of {', '.join(INDEX)}.")
            most = bounds(name)[1]
            if not isinstance(value, int | float) or not -most <= value <= most:
                raise InputError(f"The offset of {name} is {value}; give a value from {-most:g} to {most:g}.")

    @property
    def maps(self) -> list[dict[str, str]]:
        """Every region map of a checked request: the first one and the timeline's."""
        return [self.regions, *(cue.regions for cue in self.timeline)]

    @property
    def given(self) -> set[str]:
        """The signals that the user gave."""
        return {name for name, path in (("audio", self.speech), ("video", self.driving)) if path is not None}

    @property
    def strengths(self) -> dict[str, float]:
        return {"audio": self.audio_strength, "video": self.video_strength}


def _checked_cue(cue: Cue) -> Cue:
    if not isinstance(cue, Cue) or not isinstance(cue.start, int | float) or not 0 <= cue.start < math.inf:
        start = getattr(cue, "start", cue)
        raise InputError(f"A change of the region map is set for {start} s; give 0 or more seconds.")
    return Cue(float(cue.start), cue.regions)


@dataclass(frozen=True)
class Running:
    """How the full tier runs; each changes cost, and those of the second group the result, too.

    None is the preset's own value, which a value takes the place of.
    """

    precision: str = "fp32"  # or bf16, fp16
    device: str | None = None  # None: a GPU if there is one
    offload: bool = False  # networks are on the device only while they are used
    decode: int = 10  # frames that are decoded together
    compile: bool = False  # torch.compile, at the first call for a size; the result changes by rounding

    preset: str = "release"  # or "fast": a tenth of the work, not the same result
    masks: str = "regions"  # or "ones": both signals everywhere, as in the released program
    overlap: int | None = None  # frames that windows share
    schedule: str | None = None  # "release": the request's steps; "short": ten that were chosen for the model
    guidance_interval: tuple[float, float] | None = None  # noise levels (0.002 to 700) at which there is guidance
    cache_interval: int | None = None  # steps from one computation of the network's deep part to the next

    def checked(self) -> "Running":
        """The same. InputError where a value cannot work."""
        for name, (low, high) in {"decode": (1, 1000), "overlap": (0, 24), "cache_interval": (1, 50)}.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and low <= value <= high):
                raise InputError(f"{name} is {value}; give a whole number from {low} to {high}.")
        if self.schedule not in (None, *SCHEDULES):
            raise InputError(f"schedule is {self.schedule!r}; choose one of {', '.join(SCHEDULES)}.")
        if self.guidance_interval is None:
            return self
        low, high = self.guidance_interval
        if not 0 <= low < high:
            raise InputError(f"guidance_interval is {low:g} to {high:g}; give two noise levels, the lower one first.")
        return replace(self, guidance_interval=(low, high))


class Pipeline(Protocol):
    """A tier: renders a request to `out`, with a recipe beside it, and returns the facts of the run.

    `measure` begins to measure the request's media, like `Senses.begin`; by default each call does so anew. `chunk`
    gets playable pieces of the result while it is rendered. `plain` gets the video without its marks, to be measured.
    """

    def __call__(
        self,
        request: Request,
        out: Path,
        progress: Progress = silent,
        motion_out: Path | None = None,
        measure: Callable = ...,
        chunk: Callable[[Path], None] | None = None,
        chunk_seconds: float = 2.0,
        plain: Path | None = None,
    ) -> dict: ...
