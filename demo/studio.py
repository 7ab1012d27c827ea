"""What every tab needs to know: who does the work, and in which language the page speaks."""

import secrets
from dataclasses import dataclass

import gradio

from demo.runner import Runner
from demo.texts import Words

QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Studio:
    """One page: its runner, its words, and whether it is the one whose functions have public names."""

    runner: Runner
    words: Words


def name_of(visitor: gradio.Request | None) -> str:
    """The visitor's session; a caller without one is a visitor of its own each time."""
    return (visitor and visitor.session_hash) or secrets.token_hex(16)
