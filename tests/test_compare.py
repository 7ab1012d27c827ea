"""The comparison of modes: what is in the folder, what people see in it, and what is refused."""

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFont
from samples import unsigned, write_sound

from actalker import pipelines
from actalker.cli import main
from actalker.compare import compare, comparison, grid
from actalker.compare.curves import LINES, draw_curves
from actalker.compare.grid import CAPTION, OVER, SIDE, Tile, tiled
from actalker.config import COEFFICIENTS, PRESETS
from actalker.errors import InputError
from actalker.pipelines import Cancelled, Request, stages
from actalker.pipelines.recipe import read_recipe
from actalker.signals import media

ASSETS = Path(__file__).parents[1] / "assets"
LIPS = {"lips": PRESETS["joint"] | {"head": "still"}}
MADE = {f"{mode}.{kind}" for mode in ("voice", "video", "joint", "lips") for kind in ("mp4", "json", "npz")}
DRAWN = {"grid.mp4", "curves.png", "table.csv", "table.md"}


@pytest.fixture(scope="module")
def request_(tmp_path_factory):
    """2 s of speech, 1.4 s of a clip, small and quick."""
    folder = tmp_path_factory.mktemp("media")
    samples = media.read_audio(ASSETS / "speech/welcome.wav")[:32000]
    speech = write_sound(folder / "speech.wav", samples[None], 16000)
    frames = [frame for frame, _ in zip(media.read_video(ASSETS / "drivers/curious.mp4"), range(35), strict=False)]
    media.write_video(folder / "driving.mp4", frames, 25)
    return Request(ASSETS / "faces/astronaut.jpg", speech, folder / "driving.mp4", size=128, steps=1, seed=5)


@pytest.fixture(scope="module")
def compared(request_, tmp_path_factory):
    """The facts, how often a clip was measured, and the stages that were reported."""
    out, measured, stages_seen = tmp_path_factory.mktemp("out") / "compared", [], []
    with pytest.MonkeyPatch.context() as patch:
        real = stages.motion_in_parts
        patch.setattr(stages, "motion_in_parts", lambda *given: measured.append(given[-1]) or real(*given))
        facts = compare(request_, LIPS, out, lambda stage, _done: stages_seen.append(stage), pipelines.load())
    return facts, measured, stages_seen


def folder_of(compared) -> Path:
    return Path(compared[0]["out"])


def test_the_folder_holds_everything_and_nothing_else(compared):
    assert {file.name for file in folder_of(compared).iterdir()} == MADE | DRAWN | {"driver.npz"}
    assert list(folder_of(compared).parent.iterdir()) == [folder_of(compared)]


def test_facts_name_what_is_there_and_are_json(compared):
    facts = json.loads(json.dumps(compared[0]))
    assert {Path(facts[name]).name for name in ("grid", "curves", "csv", "markdown")} == DRAWN
    files = [facts[name] for name in ("grid", "curves", "csv", "markdown")]
    files += [mode[name] for mode in facts["modes"].values() for name in ("out", "recipe")]
    assert all(Path(file).exists() for file in files)
    assert facts["seed"] == 5
    assert [one["video"] for one in facts["scores"]] == ["voice", "video", "joint", "lips"]


def test_the_clip_is_measured_once(compared):
    assert compared[1] == ["driving.mp4"]
    assert {"voice: denoising", "lips: rendering", "scoring", "drawing"} <= set(compared[2])


def test_a_mode_is_what_animate_makes_of_its_recipe(compared, tmp_path):
    for name in ("video", "lips"):
        recipe = read_recipe(folder_of(compared) / f"{name}.json")
        pipelines.load()(recipe, tmp_path / f"{name}.mp4")
        assert unsigned(tmp_path / f"{name}.mp4") == unsigned(folder_of(compared) / f"{name}.mp4")
    assert recipe.regions["head"] == "still"


def test_the_table_has_a_row_a_mode_and_conflicts_where_two_signals_meet(compared):
    rows = {row["video"]: row for row in csv.DictReader((folder_of(compared) / "table.csv").open())}
    assert list(rows) == ["voice", "video", "joint", "lips"]
    assert float(rows["joint"]["head follows r"]) > 0.9
    assert float(rows["joint"]["head, model's motion"]) < 0.1
    assert rows["voice"]["head, model's motion"] == rows["lips"]["head, model's motion"] == ""
    markdown = (folder_of(compared) / "table.md").read_text()
    assert "|  | voice | video | joint | lips |" in markdown
    assert "| **conflict with the single mode** |" in markdown


def test_the_grid_shows_all_and_lasts_as_long_as_the_speech(compared):
    with av.open(compared[0]["grid"]) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.width, picture.height) == (3 * SIDE, 2 * (CAPTION + SIDE))
        assert picture.frames == 50
        assert float(sound.duration * sound.time_base) == pytest.approx(2.0, abs=0.03)
        last = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][-1]
    pictures = [last[top + CAPTION : top + CAPTION + SIDE, left : left + SIDE] for top, left in _places(5)]
    ended, going = pictures[0], pictures[3]  # the clip is shorter than the speech
    assert ended.mean() < 0.6 * going.mean()


def _places(count: int) -> list[tuple[int, int]]:
    return [grid._place(number, count) for number in range(count)]


def test_the_curves_are_a_picture_with_every_mode(compared):
    picture = Image.open(compared[0]["curves"]).convert("RGB")
    assert picture.size == (1400, 1100)
    colours = {colour for _, colour in picture.getcolors(2**20)}
    wanted = [tuple(bytes.fromhex(colour[1:])) for colour, _ in LINES[:5]]
    assert set(wanted) <= colours


@pytest.mark.parametrize(("count", "across"), [(1, 1), (4, 4), (5, 3), (6, 3), (8, 4), (9, 3)])
def test_tiles_fill_their_rows(count, across):
    places = _places(count)
    assert len(set(places)) == count
    assert max(left for _, left in places) == (across - 1) * SIDE


def test_tiles_keep_their_shape_and_end_dark(tmp_path):
    media.write_video(tmp_path / "tall.mp4", [np.full((120, 60, 3), 200, np.uint8)] * 3, 25)
    first, *_, last = tiled([Tile("tall", "half as wide", tmp_path / "tall.mp4")], 25, 5)
    assert first.shape == (CAPTION + SIDE, SIDE, 3)
    middle, edge = first[CAPTION + SIDE // 2, SIDE // 2], first[CAPTION + SIDE // 2, 20]
    assert abs(int(middle[0]) - 200) < 6
    assert tuple(edge) == grid.PAPER
    assert abs(int(last[CAPTION + SIDE // 2, SIDE // 2][0]) - 200 * OVER) < 6


def test_long_headings_fit_their_tile():
    long = "voice: mouth and eyes; clip: gaze and brows; still: head, and a little more to be sure"
    sheet = grid._sheet([Tile("a-name-that-somebody-thought-was-a-good-idea-at-the-time", long, Path("x"))])
    assert ImageFont.load_default(grid.DETAIL).getlength(long) > SIDE
    inked = np.flatnonzero((sheet[:CAPTION] != grid.PAPER).any(axis=(0, 2)))
    assert inked.min() >= 8
    assert inked.max() < SIDE - 8


def test_who_moves_what_in_a_line():
    assert comparison._who(PRESETS["voice"]) == "voice: everything"
    assert comparison._who(PRESETS["joint"]) == "voice: mouth; clip: eyes, gaze, brows and head"


def test_curves_of_more_modes_than_colours(tmp_path):
    motions = {f"mode {i}": np.random.default_rng(i).normal(size=(30, len(COEFFICIENTS))) for i in range(9)}
    draw_curves(tmp_path / "curves.png", motions, np.ones(20), 1.2)
    assert Image.open(tmp_path / "curves.png").size == (1400, 1100)


def test_stopping_leaves_nothing(request_, tmp_path):
    def stop(stage, _done):
        if stage == "voice: rendering":
            raise Cancelled

    with pytest.raises(Cancelled):
        compare(request_, {}, tmp_path / "out", stop)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_or_in_the_way_is_said(request_, tmp_path):
    (tmp_path / "file").write_text("something")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "joint.json").write_text("{}")
    for changes, maps, out, said in (
        ({"speech": None}, {}, "out", "No speech .--speech. was given; a comparison of the modes needs both"),
        ({"driving": None}, {}, "out", "No driving clip .--driving. was given"),
        ({}, {"joint": PRESETS["voice"]}, "out", "'joint' cannot name a map"),
        ({}, {"../up": PRESETS["voice"]}, "out", "cannot name a map"),
        ({}, {"odd": {"mouth": "radio"}}, "out", "The mouth cannot follow 'radio'"),
        ({}, {}, "file", "is a file; name a folder"),
        ({}, {}, "none/out", "does not exist; make it"),
        ({}, {}, "taken", "joint.json exists and is not a recipe"),
    ):
        values = {name: getattr(request_, name) for name in request_.__dataclass_fields__} | changes
        with pytest.raises(InputError, match=said):
            compare(Request(**values), maps, tmp_path / out)
    assert {file.name for file in tmp_path.iterdir()} == {"file", "taken"}


def test_the_command(tmp_path, monkeypatch, capsys):
    asked = []
    facts = {"table": "the table"} | dict.fromkeys(("grid", "curves", "csv", "markdown"), "a file")
    monkeypatch.setattr("actalker.compare.compare", lambda *given: asked.append(given) or dict(facts))
    media_given = ["--photo", "p.jpg", "--speech", "s.wav", "--driving", "d.mp4", "--out", str(tmp_path)]
    assert main(["compare", *media_given, "--seed", "3", "--map", "lips=head:still,gaze:audio"]) == 0
    assert capsys.readouterr().out.startswith("the table\n\na file\n")
    request, maps, out, _ = asked[0]
    assert (request.seed, request.photo, out) == (3, Path("p.jpg"), tmp_path)
    assert maps == {"lips": PRESETS["joint"] | {"head": "still", "gaze": "audio"}}
    assert main(["compare", *media_given, "--json"]) == 0
    assert "table" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("text", ["lips", "lips=", "=head:still", "lips=head", "lips=nose:still"])
def test_maps_that_are_none_are_refused(text, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        main(["compare", "--photo", "p.jpg", "--out", str(tmp_path), "--map", text])
    assert exit.value.code == 2
    assert " is not " in capsys.readouterr().err


def test_a_photo_is_needed(tmp_path, capsys):
    assert main(["compare", "--speech", "s.wav", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "actalker compare: No photo was given; add --photo.\n"
