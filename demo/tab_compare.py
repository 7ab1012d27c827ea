"""The tab that makes one photo speak in several ways, side by side: as videos in step, as curves and as numbers."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import gradio
from gradio.components import Component

from actalker.compare.comparison import DRIVER, MODES
from actalker.errors import InputError
from actalker.saving import replacing
from actalker.signals.motion import Motion
from demo import charts, news, telling, widgets, wishes
from demo.hosting import HANDLERS
from demo.jobs import Comparison, make_comparison
from demo.notes import Note
from demo.panels import save_button
from demo.steps import Step, steps
from demo.studio import QUIET, Studio, name_of
from demo.tab_animate import cancels
from demo.texts import Words

OWN = "own"  # the name of the visitor's own map
TILES = ("driver", *MODES, OWN)
SAVES = ("grid", "scores", "recipes")


@dataclass(frozen=True)
class Sheet:
    """The widgets of this tab."""

    own: gradio.Checkbox
    compare: gradio.Button
    cancel: gradio.Button
    status: gradio.HTML
    tiles: dict[str, gradio.Video]
    curves: gradio.HTML
    scores: gradio.HTML
    saves: dict[str, gradio.DownloadButton]


def compared(studio: Studio, visitor: str, values: Mapping[str, object], own: bool) -> Iterator[Step]:
    """Render and score the modes; every fault becomes a sentence."""
    words = studio.words
    yield Step(Note("hint", words("status.getting_ready")).html, running=True)
    missing = faults(studio, values)
    if missing:
        yield Step("".join(note.html for note in missing))
        return
    try:
        request = wishes.request_of(values)
    except InputError as fault:
        yield Step(Note("fault", words.fault(fault)).html)
        return
    request = replace(request, timeline=())  # it would make the modes alike from its first change on
    maps = {OWN: request.regions} if own else {}
    modes = [*MODES, *maps]
    for step in steps(studio, visitor, make_comparison(request, maps), lambda at: telling.comparing(words, at, modes)):
        yield step if step.result is None else replace(step, status=Note("good", words("compare.done")).html)


def faults(studio: Studio, values: Mapping[str, object]) -> list[Note]:
    """What is missing or wrong, each with the name of its field."""
    words = studio.words
    wrong = news.faults(studio.runner, words, values)
    agreed = wrong.pop(wishes.AGREED, None)
    missing = [name for name in wishes.FILES if not values[name]]
    texts = {name: words("compare.missing", field=words(name)) for name in missing}
    texts |= {
        name: words("compare.fault", field=words(name), fault=wrong[name].text) for name in wrong if name not in missing
    }
    return [*(Note("fault", text) for text in texts.values()), *([agreed] if agreed else [])]


def curves(words: Words, made: Comparison) -> str:
    """Per region, the motion of the driver and of every mode on one axis of time."""
    motions = {words("mode.driver"): Motion.load(made.folder / DRIVER)}
    motions |= {words(f"mode.{mode}"): Motion.load(made.folder / f"{mode}.npz") for mode in made.facts["modes"]}
    seconds = max(facts["seconds"] for facts in made.facts["modes"].values())
    values = {name: motion.resampled(25).values for name, motion in motions.items()}
    return charts.curves(words, words("compare.curves"), values, 25, seconds)


def scores(words: Words, made: Comparison) -> str:
    """The measures of all modes, a table for each kind of measure."""
    results = {words(f"mode.{one['video']}"): one["sections"] for one in made.facts["scores"]}
    titles = dict.fromkeys(title for sections in results.values() for title in sections if title != "coefficients")
    return "".join(_section(title, results) for title in titles)


def recipes(made: Comparison) -> Path:
    """All recipes in one archive."""
    archive = made.folder / "recipes.zip"
    with replacing(archive) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
        for mode in made.facts["modes"]:
            file.write(made.folder / f"{mode}.json", f"{mode}.json")
    return archive


def build(studio: Studio, inputs: Mapping[str, Component]) -> None:
    """Lay the tab out and connect it."""
    words = studio.words
    widgets.lead(words("compare.lead"))
    with gradio.Row(elem_id="compare-buttons"):
        start = gradio.Button(
            words("compare.start"), variant="primary", size="lg", scale=2, min_width=150, elem_id="compare"
        )
        cancel = gradio.Button(
            words("cancel"), size="lg", scale=1, min_width=90, interactive=False, elem_id="compare-cancel"
        )
        own = gradio.Checkbox(False, label=words("compare.own"), scale=3, min_width=200, elem_id="compare-own")
    status = gradio.HTML(Note("hint", words("compare.idle")).html, elem_id="compare-status", padding=False)
    with gradio.Row(elem_id="tiles"):
        tiles = {name: _tile(words, name) for name in TILES}
    gradio.HTML(f"<button type='button' id='play-all'>{words('compare.play')}</button>", padding=False)
    with gradio.Group(elem_classes="card"):
        drawn = gradio.HTML(elem_id="compare-curves", padding=False)
        table = gradio.HTML(elem_id="compare-scores", padding=False)
    with gradio.Row():
        saves = {name: save_button(words(f"compare.save.{name}"), f"compare-save-{name}") for name in SAVES}
    _connect(studio, inputs, Sheet(own, start, cancel, status, tiles, drawn, table, saves))


def _connect(studio: Studio, inputs: Mapping[str, Component], sheet: Sheet) -> None:
    def run(visitor: gradio.Request, own: bool, *values: object) -> Iterator[dict[Component, object]]:
        named = dict(zip(inputs, values, strict=True))
        with closing(compared(studio, name_of(visitor), named, own)) as made:
            for step in made:
                yield _shown(studio.words, step, named, sheet)

    outputs = [sheet.compare, sheet.cancel, sheet.status, *sheet.tiles.values(), sheet.curves, sheet.scores,
               *sheet.saves.values()]  # fmt: skip
    sheet.compare.click(run, [sheet.own, *inputs.values()], outputs, concurrency_limit=HANDLERS, **QUIET)
    cancels(studio, sheet.cancel)


def _shown(words: Words, step: Step, values: Mapping[str, object], sheet: Sheet) -> dict[Component, object]:
    """The widgets' new values; what is old is put away when the work begins."""
    shown: dict[Component, object] = {
        sheet.compare: gradio.Button(interactive=not step.running),
        sheet.cancel: gradio.Button(interactive=step.running),
        sheet.status: step.status,
    }
    made: Comparison | None = step.result
    if made:
        videos = {"driver": str(values["driving"])}
        videos |= {mode: str(made.folder / f"{mode}.mp4") for mode in made.facts["modes"]}
        shown |= {tile: gradio.Video(videos.get(name), visible=name in videos) for name, tile in sheet.tiles.items()}
        shown |= {sheet.curves: curves(words, made), sheet.scores: scores(words, made)}
        files = {"grid": made.folder / "grid.mp4", "scores": made.folder / "table.csv", "recipes": recipes(made)}
        shown |= {
            sheet.saves[name]: gradio.DownloadButton(value=str(file), interactive=True) for name, file in files.items()
        }
    return shown


def _tile(words: Words, name: str) -> gradio.Video:
    return gradio.Video(
        label=words(f"mode.{name}"), interactive=False, buttons=[], height=260, min_width=180, visible=name != OWN,
        elem_id=f"tile-{name}",
    )  # fmt: skip


def _section(title: str, results: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    names = dict.fromkeys(name for sections in results.values() for name in sections.get(title, {}))
    rows = [[name, *(_number(sections.get(title, {}).get(name)) for sections in results.values())] for name in names]
    return telling.grid(title, ["", *results], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
