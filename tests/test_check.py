"""A look before the run: what files hold, what will become of them, and what the run will take."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import moving, write_frames, write_sound

from actalker.cli import main
from actalker.config import PRESETS
from actalker.pipelines import Cue, Request, estimate
from actalker.pipelines.check import look
from actalker.pipelines.estimate import Size
from actalker.pipelines.stages import Senses, needed_of_clip
from actalker.signals import media

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO, SPEECH, DRIVING = (ASSETS / name for name in ("faces/hopper.jpg", "speech/welcome.wav", "drivers/curious.mp4"))


@pytest.fixture(scope="module")
def senses():
    return Senses()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """0.8 s of a driving clip."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    frames = [frame for frame, _ in zip(media.read_video(DRIVING), range(20), strict=False)]
    media.write_video(path, frames, 25)
    return path


def test_what_the_files_hold(senses):
    found = look(Request(PHOTO, SPEECH, DRIVING), senses)
    assert (found.photo.width, found.photo.height, found.photo.faces) == (512, 600, 1)
    left, top, right, bottom = found.photo.boxes[0]
    assert 140 < left < 190 < 330 < right < 380
    assert 110 < top < 160 < 300 < bottom < 360
    assert found.speech.seconds == pytest.approx(6.985)
    assert not found.speech.silent
    info = media.probe_video(DRIVING)
    assert (found.driving.width, found.driving.height, found.driving.fps) == (info.width, info.height, info.fps)
    assert found.driving.shows_face
    assert found.faults == {}
    assert found.seconds == 7.0
    assert json.loads(json.dumps(found.as_dict()))["estimate"]["memory_mb"] == found.estimate.memory_mb


def test_looking_prepares_the_run(senses, monkeypatch):
    request = Request(PHOTO, SPEECH, regions=PRESETS["voice"])
    look(request, senses)
    monkeypatch.setattr("actalker.pipelines.stages._look_at", None)
    monkeypatch.setattr("actalker.pipelines.stages._listen", None)
    assert senses(request.checked()).seconds == pytest.approx(6.985)


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({}, "The driving clip lasts 0.8 s and is continued back and forth to 7.0 s."),
        ({"regions": PRESETS["video"], "until": 0.4}, "Of the driving clip's 0.8 s the first 0.4 s are used."),
        ({"until": 2}, "Only the first 2.0 s are rendered."),
        ({"regions": PRESETS["voice"]}, "No region follows the driving clip; it is not used."),
        ({"regions": PRESETS["video"]}, "No region follows the speech; it is only heard."),
        ({"timeline": (Cue(9, PRESETS["voice"]),)}, "The change at 9 s is after the end, so it does not happen."),
    ],
)
def test_what_will_become_of_them(senses, clip, settings, note):
    notes = look(Request(PHOTO, SPEECH, clip, **settings), senses).notes
    assert note in notes


def test_where_all_fits_there_is_nothing_to_say(senses):
    assert look(Request(PHOTO, SPEECH, regions=PRESETS["voice"]), senses).notes == ()


def test_silence_several_faces_and_a_clip_without_one(senses, tmp_path):
    silence = write_sound(tmp_path / "silence.wav", np.zeros((1, 32000), np.float32), 16000)
    media.write_video(tmp_path / "wall.mp4", [np.full((96, 96, 3), 90, np.uint8)] * 25, 25)
    one = np.asarray(Image.open(PHOTO).convert("RGB"))
    both = np.concatenate([one, np.asarray(Image.fromarray(one).resize((256, 300))).repeat(2, axis=0)], axis=1)
    both[:300, 512:] = np.asarray(Image.fromarray(one).resize((256, 300)))
    both[300:, 512:] = 200
    Image.fromarray(both).save(tmp_path / "two.png")
    found = look(Request(tmp_path / "two.png", silence, tmp_path / "wall.mp4"), senses)
    assert found.photo.faces == 2
    assert found.photo.boxes[0][2] < 512 < found.photo.boxes[1][0]
    assert found.notes[0] == "The photo shows 2 faces; face 0 is used."
    assert found.notes[1].startswith("The speech is silent")
    assert found.notes[2] == "No face was seen in the first 5 seconds of the driving clip."


def test_faults_are_told_at_their_files(senses, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    Image.new("RGB", (200, 200)).save(tmp_path / "wall.png")
    found = look(Request(tmp_path / "wall.png", tmp_path / "empty.wav", SPEECH), senses)
    assert set(found.faults) == {"photo", "speech", "driving"}
    assert "No human face was found in wall.png" in found.faults["photo"]
    assert "empty.wav is empty" in found.faults["speech"]
    assert "holds sound, not a video" in found.faults["driving"]
    assert (found.photo, found.speech, found.driving, found.seconds, found.estimate) == (None,) * 5


def test_a_file_alone_is_looked_at(senses):
    found = look(Request(None, SPEECH), senses)
    assert found.speech.seconds == pytest.approx(6.985)
    assert found.faults == {"request": "No photo was given; add --photo."}
    found = look(Request(PHOTO), senses)
    assert found.photo.faces == 1
    assert "Neither speech nor a driving clip" in found.faults["request"]


def test_of_a_clip_of_more_than_a_minute_only_that_much_is_used(senses, tmp_path):
    times = [Fraction(i) for i in range(0, 72, 2)]
    driving = write_frames(tmp_path / "long.mkv", moving(36), times, rate=1)
    assert look(Request(PHOTO, None, driving), senses).faults == {
        "request": "long.mkv lasts 71 s; cut it to 60 s or less."
    }
    assert look(Request(PHOTO, None, driving, until=5.0), senses).faults == {}
    assert (
        "Of the driving clip's 71.0 s the first 7.0 s are used." in look(Request(PHOTO, SPEECH, driving), senses).notes
    )
    assert (needed_of_clip(5.0), needed_of_clip(30.0), needed_of_clip(90.0)) == (10.0, 30.0, 60.0)


def test_painted_masks_are_looked_at(senses, tmp_path):
    Image.new("L", (40, 40), 1).save(tmp_path / "masks.png")
    found = look(Request(PHOTO, SPEECH, painted=tmp_path / "masks.png"), senses)
    assert "are 40 x 40 pixels and hopper.jpg is 512 x 600" in found.faults["request"]


# Settings, megapixels of photo, frame and part, seconds of the result, frames of the clip; measured seconds and MB.
RUNS = [
    ({"until": 2}, (0.31, 0.26, 0.26), 2, 0, 0.67, 710),
    ({"size": 256}, (0.31, 0.066, 0.066), 7, 0, 1.46, 708),
    ({"steps": 40, "size": 128}, (0.31, 0.016, 0.016), 7, 0, 2.25, 712),
    ({"size": "full", "until": 2}, (12, 5.05, 1.05), 2, 0, 6.03, 1515),
    ({"size": "full", "until": 2}, (12, 1.4, 1.05), 2, 0, 4.9, 1166),
    ({"until": 2}, (12, 0.26, 0.26), 2, 0, 3.2, 989),
    ({"driving": DRIVING}, (0.31, 0.26, 0.26), 7, 250, 3.19, 760),
    ({"speech": None, "driving": DRIVING}, (0.31, 0.26, 0.26), 8, 200, 3.1, 676),
]


@pytest.mark.parametrize(("settings", "size", "seconds", "driver", "took", "memory"), RUNS)
def test_estimates_fit_what_was_measured(monkeypatch, settings, size, seconds, driver, took, memory):
    monkeypatch.setattr(estimate, "_probe", lambda: estimate.PROBE)
    request = Request(**({"photo": PHOTO, "speech": SPEECH} | settings)).checked()
    expected = estimate.estimate(request, Size(*size), seconds, driver)
    assert expected.seconds == pytest.approx(took, rel=0.15)
    assert expected.memory_mb == pytest.approx(memory, rel=0.15)
    monkeypatch.setattr(estimate, "_probe", lambda: 3 * estimate.PROBE)
    assert estimate.estimate(request, Size(*size), seconds, driver).seconds == pytest.approx(3 * took, rel=0.15)


def test_more_region_maps_take_longer():
    cues = (Cue(1, PRESETS["voice-still"]), Cue(2, PRESETS["voice"]))
    plain = Request(PHOTO, SPEECH, regions=PRESETS["voice"], steps=50).checked()
    changed = Request(PHOTO, SPEECH, regions=PRESETS["voice"], steps=50, timeline=cues).checked()
    assert estimate._passes(changed, 7) == 2 * estimate._passes(plain, 7) == 100


def test_dry_run_prints_and_makes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["animate", "--dry-run", "--photo", str(PHOTO), "--speech", str(SPEECH)]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "photo: 512 x 600 px, 1 face at" in said
    assert "speech: 7.0 s\n" in said
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] == 7.0
    assert main([*words, "--driving", str(SPEECH)]) == 2
    assert "holds sound, not a video" in capsys.readouterr().err
    assert main(words[:1] + words[2:]) == 2
    assert "add --out, or --dry-run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
