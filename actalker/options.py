"""Options that several verbs of the command share, and the checks of what they are given."""

import argparse
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

from actalker.config import PRESETS, REGIONS, SCHEDULES, SOURCES, natural_preset
from actalker.errors import InputError
from actalker.pipelines import TIERS, Cue, Request, Running

MEDIA = ("photo", "speech", "driving")
SETTINGS = [name for name, setting in Request.__dataclass_fields__.items() if "help" in setting.metadata]


def add_media(verb: argparse.ArgumentParser) -> None:
    """--photo, --speech and --driving."""
    verb.add_argument("--photo", type=Path, metavar="P", help="picture with a face")
    verb.add_argument("--speech", type=Path, metavar="S", help="any audio, or a video with sound")
    verb.add_argument("--driving", type=Path, metavar="D", help="video of a face")


def add_request(verb: argparse.ArgumentParser) -> None:
    """Everything that makes a request, see `request_of`."""
    add_media(verb)
    verb.add_argument("--recipe", type=Path, metavar="R", help="make the video of a recipe again")
    verb.add_argument(
        "--no-label", action="store_true", help="leave the small AI-generated out of the picture's corner"
    )
    verb.add_argument("--preset", choices=PRESETS, help="who moves what; without it, what suits the given files")
    regions, sources = ", ".join(REGIONS), ", ".join(SOURCES)
    verb.add_argument(
        "--region",
        action="extend",
        nargs="+",
        default=[],
        type=region,
        metavar="REGION=SOURCE",
        help=f"change one region of the preset: {regions} = {sources}",
    )
    verb.add_argument(
        "--at",
        action="append",
        type=cue,
        dest="timeline",
        metavar="SECONDS=PRESET",
        help="change who moves what from then on; also SECONDS=REGION:SOURCE,... (may be given several times)",
    )
    verb.add_argument(
        "--painted", type=Path, metavar="M.png", help="regions painted on the photo, in place of the masks"
    )
    verb.add_argument(
        "--offset",
        action="append",
        default=[],
        type=offset,
        metavar="NAME=VALUE",
        help="add a constant to a coefficient, such as jawOpen=0.2 or headYaw=-5 (degrees)",
    )
    add_settings(verb)


def add_settings(verb: argparse.ArgumentParser) -> None:
    """An option for every setting of a request."""
    kinds = {"fps": _fps, "size": _size, "steps": int, "seed": int, "face": int}
    for name in SETTINGS:
        setting = Request.__dataclass_fields__[name]
        default = "" if setting.default is None else f" (default {setting.default})"
        options = {"type": kinds.get(name, float), "help": setting.metadata["help"] + default}
        verb.add_argument(f"--{name.replace('_', '-')}", metavar=name.split("_")[-1].upper(), **options)


def add_tier(verb: argparse.ArgumentParser) -> None:
    """--tier, and how the full tier runs."""
    verb.add_argument("--tier", choices=TIERS, help="embedded (default): runs anywhere; full: video diffusion")
    verb.add_argument("--precision", choices=["fp32", "bf16", "fp16"], help="of the full tier (default fp32)")
    verb.add_argument("--device", metavar="D", help="of the full tier, such as cuda:1 or cpu (default: a GPU, if any)")
    verb.add_argument("--offload", action="store_true", default=None, help="keep what is not at work off the device")
    _add_savings(verb)
    verb.add_argument(
        "--release-masks", action="store_const", const="ones", dest="full_masks", help="both signals everywhere"
    )
    verb.add_argument("--overlap", type=int, metavar="N", help="frames that windows of the full tier share")
    verb.add_argument("--decode", type=int, metavar="N", help="frames that the full tier decodes together")


def _add_savings(verb: argparse.ArgumentParser) -> None:
    """What makes the full tier cheaper, and its result a little different."""
    preset = "a tenth of the full tier's work or less: the next three at short, 1.5 10 and 3, no padding, --overlap 6"
    verb.add_argument("--fast", action="store_const", const="fast", dest="full_preset", help=preset)
    verb.add_argument("--schedule", choices=SCHEDULES, help="of the full tier; short: ten chosen steps, not --steps")
    interval = "of the full tier: noise levels (700 to 0.002) at which there is guidance (default: all)"
    verb.add_argument("--guidance-interval", nargs=2, type=float, metavar=("LOW", "HIGH"), help=interval)
    caching = "of the full tier: steps from one run of the network's deep part to the next (default 1)"
    verb.add_argument("--cache-interval", type=int, metavar="N", help=caching)
    compiling = "torch.compile the full tier's network when it first runs; the result changes by rounding"
    verb.add_argument("--compile", action="store_true", default=None, help=compiling)


def tier_and_running(options: argparse.Namespace) -> tuple[str, Running]:
    """The tier, and how the full one runs: as given, else as in the recipe. InputError where they do not fit."""
    from actalker.pipelines.recipe import read_tier

    tier, base = read_tier(options.recipe) if options.recipe else ("embedded", Running())
    tier = options.tier or tier
    own = {"preset": "full_preset", "masks": "full_masks"}  # options whose plain names are taken
    asked = {field.name: getattr(options, own.get(field.name, field.name)) for field in fields(Running)}
    chosen = {name: value for name, value in asked.items() if value is not None}
    if chosen and tier != "full":
        raise InputError(f"{', '.join(sorted(chosen))} belong to the full tier; add --tier full or leave them out.")
    return tier, replace(base, **chosen).checked()


def request_of(options: argparse.Namespace, example: Mapping[str, Path] = MappingProxyType({})) -> Request:
    """The request of a recipe, of the `example` files or of neither, with whatever else was given in its place."""
    chosen = given(options, *MEDIA, "painted")
    if options.recipe:
        from actalker.pipelines.recipe import read_recipe

        request = replace(read_recipe(options.recipe), **chosen)
    elif "photo" not in chosen | dict(example):
        raise InputError("No photo was given; add --photo, or --example to try the program with its own files.")
    else:
        request = Request(**dict(example) | chosen)
    if options.timeline:
        request = replace(request, timeline=tuple(options.timeline))
    if options.no_label:
        request = replace(request, label=False)
    if options.offset:
        request = replace(request, offsets=request.offsets | dict(options.offset))
    if options.preset or options.region:
        base = PRESETS[options.preset] if options.preset else request.regions or PRESETS[natural_preset(request.given)]
        request = replace(request, regions=base | dict(options.region))
    return request


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


def check_counts(options: argparse.Namespace, *names: str, least: int = 1) -> None:
    """InputError where one of these options is below `least`."""
    for name in names:
        if getattr(options, name) < least:
            raise InputError(f"--{name} is {getattr(options, name)}; give {least} or more.")


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
