"""Maps and crops against what the released program made of the same pictures."""

import numpy as np
import PIL
import pytest
import torch
from fill_rule import GOLDEN, SHAPES

from actalker.model.masks import Masks
from actalker.signals.place import (
    enlarged,
    expression_crop,
    face_maps,
    head_crop,
    identity_crop,
    in_aspect,
    locate,
    square_around,
    working_size,
)

PILLOW = int(PIL.__version__.split(".")[0])
CASES = {name: facts for name, facts in SHAPES["i"].items() if "area" in facts}


def arrays(name):
    with np.load(GOLDEN / "masks.npz") as file:
        return {key.split("/")[1]: file[key] for key in file.files if key.startswith(f"{name}/")}


def corners(box):
    x, y, width, height = (float(value) for value in box)
    return x, y, x + width, y + height


def assert_same(ours, released, most, share):
    """Equal to the bit with the Pillow that made the golden files; older ones resample soft edges otherwise."""
    apart = np.abs(ours.astype(int) - released)
    if PILLOW >= 13:
        assert not apart.any()
    assert apart.max() <= most
    assert (apart > 0).mean() <= share


@pytest.mark.parametrize("name", CASES)
def test_maps_are_the_release_s_to_the_pixel(name):
    facts, g = CASES[name], arrays(name)
    height, width = g["image"].shape[:2]
    box = corners(facts["box_xywh"] or (0, 0, width, height))
    maps = face_maps(box, height, width, facts["area"], released_mouth=True)
    crop = None
    if facts["crop"]:
        square = square_around(enlarged(box, facts["area"], height, width), facts["expand_ratio"], height, width)
        crop = in_aspect(square, facts["aspect"], height, width)
    place = locate(g["image"], maps, facts["image_size"], crop)
    for own, released in ((place.face, "face"), (place.mouth, "mouth"), (place.rest, "exp")):
        assert_same(own, g[f"{released}_u8"], 24, 0.002)
        masks = Masks({released: torch.from_numpy(own / np.float32(255))})
        for factor in (8, 16, 32):
            grid = (own.shape[0] // factor, own.shape[1] // factor)
            selected = masks.tokens(released, grid).nonzero()[:, 0]
            assert selected.tolist() == g[f"{released}_sel_f{factor}"].tolist()
    assert_same(place.picture.transpose(2, 0, 1), g["ref_u8"], 2, 0.06)
    assert_same(identity_crop(g["image"], box).transpose(2, 0, 1), g["arcface_in_u8"], 1, 0.02)


@pytest.mark.parametrize("number", range(len(SHAPES["i"]["process_bbox"])))
def test_crops_are_the_release_s(number):
    facts = SHAPES["i"]["process_bbox"][number]
    size = facts["height"], facts["width"]
    square = square_around(tuple(facts["bbox"]), facts["ratio"], *size)
    assert list(square) == facts["out"]
    for aspect, out in facts["aspect"].items():
        assert list(in_aspect(square, aspect, *size)) == out


def test_driving_crops_are_the_release_s():
    g = arrays("driving")
    square = square_around(corners(g["boxes_xywh"][0]), 1.0, *g["frames"].shape[1:3])
    for i, frame in enumerate(g["frames"]):
        face = expression_crop(frame, g["landmarks"][i, :174])
        assert np.array_equal(face.transpose(2, 0, 1), g["vasa_face_u8"][i])
        head = head_crop(frame, square, SHAPES["i"]["driving"]["image_size"])
        assert np.array_equal(head.transpose(2, 0, 1), g["vasa_pose_u8"][i])


def test_the_mouth_is_the_face_s_lower_half_unless_the_release_s_is_wanted():
    face, mouth, rest = face_maps((300, 300, 500, 500), 800, 800, 1.0)
    assert np.flatnonzero(mouth.any(1)).tolist() == list(range(400, 500))
    assert ((mouth > 0) | (rest > 0) == (face > 0)).all()
    assert not face_maps((300, 300, 500, 500), 800, 800, 1.0, released_mouth=True)[1].any()


def test_sides_are_multiples_of_64():
    assert working_size(720, 1280, 576) == (576, 1024)
    assert working_size(100, 70, 128) == (192, 128)
