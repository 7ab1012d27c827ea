"""What the visitor wishes: from the widgets' values to a request, and what to say about a choice before it runs."""

import math
from collections.abc import Mapping
from dataclasses import fields
from fractions import Fraction
from pathlib import Path

from actalker import config, pipelines
from demo.texts import Words

FILES = ("photo", "speech", "driving")
MASKS = ("grow", "feather")
SETTINGS = ("audio_strength", "video_strength", "head_strength", "size", "fps", "steps", "seed")
REQUEST = {field.name: field for field in fields(pipelines.Request)}
FIRST_PRESET = "joint"


def request_of(values: Mapping[str, object]) -> pipelines.Request:
    """The request that the widgets describe. What is empty takes its default; what listens to nothing stays still."""
    chosen = {name: values[name] for name in (*MASKS, *SETTINGS) if values[name] is not None}
    files = {name: Path(values[name]) if values[name] else None for name in FILES}
    sources = {region: values[region] for region in config.REGIONS}
    deaf = unheard(sources, values["speech"], values["driving"])
    sources.update(dict.fromkeys(deaf, "still"))
    if "fps" in chosen:
        chosen["fps"] = Fraction(chosen["fps"]).limit_denominator(1001)
    return pipelines.Request(**files, regions=sources, face=whole(values["face"], 1) - 1, **chosen)


def suggested_preset(speech: str | None, driving: str | None) -> str:
    """The preset that suits what was given; before anything was, the one for both signals."""
    return config.natural_preset(_given(speech, driving) or config.SIGNALS)


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
    heard = {*_given(speech, driving), "still"}
    return [region for region, source in sources.items() if source not in heard]


def whole(number: float | None, default: int) -> int:
    """A whole number from 1 that a visitor typed, or the default."""
    return default if number is None or not math.isfinite(number) else max(int(number), 1)


def _given(speech: str | None, driving: str | None) -> set[str]:
    return {signal for signal, file in zip(config.SIGNALS, (speech, driving), strict=True) if file}
