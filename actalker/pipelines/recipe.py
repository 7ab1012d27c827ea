"""The recipe beside a video: all that is needed to make it again."""

import hashlib
import json
from fractions import Fraction
from pathlib import Path

from actalker.errors import InputError
from actalker.pipelines.stages import Request

FORMAT = "actalker recipe 1"
MEDIA = ("photo", "speech", "driving")


def write_recipe(path: Path, request: Request, facts: dict) -> None:
    """Write a checked request as JSON: media by path and SHA-256, settings by name, and `facts` about the run."""
    settings = {name: getattr(request, name) for name in request.__dataclass_fields__ if name not in MEDIA}
    files = {name: _identify(getattr(request, name)) for name in MEDIA if getattr(request, name) is not None}
    recipe = {"format": FORMAT, "media": files, "settings": settings | {"fps": str(request.fps)}, "made_with": facts}
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(recipe, indent=2) + "\n")
    part.replace(path)


def read_recipe(path: Path) -> Request:
    """The request in a recipe. Its media are sought where they were, then beside the recipe, and must be unchanged."""
    try:
        recipe = json.loads(Path(path).read_text())
        if recipe["format"] != FORMAT:
            raise ValueError(f"its format is {recipe['format']!r}")
        settings = recipe["settings"] | {"fps": Fraction(recipe["settings"]["fps"])}
        files = {name: _find(entry, Path(path).parent) for name, entry in recipe["media"].items()}
        return Request(**files, **settings)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the recipe that lies beside a result.") from None
    except InputError:
        raise
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path} is not a recipe ({error}); give the .json that lies beside a result.") from error


def _identify(path: Path) -> dict[str, str]:
    return {"path": str(Path(path).resolve()), "sha256": _sha256(path)}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find(entry: dict[str, str], folder: Path) -> Path:
    for path in (Path(entry["path"]), folder / Path(entry["path"]).name):
        if path.is_file():
            if _sha256(path) == entry["sha256"]:
                return path
            raise InputError(f"{path.name} has changed since the recipe was made; put the original file back.")
    raise InputError(f"{entry['path']} of the recipe was not found; put the file back, or beside the recipe.")
