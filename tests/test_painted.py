"""Painted masks: they take the place of the mesh's, a region painted nowhere keeps still, and the recipe keeps them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import unsigned, write_sound

from actalker import pipelines
from actalker.cli import main
from actalker.config import COEFFICIENTS, PRESETS, REGIONS
from actalker.errors import InputError
from actalker.pipelines import Cue, Request
from actalker.pipelines.recipe import read_recipe
from actalker.pipelines.stages import Senses
from actalker.signals import media
from actalker.signals.motion import Motion
from actalker.signals.regions import label_map

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO = ASSETS / "faces/astronaut.jpg"


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    samples = media.read_audio(ASSETS / "speech/welcome.wav")
    return write_sound(tmp_path_factory.mktemp("speech") / "speech.wav", samples[None, 8000:20800], 16000)


@pytest.fixture(scope="module")
def senses():
    return Senses()


@pytest.fixture(scope="module")
def labels(senses, speech):
    """The mesh's own regions, as they would be painted."""
    return label_map(senses(Request(PHOTO, speech).checked()).masks)


def png(labels, mode="L"):
    image = Image.fromarray(labels)
    if mode == "P":
        image.putpalette([200, 10, 10] * 256)
    elif mode != "L":
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "P"])
def test_masks_are_what_was_painted(senses, speech, labels, mode):
    measured = senses(Request(PHOTO, speech, painted=png(labels, mode), feather=0.0).checked())
    for number, region in enumerate(REGIONS, start=1):
        assert np.array_equal(measured.masks[region], labels == number)


def test_a_region_painted_nowhere_keeps_still(senses, speech, labels):
    without = np.where(labels == 5, 0, labels).astype(np.uint8)
    request = Request(PHOTO, speech, painted=png(without), timeline=(Cue(0.5, PRESETS["voice"]),)).checked()
    assert request.regions == PRESETS["voice"] | {"head": "still"}
    assert request.timeline[0].regions == request.regions
    motion = pipelines.load().denoise(request, senses(request)).motion
    plain = Request(PHOTO, speech, regions=PRESETS["voice"] | {"head": "still"}).checked()
    assert not motion.values[:, [COEFFICIENTS.index(name) for name in REGIONS["head"]]].any()
    assert np.array_equal(motion.values, pipelines.load().denoise(plain, senses(plain)).motion.values)


def test_nothing_painted_is_nothing_to_move(senses, speech, labels):
    with pytest.raises(InputError, match="No region follows a signal"):
        senses(Request(PHOTO, speech, painted=png(np.zeros_like(labels))).checked())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (png(np.full((512, 512), 6, np.uint8)), "hold the value 6"),
        (png(np.ones((512, 512), np.uint8), "RGB"), "mode RGB; save the painted masks in mode L or P"),
        (png(np.ones((100, 200), np.uint8)), "are 200 x 100 pixels and astronaut.jpg is 512 x 512"),
        (b"no picture at all", "is no PNG"),
        (png(np.ones((512, 512), np.uint8))[:60], "is damaged or incomplete"),
    ],
)
def test_masks_that_cannot_be(senses, speech, content, said):
    with pytest.raises(InputError, match=said):
        senses(Request(PHOTO, speech, painted=content).checked())


def test_the_recipe_keeps_what_was_painted(speech, labels, tmp_path):
    """Painting the mouth's region as the head's, for one, leaves the lips shut."""
    painted = tmp_path / "masks.png"
    painted.write_bytes(png(np.where(labels == 1, 5, labels).astype(np.uint8)))
    words = ["--photo", str(PHOTO), "--speech", str(speech), "--size", "128", "--steps", "1"]
    assert main(["animate", *words, "--painted", str(painted), "--out", str(tmp_path / "a.mp4")]) == 0
    painted.unlink()
    again = ["--recipe", str(tmp_path / "a.json"), "--out", str(tmp_path / "b.mp4")]
    assert main(["animate", *again, "--motion-out", str(tmp_path / "b.npz")]) == 0
    assert unsigned(tmp_path / "b.mp4") == unsigned(tmp_path / "a.mp4")
    assert isinstance(read_recipe(tmp_path / "b.json").painted, bytes)
    motion = Motion.load(tmp_path / "b.npz")
    assert not motion.column("jawOpen").any()
    assert motion.column("headYaw").any()


def test_a_missing_or_overwritten_painting(speech, tmp_path, capsys):
    words = ["--photo", str(PHOTO), "--speech", str(speech), "--out", str(tmp_path / "a.mp4")]
    assert main(["animate", *words, "--painted", str(tmp_path / "nowhere.png")]) == 2
    assert "nowhere.png does not exist" in capsys.readouterr().err
