"""The tab that makes one video: plain handlers, and the wiring of the widgets to them."""

import logging
import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import gradio
import numpy as np
from gradio.components import Component
from gradio.events import Dependency

from actalker import config, pipelines
from actalker.errors import InputError
from actalker.signals import audio, media, regions
from actalker.signals.face import Face, FaceTracker, choose_face, crop_of, find_faces
from demo import panels
from demo.hosting import LONGEST_QUEUE
from demo.panels import Note, Output, Plan, Sources
from demo.runner import Result, Runner, Update

EXAMPLES = Path(__file__).parents[1] / "assets"
VIEW_SIDE = 384  # px
FRAMES_LOOKED_AT = 5  # one a second, when a clip arrives
COUNTS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
GETTING_READY = panels.progress(Update("", 0.0, 0))
QUIET = {"show_progress": "hidden", "api_visibility": "private"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What the page shows at one moment of a request."""

    status: str
    running: bool = False
    notes: Mapping[str, Note] = field(default_factory=dict)
    result: Result | None = None

    @property
    def replaces(self) -> bool:
        """Whether the last result makes way: for a new one, or for one that has begun."""
        return self.result is not None or (self.running and self.status != GETTING_READY)


@dataclass(frozen=True)
class Seen:
    """What a photo shows: the line below it, and a view of each face, largest first."""

    note: Note
    views: tuple["View", ...] = ()


@dataclass(frozen=True)
class View:
    """A face with its surroundings: a square picture (384, 384, 3) uint8 RGB and the face in pixels of that picture."""

    picture: np.ndarray
    face: Face


def seen_in(photo: Path) -> Seen:
    """Find the faces in a photo; whatever is wrong with it becomes its line."""
    try:
        picture = media.read_image(photo)
        faces = find_faces(picture)
        choose_face(faces)
    except InputError as fault:
        return Seen(Note("fault", str(fault)))
    views = tuple(_view(picture, face) for face in faces)
    if len(views) == 1:
        return Seen(Note("good", "One face found."), views)
    count = COUNTS[len(views)] if len(views) < len(COUNTS) else str(len(views))
    return Seen(Note("good", f"{count} faces found; the largest is used. Choose another by its number."), views)


def photo_news(runner: Runner, photo: str | None) -> Seen:
    """What the photo shows, remembered, or a hint where there is none."""
    return runner.remember(seen_in, Path(photo)) if photo else Seen(panels.HINTS["photo"])


def speech_news(speech: Path) -> Note:
    """The line below the voice."""
    try:
        voice = audio.read_speech(speech)
    except InputError as fault:
        return Note("fault", str(fault))
    if voice.silent:
        return Note("warning", f"{voice.seconds:.1f} s of silence: the mouth will stay still.")
    return Note("good", f"{voice.seconds:.1f} s of sound. The video will be as long.")


def driving_news(driving: Path) -> Note:
    """The line below the clip. A face is sought in its first seconds only; the rest is measured with the request."""
    try:
        clip = media.probe_video(driving)
        seen = _shows_face(driving)
    except InputError as fault:
        return Note("fault", str(fault))
    shape = f"{clip.seconds:.1f} s, {clip.width} × {clip.height}, {float(clip.fps):.4g} frames per second."
    if not seen:
        return Note("warning", f"{shape} No face was found in its first {FRAMES_LOOKED_AT} seconds.")
    return Note("good", shape)


def signal_news(runner: Runner, speech: str | None, driving: str | None) -> dict[str, Note]:
    """The lines below the voice and the clip."""
    given = {"speech": (speech_news, speech), "driving": (driving_news, driving)}
    return {
        name: runner.remember(news, Path(file)) if file else panels.HINTS[name] for name, (news, file) in given.items()
    }


def suggested_preset(speech: str | None, driving: str | None) -> str:
    """The preset that suits what was given; before anything was, the one for both signals."""
    return config.natural_preset(_given(speech, driving) or config.SIGNALS)


def matching_preset(sources: Mapping[str, str]) -> str | None:
    """The preset that these region sources are, if any."""
    return next((name for name, preset in config.PRESETS.items() if preset == dict(sources)), None)


def plan_words(sources: Mapping[str, str], speech: str | None, driving: str | None) -> str:
    """What will happen in plain words, and a warning for regions that listen to a signal that is not given."""
    deaf = unheard(sources, speech, driving) if speech or driving else []
    if not deaf:
        return panels.plan_words(regions.describe(sources))
    signal = "clip" if speech else "voice"
    verb, them = ("stays", "it") if len(deaf) == 1 else ("stay", "them")
    warning = (
        f"There is no {signal}, so the {regions.listed(deaf)} {verb} still. Add one, or let something else move {them}."
    )
    return panels.plan_words(regions.describe(sources), warning)


def unheard(sources: Mapping[str, str], speech: str | None, driving: str | None) -> list[str]:
    """The regions that listen to a signal that was not given."""
    heard = {*_given(speech, driving), "still"}
    return [region for region, source in sources.items() if source not in heard]


def mask_picture(
    runner: Runner, photo: str | None, face: float, sources: Mapping[str, str], masks: Mapping[str, float]
) -> np.ndarray | None:
    """The chosen face with the masks drawn on it, (384, 384, 3), or None where there is no face."""
    views = photo_news(runner, photo).views
    if not views:
        return None
    view = views[min(_whole(face, 1), len(views)) - 1]
    return regions.overlay(view.picture, regions.region_masks(view.face, view.picture.shape, **masks), dict(sources))


def create(runner: Runner, visitor: str, values: Mapping[str, object]) -> Iterator[Step]:
    """Make the video from the values of the widgets by name; every fault becomes a sentence where it belongs."""
    yield Step(GETTING_READY, running=True)
    notes = faults(runner, values)
    if notes:
        yield Step(Note("fault", "The video cannot be made yet: see the notes in red.").html, notes=notes)
        return
    try:
        with closing(runner.run(request_of(values), visitor)) as moments:
            for moment in moments:
                if isinstance(moment, Result):
                    yield Step(_outcome(moment.info).html, result=moment)
                else:
                    yield Step(panels.progress(moment), running=True)
    except InputError as fault:
        yield Step(Note("fault", str(fault)).html)
    except pipelines.Cancelled:
        yield Step(Note("hint", "Stopped. Nothing was kept.").html)
    except Exception:
        log.exception("A request failed.")
        yield Step(Note("fault", "Something broke while the video was made, and was noted; try other files.").html)


def _outcome(info: Mapping[str, object]) -> Note:
    """What there is to say about a result."""
    if info.get("cancelled"):
        return Note("hint", f"Stopped. The first {info['seconds']:.1f} seconds were kept.")
    return Note("good", "Your video is ready.")


def faults(runner: Runner, values: Mapping[str, object]) -> dict[str, Note]:
    """The notes at the files that cannot be used, by the file's name."""
    photo, speech, driving = (values[name] for name in panels.FILES)
    seen = photo_news(runner, photo)
    notes = {"photo": seen.note, **signal_news(runner, speech, driving)}
    if not photo:
        notes["photo"] = Note("fault", "Add a photo of a face first.")
    elif seen.views and _whole(values["face"], 1) > len(seen.views):
        number, last = _whole(values["face"], 1), len(seen.views)
        notes["photo"] = Note("fault", f"There is no face number {number}; choose one from 1 to {last}.")
    if not speech and not driving:
        notes["speech"] = Note("fault", "Add a voice here, a clip below, or both: something must move the face.")
    return {name: line for name, line in notes.items() if line.kind == "fault"}


def request_of(values: Mapping[str, object]) -> pipelines.Request:
    """The request that the widgets describe. What is empty takes its default; what listens to nothing stays still."""
    chosen = {name: values[name] for name in (*panels.MASK_WORDS, *panels.SETTING_WORDS) if values[name] is not None}
    files = {name: Path(values[name]) if values[name] else None for name in panels.FILES}
    sources = {region: values[region] for region in config.REGIONS}
    deaf = unheard(sources, values["speech"], values["driving"])
    sources.update(dict.fromkeys(deaf, "still"))
    if "fps" in chosen:
        chosen["fps"] = Fraction(chosen["fps"]).limit_denominator(1001)
    return pipelines.Request(**files, regions=sources, face=_whole(values["face"], 1) - 1, **chosen)


def build(blocks: gradio.Blocks, runner: Runner) -> None:
    """Lay the tab out in these Blocks, which are being built, and connect it."""
    with gradio.Row(elem_id="columns"):
        with gradio.Column(scale=10, min_width=300):
            sources = panels.sources_panel(EXAMPLES)
        with gradio.Column(scale=12, min_width=320):
            plan = panels.plan_panel(plan_words(config.PRESETS[panels.FIRST_PRESET], None, None))
        with gradio.Column(scale=12, min_width=320):
            output = panels.output_panel()
    _connect_files(runner, sources, plan)
    _connect_plan(runner, sources, plan)
    _connect_create(runner, sources, plan, output)

    def leave(visitor: gradio.Request) -> None:
        runner.forget(_name_of(visitor))

    blocks.unload(leave)
    blocks.load(None, js=panels.NAME_THUMBNAILS, **QUIET)


def _connect_files(runner: Runner, sources: Sources, plan: Plan) -> None:
    """What arrives is looked at, told about in its line, and brings its natural preset unless the visitor chose one."""

    def photo_came(photo: str | None) -> tuple[str, dict]:
        seen = photo_news(runner, photo)
        faces = len(seen.views)
        return seen.note.html, gradio.Number(value=1, maximum=max(faces, 1), visible=faces > 1)

    def signal_came(speech: str | None, driving: str | None, touched: bool) -> tuple:
        lines = (line.html for line in signal_news(runner, speech, driving).values())
        if touched:
            return *lines, *(gradio.skip() for _ in range(1 + len(plan.regions)))
        preset = suggested_preset(speech, driving)
        return *lines, preset, *config.PRESETS[preset].values()

    signals = [sources.files["speech"], sources.files["driving"]]
    photo = sources.files["photo"].change(
        photo_came, sources.files["photo"], [sources.notes["photo"], sources.face], **QUIET
    )
    _redraws(photo, runner, sources, plan)
    lines = [sources.notes["speech"], sources.notes["driving"]]
    for signal in signals:
        came = signal.change(
            signal_came, [*signals, plan.touched], [*lines, plan.preset, *plan.regions.values()], **QUIET
        )
        _redraws(came, runner, sources, plan)


def _connect_plan(runner: Runner, sources: Sources, plan: Plan) -> None:
    """Preset and switches follow each other, and the words and the picture follow both."""

    def preset_chosen(preset: str) -> tuple:
        return True, *config.PRESETS[preset].values()

    def switched(*chosen: str) -> tuple[bool, str | None]:
        return True, matching_preset(dict(zip(plan.regions, chosen, strict=True)))

    switches = list(plan.regions.values())
    _redraws(plan.preset.input(preset_chosen, plan.preset, [plan.touched, *switches], **QUIET), runner, sources, plan)
    for switch in switches:
        _redraws(switch.input(switched, switches, [plan.touched, plan.preset], **QUIET), runner, sources, plan)
    for widget in (sources.face, *plan.masks.values()):
        _draws(widget.change, runner, sources, plan)


def _redraws(event: Dependency, runner: Runner, sources: Sources, plan: Plan) -> None:
    """After the event the words and the picture are made anew."""

    def words(speech: str | None, driving: str | None, *chosen: str) -> str:
        return plan_words(dict(zip(plan.regions, chosen, strict=True)), speech, driving)

    signals = [sources.files["speech"], sources.files["driving"]]
    event.then(words, [*signals, *plan.regions.values()], plan.words, **QUIET)
    _draws(event.then, runner, sources, plan)


def _draws(listen: Callable, runner: Runner, sources: Sources, plan: Plan) -> None:
    """The picture of the masks is drawn at this event, from the newest values only."""

    def draw(photo: str | None, face: float, *chosen: object) -> np.ndarray | None:
        names = (*plan.regions, *plan.masks)
        values = dict(zip(names, chosen, strict=True))
        picked = {region: values[region] for region in plan.regions}
        return mask_picture(runner, photo, face, picked, {name: values[name] for name in plan.masks})

    inputs = [sources.files["photo"], sources.face, *plan.regions.values(), *plan.masks.values()]
    listen(draw, inputs, plan.picture, trigger_mode="always_last", **QUIET)


def _connect_create(runner: Runner, sources: Sources, plan: Plan, output: Output) -> None:
    """The button runs `create`. Cancel makes the runner stop, and then `create` itself says so as its last step."""
    inputs = {**sources.files, "face": sources.face, **plan.regions, **plan.masks, **plan.settings}

    def run(visitor: gradio.Request, *values: object) -> Iterator[dict[Component, object]]:
        named = dict(zip(inputs, values, strict=True))
        with closing(create(runner, _name_of(visitor), named)) as steps:
            for step in steps:
                yield _shown(step, sources, output)

    def stop(visitor: gradio.Request) -> None:
        runner.cancel(_name_of(visitor))

    shown = [output.create, output.cancel, output.status, output.video, output.save_video, output.save_recipe,
             output.facts, *sources.notes.values()]  # fmt: skip
    output.create.click(
        run, list(inputs.values()), shown, api_name="create", concurrency_limit=LONGEST_QUEUE, show_progress="hidden",
    )  # fmt: skip
    output.cancel.click(stop, queue=False, **QUIET)


def _shown(step: Step, sources: Sources, output: Output) -> dict[Component, object]:
    """The widgets' new values. While a request runs, the last result is put away."""
    shown: dict[Component, object] = {
        output.create: gradio.Button(interactive=not step.running),
        output.cancel: gradio.Button(interactive=step.running),
        output.status: step.status,
        **{sources.notes[name]: line.html for name, line in step.notes.items()},
    }
    if step.replaces:
        video, recipe = (str(step.result.video), str(step.result.recipe)) if step.result else (None, None)
        shown[output.video] = video
        shown[output.save_video] = gradio.DownloadButton(value=video, interactive=bool(video))
        shown[output.save_recipe] = gradio.DownloadButton(value=recipe, interactive=bool(recipe))
        shown[output.facts] = panels.facts(step.result.info) if step.result else ""
    return shown


def _name_of(visitor: gradio.Request | None) -> str:
    """The visitor's session; a caller without one is a visitor of its own each time."""
    return (visitor and visitor.session_hash) or secrets.token_hex(16)


def _given(speech: str | None, driving: str | None) -> set[str]:
    return {signal for signal, file in zip(config.SIGNALS, (speech, driving), strict=True) if file}


def _view(picture: np.ndarray, face: Face) -> View:
    crop = crop_of(face, picture.shape)
    return View(crop.cut(picture, VIEW_SIDE), Face.of(crop.to_crop(face.points, VIEW_SIDE)))


def _shows_face(driving: Path) -> bool:
    with FaceTracker() as tracker:
        frames = islice(media.read_video(driving, fps=1, max_seconds=FRAMES_LOOKED_AT), FRAMES_LOOKED_AT)
        return any(tracker.points(frame) is not None for frame in frames)


def _whole(number: float | None, default: int) -> int:
    return default if number is None or not math.isfinite(number) else max(int(number), 1)
