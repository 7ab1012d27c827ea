"""Scores as a table: for people in lines or Markdown, for spreadsheets as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np

from actalker.evaluate.scores import COEFFICIENTS, Scores

UNKNOWN = "-"  # where there is nothing to tell from


def number(value: float) -> str:
    """A value as people read it: three digits or so, and a dash for nan."""
    if not np.isfinite(value):
        return UNKNOWN
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3
    return f"{value:.{digits}f}" if size == 0 or size >= 0.0005 else "< 0.0005"


def as_text(results: Sequence[Scores]) -> str:
    """Measures down, videos across, in aligned columns."""
    lines = list(_lines(results))
    widths = [max(len(line[column]) for line in lines if len(line) > 1) for column in range(len(results) + 1)]
    return "\n".join(_aligned(line, widths) for line in lines)


def as_markdown(results: Sequence[Scores]) -> str:
    """The same as a Markdown table, the sections in bold."""
    header, *lines = _lines(results)
    rows = [header, ["---", *["--:"] * len(results)]]
    rows += [line if len(line) > 1 else [f"**{line[0]}**", *[""] * len(results)] for line in lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def as_csv(results: Sequence[Scores]) -> str:
    """A video a row and a measure a column, coefficients included; what is unknown is empty."""
    names = list(dict.fromkeys(name for one in results for name in one.flat))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["video", *names])
    for one in results:
        values = (one.flat.get(name, float("nan")) for name in names)
        writer.writerow([one.video, *(f"{value:.6g}" if np.isfinite(value) else "" for value in values)])
    return file.getvalue().rstrip("\n")


def _lines(results: Sequence[Scores]) -> Iterator[list[str]]:
    """The header, then the title of each section, alone in its line, and its measures; coefficients are left out."""
    yield ["", *(one.video for one in results)]
    for title in dict.fromkeys(title for one in results for title in one.sections if title != COEFFICIENTS):
        yield [title]
        sections = [one.sections.get(title, {}) for one in results]
        for name in dict.fromkeys(name for section in sections for name in section):
            yield [name, *(number(section.get(name, float("nan"))) for section in sections)]


def _aligned(line: list[str], widths: list[int]) -> str:
    if len(line) == 1:
        return f"\n{line[0]}"
    first, *others = (cell for cell in line)
    return "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(others, widths[1:], strict=True))]).rstrip()
