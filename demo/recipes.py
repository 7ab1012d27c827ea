"""A recipe that is dropped on the page: from the file back to every widget's value."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from actalker import config, pipelines
from actalker.errors import InputError
from actalker.pipelines.recipe import read_recipe
from demo.wishes import CUES, FILES, LABEL, MASKS, PAINTED, SETTINGS, hands_of, matching_preset

LARGEST = 20 * 2**20  # bytes of a recipe, painted masks included
ABSENT = Path("absent")  # stands for a file of a recipe that is not here


@dataclass(frozen=True)
class Restored:
    """The widgets' values by name, the preset that the map is, and the names of the files that are not here."""

    values: Mapping[str, object]
    preset: str | None
    missing: tuple[str, ...]


def restored(given: Iterable[Path], known: Callable[[], Iterable[Path]]) -> Restored:
    """What the one recipe among the given files says. Its media are told by their content, among those and the `known`.

    A path in a recipe is never followed: it names a place on somebody's machine. InputError: no recipe, or a bad one.
    """
    given = list(given)
    recipe = next((file for file in given if file.suffix.lower() == ".json"), None)
    if recipe is None:
        raise InputError(f"{given[0].name} is not a recipe (its name does not end in .json); give a result's recipe.")
    if recipe.stat().st_size > LARGEST:
        raise InputError(f"{recipe.name} is not a recipe (it is too large); give the .json that lies beside a result.")
    missing: list[str] = []

    def find(entry: Mapping[str, str], _folder: Path) -> Path:
        for file in (*given, *known()):
            if file.is_file() and digest(file) == entry["sha256"]:
                return file
        missing.append(Path(entry["path"]).name)
        return ABSENT

    try:
        request = read_recipe(recipe, find)
    except InputError as fault:  # the sentence names the file by its place on this machine
        raise InputError(str(fault).replace(str(recipe), recipe.name)) from fault
    both = replace(request, speech=request.speech or ABSENT, driving=request.driving or ABSENT)
    checked = both.checked()  # both signals stand for "given": what is absent can still be brought
    return Restored(_values(request, checked), matching_preset(checked.regions), tuple(missing))


def _values(request: pipelines.Request, checked: pipelines.Request) -> dict[str, object]:
    files = {name: getattr(request, name) for name in FILES}
    values: dict[str, object] = {name: str(file) if file and file != ABSENT else None for name, file in files.items()}
    values |= {name: getattr(checked, name) for name in (*MASKS, *SETTINGS)} | {"fps": float(checked.fps)}
    values |= {"face": (checked.face or 0) + 1, **{region: checked.regions[region] for region in config.REGIONS}}
    values |= {PAINTED: checked.painted, LABEL: checked.label, **hands_of(checked.offsets)}
    for number, (start, chosen) in enumerate(CUES):
        cue = checked.timeline[number] if number < len(checked.timeline) else None
        values |= {start: cue and cue.start, chosen: cue and _map_words(cue.regions)}
    return values


def _map_words(regions: Mapping[str, str]) -> str:
    """A region map as the table of cues has it."""
    return matching_preset(regions) or " ".join(f"{region}={regions[region]}" for region in config.REGIONS)


def digest(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
