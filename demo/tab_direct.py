"""The tab that changes who moves what over time, and moves the face by hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio
import numpy as np
from gradio.components import Component

from actalker import config
from actalker.errors import InputError
from demo import charts, news, widgets, wishes
from demo.jobs import Stills, make_still
from demo.notes import Note
from demo.runner import Runner
from demo.studio import QUIET, Studio, name_of
from demo.texts import Words

STILLS = "stills"  # what the runner keeps of a visitor for this tab


@dataclass(frozen=True)
class Direction:
    """The widgets of this tab that others read, by the names that `wishes` knows them by; and those that it fills."""

    values: dict[str, Component]
    drawn: gradio.HTML
    note: gradio.HTML
    at: gradio.Slider
    picture: gradio.Image
    picture_note: gradio.HTML
    shows: list[Callable]  # events after which the frame is shown
    reset: gradio.Button


def drawn(runner: Runner, words: Words, values: Mapping[str, object]) -> tuple[str, Note]:
    """The timeline as a picture over the waveform, and what to say about it."""
    speech, driving = values["speech"], values["driving"]
    seconds, wave = _heard(runner, speech, driving)
    if not seconds:
        return "", Note("hint", words("direct.needs_signal"))
    try:
        cues = wishes.cues_of(values)
    except InputError:
        wrong = next(values[name] for _, name in wishes.CUES if values[name] and not _is_map(values[name]))
        return "", Note("fault", words("direct.no_map", text=wrong))
    regions = {region: values[region] for region in config.REGIONS}
    segments = charts.segments_of(regions, cues, wishes.given(speech, driving))
    picture = charts.timeline(words, words("direct.timeline"), segments, seconds, wave)
    late = [start for start, _ in cues if start >= seconds]
    if late:
        return picture, Note("warning", words("direct.late", start=f"{late[0]:g}", seconds=f"{seconds:.1f}"))
    return picture, Note("hint", words("direct.how") if not cues else words("direct.cues", count=len(cues)))


def still(studio: Studio, visitor: str, values: Mapping[str, object], at: float) -> tuple[np.ndarray | None, Note]:
    """One frame of what would be made, at once where little changed, and what to say about it."""
    runner, words = studio.runner, studio.words
    notes = news.faults(runner, words, values)
    if notes:
        text = words("agreed.missing") if set(notes) == {wishes.AGREED} else words("direct.needs_all")
        return None, Note("hint", text)
    stills = runner.last(visitor, STILLS) or runner.keep(visitor, STILLS, Stills())
    try:
        picture = runner.aside(make_still(wishes.request_of(values), at, stills), visitor)
    except InputError as fault:
        return None, Note("fault", words.fault(fault))
    return picture, Note("hint", words("direct.still", seconds=f"{at:.1f}"))


def build(studio: Studio, tab: gradio.Tab) -> Direction:
    """Lay the tab out."""
    words, values = studio.words, {}
    widgets.lead(words("direct.lead"))
    with gradio.Row():
        with gradio.Column(scale=6, min_width=320):
            widgets.subheading(words("direct.over_time"))
            with gradio.Group(elem_classes="card"):
                picture = gradio.HTML(elem_id="timeline", padding=False)
                note = widgets.note_line(Note("hint", words("direct.needs_signal")), "timeline-note")
                values.update(_cues(words))
        with gradio.Column(scale=5, min_width=320):
            widgets.subheading(words("direct.by_hand"))
            with gradio.Group(elem_classes="card"):
                frame = gradio.Image(
                    label=words("direct.frame"), interactive=False, buttons=[], height=320, elem_id="still"
                )
                frame_note = widgets.note_line(Note("hint", words("direct.needs_all")), "still-note")
                at = gradio.Slider(0, 600, 1.0, step=0.04, label=words("direct.at"), buttons=[], elem_id="still-at")
            with gradio.Row():
                update = gradio.Button(words("direct.show"), size="md", min_width=120, elem_id="still-show")
                reset = gradio.Button(words("direct.reset"), size="md", min_width=120, elem_id="hands-reset")
            with gradio.Group(elem_classes=["card", "hands"]):
                values.update({f"hand.{name}": _hand(words, name) for name in wishes.HANDS})
    return Direction(values, picture, note, at, frame, frame_note, [tab.select, update.click], reset)


def connect(studio: Studio, inputs: Mapping[str, Component], direct: Direction) -> None:
    """The timeline follows its table, and the still its sliders, both from the newest values only."""

    def follow(*values: object) -> tuple[str, str, dict]:
        named = dict(zip(inputs, values, strict=True))
        picture, note = drawn(studio.runner, studio.words, named)
        seconds = _heard(studio.runner, named["speech"], named["driving"])[0]
        return picture, note.html, gradio.Slider(maximum=max(round(seconds, 2), 0.04) if seconds else 600)

    def show(visitor: gradio.Request, at: float, *values: object) -> Iterator[tuple[object, str]]:
        yield gradio.skip(), Note("hint", studio.words("direct.working")).html
        picture, note = still(studio, name_of(visitor), dict(zip(inputs, values, strict=True)), at)
        yield picture, note.html

    hands = [widget for name, widget in direct.values.items() if name.startswith("hand.")]
    cues = [widget for name, widget in direct.values.items() if name.startswith("cue")]
    given = [inputs[name] for name in (*wishes.FILES[1:], *config.REGIONS)]
    every = list(inputs.values())
    gradio.on(
        [widget.change for widget in (*cues, *given)], follow, every, [direct.drawn, direct.note, direct.at],
        trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    starts = [*direct.shows, *(widget.input for widget in (*hands, direct.at))]
    gradio.on(
        starts, show, [direct.at, *every], [direct.picture, direct.picture_note], trigger_mode="always_last",
        concurrency_limit=2, **QUIET,
    )  # fmt: skip
    again = direct.reset.click(lambda: [0] * len(hands), None, hands, **QUIET)
    again.then(show, [direct.at, *every], [direct.picture, direct.picture_note], **QUIET)


def _cues(words: Words) -> dict[str, Component]:
    """The table: from which second on which preset or map holds."""
    values: dict[str, Component] = {}
    choices = [(words(f"preset.{name}"), name) for name in config.PRESETS]
    for number, (start, chosen) in enumerate(wishes.CUES, 1):
        with gradio.Row(elem_classes="cue"):
            values[start] = gradio.Number(
                None, label=words("direct.from", number=number), minimum=0, scale=1, min_width=90, elem_id=_id(start)
            )
            values[chosen] = gradio.Dropdown(
                choices, value=None, label=words("direct.map", number=number), allow_custom_value=True, scale=3,
                min_width=170, elem_id=_id(chosen),
            )  # fmt: skip
    return values


def _hand(words: Words, name: str) -> gradio.Slider:
    _, most, step = wishes.HANDS[name]
    return gradio.Slider(
        -most, most, 0, step=step, label=words(f"hand.{name}"), buttons=[], elem_id=f"hand-{name}", elem_classes="hand"
    )


def _id(name: str) -> str:
    return name.replace(".", "-")


def _heard(runner: Runner, speech: str | None, driving: str | None) -> tuple[float, tuple[float, ...]]:
    """How long the result will be, as far as is known, and the voice's loudness over time."""
    if speech:
        heard = runner.remember(news.heard_in, Path(speech))
        return heard.seconds, heard.wave
    return (runner.remember(news.watched_in, Path(driving)).seconds, ()) if driving else (0.0, ())


def _is_map(text: str) -> bool:
    try:
        return bool(wishes.map_of(text))
    except InputError:
        return False
