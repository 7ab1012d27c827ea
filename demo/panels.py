"""Widgets of the page and its plain words. Presets, regions and bounds come from the config and from `Request`."""

from dataclasses import dataclass, fields
from html import escape
from pathlib import Path

import gradio
from gradio.components import Component

from actalker import config, pipelines
from actalker.signals.regions import COLOURS
from demo.runner import STOPPING, Update

PRESET_WORDS = {
    "joint": "Voice mouth + clip face",
    "voice": "Voice only",
    "video": "Clip only",
    "voice-still": "Voice mouth, still face",
    "video-head": "Clip head, voice face",
}
SOURCE_WORDS = {"audio": "Voice", "video": "Clip", "still": "Still"}
FIRST_PRESET = "joint"
FILES = ("photo", "speech", "driving")
MASK_WORDS = {"grow": "Grow the regions", "feather": "Soften their edges"}
SETTING_WORDS = {
    "audio_strength": "Voice strength",
    "video_strength": "Clip strength",
    "head_strength": "Head strength",
    "size": "Picture",
    "fps": "Frames per second",
    "steps": "Denoising steps",
    "seed": "Seed",
}
SIZE_WORDS = {512: "Head, 512 × 512", 768: "Head, 768 × 768", "full": "The whole photo"}
STAGES = ("measuring", "denoising", "rendering", "encoding")
LOGO = """<svg viewBox="0 0 44 44" aria-hidden="true"><rect width="44" height="44" rx="12" fill="#0f766e"/>
<circle cx="15" cy="17" r="2.6" fill="#fff"/><circle cx="29" cy="17" r="2.6" fill="#fff"/>
<path d="M11 29v-3M16.5 32v-9M22 34v-13M27.5 32v-9M33 29v-3" stroke="#fff" stroke-width="2.6" stroke-linecap="round"/>
</svg>"""
NAME_THUMBNAILS = """() => {  // for those who hear the page: a thumbnail's name is its file's
    const name = image => { image.alt = decodeURIComponent(image.src.split('/').pop().replace(/[.].*/, '')) }
    const timer = setInterval(() => {
        const images = document.querySelectorAll('#photo-examples img')
        images.forEach(name)
        if (images.length) clearInterval(timer)
    }, 300)
}"""
REQUEST = {field.name: field for field in fields(pipelines.Request)}


@dataclass(frozen=True)
class Note:
    """A line of news at a field; its kind is hint, good, warning or fault."""

    kind: str
    text: str

    @property
    def html(self) -> str:
        """The line as the page shows it; a fault is read out at once."""
        role = " role='alert'" if self.kind == "fault" else ""
        return f"<p class='note {self.kind}'{role}>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Sources:
    """What the visitor brings: a widget per file with a line of news below it, and the face to use."""

    files: dict[str, Component]
    notes: dict[str, gradio.HTML]
    face: gradio.Number


@dataclass(frozen=True)
class Plan:
    """Who moves what: the preset, a switch per region, the words that explain them, the masks, and the settings."""

    preset: gradio.Radio
    regions: dict[str, gradio.Radio]
    touched: gradio.State
    words: gradio.HTML
    picture: gradio.Image
    masks: dict[str, gradio.Slider]
    settings: dict[str, Component]


@dataclass(frozen=True)
class Output:
    """The buttons, the progress, and what comes out."""

    create: gradio.Button
    cancel: gradio.Button
    status: gradio.HTML
    video: gradio.Video
    save_video: gradio.DownloadButton
    save_recipe: gradio.DownloadButton
    facts: gradio.HTML


HINTS = {
    "photo": Note("hint", "A face from the front, eyes open, works best."),
    "speech": Note("hint", "The video gets its length and its sound."),
    "driving": Note("hint", "A video of anybody's moving face."),
}
IDLE = Note("hint", "Needs a photo, and a voice or a clip.")


def header() -> None:
    """The name of the page and what it does, and the colours of the regions as the masks show them."""
    colours = "".join(f"#region-{name} {{ --dot: rgb{colour}; }}" for name, colour in COLOURS.items())
    gradio.HTML(
        f"<style>{colours}</style><div class='title'>{LOGO}<div><h1>ACTalker Studio</h1><p>Make a photo talk: "
        "bring a face, a voice and a clip of a moving face, and decide which of them moves what.</p></div></div>",
        elem_id="header",
        padding=False,
    )


def footer() -> None:
    """What a visitor should know before using somebody's face."""
    gradio.HTML(
        "<p>Use only pictures and voices of people who agreed to it. Everything is made on this machine; "
        "your files are deleted after an hour.</p>",
        elem_id="footer",
        padding=False,
    )


def heading(step: int, title: str) -> None:
    """The title of a column."""
    gradio.HTML(f"<h2><span aria-hidden='true'>{step}</span>{escape(title)}</h2>", padding=False)


def sources_panel(examples: Path) -> Sources:
    """Photo, voice and clip, each with its news and a row of examples from the folder of that name."""
    heading(1, "Bring a face and what moves it")
    files, notes = {}, {}
    with gradio.Group(elem_classes="card"):
        files["photo"] = _photo()
        notes["photo"] = _note_line("photo")
        face = gradio.Number(1, label="Face number", minimum=1, precision=0, visible=False, elem_id="face")
        _example_row(files["photo"], examples / "faces")
    with gradio.Group(elem_classes="card"):
        files["speech"] = gradio.Audio(
            label="Voice", type="filepath", sources=["upload", "microphone"], buttons=[], elem_id="speech"
        )
        notes["speech"] = _note_line("speech")
        _example_row(files["speech"], examples / "speech")
    with gradio.Group(elem_classes="card"):
        files["driving"] = gradio.Video(
            label="Clip", sources=["upload", "webcam"], height=160, buttons=[], elem_id="driving"
        )
        notes["driving"] = _note_line("driving")
        _example_row(files["driving"], examples / "drivers")
    return Sources(files, notes, face)


def plan_panel(sentence: str) -> Plan:
    """Presets, a switch per region, the sentence about them, the masks, and the settings."""
    heading(2, "Choose who moves what")
    with gradio.Group(elem_classes="card"):
        choices = [(PRESET_WORDS[name], name) for name in PRESET_WORDS if name in config.PRESETS]
        preset = gradio.Radio(choices, value=FIRST_PRESET, label="Preset", elem_id="preset")
        regions = {region: _switch(region) for region in config.REGIONS}
        words = gradio.HTML(sentence, elem_id="words", padding=False)
    with gradio.Group(elem_classes="card"), gradio.Row(elem_id="masks"):
        picture = gradio.Image(
            label="What moves where", interactive=False, buttons=[], height=196, min_width=180, elem_id="mask-picture"
        )
        with gradio.Column(min_width=140):
            masks = {name: _slider(name, label) for name, label in MASK_WORDS.items()}
    with gradio.Accordion("Fine tuning", open=False, elem_id="settings"):
        settings = {name: _setting(name, label) for name, label in SETTING_WORDS.items()}
    return Plan(preset, regions, gradio.State(False), words, picture, masks, settings)


def output_panel() -> Output:
    """The button, the progress, the video and its facts."""
    heading(3, "Get the video")
    with gradio.Row(elem_id="buttons"):
        create = gradio.Button("Create the video", variant="primary", size="lg", scale=3, elem_id="create")
        cancel = gradio.Button("Cancel", size="lg", scale=1, min_width=96, interactive=False, elem_id="cancel")
    status = gradio.HTML(IDLE.html, elem_id="status", padding=False)
    with gradio.Group(elem_classes="card"):
        video = gradio.Video(label="Video", interactive=False, buttons=[], height=400, autoplay=True, elem_id="result")
        facts_table = gradio.HTML(elem_id="facts", padding=False)
    with gradio.Row(elem_id="saves"):
        save_video = gradio.DownloadButton(
            "Save the video", size="md", min_width=120, interactive=False, elem_id="save-video"
        )
        save_recipe = gradio.DownloadButton(
            "Save the recipe", size="md", min_width=120, interactive=False, elem_id="save-recipe"
        )
    return Output(create, cancel, status, video, save_video, save_recipe, facts_table)


def plan_words(sentence: str, warning: str = "") -> str:
    """What will happen, and what will not."""
    return f"<p class='plan' aria-live='polite'>{escape(sentence)}</p>" + (
        Note("warning", warning).html if warning else ""
    )


def progress(update: Update) -> str:
    """The status while a request runs: all stages with what is done of each, and a sentence."""
    bars = "".join(_stage(name, _share(name, update)) for name in STAGES)
    return f"<ol class='stages'>{bars}</ol>{Note('hint', _progress_words(update)).html}"


def facts(info: dict) -> str:
    """The facts about a finished video as a table."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(fact)}</td></tr>' for name, fact in _facts(info)
    )
    return f"<table><caption>Facts</caption><tbody>{rows}</tbody></table>"


def _facts(info: dict) -> list[tuple[str, str]]:
    facts = [
        ("Length", f"{info['seconds']:.2f} s, {info['frames']} frames at {info['fps']:g} per second"),
        ("Picture", f"{info['width']} × {info['height']}"),
        ("Made in", f"{info['timings']['total']:.1f} s, {info['realtime_factor']:.2f} × its length"),
        ("Seed", str(info["seed"])),
    ]
    if info["driver_frames_filled"]:
        facts.append(("Clip", f"face not seen in {info['driver_frames_filled']} frames, which were filled in"))
    return facts


def _photo() -> gradio.Image:
    """An image whose file Gradio does not decode, so that every unreadable file gets a sentence of our own."""
    image = gradio.Image(
        label="Photo",
        type="filepath",
        image_mode=None,
        sources=["upload", "webcam", "clipboard"],
        height=176,
        buttons=[],
        elem_id="photo",
    )
    image.preprocess = lambda payload: None if payload is None else payload.path
    return image


def _note_line(name: str) -> gradio.HTML:
    return gradio.HTML(HINTS[name].html, elem_id=f"{name}-note", padding=False)


def _example_row(widget: Component, folder: Path) -> None:
    files = sorted(path for path in folder.glob("*") if path.suffix != ".md") if folder.is_dir() else []
    if files:
        labels = None if isinstance(widget, gradio.Image) else [path.stem.replace("_", " ") for path in files]
        gradio.Examples(
            [[str(path)] for path in files], [widget], label="Examples", example_labels=labels,
            elem_id=f"{widget.elem_id}-examples", api_visibility="private",
        )  # fmt: skip


def _switch(region: str) -> gradio.Radio:
    choices = [(SOURCE_WORDS[source], source) for source in config.SOURCES]
    return gradio.Radio(
        choices, value=config.PRESETS[FIRST_PRESET][region], label=region.capitalize(), elem_id=f"region-{region}",
        elem_classes="switch",
    )  # fmt: skip


def _slider(name: str, label: str) -> gradio.Slider:
    field = REQUEST[name]
    low, high = field.metadata["low"], field.metadata["high"]
    step = 1 if isinstance(field.default, int) else 0.01
    return gradio.Slider(
        low,
        high,
        value=field.default,
        step=step,
        label=label,
        info=_info(name, label),
        buttons=[],
        elem_id=name,
    )


def _number(name: str, label: str) -> gradio.Number:
    field = REQUEST[name]
    whole = isinstance(field.default, int)
    return gradio.Number(
        field.default if whole else float(field.default),
        label=label,
        info=_info(name, label),
        minimum=field.metadata["low"],
        maximum=field.metadata["high"],
        precision=0 if whole else None,
        elem_id=name,
    )


def _setting(name: str, label: str) -> Component:
    if name == "size":
        choices = [(word, size) for size, word in SIZE_WORDS.items()]
        return gradio.Radio(choices, value=REQUEST[name].default, label=label, elem_id=name)
    return _number(name, label) if name in ("fps", "seed") else _slider(name, label)


def _info(name: str, label: str) -> str | None:
    """The field's help, unless there is no room for it or the label says it already."""
    told = REQUEST[name].metadata["help"]
    return None if name in MASK_WORDS or label.lower() in told.lower() else f"{told.capitalize()}."


def _stage(name: str, share: float) -> str:
    percent = round(100 * share)
    state = "done" if percent == 100 else "now" if percent else "next"
    bar = f"<i style='width: {percent}%'></i>"
    about = f"role='progressbar' aria-label='{name}' aria-valuenow='{percent}'"
    return f"<li class='{state}'><span class='bar' {about}>{bar}</span>{name.capitalize()}</li>"


def _share(name: str, update: Update) -> float:
    """How much of a stage is done. Frames are encoded while they are rendered, so those two advance together."""
    stage = "encoding" if (name, update.stage) == ("encoding", "rendering") else update.stage
    if stage not in STAGES or STAGES.index(name) > STAGES.index(stage):
        return 0.0
    return min(max(update.done, 0.01), 1.0) if name == stage else 1.0


def _progress_words(update: Update) -> str:
    if update.stage == STOPPING:
        return "Stopping."
    if update.ahead:
        return f"Waiting: {update.ahead} ahead of you."
    if not update.stage:
        return "Getting ready."
    return f"{update.stage.capitalize()}, {update.done:.0%}"
