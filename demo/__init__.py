"""The page: `build()` lays it out. Importing this package does nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio

    from demo.runner import Runner
    from demo.studio import Studio


def build(runner: "Runner | None" = None) -> "gradio.Blocks":
    """The whole page as Gradio Blocks, working on `runner` (default: one of its own with a fresh work folder).

    The first language lies at the address itself, each other one under its own name.
    """
    import gradio

    from demo import api, hosting
    from demo.runner import KEPT, SWEEP_EVERY, Runner
    from demo.studio import Studio, name_of
    from demo.texts import LANGUAGES

    def leave(visitor: gradio.Request) -> None:
        runner.forget(name_of(visitor))
        hosting.forget(blocks, visitor)

    runner = runner or Runner()
    first, *others = (Studio(runner, words) for words in LANGUAGES)
    title = first.words("title")
    with gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(SWEEP_EVERY, KEPT)) as blocks:
        _lay_out(first)
        api.publish(first)
        blocks.unload(leave)
    for studio in others:
        with blocks.route(studio.words("name"), f"/{studio.words.language}", show_in_navbar=False):
            _lay_out(studio)
    return blocks


def _lay_out(studio: "Studio") -> None:
    """One language's page in the Blocks that are being built."""
    import gradio

    from demo import tab_animate, tab_compare, tab_direct, tab_inspect, tab_masks, tab_recipe, theme, wishes

    def tab(name: str) -> gradio.Tab:
        return gradio.Tab(studio.words(f"tab.{name}"), id=name, elem_id=f"tab-{name}")

    theme.header(studio.words)
    gradio.Navbar(visible=False)  # the languages have links of their own
    with gradio.Tabs(elem_id="tabs"):
        with tab("animate"):
            sources, plan, output = tab_animate.build(studio)
        with tab("masks") as masking:
            masks = tab_masks.build(studio, masking, sources, plan)
        with tab("compare"):
            comparing = gradio.Column()
        with tab("direct") as directing:
            direct = tab_direct.build(studio, directing)
        with tab("inspect") as inspecting:
            tab_inspect.build(studio, inspecting)
    inputs = {**sources.files, "face": sources.face, **plan.regions, **plan.masks, **plan.settings,
              wishes.PAINTED: masks.painted, **direct.values}  # fmt: skip
    tab_recipe.connect(studio, inputs, sources, plan, masks)
    inputs = {**inputs, wishes.AGREED: output.agreed}  # which no recipe gives
    tab_animate.connect(studio, inputs, sources, output)
    tab_direct.connect(studio, inputs, direct)
    with comparing:
        tab_compare.build(studio, inputs)
    theme.footer(studio.words)
