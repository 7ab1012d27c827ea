"""The comparison itself: render, measure, draw; the folder gets its files only when all of them are there."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from actalker import pipelines
from actalker.compare.curves import draw_curves
from actalker.compare.grid import Tile, tiled
from actalker.config import PRESETS, REGIONS, SIGNALS
from actalker.errors import InputError
from actalker.evaluate import tables
from actalker.evaluate.control import conflicts
from actalker.evaluate.lips import envelope
from actalker.evaluate.scores import Scores, Yardsticks, score
from actalker.evaluate.watching import Likeness, Watched, at_25_fps, watch
from actalker.pipelines import Pipeline, Progress, Request
from actalker.pipelines.recipe import refuse_to_overwrite
from actalker.pipelines.stages import Measured, Senses, sound_track
from actalker.saving import part_of, writing
from actalker.signals import media
from actalker.signals.motion import Motion
from actalker.signals.regions import SPOKEN, listed

SINGLE = {"audio": "voice", "video": "video"}  # the mode in which a signal has every region
JOINT = "joint"
MODES = (*SINGLE.values(), JOINT)
DRIVER = "driver.npz"  # the clip's motion
DRAWN = {"grid": "grid.mp4", "curves": "curves.png", "csv": "table.csv", "markdown": "table.md"}
NOTE = """
In the last section 0 means that a second signal costs the first nothing. What is seen in the video includes what the
mesh misreads when the rest of the face moves, above all of lips on a head that turns; the model's motion does not.
"""


@dataclass(frozen=True)
class Mode:
    """One way to say who moves what, rendered and measured."""

    name: str
    regions: Mapping[str, str]
    facts: dict
    intended: Motion  # what the model made
    seen: Watched  # what the video shows


def run(
    request: Request, maps: Mapping[str, Mapping[str, str]], out: Path, progress: Progress, pipeline: Pipeline | None
) -> dict:
    """See `actalker.compare.compare`."""
    requests = _requests(request, maps)
    _check_folder(out, request, list(requests))
    part = part_of(out)
    try:
        with writing(out):
            part.mkdir()
        facts = _made(requests, part, progress, pipeline or pipelines.load())
        with writing(out):
            out.mkdir(exist_ok=True)
            for file in sorted(part.iterdir()):
                os.replace(file, out / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _renamed(facts, out)


def _requests(request: Request, maps: Mapping[str, Mapping[str, str]]) -> dict[str, Request]:
    """Mode -> its checked request. InputError: a signal is missing, or a name or map will not do."""
    missing = {"audio": "speech (--speech)", "video": "driving clip (--driving)"}
    for signal in SIGNALS:
        if signal not in request.given:
            raise InputError(f"No {missing[signal]} was given; a comparison of the modes needs both signals.")
    taken = {*MODES, *(Path(file).stem for file in (DRIVER, *DRAWN.values()))}
    for name in maps:
        if not re.fullmatch(r"[\w-]+", name) or name in taken:
            raise InputError(f"{name!r} cannot name a map; choose another word of letters, digits, - and _.")
    chosen = {name: PRESETS[name] for name in MODES} | {name: dict(regions) for name, regions in maps.items()}
    return {name: replace(request, regions=regions).checked() for name, regions in chosen.items()}


def _check_folder(out: Path, request: Request, names: list[str]) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder for the comparison.")
    if not out.absolute().parent.is_dir():
        raise InputError(f"The folder {out.parent} does not exist; make it or choose another.")
    if not os.access(out if out.exists() else out.absolute().parent, os.W_OK):
        raise InputError(f"{out} cannot be written; choose another folder.")
    made = [f"{name}.{kind}" for name in names for kind in ("mp4", "json", "npz")]
    refuse_to_overwrite(request, *(out / name for name in (*made, DRIVER, *DRAWN.values())))


def _made(requests: Mapping[str, Request], folder: Path, progress: Progress, pipeline: Pipeline) -> dict:
    """Everything, in a folder that nobody looks into yet."""
    senses = Senses()
    modes = {name: _render(name, one, folder, progress, pipeline, senses) for name, one in requests.items()}
    whole = senses(requests[JOINT])
    driver = senses(requests[SINGLE["video"]]).driving
    progress("scoring", 0.0)
    results = [_scored(mode, modes, whole, driver) for mode in modes.values()]
    driver.save(folder / DRIVER)
    progress("drawing", 0.0)
    _draw(requests[JOINT], modes, whole, driver, folder)
    with writing(folder / DRAWN["csv"]):
        (folder / DRAWN["csv"]).write_text(tables.as_csv(results) + "\n")
        (folder / DRAWN["markdown"]).write_text(tables.as_markdown(results) + "\n" + NOTE)
    progress("drawing", 1.0)
    return {
        "out": str(folder),
        "seed": requests[JOINT].seed,
        "modes": {name: mode.facts for name, mode in modes.items()},
        "scores": [one.as_dict() for one in results],
        "table": tables.as_text(results),
    } | {what: str(folder / name) for what, name in DRAWN.items()}


def _render(name: str, request: Request, folder: Path, progress: Progress, pipeline: Pipeline, senses: Senses) -> Mode:
    """A mode's video, and what is seen in it without its label."""
    video, motion = folder / f"{name}.mp4", folder / f"{name}.npz"
    plain = folder / f"{name}.plain.mp4"
    facts = pipeline(
        request, video, lambda stage, done: progress(f"{name}: {stage}", done), motion, senses.begin, plain=plain
    )
    progress(f"{name}: watching", 0.0)
    seen = watch(plain)
    plain.unlink()
    return Mode(name, request.regions, facts, Motion.load(motion), replace(seen, name=name))


def _scored(mode: Mode, modes: Mapping[str, Mode], whole: Measured, driver: Motion) -> Scores:
    """A mode against voice, driver and photo and, if it has two signals, against each signal's single mode."""
    likeness = Likeness.of(whole.photo, whole.face)
    found = score(mode.seen, Yardsticks(speech=whole.speech.samples, driver=at_25_fps(driver), likeness=likeness))
    if not set(SIGNALS) <= set(mode.regions.values()):
        return found
    of_video, of_model = {}, {}
    for signal, single in SINGLE.items():
        alone = modes[single]
        of_video |= conflicts(mode.seen.motion, alone.seen.motion, mode.regions, signal)
        of_model |= conflicts(at_25_fps(mode.intended), at_25_fps(alone.intended), mode.regions, signal)
    rows = {f"{region}, model's motion": value for region, value in of_model.items()}
    rows |= {f"{region}, seen in the video": value for region, value in of_video.items()}
    return found.with_section("conflict with the single mode", rows)


def _draw(request: Request, modes: Mapping[str, Mode], whole: Measured, driver: Motion, folder: Path) -> None:
    """The grid lasts as long as the joint mode, and so do the curves."""
    seconds = modes[JOINT].facts["seconds"]
    tiles = [Tile("driving clip", "what drives", request.driving)]
    tiles += [Tile(name, _who(mode.regions), folder / f"{name}.mp4") for name, mode in modes.items()]
    frames = tiled(tiles, request.fps, round(seconds * request.fps))
    media.write_video(folder / DRAWN["grid"], frames, request.fps, sound_track(request, seconds), media.Marks(None))
    curves = {"driving clip": at_25_fps(driver)} | {name: mode.seen.motion for name, mode in modes.items()}
    with writing(folder / DRAWN["curves"]):
        draw_curves(folder / DRAWN["curves"], curves, envelope(whole.speech.samples), seconds)


def _who(regions: Mapping[str, str]) -> str:
    """Who moves what, short enough for a tile."""
    moved = {source: [name for name in REGIONS if regions[name] == source] for source in SPOKEN}
    parts = [
        f"{SPOKEN[source]}: {'everything' if len(names) == len(REGIONS) else listed(names)}"
        for source, names in moved.items()
        if names
    ]
    return "; ".join(parts)


def _renamed(facts: dict, out: Path) -> dict:
    """Facts that name the temporary folder, with the folder that took its place."""
    old = facts["out"]

    def moved(value: object) -> object:
        if isinstance(value, dict):
            return {key: moved(one) for key, one in value.items()}
        return value.replace(old, str(out)) if isinstance(value, str) else value

    return moved(facts)
