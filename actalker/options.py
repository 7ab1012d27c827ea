"""Options that several verbs of the command share, and the checks of what they are given."""

import argparse
import os
from fractions import Fraction
from pathlib import Path

from actalker.config import PRESETS, REGIONS, SOURCES
from actalker.errors import InputError
from actalker.pipelines import Cue, Request

SETTINGS = [name for name, setting in Request.__dataclass_fields__.items() if "help" in setting.metadata]


def add_media(verb: argparse.ArgumentParser) -> None:
    """--photo, --speech and --driving."""
    verb.add_argument("--photo", type=Path, metavar="P", help="picture with a face")
    verb.add_argument("--speech", type=Path, metavar="S", help="any audio, or a video with sound")
    verb.add_argument("--driving", type=Path, metavar="D", help="video of a face")


def add_settings(verb: argparse.ArgumentParser) -> None:
    """An option for every setting of a request."""
    kinds = {"fps": _fps, "size": _size, "steps": int, "seed": int, "face": int}
    for name in SETTINGS:
        setting = Request.__dataclass_fields__[name]
        default = "" if setting.default is None else f" (default {setting.default})"
        options = {"type": kinds.get(name, float), "help": setting.metadata["help"] + default}
        verb.add_argument(f"--{name.replace('_', '-')}", metavar=name.split("_")[-1].upper(), **options)


def given(options: argparse.Namespace, *names: str) -> dict:
    """The options of these names and the settings that have a value."""
    return {name: getattr(options, name) for name in (*names, *SETTINGS) if getattr(options, name) is not None}


def region(text: str) -> tuple[str, str]:
    """REGION=SOURCE, read."""
    name, _, source = text.partition("=")
    if name not in REGIONS or source not in SOURCES:
        regions, sources = ", ".join(REGIONS), ", ".join(SOURCES)
        raise argparse.ArgumentTypeError(f"{text!r} is not REGION=SOURCE with one of {regions} and one of {sources}")
    return name, source


def cue(text: str) -> Cue:
    """SECONDS=PRESET or SECONDS=REGION:SOURCE[,REGION:SOURCE], read."""
    start, _, change = text.partition("=")
    try:
        seconds = float(start)
    except ValueError:
        seconds = None
    if seconds is None or not change:
        raise argparse.ArgumentTypeError(f"{text!r} is not SECONDS=PRESET or SECONDS=REGION:SOURCE,...")
    if ":" in change:
        return Cue(seconds, dict(region(part.replace(":", "=", 1)) for part in change.split(",")))
    if change not in PRESETS:
        raise argparse.ArgumentTypeError(f"{change!r} is no preset; choose one of {', '.join(PRESETS)}")
    return Cue(seconds, PRESETS[change])


def offset(text: str) -> tuple[str, float]:
    """NAME=VALUE, read."""
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as jawOpen=0.2 or headYaw=-5") from None


def check_counts(options: argparse.Namespace, *names: str) -> None:
    """InputError where one of these options is below 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise InputError(f"--{name} is {getattr(options, name)}; give 1 or more.")


def check_target(path: Path, suffix: str) -> None:
    """InputError where a file of this kind cannot be written to `path`."""
    if path.suffix.lower() != suffix:
        raise InputError(f"{path} does not end in {suffix}; name the result so.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist; make it or choose another.")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise InputError(f"{path} cannot be written; choose another name or folder.")


def _fps(text: str) -> Fraction:
    try:
        return Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a frame rate; give 25, 29.97 or 30000/1001") from None


def _size(text: str) -> int | str:
    return int(text) if text.isdigit() else text
