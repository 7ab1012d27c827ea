"""The tab in which the regions are seen on the photo, widened, softened and painted."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import gradio
import numpy as np
from gradio.components import Component
from PIL import Image

from actalker import config
from actalker.signals import media, regions
from actalker.signals.face import Crop
from demo import news, widgets
from demo.notes import Note
from demo.panels import Plan, Sources
from demo.recipes import digest
from demo.runner import Runner
from demo.studio import QUIET, Studio
from demo.texts import Words

NOTHING = (71, 85, 105)  # the colour that takes a place away from every region
PAINTS = {**regions.COLOURS, "nothing": NOTHING}
BRUSH = 22  # px
# An editor that has just come into view shows no picture that it is given before it is set up, which it tells nobody:
# so the browser gives it again, after a while, what it has.
A_WHILE = "() => new Promise(over => setTimeout(over, 600))"
AGAIN = "has => ({...has})"


@dataclass(frozen=True)
class Base:
    """Painted masks that came with a recipe, as PNG, and the digest of the photo that they belong to."""

    png: bytes
    photo: str


@dataclass(frozen=True)
class Masks:
    """The widgets of this tab that others read: the painted label map as PNG bytes, and the `Base` it started from."""

    painted: gradio.State
    base: gradio.State
    editor: gradio.ImageEditor


def labels_of(runner: Runner, photo: str, face: float, grow: float, base: Base | None) -> np.ndarray | None:
    """The region of each pixel of the photo (h, w) uint8, 0 for none, before strokes; None without a face."""
    view = news.view_of(runner, photo, face)
    if view is None:
        return None
    if base is not None:
        return media.read_labels(base.png)
    return regions.label_map(regions.region_masks(view.whole, view.shape, grow, feather=0.0))


def strokes_of(layers: list[np.ndarray]) -> np.ndarray:
    """Layers of strokes (h, w, 4) -> (h, w) uint8: the region of each painted pixel, 0 for nothing, 255 unpainted."""
    strokes = np.full(layers[0].shape[:2], 255, np.uint8)
    colours = np.array(list(PAINTS.values()), np.int32)
    names = [list(config.REGIONS).index(name) + 1 if name in config.REGIONS else 0 for name in PAINTS]
    for layer in layers:
        covered = layer[..., 3] > 127
        distance = np.abs(layer[covered][:, None, :3].astype(np.int32) - colours).sum(axis=2)
        strokes[covered] = np.array(names, np.uint8)[distance.argmin(axis=1)]
    return strokes


def painted_over(labels: np.ndarray, strokes: np.ndarray, crop: Crop) -> np.ndarray:
    """The label map with the strokes, which were painted on the crop, in their places; nothing overlaps."""
    matrix = np.linalg.inv(np.vstack([crop.matrix(strokes.shape[0]), [0, 0, 1]]))[:2]
    size = labels.shape[1], labels.shape[0]
    moved = cv2.warpAffine(strokes, matrix, size, flags=cv2.INTER_NEAREST, borderValue=255)
    return np.where(moved == 255, labels, moved)


def as_png(labels: np.ndarray) -> bytes:
    """A label map as the content of a PNG."""
    content = io.BytesIO()
    Image.fromarray(labels, "L").save(content, "PNG", optimize=True)
    return content.getvalue()


def paint(
    runner: Runner, photo: str | None, face: float, masks: Mapping[str, float], base: Base | None, editor: dict | None
) -> bytes | None:
    """The painted masks as PNG, or None where nothing was painted and none came with a recipe."""
    layers = strokes_in(editor)
    view = news.view_of(runner, photo, face)
    if not layers or view is None:
        return base and base.png
    labels = labels_of(runner, photo, face, masks["grow"], base)
    return as_png(painted_over(labels, strokes_of(layers), view.crop))


def strokes_in(editor: dict | None) -> list[np.ndarray]:
    """The layers on which something was painted."""
    return [layer for layer in (editor or {}).get("layers", []) if layer is not None and (layer[..., 3] > 127).any()]


def base_for(runner: Runner, photo: str | None, base: Base | None) -> Base | None:
    """The base, if it belongs to this photo and fits it."""
    view = news.view_of(runner, photo, 1)
    if base is None or view is None or runner.remember(digest, Path(photo)) != base.photo:
        return None
    return base if media.read_labels(base.png).shape == view.shape else None


def canvas(runner: Runner, photo: str | None, face: float) -> dict | None:
    """The editor's value: the chosen face to paint on."""
    view = news.view_of(runner, photo, face)
    return view and {"background": view.picture, "layers": [], "composite": None}


def build(studio: Studio, tab: gradio.Tab, sources: Sources, plan: Plan) -> Masks:
    """Lay the tab out and connect it."""
    words = studio.words
    widgets.lead(words("masks.lead"))
    with gradio.Row():
        with gradio.Column(scale=3, min_width=320), gradio.Group(elem_classes="card"):
            paint_with = gradio.Radio(
                [(words(f"paint.{name}"), name) for name in PAINTS],
                value="mouth",
                label=words("masks.paint"),
                elem_id="paint-with",
            )
            editor = gradio.ImageEditor(
                label=words("masks.editor"), layers=False, transforms=None, sources=(), height=460,
                brush=_brush("mouth"), eraser=gradio.Eraser(default_size=BRUSH), buttons=[], elem_id="editor",
            )  # fmt: skip
            note = widgets.note_line(Note("hint", words("masks.needs_photo")), "masks-note")
        with gradio.Column(scale=2, min_width=320):
            with gradio.Group(elem_classes="card"):
                picture = gradio.Image(
                    label=words("masks"), interactive=False, buttons=[], height=384, elem_id="mask-view"
                )
                for slider in plan.masks.values():
                    slider.render()
            reset = gradio.Button(words("masks.reset"), size="md", elem_id="masks-reset")
    made = Masks(gradio.State(None), gradio.State(None), editor)
    _connect(studio, tab, sources, plan, made, _Drawn(picture, note, paint_with, reset))
    return made


@dataclass(frozen=True)
class _Drawn:
    picture: gradio.Image
    note: gradio.HTML
    paint_with: gradio.Radio
    reset: gradio.Button


def _connect(studio: Studio, tab: gradio.Tab, sources: Sources, plan: Plan, masks: Masks, drawn: _Drawn) -> None:
    """The picture follows the sliders, the strokes and the switches; a new photo or face starts anew."""
    runner, words = studio.runner, studio.words
    photo = sources.files["photo"]
    chosen: list[Component] = [*plan.masks.values(), *plan.regions.values()]
    inputs = [photo, sources.face, masks.base, masks.editor, *chosen]

    def changed(photo: str | None, face: float, base: Base | None, editor: dict | None, *chosen: object) -> tuple:
        named = dict(zip((*plan.masks, *plan.regions), chosen, strict=True))
        sliders = {name: named[name] for name in plan.masks}
        painted = paint(runner, photo, face, sliders, base, editor)
        sources = {region: named[region] for region in plan.regions}
        picture = news.mask_picture(runner, photo, face, sources, sliders, painted)
        return painted, picture, picture, note_of(words, picture is not None, painted).html

    def begun(photo: str | None, face: float, base: Base | None, last: tuple | None, *chosen: object) -> tuple:
        """Photos tell more than once that they have changed; only the first time nothing is painted on them yet."""
        if (photo, face, base) == last:
            return tuple(gradio.skip() for _ in begin["outputs"])
        base = base_for(runner, photo, base)
        return (photo, face, base), base, canvas(runner, photo, face), *changed(photo, face, base, None, *chosen)

    shown = [masks.painted, drawn.picture, plan.picture, drawn.note]
    last = gradio.State(None)  # what was begun
    begin = {"fn": begun, "inputs": [photo, sources.face, masks.base, last, *chosen],
             "outputs": [last, masks.base, masks.editor, *shown], **QUIET}  # fmt: skip
    new = [photo.change, sources.face.change, masks.base.change]
    gradio.on(new, trigger_mode="always_last", **begin)
    drawn.reset.click(lambda: (None, None, None), None, [last, masks.base, masks.editor], **QUIET).then(**begin)
    tab.select(None, js=A_WHILE, **QUIET).then(None, masks.editor, masks.editor, js=AGAIN, **QUIET)
    changes = [widget.change for widget in chosen]
    changes += [masks.editor.input, masks.editor.clear]  # its change event comes late, or with the next stroke only
    gradio.on(changes, changed, inputs, shown, trigger_mode="always_last", **QUIET)
    drawn.paint_with.change(
        lambda name: gradio.ImageEditor(brush=_brush(name)), drawn.paint_with, masks.editor, **QUIET
    )


def note_of(words: Words, seen: bool, painted: bytes | None) -> Note:
    """The line below the editor."""
    if not seen:
        return Note("hint", words("masks.needs_photo"))
    return Note("good", words("masks.painted")) if painted is not None else Note("hint", words("masks.how"))


def _brush(name: str) -> gradio.Brush:
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in PAINTS.values()]
    return gradio.Brush(
        default_size=BRUSH, colors=colours, default_color=colours[list(PAINTS).index(name)], color_mode="fixed"
    )
