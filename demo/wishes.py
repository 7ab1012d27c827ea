"""What the visitor wishes: from the widgets' values to a request, and what to say about a choice before it runs."""

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path

from actalker import config, pipelines
from actalker.errors import InputError
from demo.texts import Words

FILES = ("photo", "speech", "driving")
MASKS = ("grow", "feather")
SETTINGS = ("audio_strength", "video_strength", "head_strength", "size", "fps", "steps", "seed")
PAINTED = "painted"
LABEL = "label"
AGREED = "agreed"  # whether the visitor said that the people in the files agreed
CUES = tuple((f"cue{number}.start", f"cue{number}.map") for number in range(1, 5))
HANDS = {  # what is moved by hand: coefficients, the most, and the step
    "yaw": (("headYaw",), 20, 0.5),
    "pitch": (("headPitch",), 20, 0.5),
    "roll": (("headRoll",), 20, 0.5),
    "blink": (("eyeBlinkLeft", "eyeBlinkRight"), 1, 0.02),
    "gaze_x": (("gazeX",), 1, 0.02),
    "gaze_y": (("gazeY",), 1, 0.02),
    "brows_up": (("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), 1, 0.02),
    "smile": (("mouthSmileLeft", "mouthSmileRight"), 1, 0.02),
    "jaw": (("jawOpen",), 1, 0.02),
}
REQUEST = {field.name: field for field in fields(pipelines.Request)}
FIRST_PRESET = "joint"
PREVIEW_SECONDS, PREVIEW_STEPS = 2.0, 2


def request_of(values: Mapping[str, object]) -> pipelines.Request:
    """The request that the widgets describe. What is empty takes its default; what listens to nothing stays still.

    Values of other tabs (painted masks, cues, what is moved by hand) may be absent. InputError: a cue that is none.
    """
    chosen = {name: values[name] for name in (*MASKS, *SETTINGS) if values[name] is not None}
    files = {name: Path(values[name]) if values[name] else None for name in FILES}
    sources = {region: values[region] for region in config.REGIONS}
    deaf = unheard(sources, values["speech"], values["driving"])
    sources.update(dict.fromkeys(deaf, "still"))
    if values.get(LABEL) is not None:  # there only where the host lets the visitor decide
        chosen[LABEL] = bool(values[LABEL])
    if "fps" in chosen:
        chosen["fps"] = Fraction(chosen["fps"]).limit_denominator(1001)
    return pipelines.Request(
        **files,
        **chosen,
        regions=sources,
        face=whole(values["face"], 1) - 1,
        painted=values.get(PAINTED),
        offsets=offsets_of(values),
        timeline=tuple(pipelines.Cue(start, _heard(changed, values)) for start, changed in cues_of(values)),
    )


def preview_of(request: pipelines.Request) -> pipelines.Request:
    """The request's first seconds, in few steps."""
    return replace(request, until=PREVIEW_SECONDS, steps=min(request.steps, PREVIEW_STEPS))


def offsets_of(values: Mapping[str, object]) -> dict[str, float]:
    """What is added to each coefficient by hand."""
    moved = {name: float(values.get(f"hand.{name}") or 0) for name in HANDS}
    return {
        coefficient: moved[name]
        for name, (coefficients, _, _) in HANDS.items()
        if moved[name]
        for coefficient in coefficients
    }


def hands_of(offsets: Mapping[str, float]) -> dict[str, float]:
    """The sliders' values that give these offsets."""
    return {f"hand.{name}": offsets.get(coefficients[0], 0.0) for name, (coefficients, _, _) in HANDS.items()}


def cues_of(values: Mapping[str, object]) -> list[tuple[float, dict[str, str]]]:
    """From which second on which regions follow what. InputError: a map without a time, or words that are no map."""
    cues = []
    for start, chosen in CUES:
        second, words = values.get(start), values.get(chosen)
        if words and second is not None:
            cues.append((float(second), map_of(words)))
    return sorted(cues, key=lambda cue: cue[0])


def map_of(words: str) -> dict[str, str]:
    """A preset's region map by its name, or changes such as "head=audio gaze=still"."""
    if words in config.PRESETS:
        return dict(config.PRESETS[words])
    changes = [change.partition("=") for change in words.replace(",", " ").split()]
    for region, _, source in changes:
        if region not in config.REGIONS or source not in config.SOURCES:
            raise InputError(f"{words!r} is neither a preset nor changes such as head=audio gaze=still.")
    return {region: source for region, _, source in changes}


def suggested_preset(speech: str | None, driving: str | None) -> str:
    """The preset that suits what was given; before anything was, the one for both signals."""
    return config.natural_preset(given(speech, driving) or config.SIGNALS)


def matching_preset(sources: Mapping[str, str]) -> str | None:
    """The preset that these region sources are, if any."""
    return next((name for name, preset in config.PRESETS.items() if preset == dict(sources)), None)


def warning(words: Words, sources: Mapping[str, str], speech: str | None, driving: str | None) -> str:
    """What cannot work in a choice: regions that listen to a signal that is not given. Empty if all can."""
    deaf = unheard(sources, speech, driving) if speech or driving else []
    if not deaf:
        return ""
    missing = words("signal.video" if speech else "signal.audio")
    return words("plan.deaf.one" if len(deaf) == 1 else "plan.deaf.many", signal=missing, regions=words.regions(deaf))


def unheard(sources: Mapping[str, str], speech: str | None, driving: str | None) -> list[str]:
    """The regions that listen to a signal that was not given."""
    heard = {*given(speech, driving), "still"}
    return [region for region, source in sources.items() if source not in heard]


def whole(number: float | None, default: int) -> int:
    """A whole number from 1 that a visitor typed, or the default."""
    return default if number is None or not math.isfinite(number) else max(int(number), 1)


def given(speech: str | None, driving: str | None) -> set[str]:
    """The signals that are there."""
    return {signal for signal, file in zip(config.SIGNALS, (speech, driving), strict=True) if file}


def _heard(changed: Mapping[str, str], values: Mapping[str, object]) -> dict[str, str]:
    """A change of the map in which what listens to nothing stays still."""
    return {**changed, **dict.fromkeys(unheard(changed, values["speech"], values["driving"]), "still")}
