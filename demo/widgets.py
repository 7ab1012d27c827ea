"""Widgets that several tabs share, made from the config, from `Request` and from the page's words."""

from html import escape

import gradio
from gradio.components import Component

from actalker import config
from demo.notes import Note
from demo.texts import Words
from demo.wishes import FIRST_PRESET, REQUEST


def heading(number: int, title: str) -> None:
    """The title of a step."""
    gradio.HTML(f"<h2><span aria-hidden='true'>{number}</span>{escape(title)}</h2>", padding=False)


def subheading(title: str) -> None:
    """The title of a part of a tab."""
    gradio.HTML(f"<h2>{escape(title)}</h2>", padding=False)


def lead(text: str) -> None:
    """What a tab is for."""
    gradio.HTML(f"<p class='lead'>{escape(text)}</p>", padding=False)


def note_line(note: Note, elem_id: str) -> gradio.HTML:
    """A line of news."""
    return gradio.HTML(note.html, elem_id=elem_id, padding=False)


def preset_choices(words: Words) -> list[tuple[str, str]]:
    """The presets by their words, the one for both signals first."""
    order = sorted(config.PRESETS, key=lambda name: name != FIRST_PRESET)
    return [(words(f"preset.{name}"), name) for name in order]


def switch(words: Words, region: str) -> gradio.Radio:
    """Who moves a region."""
    choices = [(words(f"source.{source}"), source) for source in config.SOURCES]
    return gradio.Radio(
        choices,
        value=config.PRESETS[FIRST_PRESET][region],
        label=words(f"region.{region}"),
        elem_id=f"region-{region}",
        elem_classes="switch",
    )


def slider(words: Words, name: str, render: bool = True) -> gradio.Slider:
    """A bounded field of the request."""
    field = REQUEST[name]
    return gradio.Slider(
        field.metadata["low"],
        field.metadata["high"],
        value=field.default,
        step=1 if isinstance(field.default, int) else 0.01,
        label=words(name),
        info=_info(words, name),
        buttons=[],
        render=render,
        elem_id=name,
    )


def number(words: Words, name: str) -> gradio.Number:
    """A field of the request that is typed."""
    field = REQUEST[name]
    counted = isinstance(field.default, int)
    return gradio.Number(
        field.default if counted else float(field.default),
        label=words(name),
        info=_info(words, name),
        minimum=field.metadata["low"],
        maximum=field.metadata["high"],
        precision=0 if counted else None,
        elem_id=name,
    )


def setting(words: Words, name: str) -> Component:
    """A field of the request, as what suits it."""
    if name == "size":
        choices = [(words(f"size.{size}"), size) for size in (512, 768, "full")]
        return gradio.Radio(choices, value=REQUEST[name].default, label=words(name), elem_id=name)
    return number(words, name) if name in ("fps", "seed") else slider(words, name)


def _info(words: Words, name: str) -> str | None:
    key = f"{name}.info"
    return words(key) if key in words.texts else None
