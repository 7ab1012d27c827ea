"""The command: results as JSON, and every kind of bad input as one sentence with exit status 2 and no file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import write_sound

from actalker.cli import _parser, _request, main
from actalker.config import PRESETS
from actalker.pipelines import Cue, Request
from actalker.pipelines.recipe import write_recipe
from actalker.signals import media

ROOT = Path(__file__).parents[1]
PHOTO, SPEECH, DRIVING = (
    ROOT / "assets" / name for name in ("faces/astronaut.jpg", "speech/welcome.wav", "drivers/curious.mp4")
)


@pytest.fixture
def said(capsys, tmp_path):
    """Run `animate` and return its one sentence, having checked that it failed properly."""

    def animate(*arguments):
        out = tmp_path / "results"
        out.mkdir(exist_ok=True)
        try:
            status = main(["animate", *map(str, arguments), "--out", str(out / "out.mp4"), "--json"])
        except SystemExit as exit:
            status = exit.code
        output, sentence = capsys.readouterr()
        assert status == 2
        assert output == ""
        assert sentence.startswith("actalker animate: ")
        assert sentence.endswith(".\n")
        assert sentence.count("\n") == 1
        assert list(out.iterdir()) == []
        return sentence

    return animate


@pytest.fixture
def silent_clip(tmp_path):
    """A clip without any face: a moving gradient."""
    frames = (np.full((96, 96, 3), 40 + 5 * i, np.uint8) for i in range(12))
    media.write_video(tmp_path / "empty room.mp4", frames, 25)
    return tmp_path / "empty room.mp4"


def picture(path, size, colour=(90, 120, 160)):
    Image.new("RGB", size, colour).save(path)
    return path


def test_no_face(said, tmp_path):
    sentence = said("--photo", picture(tmp_path / "wall.png", (300, 300)), "--speech", SPEECH)
    assert "No human face was found in wall.png" in sentence


def test_a_face_that_does_not_exist(said):
    assert "1 face, numbered 0" in said("--photo", PHOTO, "--speech", SPEECH, "--face", 3)


def test_neither_signal(said):
    assert "Neither speech nor a driving clip was given" in said("--photo", PHOTO)


def test_no_photo(said):
    assert "No photo was given" in said("--speech", SPEECH)


def test_a_region_without_its_signal(said):
    sentence = said("--photo", PHOTO, "--speech", SPEECH, "--region", "head=video")
    assert "The head should follow the driving clip, but no clip was given" in sentence


def test_an_unknown_region(said):
    assert "'ears=audio' is not REGION=SOURCE" in said("--photo", PHOTO, "--speech", SPEECH, "--region", "ears=audio")


@pytest.mark.parametrize(
    ("cue", "sentence"),
    [
        ("joint", "'joint' is not SECONDS=PRESET"),
        ("soon=joint", "'soon=joint' is not SECONDS=PRESET"),
        ("1=everything", "'everything' is no preset; choose one of voice"),
        ("1=ears:audio", "'ears=audio' is not REGION=SOURCE"),
        ("-1=voice", "set for -1.0 s"),
        ("1=joint", "should follow the driving clip, but no clip was given"),
    ],
)
def test_a_change_that_cannot_be(said, cue, sentence):
    assert sentence in said("--photo", PHOTO, "--speech", SPEECH, f"--at={cue}")


def test_changes_of_the_map_and_offsets_are_read():
    words = "--photo p.jpg --speech s.wav --out o.mp4 --at 1.5=voice --at 2=head:still,eyes:audio"
    words += " --offset jawOpen=0.25 --offset headYaw=-5"
    request = _request(_parser().parse_args(["animate", *words.split()]))
    assert request.timeline == (Cue(1.5, PRESETS["voice"]), Cue(2.0, {"head": "still", "eyes": "audio"}))
    assert request.offsets == {"jawOpen": 0.25, "headYaw": -5.0}


@pytest.mark.parametrize(
    ("offset", "sentence"),
    [
        ("jawOpen", "'jawOpen' is not NAME=VALUE"),
        ("jaw=0.1", "There is no coefficient 'jaw'"),
        ("jawOpen=2", "The offset of jawOpen is 2.0; give a value from -1 to 1."),
        ("headYaw=nan", "The offset of headYaw is nan; give a value from -45 to 45."),
    ],
)
def test_an_offset_that_cannot_be(said, offset, sentence):
    assert sentence in said("--photo", PHOTO, "--speech", SPEECH, "--offset", offset)


def test_missing_and_empty_files(said, tmp_path):
    assert "nowhere.jpg" in said("--photo", tmp_path / "nowhere.jpg", "--speech", SPEECH)


@pytest.mark.parametrize("role", ["photo", "speech", "driving"])
def test_an_empty_file(said, tmp_path, role):
    (tmp_path / "empty.mp4").write_bytes(b"")
    files = {"photo": PHOTO, "speech": SPEECH, "driving": DRIVING} | {role: tmp_path / "empty.mp4"}
    assert "empty.mp4 is empty" in said(*(word for name, path in files.items() for word in (f"--{name}", path)))


def test_another_medium_than_its_name_says(said, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(SPEECH.read_bytes())
    assert "photo.jpg holds" in said("--photo", tmp_path / "photo.jpg", "--speech", SPEECH)


def test_a_clip_without_a_face(said, silent_clip):
    sentence = said("--photo", PHOTO, "--driving", silent_clip)
    assert "No face was found in any of the 12 frames of empty room.mp4" in sentence


def test_a_three_pixel_photo(said, tmp_path):
    assert "3" in said("--photo", picture(tmp_path / "dot.png", (3, 3)), "--speech", SPEECH)


def test_a_sixty_megapixel_photo_without_a_face(said, tmp_path):
    large = picture(tmp_path / "large.png", (10000, 6000))
    assert "No human face was found in large.png" in said("--photo", large, "--speech", SPEECH)


def test_a_twentieth_of_a_second(said, tmp_path):
    click = write_sound(tmp_path / "click.wav", np.ones((1, 800), np.float32) / 2, 16000)
    assert "0.05 s" in said("--photo", PHOTO, "--speech", click)


def test_nothing_to_move(said):
    sentence = said("--photo", PHOTO, "--speech", SPEECH, "--preset", "voice", "--audio-strength", 0)
    assert "No region follows a signal" in sentence


def test_a_result_that_is_no_video(capsys, tmp_path):
    assert main(["animate", "--photo", str(PHOTO), "--speech", str(SPEECH), "--out", str(tmp_path / "out.gif")]) == 2
    assert "does not end in .mp4" in capsys.readouterr().err


def test_recipes_that_cannot_be_followed(said, tmp_path):
    (tmp_path / "empty.json").write_text("{}")
    assert "is not a recipe" in said("--recipe", tmp_path / "empty.json")
    photo = picture(tmp_path / "photo.png", (90, 90))
    request = Request(photo=photo, speech=SPEECH).checked()
    write_recipe(tmp_path / "recipe.json", request, {})
    picture(photo, (91, 91))
    assert "photo.png has changed" in said("--recipe", tmp_path / "recipe.json")
    photo.unlink()
    assert "photo.png of the recipe was not found" in said("--recipe", tmp_path / "recipe.json")
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    recipe["settings"]["steps"] = "6"
    recipe["media"]["photo"] = recipe["media"]["speech"]
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert "steps is 6" in said("--recipe", tmp_path / "recipe.json")


def test_a_result_in_the_place_of_a_given_file(capsys, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(DRIVING.read_bytes())
    assert main(["animate", "--photo", str(PHOTO), "--driving", str(clip), "--out", str(clip)]) == 2
    assert "is one of the given files" in capsys.readouterr().err
    assert clip.read_bytes() == DRIVING.read_bytes()
    (tmp_path / "out.json").write_text('{"mine": 1}')
    assert main(["animate", "--photo", str(PHOTO), "--driving", str(clip), "--out", str(tmp_path / "out.mp4")]) == 2
    assert "is not a recipe" in capsys.readouterr().err


def test_training_settings_that_cannot_be(capsys, tmp_path):
    folders = ["--corpus", str(tmp_path / "corpus"), "--out", str(tmp_path / "run")]
    assert main(["train", *folders, "--steps", "0"]) == 2
    assert "--steps is 0" in capsys.readouterr().err


def test_doctor_works_where_opencv_does_not_load(tmp_path):
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    command = [sys.executable, "-m", "actalker", "doctor"]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0
    assert "libGL.so.1" in done.stdout
    assert "opencv-contrib-python-headless" in done.stdout


def test_several_faces_take_the_largest_and_say_so(capsys, tmp_path):
    face = np.asarray(Image.open(PHOTO).crop((100, 0, 400, 300)))
    small = np.asarray(Image.fromarray(face).resize((180, 180)))
    both = np.full((300, 520, 3), 200, np.uint8)
    both[:, :300], both[60:240, 320:500] = face, small
    Image.fromarray(both).save(tmp_path / "two.png")
    speech = write_sound(tmp_path / "short.wav", media.read_audio(SPEECH)[None, :8000], 16000)
    small_and_quick = ["--size", "128", "--steps", "1"]
    files = ["--photo", str(tmp_path / "two.png"), "--speech", str(speech), "--out", str(tmp_path / "out.mp4")]
    assert main(["animate", *files, *small_and_quick]) == 0
    assert "The photo shows 2 faces; face 0 was used." in capsys.readouterr().out


def test_measure_and_animate_as_a_program(tmp_path):
    speech = write_sound(tmp_path / "short.wav", media.read_audio(SPEECH)[None, :12000], 16000)

    def actalker(*arguments):
        command = [sys.executable, "-m", "actalker", *map(str, arguments), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
        return json.loads(done.stdout)

    out, size = tmp_path / "out.mp4", ["--size", 256, "--steps", 2]
    facts = actalker("animate", "--photo", PHOTO, "--speech", speech, "--out", out, *size)
    assert facts["frames"] == 19
    assert facts["out"] == str(out)
    report = actalker("measure", out, "--out", tmp_path / "m.npz")
    stored = np.load(tmp_path / "m.npz")
    assert stored["values"].shape == (report["frames"], len(report["names"])) == (19, 38)
    assert stored["values"].dtype == np.float32
    assert float(stored["fps"]) == 25
