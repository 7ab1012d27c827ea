"""The page: `build()` lays it out. Importing this package does nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio

    from demo.runner import Runner


def build(runner: "Runner | None" = None) -> "gradio.Blocks":
    """The whole page as Gradio Blocks, working on `runner` (default: one of its own with a fresh work folder)."""
    import gradio

    from demo import panels, tab_animate
    from demo.runner import KEPT, SWEEP_EVERY, Runner

    with gradio.Blocks(title="ACTalker Studio", analytics_enabled=False, delete_cache=(SWEEP_EVERY, KEPT)) as blocks:
        panels.header()
        tab_animate.build(blocks, runner or Runner())
        panels.footer()
    return blocks
