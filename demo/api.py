"""What programs may call, by gradio_client or as tools of the Model Context Protocol: plain functions with plain types.

Their names, types and docstrings are what a caller sees.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import gradio
from gradio.data_classes import FileData

from actalker import config, pipelines
from actalker.errors import InputError
from demo.hosting import HANDLERS
from demo.jobs import make_comparison, make_video
from demo.runner import Update, Work
from demo.studio import Studio, name_of


def publish(studio: Studio) -> None:
    """Give the functions of a page their public names.

    They yield, nothing at first and the result at last, so that a caller who cancels or leaves stops the work.
    """
    for function in (_animate(studio), _compare(studio)):
        gradio.api(function, api_name=function.__name__, concurrency_limit=HANDLERS)


def _animate(studio: Studio) -> Callable:
    def animate(
        photo: FileData,
        speech: FileData = None,
        driving: FileData = None,
        preset: str = "",
        regions: str = "",
        size: int = 512,
        seed: int = 0,
        visitor: gradio.Request = None,
    ) -> tuple[FileData, FileData, dict]:
        """Make a photo talk: returns the video, its recipe, and the facts about it.

        Args:
            photo: a photo of a face
            speech: what the face shall say, any audio file
            driving: a video of a moving face to follow
            preset: who moves what: voice, video, joint, voice-still or video-head; empty chooses by what was given
            regions: changes of the preset, such as "head=audio gaze=still"
            size: side of the square video in pixels, an even number from 128 to 1024
            seed: the same seed makes the same video again
        """
        request = _request(photo, speech, driving, preset, regions, size, seed)
        for result in _moments(studio, make_video(request), visitor):
            if result is None:
                yield None, None, {}
            else:
                facts = {**result.info, "out": result.video.name, "recipe": result.recipe.name}
                yield _file(result.video), _file(result.recipe), facts

    return animate


def _compare(studio: Studio) -> Callable:
    def compare(
        photo: FileData,
        speech: FileData,
        driving: FileData,
        size: int = 512,
        seed: int = 0,
        visitor: gradio.Request = None,
    ) -> tuple[FileData, FileData, list]:
        """Voice only, clip only and both on one photo and seed: returns them as a grid, the scores as CSV and as JSON.

        Args:
            photo: a photo of a face
            speech: what the face shall say, any audio file
            driving: a video of a moving face to follow
            size: side of each square video in pixels, an even number from 128 to 1024
            seed: the same seed makes the same videos again
        """
        request = _request(photo, speech, driving, "", "", size, seed)
        for made in _moments(studio, make_comparison(request, {}), visitor):
            if made is None:
                yield None, None, []
            else:
                yield _file(made.folder / "grid.mp4"), _file(made.folder / "table.csv"), made.facts["scores"]

    return compare


def _request(
    photo: dict, speech: dict | None, driving: dict | None, preset: str, regions: str, size: int, seed: int
) -> pipelines.Request:
    paths = {"photo": photo, "speech": speech, "driving": driving}
    files = {role: Path(file["path"]) for role, file in paths.items() if file}
    request = pipelines.Request(**files, size=size, seed=seed)
    return replace(request, regions=_map(request.given, preset, regions))


def _map(given: set[str], preset: str, changes: str) -> dict[str, str]:
    """The preset's region map with changes such as "head=audio gaze=still"."""
    name = preset or config.natural_preset(given or config.SIGNALS)
    if name not in config.PRESETS:
        raise gradio.Error(
            f"There is no preset {name!r}; choose one of: {', '.join(config.PRESETS)}.", print_exception=False
        )
    changed = dict(change.partition("=")[::2] for change in changes.split())
    return {**config.PRESETS[name], **changed}


def _moments(studio: Studio, work: Work, visitor: gradio.Request | None) -> Iterator[object | None]:
    """None while the work is going on, then what it returns; a fault of the input is told as it is."""
    try:
        with closing(studio.runner.run(work, name_of(visitor))) as moments:
            for moment in moments:
                yield None if isinstance(moment, Update) else moment
    except InputError as fault:
        raise gradio.Error(str(fault), print_exception=False) from fault


def _file(path: Path) -> FileData:
    return FileData(path=str(path), orig_name=path.name)
