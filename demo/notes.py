"""A line of news, as the page shows it at a field."""

from dataclasses import dataclass
from html import escape


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
