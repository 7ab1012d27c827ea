"""What the runner is asked to do: a video, or a comparison of the modes. Files lie in the job's folder."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from actalker.compare import compare
from actalker.errors import InputError
from actalker.pipelines import Progress, Request
from actalker.pipelines.ahead import Errands
from actalker.pipelines.rendering import marks_of
from actalker.pipelines.request import silent
from actalker.pipelines.stages import Measured, Senses, to_the_end
from actalker.saving import replacing
from actalker.signals import media
from actalker.signals.motion import Motion
from demo.insight import insight_of
from demo.runner import Job, Work

ROLES = ("photo", "speech", "driving")


@dataclass(frozen=True)
class Result:
    """A finished video, its recipe, what the model saw, and the facts about it."""

    video: Path
    recipe: Path
    insight: Path
    request: Request
    info: dict


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: its folder and its facts."""

    folder: Path
    facts: dict


def make_video(request: Request) -> Work[Result]:
    """Render a request."""

    def work(pipeline: Callable, job: Job) -> Result:
        out, motion, seen = (job.folder / name for name in ("talking.mp4", "motion.npz", "seen.npz"))
        asked, measured = _at_home(request, job), []

        def measure(one: Request, errands: Errands) -> Measured:
            measured.append(job.measure(_where_known(one, request), errands))
            return measured[-1]

        info = pipeline(asked, out, job.report, motion, measure, chunk=job.play)
        recipe = out.with_suffix(".json")
        _name_files_only(recipe)
        for one in measured:
            insight_of(one, Motion.load(motion)).save(seen)
        return Result(out, recipe, seen, asked, info)

    return work


class Stills(Senses):
    """Keeps a visitor's last portrait and motion; what is measured comes from whoever makes the still."""

    def __init__(self) -> None:
        super().__init__(most=1)
        self.job = self.measured = None

    def __call__(self, request: Request, _progress: Progress = silent) -> Measured:
        """The measured request."""
        self.measured = to_the_end(self.job.measure, request, self.job.report)
        return self.measured


def make_still(request: Request, at: float, stills: Stills) -> Work[np.ndarray]:
    """One frame of a request as its video has it, `stills` being shared by all stills of a visitor."""

    def work(pipeline: Callable, job: Job) -> np.ndarray:
        stills.job = job
        frame = pipeline.still(request, at, stills)
        side = marks_of(_as_hosted(request, job), stills.measured).label
        return media.labelled(frame, side) if side else frame

    return work


def make_comparison(request: Request, maps: Mapping[str, Mapping[str, str]]) -> Work[Comparison]:
    """Render and score the three modes and `maps`."""

    def work(pipeline: Callable, job: Job) -> Comparison:
        folder = job.folder / "comparison"
        facts = compare(_at_home(request, job), maps, folder, job.report, pipeline)
        for mode in facts["modes"]:
            _name_files_only(folder / f"{mode}.json")
        return Comparison(folder, facts)

    return work


def _where_known(request: Request, original: Request) -> Request:
    """The request with the visitor's own files, which may be measured already, as long as they are there."""
    files = {role: getattr(original, role) for role in ROLES if getattr(original, role)}
    return replace(request, **files) if all(file.exists() for file in files.values()) else request


def _at_home(request: Request, job: Job) -> Request:
    """The request on links to the visitor's files in the job's folder, so that nobody deletes them meanwhile."""
    request, folder = _as_hosted(request, job), job.folder
    files = {role: getattr(request, role) for role in ROLES}
    files = {role: file for role, file in files.items() if file is not None}
    names = _names(files.values())
    return replace(request, **{role: _linked(file, folder / role / names[file]) for role, file in files.items()})


def _as_hosted(request: Request, job: Job) -> Request:
    """The request with the label that the host wants, whatever a visitor sent."""
    return request if job.label is None else replace(request, label=job.label)


def _names(files: Iterable[Path]) -> dict[Path, str]:
    """Each file's own name; a file whose name another one has taken gets a number, so that both fit in one folder."""
    names: dict[Path, str] = {}
    for file in dict.fromkeys(files):
        name, number = file.name, 1
        while name.casefold() in map(str.casefold, names.values()):
            number += 1
            name = f"{file.stem}-{number}{file.suffix}"
        names[file] = name
    return names


def _linked(source: Path, target: Path) -> Path:
    """`target`, now the visitor's file `source`: a link where the disk can, else a copy."""
    target.parent.mkdir()
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise InputError(f"{source.name} is no longer here; upload it again.") from None
    except OSError:
        shutil.copyfile(source, target)
    return target


def _name_files_only(recipe: Path) -> None:
    """Leave the folders of this machine out of a recipe that is taken home: it works beside the visitor's own files."""
    content = json.loads(recipe.read_text())
    for entry in content["media"].values():
        entry["path"] = Path(entry["path"]).name
    with replacing(recipe) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")
