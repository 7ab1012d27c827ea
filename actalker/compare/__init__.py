"""One photo, one seed, several ways to say who moves what: side by side as video, curves and numbers.

`compare` renders the modes voice, video and joint, and any region maps besides, through the pipeline that `animate`
uses, and measures the results with `actalker.evaluate`. The command and the page both call it.
"""

from collections.abc import Mapping
from pathlib import Path

from actalker.pipelines import Pipeline, Progress, Request
from actalker.pipelines.request import silent

__all__ = ["compare"]


def compare(
    request: Request,
    maps: Mapping[str, Mapping[str, str]],
    out: Path,
    progress: Progress = silent,
    pipeline: Pipeline | None = None,
) -> dict:
    """Render and measure the three modes and `maps` (name -> region -> source) into the folder `out`.

    It gets, for each mode, NAME.mp4 with its recipe NAME.json and its motion NAME.npz; grid.mp4, curves.png, table.csv,
    table.md, and the clip's motion driver.npz. Returns the facts. `pipeline` is one that is loaded already. InputError
    before anything is written.
    """
    from actalker.compare.comparison import run

    return run(request, maps, Path(out), progress, pipeline)
