"""Portraits: what must not move, what must, and how the head gets back into its picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actalker.config import COEFFICIENTS, INDEX, REGIONS
from actalker.render.background import separate
from actalker.render.composite import native_part
from actalker.render.light import Light
from actalker.render.portrait import Portrait
from actalker.render.pose import LIMITS, Pose, limited, turning_room
from actalker.render.seam import is_open, snap_to_seam
from actalker.render.surface import keep_apart
from actalker.signals import mesh
from actalker.signals.face import Face, find_faces
from actalker.signals.media import MOST_VIDEO_PIXELS
from actalker.signals.rig import head_rotation

PHOTO = Path(__file__).parents[1] / "assets/faces/astronaut.jpg"
SIZE = 256


def values_of(**coefficients):
    values = np.zeros(len(COEFFICIENTS))
    for name, value in coefficients.items():
        values[INDEX[name]] = value
    return values


EXPRESSIONS = {
    "mouth": values_of(jawOpen=0.6, mouthPucker=0.5),
    "eyes": values_of(eyeBlinkLeft=1, eyeBlinkRight=1),
    "gaze": values_of(gazeX=1),
    "brows": values_of(browInnerUp=1),
    "head": values_of(headYaw=10, headRoll=6, headY=0.1),
}


@pytest.fixture(scope="module")
def photo():
    return np.array(Image.open(PHOTO))


@pytest.fixture(scope="module")
def face(photo):
    return find_faces(photo)[0]


@pytest.fixture(scope="module")
def portrait(photo, face):
    return Portrait(photo, face, SIZE)


@pytest.fixture(scope="module")
def still(portrait):
    return portrait.render(values_of())


@pytest.fixture(scope="module")
def whole(photo, face):
    """The whole picture, with odd height and width."""
    return Portrait(photo[:-1, :-1], face, "full")


def test_no_motion_is_the_crop(portrait, still):
    assert still.shape == portrait.shape == (SIZE, SIZE, 3)
    assert still.dtype == np.uint8
    warped = portrait._warped(portrait._surface.rest + (0, 0, 1e-3))
    np.testing.assert_array_equal(warped, still)


def test_no_motion_is_the_picture_bit_for_bit(photo, whole):
    assert whole.shape == (photo.shape[0] // 2 * 2 - 2, photo.shape[1] // 2 * 2 - 2, 3)
    np.testing.assert_array_equal(whole.render(values_of()), photo[:-2, :-2])


def test_a_tiny_motion_changes_hardly_anything(portrait, still):
    """The warp itself, run over the whole frame, must not soften or shift what does not move."""
    frame = portrait.render(values_of(headYaw=0.01))
    assert np.abs(frame.astype(int) - still).max() <= 3


@pytest.mark.parametrize("region", REGIONS)
def test_each_region_moves_something(portrait, still, region):
    assert (portrait.render(EXPRESSIONS[region]) != still).any()


@pytest.mark.parametrize("region", ["mouth", "eyes", "gaze", "brows"])
def test_expression_leaves_the_surroundings_alone(portrait, still, region):
    frame = portrait.render(EXPRESSIONS[region])
    for edge in (np.s_[:20], np.s_[-4:], np.s_[:, :20], np.s_[:, -20:]):
        assert np.abs(frame[edge].astype(int) - still[edge]).max() <= 1  # a level where rounding falls the other way


def test_pose_leaves_background_and_shoulders_alone(portrait, still):
    change = np.abs(portrait.render(EXPRESSIONS["head"]).astype(int) - still).max(2)
    assert (change > 20).mean() > 0.1
    assert change[-3:].max() == 0
    for corner in (np.s_[:50, :25], np.s_[:50, -25:], np.s_[-25:, :40], np.s_[-25:, -40:]):
        assert change[corner].max() <= 4


@pytest.mark.parametrize("frozen", REGIONS)
def test_an_empty_mask_freezes_its_region_only(photo, face, still, frozen):
    masks = {region: np.ones(photo.shape[:2], np.float32) * (region != frozen) for region in REGIONS}
    portrait = Portrait(photo, face, SIZE, masks)
    for region, values in EXPRESSIONS.items():
        changed = (portrait.render(values) != still).any()
        assert changed == (region != frozen), region


def test_a_mask_cuts_a_region_in_space(photo, face, portrait, still):
    masks = {region: np.zeros(photo.shape[:2], np.float32) for region in REGIONS}
    masks["eyes"][:, int(face.centre[0]) :] = 1
    frame = Portrait(photo, face, SIZE, masks).render(EXPRESSIONS["eyes"])
    changed = np.flatnonzero((frame != still).any((0, 2)))
    assert changed.min() > SIZE * 0.45
    both = np.flatnonzero((portrait.render(EXPRESSIONS["eyes"]) != still).any((0, 2)))
    assert both.min() < SIZE * 0.45


def test_seal_closes_the_smile(portrait, still):
    assert portrait.open_mouth
    sealed, shaped = portrait.render(values_of(), seal=1.0), portrait._shaped(values_of(), 1.0)
    assert (sealed != still).any()
    assert not is_open(shaped, portrait._rig.scale)


def test_the_head_goes_back_without_touching_the_rest(photo, face, whole):
    frame = whole.render(EXPRESSIONS["head"])
    changed = (frame != photo[:-2, :-2]).any(2)
    assert changed.any()
    y, x = np.nonzero(changed)
    assert np.hypot(*(np.stack([x, y]) - face.centre[:, None])).max() < 1.6 * face.height


def test_a_large_photo_is_reduced(photo, face):
    big = np.kron(photo[:360, :360], np.ones((6, 6, 1), np.uint8))
    whole = Portrait(big, type(face).of(face.points * 6 + (2.5, 2.5, 0)), "full")
    assert max(whole.shape) < 2160
    assert whole.shape[0] % 2 == whole.shape[1] % 2 == 0


def test_a_picture_is_no_larger_than_a_video_may_be():
    """A small head, so that only the whole picture is too large; a white square shows where the head went."""
    face = Face.of(mesh.canonical_face() * 100 + (4000, 1500, 0))
    photo = np.zeros((3750, 6001, 3), np.uint8)
    photo[1480:1520, 3980:4020] = 255
    part = native_part(photo, face)
    height, width = part.whole.shape[:2]
    assert 0.99 * MOST_VIDEO_PIXELS < height * width <= MOST_VIDEO_PIXELS
    assert height % 2 == width % 2 == 0
    y, x = np.nonzero(part.picture[..., 0] > 127)
    middle = part.points(np.array([[3999.5, 1499.5, 0.0]]))[0, :2]
    np.testing.assert_allclose([x.mean(), y.mean()], middle, atol=0.5)


def test_the_largest_picture_of_a_video_is_not_resampled():
    photo = np.random.default_rng(0).integers(0, 256, (2304, 4096, 1), np.uint8).repeat(3, axis=2)
    part = native_part(photo, Face.of(mesh.canonical_face() * 100 + (2000, 1000, 0)))
    np.testing.assert_array_equal(part.whole, photo)


def test_nobody_to_tell_apart_gives_one_sheet():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    background = separate(noise, np.array([[20, 20], [40, 20], [40, 40], [20, 40]], float))
    assert not background.apart
    assert (background.matte == 255).all()
    np.testing.assert_array_equal(background.plate, noise)


def test_limits_are_soft_and_final():
    small, huge = values_of(headYaw=5, jawOpen=0.4, headRoll=-8), values_of(headYaw=-200, jawOpen=5)
    np.testing.assert_array_equal(limited(small), small)
    assert limited(huge)[INDEX["headYaw"]] == pytest.approx(-LIMITS["headYaw"][1])
    assert limited(huge)[INDEX["jawOpen"]] == pytest.approx(LIMITS["jawOpen"][1])
    turns = [limited(values_of(headYaw=angle))[INDEX["headYaw"]] for angle in range(60)]
    assert (np.diff(turns) > 0).all()


def test_a_face_seen_from_the_side_turns_less():
    assert turning_room(head_rotation(5, 20, 10)) == 1
    assert turning_room(head_rotation(-35, 0, 0)) < 0.5


def test_pose_without_motion_is_nothing_and_nearer_is_larger():
    points = mesh.canonical_face() * 50 + (100, 80, 0)
    np.testing.assert_allclose(Pose.of(values_of(), points, 50).apply(points), points, atol=1e-9)
    nearer = Pose.of(values_of(headZ=0.1), points, 50).apply(points)
    assert np.linalg.norm(nearer[33, :2] - nearer[263, :2]) == pytest.approx(55)


def test_lips_and_lids_do_not_cross():
    points = mesh.canonical_face() * 100
    points[[13, 14], 1] = points[[14, 13], 1] + (10, -10)
    points[159, 1] = points[145, 1] + 5
    apart = keep_apart(points)
    assert apart[13, 1] == pytest.approx(apart[14, 1])
    assert apart[159, 1] == pytest.approx(points[145, 1], abs=0.01)
    np.testing.assert_array_equal(apart[152], points[152])


def test_closed_lips_snap_to_the_dark_line():
    points = mesh.canonical_face() * 140 + (160, 60, 0)
    picture = np.full((320, 320, 3), 180, np.uint8)
    middle = points[list(mesh.LIPS_INNER_UPPER + mesh.LIPS_INNER_LOWER), 1].mean()
    line = round(middle + 3)
    picture[line : line + 2, 100:220] = 40
    snapped = snap_to_seam(points, picture, 140.0)
    inside = list(mesh.LIPS_INNER_UPPER[1:-1])
    np.testing.assert_array_equal(snapped[inside, :2], snapped[list(mesh.LIPS_INNER_LOWER[1:-1]), :2])
    assert np.abs(snapped[inside, 1] - (line + 0.5)).max() < 1.5


def test_light_follows_the_turn_of_the_skin():
    points = mesh.canonical_face() * 140 + (160, 100, 0)
    picture = np.tile(np.linspace(60, 220, 320).astype(np.uint8)[None, :, None], (320, 1, 3))
    light = Light(picture, points, 140.0)
    np.testing.assert_allclose(light.change(points), 1)
    turned = (points - points.mean(0)) @ head_rotation(15, 0, 0).T + points.mean(0)
    change = light.change(turned)
    assert change[[50, 205]].mean() > 1.02  # brighter: the cheeks turn towards the bright side
