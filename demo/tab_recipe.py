"""A recipe that arrives, by its button or dropped anywhere: it brings back every choice on every tab."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import gradio
from gradio.components import Component

from actalker.errors import InputError
from demo import wishes
from demo.notes import Note
from demo.panels import EXAMPLES, Plan, Sources
from demo.recipes import Restored, digest, restored
from demo.studio import QUIET, Studio, name_of
from demo.tab_animate import tells
from demo.tab_masks import Base, Masks


def restore(studio: Studio, visitor: str, given: list[str], here: Mapping[str, object]) -> tuple[Restored | None, Note]:
    """What a recipe says, and what to say about it. Its media are sought among the visitor's and the examples."""
    words = studio.words

    def known() -> Iterator[Path]:
        yield from (Path(here[name]) for name in wishes.FILES if here[name])
        yield from EXAMPLES.glob("*/*.*")
        yield from studio.runner.files(visitor)

    try:
        found = restored([Path(file) for file in given], known)
    except InputError as fault:
        return None, Note("fault", words.fault(fault))
    if found.missing:
        return found, Note("warning", words("recipe.missing", names=words.listed(found.missing)))
    return found, Note("good", words("recipe.restored"))


def connect(studio: Studio, inputs: Mapping[str, Component], sources: Sources, plan: Plan, masks: Masks) -> None:
    """The button takes a recipe, and with it any of its files, and fills all widgets."""

    def came(visitor: gradio.Request, given: list[str], *values: object) -> dict[Component, object]:
        found, note = restore(studio, name_of(visitor), given, dict(zip(inputs, values, strict=True)))
        shown: dict[Component, object] = {sources.recipe_note: note.html}
        if found:
            shown |= {widget: found.values[name] for name, widget in inputs.items()}
            shown |= {plan.preset: found.preset, plan.touched: True, masks.base: _base(found)}
        return shown

    outputs = [*inputs.values(), plan.preset, plan.touched, masks.base, sources.recipe_note]
    event = sources.recipe.upload(came, [sources.recipe, *inputs.values()], outputs, **QUIET)
    tells(event, sources, plan, studio.words)


def _base(found: Restored) -> Base | None:
    photo, painted = found.values["photo"], found.values[wishes.PAINTED]
    return Base(painted, digest(Path(photo))) if painted and photo else None
