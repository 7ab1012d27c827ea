"""The columns of the tab that makes a video: what is brought, who moves what, and what comes out."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

import gradio
from gradio.components import Component

from actalker import config
from demo import telling
from demo.hosting import EXAMPLES
from demo.notes import Note
from demo.texts import Words
from demo.widgets import heading, note_line, preset_choices, setting, slider, switch
from demo.wishes import FIRST_PRESET, LABEL, MASKS, SETTINGS

WHOLE_EXAMPLES = {  # which photo, voice and clip
    "joint": ("faces/astronaut.jpg", "speech/welcome.wav", "drivers/curious.mp4"),
    "voice": ("faces/hopper.jpg", "speech/welcome.wav", None),
    "video": ("faces/astronaut.jpg", None, "drivers/cheerful.mp4"),
}


@dataclass(frozen=True)
class Sources:
    """What the visitor brings: a widget per file with a line of news below it, and the face to use."""

    files: dict[str, Component]
    notes: dict[str, gradio.HTML]
    faces: gradio.Image
    face: gradio.Number
    recipe: gradio.UploadButton
    recipe_note: gradio.HTML


@dataclass(frozen=True)
class Plan:
    """Who moves what: the preset, a switch per region, the words that explain them, the masks, and the settings."""

    preset: gradio.Radio
    regions: dict[str, gradio.Radio]
    touched: gradio.Checkbox
    words: gradio.HTML
    picture: gradio.Image
    masks: dict[str, gradio.Slider]
    settings: dict[str, Component]


@dataclass(frozen=True)
class Output:
    """The check, the buttons, the progress, and what comes out."""

    check: gradio.HTML
    create: gradio.Button
    preview: gradio.Button
    agreed: gradio.Checkbox
    agreed_note: gradio.HTML
    cancel: gradio.Button
    status: gradio.HTML
    pieces: gradio.HTML
    video: gradio.Video
    save_video: gradio.DownloadButton
    save_recipe: gradio.DownloadButton
    facts: gradio.HTML


def whole_examples(words: Words, files: dict[str, Component]) -> None:
    """One click brings photo, voice and clip."""
    rows = [[part and str(EXAMPLES / part) for part in parts] for parts in WHOLE_EXAMPLES.values()]
    with gradio.Row(elem_id="whole-examples"):
        gradio.Examples(
            rows,
            list(files.values()),
            label=words("examples.whole"),
            example_labels=[words(f"example.{name}") for name in WHOLE_EXAMPLES],
            elem_id="examples",
            api_visibility="private",
        )


def sources_panel(words: Words) -> Sources:
    """Photo, voice and clip, each with its news and a row of examples."""
    heading(1, words("step.bring"))
    files, notes = {}, {}
    with gradio.Group(elem_classes="card"):
        with gradio.Row(elem_id="photo-row"):
            files["photo"] = _photo(words)
            faces = gradio.Image(
                label=words("faces"), interactive=False, buttons=[], height=176, min_width=140, elem_id="faces"
            )
        notes["photo"] = note_line(Note("hint", words("hint.photo")), "photo-note")
        face = gradio.Number(1, label=words("face"), minimum=1, precision=0, visible=False, elem_id="face")
        _example_row(words, files["photo"], EXAMPLES / "faces")
    with gradio.Group(elem_classes="card"):
        files["speech"] = gradio.Audio(
            label=words("speech"), type="filepath", sources=["upload", "microphone"], buttons=[], elem_id="speech"
        )
        notes["speech"] = note_line(Note("hint", words("hint.speech")), "speech-note")
        _example_row(words, files["speech"], EXAMPLES / "speech")
    with gradio.Group(elem_classes="card"):
        files["driving"] = gradio.Video(
            label=words("driving"), sources=["upload", "webcam"], height=160, buttons=[], elem_id="driving"
        )
        notes["driving"] = note_line(Note("hint", words("hint.driving")), "driving-note")
        _example_row(words, files["driving"], EXAMPLES / "drivers")
    with gradio.Row(elem_id="recipe-row"):
        recipe = gradio.UploadButton(
            words("recipe.open"), file_count="multiple", size="md", min_width=140, scale=0, elem_id="recipe"
        )
        recipe_note = note_line(Note("hint", words("recipe.hint")), "recipe-note")
    return Sources(files, notes, faces, face, recipe, recipe_note)


def plan_panel(words: Words, sentence: str, label: bool = False) -> Plan:
    """Presets, a switch per region, the sentence about them, the masks, and the settings, with `label` that, too."""
    heading(2, words("step.choose"))
    with gradio.Group(elem_classes="card"):
        preset = gradio.Radio(preset_choices(words), value=FIRST_PRESET, label=words("preset"), elem_id="preset")
        regions = {region: switch(words, region) for region in config.REGIONS}
        sentences = gradio.HTML(sentence, elem_id="words", padding=False)
    with gradio.Group(elem_classes="card"):
        picture = gradio.Image(label=words("masks"), interactive=False, buttons=[], height=220, elem_id="mask-picture")
    masks = {name: slider(words, name, render=False) for name in MASKS}  # they lie beside the painted masks
    with gradio.Accordion(words("settings"), open=False, elem_id="settings"):
        settings = {name: setting(words, name) for name in SETTINGS}
        if label:
            settings[LABEL] = gradio.Checkbox(True, label=words("label"), elem_id="label")
    touched = gradio.Checkbox(False, visible="hidden", elem_id="touched")  # whether the visitor has chosen
    return Plan(preset, regions, touched, sentences, picture, masks, settings)


def output_panel(words: Words) -> Output:
    """The check, the buttons, the progress, the video and its facts."""
    heading(3, words("step.get"))
    check = gradio.HTML(Note("hint", words("status.idle")).html, elem_id="check", padding=False)
    agreed = gradio.Checkbox(False, label=words("agreed"), container=False, elem_id="agreed")
    agreed_note = note_line(Note("hint", ""), "agreed-note")
    with gradio.Row(elem_id="buttons"):
        create = gradio.Button(words("create"), variant="primary", size="lg", scale=3, min_width=134, elem_id="create")
        preview = gradio.Button(words("preview"), size="lg", scale=2, min_width=132, elem_id="preview")
        cancel = gradio.Button(words("cancel"), size="lg", scale=1, min_width=76, interactive=False, elem_id="cancel")
    status = gradio.HTML(elem_id="status", padding=False)
    with gradio.Group(elem_classes="card"):
        pieces = gradio.HTML(telling.pieces(()), elem_id="pieces", padding=False)
        gradio.HTML(_live(words), elem_id="live", padding=False)
        video = gradio.Video(
            label=words("video"), interactive=False, buttons=[], height=400, autoplay=True, elem_id="result"
        )
        facts = gradio.HTML(elem_id="facts", padding=False)
    with gradio.Row(elem_id="saves"):
        save_video = save_button(words("save.video"), "save-video")
        save_recipe = save_button(words("save.recipe"), "save-recipe")
    return Output(
        check, create, preview, agreed, agreed_note, cancel, status, pieces, video, save_video, save_recipe, facts
    )


def _live(words: Words) -> str:
    """Two players that take turns with the pieces of a video that is being made."""
    players = "<video playsinline></video>" * 2
    return f"<figure class='live' hidden>{players}<figcaption>{escape(words('live'))}</figcaption></figure>"


def save_button(label: str, elem_id: str) -> gradio.DownloadButton:
    """A button that hands out a file once there is one."""
    return gradio.DownloadButton(label, size="md", min_width=120, interactive=False, elem_id=elem_id)


def _photo(words: Words) -> gradio.Image:
    """An image whose file Gradio does not decode, so that every unreadable file gets a sentence of our own."""
    image = gradio.Image(
        label=words("photo"),
        type="filepath",
        image_mode=None,
        sources=["upload", "webcam", "clipboard"],
        height=176,
        min_width=140,
        buttons=[],
        elem_id="photo",
    )
    image.preprocess = lambda payload: None if payload is None else payload.path
    return image


def _example_row(words: Words, widget: Component, folder: Path) -> None:
    files = sorted(path for path in folder.glob("*") if path.suffix != ".md") if folder.is_dir() else []
    if files:
        labels = None if isinstance(widget, gradio.Image) else [path.stem.replace("_", " ") for path in files]
        gradio.Examples(
            [[str(path)] for path in files],
            [widget],
            label=words("examples"),
            example_labels=labels,
            elem_id=f"{widget.elem_id}-examples",
            api_visibility="private",
        )
