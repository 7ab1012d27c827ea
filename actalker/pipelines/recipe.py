"""The recipe beside a video: all that is needed to make it again."""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from actalker.checkpoints import sha256
from actalker.config import VERSION
from actalker.errors import InputError
from actalker.pipelines.request import Cue, Request, Running
from actalker.saving import replacing

FORMAT = "actalker recipe 1"
MEDIA = ("photo", "speech", "driving")


def write_recipe(path: Path, request: Request, facts: dict) -> None:
    """Write a checked request as JSON: media by path and SHA-256, settings by name, and `facts` about the run."""
    files = {name: _identify(getattr(request, name)) for name in MEDIA if getattr(request, name) is not None}
    recipe = {
        "format": FORMAT,
        "media": files,
        "settings": _settings(request),
        "made_with": {"version": VERSION} | facts,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(recipe, indent=2) + "\n")


def read_recipe(path: Path, find: Callable[[dict[str, str], Path], Path] | None = None) -> Request:
    """The request in a recipe. Its media are sought beside the recipe, then where they were, and must be unchanged.

    `find` seeks them in its own way: it gets a file's entry and the recipe's folder.
    """
    try:
        recipe = json.loads(Path(path).read_text())
        if recipe["format"] != FORMAT:
            raise ValueError(f"its format is {recipe['format']!r}")
        settings = recipe["settings"] | {"fps": Fraction(recipe["settings"]["fps"])}
        settings |= {"timeline": tuple(Cue(**cue) for cue in settings.get("timeline", ()))}
        if settings.get("painted") is not None:
            settings |= {"painted": base64.b64decode(settings["painted"], validate=True)}
        files = {name: (find or _find)(entry, Path(path).parent) for name, entry in recipe["media"].items()}
        return Request(**files, **settings)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the recipe that lies beside a result.") from None
    except InputError:
        raise
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path} is not a recipe ({error}); give the .json that lies beside a result.") from error


def read_tier(path: Path) -> tuple[str, Running]:
    """The tier of a recipe, and how it ran. The recipe is one that `read_recipe` reads."""
    made = json.loads(Path(path).read_text()).get("made_with", {})
    try:
        return made.get("tier", "embedded"), Running(**made.get("running", {})).checked()
    except (AttributeError, TypeError) as error:
        raise InputError(f"{path} is of another version of this program ({error}); give its settings anew.") from error


def refuse_to_overwrite(request: Request, *targets: Path | None) -> None:
    """Raise InputError where a result would replace a given file, or a JSON file that is not a recipe."""
    paths = (getattr(request, name) for name in (*MEDIA, "painted"))
    given = {Path(path).resolve() for path in paths if path is not None and not isinstance(path, bytes)}
    for target in filter(None, targets):
        if Path(target).resolve() in given:
            raise InputError(f"{target} is one of the given files; choose another name for the result.")
        if target.suffix == ".json" and target.exists() and FORMAT not in target.read_text(errors="replace"):
            raise InputError(f"{target} exists and is not a recipe; choose another name for the result.")


def _settings(request: Request) -> dict:
    """All but the media as JSON values; painted masks are small and lie in the recipe as base64."""
    settings = {name: getattr(request, name) for name in request.__dataclass_fields__ if name not in MEDIA}
    painted = request.painted
    if painted is not None:
        content = painted if isinstance(painted, bytes) else Path(painted).read_bytes()
        settings |= {"painted": base64.b64encode(content).decode()}
    return settings | {"fps": str(request.fps), "timeline": [asdict(cue) for cue in request.timeline]}


def _identify(path: Path) -> dict[str, str]:
    return {"path": str(Path(path).resolve()), "sha256": sha256(path)}


def _find(entry: dict[str, str], folder: Path) -> Path:
    """Where the file of this hash is: beside the recipe, or at its path."""
    places = [path for path in (folder / Path(entry["path"]).name, Path(entry["path"])) if path.is_file()]
    for path in places:
        if sha256(path) == entry["sha256"]:
            return path
    if places:
        raise InputError(f"{places[0].name} has changed since the recipe was made; put the original file back.")
    raise InputError(f"{entry['path']} of the recipe was not found; put the file back, or beside the recipe.")
