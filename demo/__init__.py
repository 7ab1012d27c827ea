"""The page: `build()` lays it out. Importing this package does nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio

    from demo.runner import Runner
    from demo.studio import Studio

ANIMATE = "animate"


def build(runner: "Runner | None" = None) -> "gradio.Blocks":
    """The whole page as Gradio Blocks, working on `runner` (default: one of its own with a fresh work folder).

    The first language lies at the address itself, each other one under its own name.
    """
    import gradio

    from demo import api
    from demo.runner import KEPT, SWEEP_EVERY, Runner
    from demo.studio import Studio
    from demo.texts import LANGUAGES

    runner = runner or Runner()
    first, *others = (Studio(runner, words) for words in LANGUAGES)
    title = first.words("title")
    with gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(SWEEP_EVERY, KEPT)) as blocks:
        _lay_out(blocks, first)
        api.publish(first)
    for studio in others:
        with blocks.route(studio.words("name"), f"/{studio.words.language}", show_in_navbar=False):
            _lay_out(blocks, studio)
    return blocks


def _lay_out(blocks: "gradio.Blocks", studio: "Studio") -> None:
    """One language's page in these Blocks, which are being built."""
    import gradio

    from demo import tab_animate, theme
    from demo.studio import name_of

    def leave(visitor: gradio.Request) -> None:
        studio.runner.forget(name_of(visitor))

    words = studio.words
    theme.header(words)
    gradio.Navbar(visible=False)  # the languages have links of their own
    with gradio.Tabs(elem_id="tabs"), gradio.Tab(words(f"tab.{ANIMATE}"), id=ANIMATE):
        tab_animate.build(studio)
    theme.footer(words)
    blocks.unload(leave)
