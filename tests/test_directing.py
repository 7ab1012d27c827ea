"""Directing over time: who moves what from when on, exactly, and how one map gives way to the next."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from samples import write_sound

from actalker import pipelines
from actalker.config import COEFFICIENTS, PRESETS, REGIONS
from actalker.errors import InputError
from actalker.pipelines import Cue, Request
from actalker.pipelines.directing import BLEND_SECONDS, direct, offset
from actalker.pipelines.recipe import read_recipe, write_recipe
from actalker.pipelines.stages import Senses
from actalker.render.portrait import Portrait
from actalker.signals import media
from actalker.signals.face import crop_of, find_faces

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO = ASSETS / "faces/astronaut.jpg"
CHANGE = 0.6  # seconds
NEW_SETTINGS = ("timeline", "offsets", "until", "painted")  # that recipes of the first version do not have
BEFORE, AFTER = slice(0, 16), slice(20, None)  # frames that the change does not touch


@pytest.fixture(scope="module")
def pipeline():
    return pipelines.load()


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """1.3 s of speech and 0.8 s of a driving clip."""
    folder = tmp_path_factory.mktemp("short")
    samples = media.read_audio(ASSETS / "speech/welcome.wav")
    speech = write_sound(folder / "speech.wav", samples[None, 8000 : 8000 + 20800], 16000)
    frames = [frame for frame, _ in zip(media.read_video(ASSETS / "drivers/curious.mp4"), range(20), strict=False)]
    media.write_video(folder / "driving.mp4", frames, 25)
    return {"speech": speech, "driving": folder / "driving.mp4"}


@pytest.fixture(scope="module")
def perform(pipeline, short):
    """Settings -> the performance of the short clip."""
    senses = Senses()

    def performance(**settings):
        request = Request(**({"photo": PHOTO, "size": 128, "steps": 2, **short} | settings)).checked()
        return pipeline.denoise(request, senses(request))

    return performance


def columns(region):
    return [COEFFICIENTS.index(name) for name in REGIONS[region]]


def test_between_changes_a_frame_is_that_of_its_map_alone(perform):
    mixed = perform(regions=PRESETS["joint"], timeline=(Cue(CHANGE, PRESETS["voice"]),))
    joint, voice = (perform(regions=PRESETS[name]).motion.values for name in ("joint", "voice"))
    assert mixed.calls == 4
    assert np.array_equal(mixed.motion.values[BEFORE], joint[BEFORE])
    assert np.array_equal(mixed.motion.values[AFTER], voice[AFTER])
    between = slice(BEFORE.stop, AFTER.start)
    low, high = np.minimum(joint, voice)[between], np.maximum(joint, voice)[between]
    assert ((mixed.motion.values[between] >= low - 1e-5) & (mixed.motion.values[between] <= high + 1e-5)).all()
    assert not np.array_equal(mixed.motion.values[17], joint[17])
    assert not np.array_equal(mixed.motion.values[17], voice[17])


def test_a_signal_does_not_reach_the_time_of_another_map(perform, short, tmp_path):
    media.write_video(tmp_path / "other.mp4", list(media.read_video(short["driving"]))[::-1], 25)
    settings = {"regions": PRESETS["voice"], "timeline": (Cue(CHANGE, {"head": "video"}),)}
    one, two = (perform(**settings, driving=clip).motion.values for clip in (short["driving"], tmp_path / "other.mp4"))
    assert np.array_equal(one[BEFORE], two[BEFORE])
    assert not np.array_equal(one[AFTER][:, columns("head")], two[AFTER][:, columns("head")])
    for region in ("mouth", "eyes", "gaze", "brows"):
        assert np.array_equal(one[:, columns(region)], two[:, columns(region)])


def test_a_map_in_which_nothing_moves(perform):
    still = dict.fromkeys(REGIONS, "still")
    begins = perform(regions=still, timeline=(Cue(CHANGE, PRESETS["voice"]),))
    assert begins.calls == 2
    assert not begins.motion.values[BEFORE].any()
    assert not begins.seal[BEFORE].any()
    assert begins.motion.values[AFTER].any()
    assert begins.seal[-1] == 1


def test_a_signal_that_no_map_follows_is_not_opened(perform, tmp_path):
    missing = tmp_path / "missing.mp4"
    made = perform(regions=PRESETS["voice"], driving=missing, timeline=(Cue(0.5, {"head": "still"}),))
    assert len(made.motion) == 32
    with pytest.raises(InputError, match="missing"):
        perform(regions=PRESETS["voice"], driving=missing, timeline=(Cue(0.5, {"head": "video"}),))


def test_cues_are_sorted_and_hold_on_top_of_the_first_map(short):
    cues = (Cue(2, {"mouth": "still"}), Cue(1, {"head": "audio"}))
    checked = Request(PHOTO, **short, timeline=cues).checked()
    assert [cue.start for cue in checked.timeline] == [1.0, 2.0]
    assert checked.timeline[0].regions == PRESETS["joint"] | {"head": "audio"}
    assert checked.timeline[1].regions == PRESETS["joint"] | {"mouth": "still"}
    assert checked.checked() == checked


@pytest.mark.parametrize(
    ("cue", "said"),
    [
        (Cue(-1, {}), "set for -1 s"),
        (Cue(float("nan"), {}), "set for nan s"),
        (Cue(1, {"ears": "audio"}), "no region 'ears'"),
        (Cue(1, {"head": "wind"}), "cannot follow 'wind'"),
        (Cue(1, {"head": "video"}), "no clip was given"),
        ("1=joint", "set for 1=joint s"),
    ],
)
def test_cues_that_cannot_be(short, cue, said):
    with pytest.raises(InputError, match=said):
        Request(PHOTO, speech=short["speech"], timeline=(cue,)).checked()


def test_a_recipe_keeps_the_cues_and_an_older_one_has_none(short, tmp_path):
    request = Request(PHOTO, **short, timeline=(Cue(1, {"mouth": "video"}),), offsets={"gazeX": 0.5}).checked()
    write_recipe(tmp_path / "recipe.json", request, {})
    assert read_recipe(tmp_path / "recipe.json").checked() == request
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    for name in NEW_SETTINGS:
        del recipe["settings"][name]
    (tmp_path / "recipe.json").write_text(json.dumps(recipe))
    assert read_recipe(tmp_path / "recipe.json").checked() == Request(PHOTO, **short).checked()


def test_shares_sum_to_one_and_return_to_a_map():
    voice, video = PRESETS["voice"], PRESETS["video"]
    cues = (Cue(1, video), Cue(1.1, voice), Cue(2, video), Cue(9, PRESETS["joint"]))
    request = Request(PHOTO, Path("a.wav"), Path("b.mp4"), voice, timeline=cues).checked()
    direction = direct(request, 75, Fraction(25))
    assert direction.maps == (voice, video)
    assert np.allclose(direction.shares.sum(axis=0), 1, atol=1e-6)
    assert np.array_equal(direction.shares[0, :26], np.ones(26, np.float32))
    last = round((2 + BLEND_SECONDS) * 25)
    assert np.array_equal(direction.shares[1, last:], np.ones(75 - last, np.float32))
    assert 0 < direction.shares[1, 31] < 0.5  # the change to the clip was overtaken by the one back


def test_a_cue_at_the_start_takes_the_first_maps_place():
    request = Request(PHOTO, Path("a.wav"), regions=PRESETS["voice"], timeline=(Cue(0, {"head": "still"}),)).checked()
    direction = direct(request, 10, Fraction(25))
    assert direction.maps == (PRESETS["voice"] | {"head": "still"},)
    assert np.array_equal(direction.shares, np.ones((1, 10), np.float32))


def test_an_offset_is_added_to_its_coefficient_alone(perform):
    plain = perform(regions=PRESETS["joint"]).motion
    moved = perform(regions=PRESETS["joint"], offsets={"headYaw": 7.0, "browInnerUp": -1, "jawOpen": 0}).motion
    assert np.allclose(moved.column("headYaw"), plain.column("headYaw") + 7, atol=1e-5)
    assert plain.column("browInnerUp").any()
    assert not moved.column("browInnerUp").any()  # held at its lowest value
    others = [i for i, name in enumerate(COEFFICIENTS) if name not in ("headYaw", "browInnerUp")]
    assert np.array_equal(moved.values[:, others], plain.values[:, others])


@pytest.mark.parametrize(("name", "lowest", "highest"), [("jawOpen", 0, 1), ("gazeX", -1, 1), ("headRoll", -45, 45)])
def test_offsets_stay_within_bounds(name, lowest, highest):
    column = COEFFICIENTS.index(name)
    values = np.zeros((2, len(COEFFICIENTS)), np.float32)
    values[:, column] = 0.9 * lowest, 0.9 * highest
    assert offset(values, {name: highest})[1, column] == highest
    assert offset(values, {name: -highest})[0, column] == lowest
    assert values[1, column] == np.float32(0.9 * highest)


def test_an_offset_of_the_jaw_opens_closed_lips():
    photo = media.read_image(PHOTO)
    face = find_faces(photo)[0]
    portrait = Portrait(photo, face, 256)
    still = np.zeros((1, len(COEFFICIENTS)), np.float32)
    closed, opened = (
        portrait.render(offset(still, {"jawOpen": value})[0], seal=1.0).astype(int) for value in (0.0, 0.6)
    )
    lips = crop_of(face, photo.shape).to_crop(face.points, 256)[[13, 14], :2].mean(axis=0).round().astype(int)
    below = np.s_[lips[1] : lips[1] + 12, lips[0] - 6 : lips[0] + 6]
    assert np.abs(opened - closed)[below].mean() > 20
