"""Manifests of very short clips for the tests of bulk rendering, and what must be true of a folder of results."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from samples import write_sound

from actalker.signals import media

ROOT = Path(__file__).parents[1]
SMALL = {"size": 128, "steps": 1}


def write_media(folder: Path, seconds: float = 0.5) -> None:
    """Two photos, five voices of so many seconds, and half a second of a driving clip."""
    for name in ("astronaut", "hopper"):
        (folder / f"{name}.jpg").write_bytes((ROOT / f"assets/faces/{name}.jpg").read_bytes())
    voice = media.read_audio(ROOT / "assets/speech/welcome.wav")
    for number in range(5):
        start = 6000 * number
        write_sound(folder / f"voice{number}.wav", voice[None, start : start + round(16000 * seconds)], 16000)
    frames = islice(media.read_video(ROOT / "assets/drivers/curious.mp4"), 12)
    media.write_video(folder / "clip.mp4", frames, 25)


def good_rows(count: int) -> list[dict]:
    """Different requests: photos, voices, a clip, maps, seeds."""
    rows = []
    for number in range(count):
        photo = ("astronaut", "hopper")[number % 2]
        row = {"name": f"clip-{number:03d}", "photo": f"{photo}.jpg", "speech": f"voice{number % 5}.wav"}
        if number % 4 == 3:
            row |= {"driving": "clip.mp4", "map": "head=video mouth=audio"}
        rows.append(row | SMALL | {"seed": number})
    return rows


def poisoned_rows(folder: Path) -> list[dict]:
    """Five rows that cannot be made, each for a reason of its own, by the role of what is wrong."""
    draw_cat(folder / "cat.png")
    (folder / "noise.wav").write_bytes(np.random.default_rng(0).bytes(4000))
    (folder / "nothing.mp4").write_bytes(b"")
    base = {"photo": "hopper.jpg", "speech": "voice0.wav"} | SMALL
    return [
        base | {"name": "missing", "photo": "nowhere.jpg"},
        base | {"name": "cat", "photo": "cat.png"},
        base | {"name": "noise", "speech": "noise.wav"},
        base | {"name": "nothing", "driving": "nothing.mp4"},
        base | {"name": "ears", "region": "ears=audio"},
    ]


def draw_cat(path: Path) -> None:
    """A cat's head, which is no human face."""
    picture = Image.new("RGB", (256, 256), (120, 160, 120))
    draw = ImageDraw.Draw(picture)
    for ear in ([(60, 110), (70, 30), (120, 75)], [(196, 110), (186, 30), (136, 75)]):
        draw.polygon(ear, (90, 70, 50))
    draw.ellipse((50, 60, 206, 216), (110, 85, 60))
    for x in (95, 161):
        draw.ellipse((x - 16, 110, x + 16, 142), (200, 210, 60))
        draw.ellipse((x - 4, 112, x + 4, 140), (0, 0, 0))
    draw.polygon([(118, 160), (138, 160), (128, 172)], (220, 130, 130))
    for end in (140, 155, 170):
        draw.line((120, 165, 40, end), (240, 240, 240), 2)
        draw.line((136, 165, 216, end), (240, 240, 240), 2)
    picture.save(path)


def write_rows(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def listed(path: Path) -> list[dict]:
    """The rows of results.jsonl or failures.jsonl."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def frames_of(video: Path) -> np.ndarray:
    """(t, h, w, 3) every frame; fails where the file does not play."""
    return np.stack(list(media.read_video(video)))


def assert_complete(out: Path, rows: list[dict]) -> None:
    """Each row has one result that plays and a recipe, and nothing is left of the work."""
    results = listed(out / "results.jsonl")
    assert [one["name"] for one in results] == [row["name"] for row in rows]
    for one in results:
        assert len(frames_of(out / one["out"])) == one["frames"] > 0
        assert json.loads((out / one["recipe"]).read_text())["format"] == "actalker recipe 1"
    names = {f"{row['name']}.{kind}" for row in rows for kind in ("mp4", "json")}
    seen = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and ".batch" not in path.parts}
    assert seen == names | {"results.jsonl", "failures.jsonl"}
    assert not (out / ".batch/work").exists()
