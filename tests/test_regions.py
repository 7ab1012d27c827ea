"""Regions: masks share out every pixel and cover what their coefficients move; gates follow from who listens."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actalker.config import INDEX, PRESETS, REGIONS
from actalker.errors import InputError
from actalker.signals import mesh
from actalker.signals.face import Face, crop_of, find_faces
from actalker.signals.regions import (
    check_sources,
    describe,
    from_labels,
    gates,
    label_map,
    overlay,
    paint,
    region_masks,
)
from actalker.signals.rig import Rig, head_rotation

PHOTO = Path(__file__).parents[1] / "assets/faces/astronaut.jpg"


def posed(scale, yaw=0.0, roll=0.0, at=(256, 250, 0)):
    return Face.of(mesh.canonical_face() * scale @ head_rotation(yaw, 0, roll).T + at)


FACES = {
    "frontal": (posed(140), (512, 512)),
    "turned": (posed(120, yaw=30), (512, 480)),
    "tilted": (posed(150, roll=-35), (600, 512)),
    "small": (posed(12, at=(40, 50, 0)), (90, 80)),
    "large": (posed(420, at=(500, 600, 0)), (1200, 1000)),
}
PARTS = [region for region in REGIONS if region != "head"]


@pytest.fixture(scope="module")
def photographed():
    photo = np.array(Image.open(PHOTO).convert("RGB"))
    face = find_faces(photo)[0]
    crop = crop_of(face, photo.shape)
    return crop.cut(photo, 512), Face.of(crop.to_crop(face.points, 512))


@pytest.mark.parametrize("grow", [-0.1, 0.0, 0.2])
@pytest.mark.parametrize("name", FACES)
def test_masks_share_out_the_picture(name, grow):
    face, shape = FACES[name]
    masks = region_masks(face, (*shape, 3), grow)
    assert list(masks) == list(REGIONS)
    for mask in masks.values():
        assert mask.shape == shape
        assert mask.dtype == np.float32
        assert 0 <= mask.min() <= mask.max() <= 1
        assert mask.max() > 0.4  # never vanishes
    np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-4)
    hard = region_masks(face, shape, grow, feather=0)
    assert {value for mask in hard.values() for value in np.unique(mask)} == {0, 1}
    assert (sum(hard.values()) == 1).all()


@pytest.mark.parametrize("region", PARTS)
def test_growing_widens_and_shrinking_narrows(region):
    face, shape = FACES["frontal"]
    neighbours = {"gaze": "eyes", "eyes": "mouth"}.get(region)
    areas = [region_masks(face, shape, grow)[region].sum() for grow in (-0.03, 0.0, 0.03)]
    if neighbours:  # a winner may grow freely
        assert areas[0] < areas[1]
    assert areas[0] < areas[2]


def test_default_masks_hold_what_their_region_moves(photographed):
    picture, face = photographed
    rig = Rig(face.points)
    masks = region_masks(face, picture.shape)
    columns, rows = np.round(face.points[:, :2]).astype(int).T
    for region in ("mouth", "eyes", "brows"):
        reach = masks[region][rows, columns]
        moved = np.linalg.norm(rig.basis[[INDEX[name] for name in REGIONS[region]]], axis=2)
        kept = (moved**2 * reach).sum(axis=1)[moved.any(axis=1)] / (moved**2).sum(axis=1)[moved.any(axis=1)]
        assert kept.min() > 0.78, (region, kept)
        assert kept.mean() > 0.85, (region, kept)
    for eye in mesh.EYES.values():
        x, y = np.round(face.points[eye.iris, :2]).astype(int)
        assert masks["gaze"][y, x] > 0.7


def test_lips_belong_to_the_mouth_and_lids_to_the_eyes():
    face, shape = FACES["frontal"]
    masks = region_masks(face, shape)
    for region, vertices in (("mouth", mesh.LIPS), ("eyes", mesh.EYE_RIGHT.upper[2:-2]), ("brows", mesh.BROW_LEFT)):
        columns, rows = np.round(face.points[list(vertices), :2]).astype(int).T
        assert masks[region][rows, columns].min() > 0.8
    assert masks["head"][0, 0] == 1


def test_painting_assigns():
    face, shape = FACES["frontal"]
    area = np.zeros(shape)
    area[200:300, 200:300] = 1
    painted = paint(region_masks(face, shape), "brows", area)
    assert (painted["brows"][200:300, 200:300] > 0.999).all()
    np.testing.assert_allclose(sum(painted.values()), 1, atol=1e-4)


def test_overlay_shows_colours_and_legend(photographed):
    picture, face = photographed
    masks = region_masks(face, picture.shape)
    shown = overlay(picture, masks, PRESETS["joint"])
    assert shown.shape == picture.shape
    assert shown.dtype == np.uint8
    x, y = face.points[17, :2].astype(int)
    assert np.abs(shown[y, x].astype(int) - picture[y, x]).max() > 30
    assert not np.array_equal(shown, overlay(picture, masks, PRESETS["voice"]))  # the legend tells the source
    assert overlay(picture[:40, :40], {k: m[:40, :40] for k, m in masks.items()}, {}).shape == (40, 40, 3)


def test_gates():
    joint, both = PRESETS["joint"], {"audio", "video"}
    assert gates(joint, both) == {"audio": True, "video": True}
    assert gates(joint, {"audio"}) == {"audio": True, "video": False}
    assert gates(PRESETS["voice"], both) == {"audio": True, "video": False}
    assert gates(joint, both, {"video": 0.0}) == {"audio": True, "video": False}
    assert gates(dict.fromkeys(REGIONS, "still"), both) == {"audio": False, "video": False}


@pytest.mark.parametrize(
    ("preset", "sentence"),
    [
        ("joint", "The voice moves the mouth; the clip moves the eyes, gaze, brows and head."),
        ("voice", "The voice moves the mouth, eyes, gaze, brows and head."),
        ("voice-still", "The voice moves the mouth; the eyes, gaze, brows and head keep still."),
    ],
)
def test_description(preset, sentence):
    assert describe(PRESETS[preset]) == sentence


def test_description_of_stillness():
    assert describe({}) == "Nothing moves: every region keeps the photo's own pose."
    assert describe({**PRESETS["video"], "head": "still"}).endswith("the head keeps still.")


@pytest.mark.parametrize(
    ("regions", "given", "sentence"),
    [
        (
            PRESETS["video-head"],
            {"audio"},
            "The head should follow the driving clip, but no clip was given; "
            "add --driving or choose another source for: head.",
        ),
        ({"mouth": "audio", "eyes": "audio"}, set(), "The mouth and eyes should follow the voice, but no speech"),
        ({"nose": "audio"}, {"audio"}, "There is no region 'nose'; the regions are mouth, eyes,"),
        ({"head": "radio"}, {"audio"}, "The head cannot follow 'radio'; choose one of audio, video and still."),
    ],
)
def test_impossible_maps_are_refused(regions, given, sentence):
    with pytest.raises(InputError) as refused:
        check_sources(regions, given)
    assert str(refused.value).startswith(sentence)


def test_possible_maps_pass():
    for preset in PRESETS.values():
        check_sources(preset, {"audio", "video"})
    check_sources(PRESETS["voice-still"], {"audio"})


def test_labels_and_masks_are_inverse():
    face, shape = FACES["frontal"]
    hard = region_masks(face, shape, feather=0)
    labels = label_map(hard)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) == {1, 2, 3, 4, 5}
    back = from_labels(labels)
    assert list(back) == list(REGIONS)
    for region in REGIONS:
        assert np.array_equal(back[region], hard[region])
    soft = region_masks(face, shape, feather=0.05)
    again = from_labels(labels, 0.05 * face.iod)
    for region in REGIONS:
        np.testing.assert_allclose(again[region], soft[region], atol=1e-6)


def test_pixels_of_no_region():
    labels = np.zeros((20, 30), np.uint8)
    labels[5:10] = 1
    masks = from_labels(labels)
    assert masks["mouth"].sum() == 5 * 30
    assert sum(mask.sum() for mask in masks.values()) == 5 * 30
    assert np.array_equal(label_map(masks), labels)


def test_a_label_that_is_no_region():
    with pytest.raises(InputError, match="hold the value 6; use 0 for no region, 1 mouth"):
        from_labels(np.full((4, 4), 6, np.uint8))
