"""The page's looks: one quiet theme, light and dark, its style sheet, and the few lines of JavaScript that it needs."""

from html import escape
from pathlib import Path

import gradio

from actalker.signals.regions import COLOURS
from demo.texts import LANGUAGES, Words

STYLE = Path(__file__).with_name("style.css")
SCRIPT = Path(__file__).with_name("page.js")
FONTS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
LOGO = """<svg viewBox="0 0 44 44" aria-hidden="true"><rect width="44" height="44" rx="12" fill="#0f766e"/>
<circle cx="15" cy="17" r="2.6" fill="#fff"/><circle cx="29" cy="17" r="2.6" fill="#fff"/>
<path d="M11 29v-3M16.5 32v-9M22 34v-13M27.5 32v-9M33 29v-3" stroke="#fff" stroke-width="2.6" stroke-linecap="round"/>
</svg>"""


def head() -> str:
    """What goes into the document's head."""
    return f"<script>{SCRIPT.read_text()}</script>"


def header(words: Words) -> None:
    """The name of the page and what it does, the other languages, and the colours of the regions."""
    colours = "".join(f"#region-{name}, .dot.{name} {{ --dot: rgb{colour}; }}" for name, colour in COLOURS.items())
    links = "".join(
        f"<a href='{address(other)}' lang='{other.language}' hreflang='{other.language}'>{escape(other('name'))}</a>"
        for other in LANGUAGES
        if other is not words
    )
    gradio.HTML(
        f"<style>{colours}</style><div class='title' data-language='{words.language}'>{LOGO}"
        f"<div><h1>{escape(words('title'))}</h1><p>{escape(words('lead'))}</p></div>"
        f"<nav>{links}<button type='button' class='theme'>{escape(words('theme'))}</button></nav></div>",
        elem_id="header",
        padding=False,
    )


def footer(words: Words) -> None:
    """What a visitor should know before using somebody's face."""
    gradio.HTML(f"<p>{escape(words('consent'))}</p>", elem_id="footer", padding=False)


def address(words: Words) -> str:
    """Where the page of a language is, seen from the page of another."""
    return "." if words is LANGUAGES[0] else words.language


def calm_theme() -> gradio.themes.Base:
    """Quiet colours, system fonts (nothing is fetched from elsewhere), soft corners."""
    theme = gradio.themes.Base(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=FONTS,
        font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
    )
    return theme.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_background_fill="white",
        block_border_color="*neutral_200",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_800",
        block_title_text_weight="600",
        block_info_text_color="*neutral_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_text_color="white",
        slider_color="*primary_700",
        checkbox_background_color_selected="*primary_700",
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
    )
