"""The tab that makes one video: plain handlers, and the wiring of the widgets to them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import product

import gradio
import numpy as np
from gradio.components import Component
from gradio.events import Dependency

from actalker import config
from actalker.errors import InputError
from demo import news, panels, telling, wishes
from demo.hosting import HANDLERS
from demo.jobs import Result, make_video
from demo.notes import Note
from demo.panels import Output, Plan, Sources
from demo.runner import Update
from demo.steps import Step, steps
from demo.studio import QUIET, Studio, name_of
from demo.texts import Words

VIDEO = "video"  # what the runner keeps of this tab

# What the browser looks up itself, so that no answer from here comes too late and overtakes what a visitor chose.
CHOICES = {name: [name, *preset.values()] for name, preset in config.PRESETS.items()}  # a preset and its sources
NAMES = {",".join(preset.values()): name for name, preset in config.PRESETS.items()}
SUITED = [CHOICES[wishes.suggested_preset(*signals)] for signals in product((None, "given"), repeat=2)]
SUGGESTED = f"""(speech, driving, touched, ...now) =>
    touched ? now : {json.dumps(SUITED)}[2 * Boolean(speech) + Boolean(driving)]"""
PRESET_CHOSEN = f"preset => [true, ...{json.dumps(CHOICES)}[preset]]"
SWITCHED = f"(...sources) => [true, {json.dumps(NAMES)}[sources] ?? null]"


def create(studio: Studio, visitor: str, values: Mapping[str, object], preview: bool = False) -> Iterator[Step]:
    """Make the video from the values of the widgets by name; every fault becomes a sentence where it belongs."""
    words, runner = studio.words, studio.runner
    yield Step(telling.progress(words, Update("", 0.0, 0)), running=True)
    try:
        notes = news.faults(runner, words, values)
        request = wishes.request_of(values)
    except InputError as fault:
        yield Step(Note("fault", words.fault(fault)).html)
        return
    if notes:
        yield Step(Note("fault", words("status.faulty")).html, notes=notes)
        return
    work = make_video(wishes.preview_of(request) if preview else request)
    for step in steps(studio, visitor, work, lambda at: telling.progress(words, at)):
        if step.result is None:
            yield step
        else:
            yield replace(step, result=runner.keep(visitor, VIDEO, step.result), status=_ready(words, step.result).html)


def _ready(words: Words, result: Result) -> Note:
    """What to say of a finished video, a preview, or what was done before it was stopped."""
    seconds = f"{result.info['seconds']:.1f}"
    if result.info.get("cancelled"):
        return Note("hint", words("status.kept", seconds=seconds))
    if result.request.until is not None:
        return Note("good", words("status.preview", seconds=seconds))
    return Note("good", words("status.done"))


def looked_at(studio: Studio, visitor: str, values: Mapping[str, object]) -> str:
    """What the files hold, what will become of them and what it will take, before anything runs."""
    try:
        request = wishes.request_of(values)
    except InputError as fault:
        return Note("fault", studio.words.fault(fault)).html
    return telling.check(studio.words, studio.runner.look(request, visitor), request)


def plan_words(words: Words, sources: Mapping[str, str], speech: str | None, driving: str | None) -> str:
    """What will happen in plain words, and a warning for regions that listen to a signal that is not given."""
    warning = wishes.warning(words, sources, speech, driving)
    sentence = f"<p class='plan' aria-live='polite'>{words.plan(sources)}</p>"
    return sentence + (Note("warning", warning).html if warning else "")


def build(studio: Studio) -> tuple[Sources, Plan, Output]:
    """Lay the tab out and connect it; other tabs work on what is brought and chosen here."""
    words = studio.words
    whole = gradio.Row(elem_id="whole")
    with gradio.Row(elem_id="columns"):
        with gradio.Column(scale=10, min_width=300):
            sources = panels.sources_panel(words)
        with gradio.Column(scale=12, min_width=320):
            first = plan_words(words, config.PRESETS[wishes.FIRST_PRESET], None, None)
            plan = panels.plan_panel(words, first, label=studio.runner.label == "ask")
        with gradio.Column(scale=12, min_width=320):
            output = panels.output_panel(words)
    with whole:
        panels.whole_examples(words, sources.files)
    _connect_photo(studio, sources)
    _connect_signals(studio, sources, plan)
    _connect_plan(studio, sources, plan)
    return sources, plan, output


def _connect_photo(studio: Studio, sources: Sources) -> None:
    """A photo that arrives is looked at; its faces are boxed, and a click chooses one."""
    runner = studio.runner

    def came(photo: str | None, face: float) -> tuple[str, dict, np.ndarray | None]:
        seen, number = news.look(runner, photo), wishes.whole(face, 1)
        count = len(seen.views)
        note = news.photo_note(runner, studio.words, photo)
        if number <= count:  # a recipe may have brought its face along with the photo
            return note.html, gradio.Number(visible=count > 1), news.boxed(seen, number)
        return note.html, gradio.Number(value=1, visible=count > 1), news.boxed(seen, 1)

    def clicked(photo: str | None, face: float, where: gradio.SelectData) -> float:
        return news.face_at(news.look(runner, photo), *where.index) or face

    def chosen(photo: str | None, face: float) -> np.ndarray | None:
        return news.boxed(news.look(runner, photo), wishes.whole(face, 1))

    photo = sources.files["photo"]
    photo.change(came, [photo, sources.face], [sources.notes["photo"], sources.face, sources.faces], **QUIET)
    sources.faces.select(clicked, [photo, sources.face], sources.face, **QUIET)
    sources.face.change(chosen, [photo, sources.face], sources.faces, **QUIET)


def _connect_signals(studio: Studio, sources: Sources, plan: Plan) -> None:
    """A voice or clip that arrives is told about, and brings its natural preset unless the visitor chose one."""

    def looked(speech: str | None, driving: str | None) -> tuple[str, ...]:
        return tuple(line.html for line in news.signal_notes(studio.runner, studio.words, speech, driving).values())

    signals = [sources.files["speech"], sources.files["driving"]]
    lines = [sources.notes["speech"], sources.notes["driving"]]
    chosen = [plan.preset, *plan.regions.values()]
    for signal in signals:
        event = signal.change(None, [*signals, plan.touched, *chosen], chosen, js=SUGGESTED, **QUIET)
        tells(event, sources, plan, studio.words)
        event.then(looked, signals, lines, **QUIET)


def _connect_plan(studio: Studio, sources: Sources, plan: Plan) -> None:
    """Preset and switches follow each other, and the words and the picture follow both."""
    switches = list(plan.regions.values())
    chosen = [plan.touched, plan.preset, *switches]
    event = plan.preset.input(None, plan.preset, chosen, js=PRESET_CHOSEN, **QUIET)
    tells(event, sources, plan, studio.words)
    for switch in switches:
        event = switch.input(None, switches, chosen[:2], js=SWITCHED, **QUIET)
        tells(event, sources, plan, studio.words)


def tells(event: Dependency, sources: Sources, plan: Plan, words: Words) -> None:
    """After the event the words about the plan are made anew."""

    def told(speech: str | None, driving: str | None, *chosen: str) -> str:
        return plan_words(words, dict(zip(plan.regions, chosen, strict=True)), speech, driving)

    signals = [sources.files["speech"], sources.files["driving"]]
    event.then(told, [*signals, *plan.regions.values()], plan.words, **QUIET)


def connect(studio: Studio, inputs: Mapping[str, Component], sources: Sources, output: Output) -> None:
    """The buttons run `create` on all inputs; when Cancel makes the runner stop, `create` says so as its last step."""

    def run(preview: bool, visitor: gradio.Request, *values: object) -> Iterator[dict[Component, object]]:
        named = dict(zip(inputs, values, strict=True))
        with closing(create(studio, name_of(visitor), named, preview)) as made:
            for step in made:
                yield _shown(studio.words, step, sources, output)

    def whole(visitor: gradio.Request, *values: object) -> Iterator[dict[Component, object]]:
        yield from run(False, visitor, *values)

    def beginning(visitor: gradio.Request, *values: object) -> Iterator[dict[Component, object]]:
        yield from run(True, visitor, *values)

    def looked(visitor: gradio.Request, *values: object) -> str:
        return looked_at(studio, name_of(visitor), dict(zip(inputs, values, strict=True)))

    shown = [output.create, output.preview, output.cancel, output.status, output.pieces, output.video, output.facts,
             output.save_video, output.save_recipe, output.agreed_note, *sources.notes.values()]  # fmt: skip
    for button, handler in ((output.create, whole), (output.preview, beginning)):
        button.click(handler, list(inputs.values()), shown, concurrency_limit=HANDLERS, **QUIET)
    cancels(studio, output.cancel)
    output.agreed.change(lambda: Note("hint", "").html, None, output.agreed_note, **QUIET)
    changes = [widget.change for widget in inputs.values()]
    gradio.on(changes, looked, list(inputs.values()), output.check, trigger_mode="always_last", **QUIET)


def cancels(studio: Studio, button: gradio.Button) -> None:
    """The button stops whatever the visitor has running or waiting."""

    def stop(visitor: gradio.Request) -> None:
        studio.runner.cancel(name_of(visitor))

    button.click(stop, queue=False, **QUIET)


def _shown(words: Words, step: Step, sources: Sources, output: Output) -> dict[Component, object]:
    """The widgets' new values. While a request runs, the last result is put away."""
    notes = {**sources.notes, wishes.AGREED: output.agreed_note}
    shown: dict[Component, object] = {
        output.create: gradio.Button(interactive=not step.running),
        output.preview: gradio.Button(interactive=not step.running),
        output.cancel: gradio.Button(interactive=step.running),
        output.status: step.status,
        **{notes[name]: line.html for name, line in step.notes.items()},
    }
    if step.update:
        shown[output.pieces] = telling.pieces(step.update.pieces)
    elif not step.running:
        shown[output.pieces] = telling.pieces(())
    if step.replaces:
        result: Result | None = step.result
        video, recipe = (str(result.video), str(result.recipe)) if result else (None, None)
        shown[output.video] = video
        shown[output.save_video] = gradio.DownloadButton(value=video, interactive=bool(video))
        shown[output.save_recipe] = gradio.DownloadButton(value=recipe, interactive=bool(recipe))
        shown[output.facts] = telling.facts(words, result.info) if result else ""
    return shown
