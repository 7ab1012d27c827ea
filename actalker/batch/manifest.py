"""The manifest: a row a request, as JSON lines or CSV, with the fields of `actalker animate` and a `name`.

A row of JSON with the plural of a field (photos, speeches, drivings, maps, seeds) stands for every combination of them.
"""

import argparse
import csv
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from actalker.config import PRESETS, VideoSampling
from actalker.errors import InputError
from actalker.options import MEDIA, add_request, request_of
from actalker.pipelines import Request

AXES = {"photos": "photo", "speeches": "speech", "drivings": "driving", "maps": "map", "seeds": "seed"}
FILES = (*MEDIA, "painted", "recipe")
SEVERAL = ("region", "at", "offset")  # fields that may hold several values, of which none has a space in it
NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")


@dataclass(frozen=True)
class Row:
    """A result to be made: its name, which may hold folders, and the words that ask `animate` for it, or its fault."""

    name: str
    words: tuple[str, ...] = ()
    fault: str | None = None


class _Parser(argparse.ArgumentParser):
    """Raises what the command would say."""

    def error(self, message: str) -> None:
        raise InputError(f"{message}; see actalker animate --help.")


_PARSER = _Parser(add_help=False, allow_abbrev=False)
add_request(_PARSER)


def request_from(words: tuple[str, ...], tier: str) -> Request:
    """The checked request of a row. InputError: the sentence that `animate` says to these words."""
    options = _PARSER.parse_args(words)
    if tier == "full" and options.steps is None and not options.recipe:
        options.steps = VideoSampling.steps
    return request_of(options).checked()


def read_manifest(path: Path) -> list[Row]:
    """Every row, in order; a line that is none has its fault. InputError: there is no such file, or nothing in it."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            read = _csv_rows if path.suffix.lower() == ".csv" else _json_rows
            rows = [row for number, line in read(file) for row in _rows(number, line, path.absolute().parent)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error}); give JSON lines or CSV with a row a request.") from error
    if not rows:
        raise InputError(f"{path} holds no row; give JSON lines or CSV with a row a request.")
    return list(_with_names_of_their_own(rows))


def _json_rows(file: Iterator[str]) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError:
                yield number, None


def _csv_rows(file: Iterator[str]) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(file)
    for row in reader:
        yield reader.line_num, None if None in row else row


def _rows(number: int, line: object, folder: Path) -> Iterator[Row]:
    """The row of a line, or those that it stands for."""
    unnamed = f"row-{number:06d}"
    if not isinstance(line, dict):
        yield Row(
            unnamed, fault=f"Line {number} is no row of the manifest; give a JSON object or as many cells as columns."
        )
        return
    name = str(line.get("name") or unnamed)
    try:
        if not NAME.fullmatch(name):
            raise InputError(f"{name!r} cannot name a result; take letters, digits, '-', '_', '.' and '/'.")
        for suffix, fields in _expanded(line, folder):
            yield Row("-".join([name, *suffix]), tuple(_words(fields, folder)))
    except InputError as fault:
        yield Row(name if NAME.fullmatch(name) else unnamed, fault=str(fault))


def _expanded(line: dict, folder: Path) -> Iterator[tuple[list[str], dict]]:
    """Every combination of a line's plural fields: what to add to the name, and the fields of one row."""
    axes = {single: _values(single, line[plural], folder) for plural, single in AXES.items() if line.get(plural)}
    if twice := [single for single in axes if line.get(single)]:
        raise InputError(f"Both {twice[0]} and its plural were given; give one of them.")
    rest = {field: value for field, value in line.items() if field not in AXES}
    for values in itertools.product(*axes.values()):
        yield [_spelled(value) for value in values], rest | dict(zip(axes, values, strict=True))


def _values(field: str, value: object, folder: Path) -> list:
    """The values of a plural field: a list, or a pattern of files."""
    if isinstance(value, str) and field in MEDIA:
        found = sorted(folder.glob(value)) if not Path(value).is_absolute() else []
        if not found:
            raise InputError(f"No file fits {value}; give a pattern below the manifest's folder, or a list of files.")
        return found
    if not isinstance(value, list):
        raise InputError(f"The plural of {field} is {value!r}; give a list.")
    return value


def _spelled(value: object) -> str:
    """A value in a name: a file's stem, a map's words."""
    text = Path(value).stem if isinstance(value, Path) or "." in str(value) else str(value)
    return re.sub(r"\W+", "-", text).strip("-")


def _words(fields: dict, folder: Path) -> Iterator[str]:
    """The fields of a row as `animate` would be given them; files lie beside the manifest."""
    for field, value in fields.items():
        if field == "name" or value is None or value == "":
            continue
        if field == "map":
            field = "preset" if isinstance(value, str) and value in PRESETS else "region"
        option = f"--{field.replace('_', '-')}"
        if field in FILES:
            yield f"{option}={folder / str(value)}"
        else:
            yield from (f"{option}={one}" for one in _several(field, value))


def _several(field: str, value: object) -> list:
    """The values of a field; several in a text are parted by spaces, and a map's also as `compare` writes them."""
    if isinstance(value, dict):
        return [f"{name}={one}" for name, one in value.items()]
    if isinstance(value, list):
        return value
    if field == "region":
        return str(value).replace(":", "=").replace(",", " ").split()
    return str(value).split() if field in SEVERAL else [value]


def _with_names_of_their_own(rows: list[Row]) -> Iterator[Row]:
    """The rows; one whose name is taken gets its place's, and says so."""
    taken: set[str] = set()
    for place, row in enumerate(rows, 1):
        if row.name in taken:
            fault = f"The name {row.name} is taken by a row before; choose another."
            row = Row(f"{row.name}.again-{place}", fault=fault)
        taken.add(row.name)
        yield row
