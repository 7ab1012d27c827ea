"""The tab that shows what the model saw and did for the last video."""

import json
from dataclasses import dataclass

import gradio
import numpy as np
from gradio.components import Component

from actalker import config
from demo import charts, telling, widgets
from demo.insight import Insight, meshed, spectrogram
from demo.jobs import Result
from demo.notes import Note
from demo.studio import QUIET, Studio, name_of
from demo.tab_animate import VIDEO
from demo.texts import Words

STAGES = ("measure", "denoise", "render", "encode", "total")


@dataclass(frozen=True)
class Look:
    """What this tab shows of one video."""

    note: Note
    mesh: np.ndarray | None = None
    mel: np.ndarray | None = None
    tokens: str = ""
    curves: str = ""
    facts: str = ""


def look(words: Words, result: Result | None) -> Look:
    """What is known of a video; a hint where there is none, or no more."""
    if result is None or not result.insight.exists():
        return Look(Note("hint", words("inspect.none")))
    seen = Insight.load(result.insight)
    return Look(
        Note("good", words("inspect.of", seconds=f"{result.info['seconds']:.1f}")),
        meshed(seen),
        spectrogram(seen),
        "".join(tokens(words, result, signal) for signal in config.SIGNALS),
        curves(words, seen, result.info["seconds"]),
        telling.table(words("inspect.run"), facts(words, result)),
    )


def tokens(words: Words, result: Result, signal: str) -> str:
    """Which tokens a branch keeps; a closed gate is said instead."""
    title = words("inspect.branch", signal=words(f"source.{signal}"))
    heading = f"<h3>{title}</h3>"
    if not result.info["gates"][signal]:
        return heading + Note("hint", words("inspect.closed")).html
    cues = [(cue["start"], cue["regions"]) for cue in result.info.get("timeline", ())]
    opened = {name for name, is_open in result.info["gates"].items() if is_open}
    segments = charts.segments_of(result.info["regions"], cues, opened)
    return heading + charts.tokens(words, title, signal, segments, result.info["seconds"])


def curves(words: Words, seen: Insight, seconds: float) -> str:
    """The motion of the clip as it was measured, and of the result, per region."""
    motions = {words("inspect.after"): _at_25(seen.after, seen.after_fps)}
    if len(seen.before):
        motions = {words("inspect.before"): _at_25(seen.before, seen.before_fps)} | motions
    return charts.curves(words, words("inspect.curves"), motions, 25, seconds)


def facts(words: Words, result: Result) -> list[tuple[str, str]]:
    """Seed, steps, time per stage, scan backend, weights, memory."""
    recipe, info = json.loads(result.recipe.read_text()), result.info
    made = recipe["made_with"]
    steps, calls = recipe["settings"]["steps"], info.get("network_calls", "–")
    rows = [
        ("seed", str(info["seed"])),
        ("steps", words("inspect.steps.value", steps=steps, calls=calls)),
        *((f"time.{stage}", words("inspect.seconds", seconds=f"{info['timings'][stage]:.2f}"))
          for stage in STAGES if stage in info["timings"]),
        ("scan", words.listed(made["scan"]) if made.get("scan") else "–"),
        ("weights", made.get("weights_sha256", "–")[:12]),
        ("memory", words("inspect.megabytes", megabytes=info["peak_memory_mb"]) if info["peak_memory_mb"] else "–"),
    ]  # fmt: skip
    return [(words(f"inspect.{name}"), value) for name, value in rows]


def build(studio: Studio, tab: gradio.Tab) -> None:
    """Lay the tab out; it looks at the last video whenever it is opened."""
    words = studio.words
    widgets.lead(words("inspect.lead"))
    note = widgets.note_line(Note("hint", words("inspect.none")), "inspect-note")
    with gradio.Row():
        with gradio.Column(scale=2, min_width=300), gradio.Group(elem_classes="card"):
            mesh = gradio.Image(label=words("inspect.mesh"), interactive=False, buttons=[], height=380, elem_id="mesh")
            table = gradio.HTML(elem_id="run-facts", padding=False)
        with gradio.Column(scale=3, min_width=320):
            with gradio.Group(elem_classes="card"):
                kept = gradio.HTML(elem_id="tokens", padding=False)
            with gradio.Group(elem_classes="card"):
                mel = gradio.Image(label=words("inspect.mel"), interactive=False, buttons=[], height=180, elem_id="mel")
    with gradio.Group(elem_classes="card"):
        moved = gradio.HTML(elem_id="inspect-curves", padding=False)

    def opened(visitor: gradio.Request) -> dict[Component, object]:
        seen = look(words, studio.runner.last(name_of(visitor), VIDEO))
        return {note: seen.note.html, mesh: seen.mesh, mel: seen.mel, kept: seen.tokens, moved: seen.curves,
                table: seen.facts}  # fmt: skip

    tab.select(opened, None, [note, mesh, mel, kept, moved, table], **QUIET)


def _at_25(values: np.ndarray, fps: float) -> np.ndarray:
    """Motion (t, k) at the frames that 25 a second would have, the nearest of each."""
    frames = max(1, round(len(values) / fps * 25))
    return values[np.minimum((np.arange(frames) * fps / 25).round().astype(int), len(values) - 1)]
