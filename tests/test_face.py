"""Faces of every size and orientation are found and measured precisely; pictures without one have none."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from actalker.errors import InputError
from actalker.signals.face import Crop, Face, FaceTracker, _unit_points, choose_face, crop_of, find_faces

PHOTO = Path(__file__).parents[1] / "assets/faces/astronaut.jpg"


@pytest.fixture(scope="module")
def photo():
    return np.array(Image.open(PHOTO).convert("RGB"))


@pytest.fixture(scope="module")
def face(photo):
    return find_faces(photo)[0]


def resized(picture, scale):
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def apart(points, expected, unit):
    """Mean distance in the picture, in units of the face."""
    return np.linalg.norm((points - expected)[:, :2], axis=1).mean() / unit


def on_canvas(pieces, size, background=120):
    """A grey picture with `pieces` = [(picture, x, y), ...] pasted into it."""
    canvas = np.full((size[1], size[0], 3), background, np.uint8)
    for picture, x, y in pieces:
        canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return canvas


def test_one_face_is_found_once(photo, face):
    assert len(find_faces(photo)) == 1
    assert face.points.shape == (478, 3)
    assert 0 <= face.box[0] < face.box[2] <= photo.shape[1]
    assert 0 <= face.box[1] < face.box[3] <= photo.shape[0]


def test_points_do_not_depend_on_resolution(photo, face):
    longest = max(photo.shape)
    tiny = find_faces(resized(photo, 90 / longest))[0]
    huge = find_faces(resized(photo, 3000 / longest))[0]
    assert apart((tiny.points + 0.5) * longest / 90 - 0.5, face.points, face.iod) < 0.08
    assert apart((huge.points + 0.5) * longest / 3000 - 0.5, face.points, face.iod) < 0.03


def test_small_face_in_a_large_picture(photo, face):
    scale = 50 / face.iod
    small = resized(photo, scale)
    picture = on_canvas([(small, 700, 300)], (3200, 2000))
    found = find_faces(picture)
    assert len(found) == 1
    assert apart(found[0].points - (700, 300, 0), face.points * scale, 50) < 0.05


def test_two_faces_are_sorted_by_size(photo):
    large, small = resized(photo, 600 / max(photo.shape)), resized(photo[:, ::-1], 300 / max(photo.shape))
    found = find_faces(on_canvas([(small, 20, 60), (large, 400, 50)], (1020, 700)))
    assert len(found) == 2
    assert found[0].area > found[1].area
    assert found[0].centre[0] > 400 > found[1].centre[0]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turned_pictures(photo, face, turns):
    turned = np.ascontiguousarray(np.rot90(photo, turns))
    x, y = face.centre
    height, width = photo.shape[:2]
    expected = [(x, y), (y, width - 1 - x), (width - 1 - x, height - 1 - y), (height - 1 - y, x)][turns]
    found = find_faces(turned)
    assert len(found) == 1
    np.testing.assert_allclose(found[0].centre, expected, atol=0.1 * face.height)
    forehead, chin = found[0].points[10, :2], found[0].points[152, :2]
    down = [(0, 1), (1, 0), (0, -1), (-1, 0)][turns]
    assert (chin - forehead) @ down > 0.9 * np.linalg.norm(chin - forehead)


def test_mirrored_picture(photo, face):
    found = find_faces(np.ascontiguousarray(photo[:, ::-1]))
    assert found[0].centre[0] == pytest.approx(photo.shape[1] - 1 - face.centre[0], abs=0.1 * face.height)


@pytest.mark.parametrize("kind", ["noise", "flat", "checks"])
def test_no_face(kind):
    pictures = {
        "noise": np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8),
        "flat": np.full((300, 400, 3), 200, np.uint8),
        "checks": np.kron(np.indices((10, 10)).sum(0) % 2, np.ones((30, 30)))[..., None].repeat(3, 2).astype(np.uint8)
        * 255,
    }
    assert find_faces(pictures[kind]) == []


def test_choosing(face):
    other = Face.of(face.points * 0.5)
    assert choose_face([face, other]) is face
    assert choose_face([face, other], 1) is other
    with pytest.raises(
        InputError, match=r"^Me\.png shows 2 faces, numbered 0 to 1 from the largest; --face 5 does not exist\.$"
    ):
        choose_face([face, other], 5, "me.png")
    with pytest.raises(InputError, match="shows 1 face, numbered 0 from"):
        choose_face([face], -1)
    with pytest.raises(InputError, match="No human face was found in cat.jpg; use a picture"):
        choose_face([], None, "cat.jpg")


def test_crop_is_square_and_holds_the_head(photo, face):
    crop = crop_of(face, photo.shape)
    assert face.height / crop.side == pytest.approx(0.46, abs=0.01)
    assert crop.x >= 0
    assert crop.x + crop.side <= photo.shape[1]
    assert crop.y + crop.side > face.points[152, 1]
    assert face.points[10, 1] - crop.y > 0.25 * crop.side  # hair and headroom


def test_crop_of_a_tight_picture_gets_tighter(photo, face):
    x0, y0, x1, y1 = (int(edge) for edge in face.box)
    tight = photo[max(y0 - 20, 0) : y1 + 20, x0 - 20 : x1 + 20]
    moved = Face.of(face.points - (x0 - 20, max(y0 - 20, 0), 0))
    crop = crop_of(moved, tight.shape)
    assert 0.46 < moved.height / crop.side <= 0.63
    assert crop.cut(tight, 64).shape == (64, 64, 3)


def test_crop_maps_points_like_pixels():
    picture = np.zeros((80, 120, 3), np.uint8)
    picture[40:42, 60:62] = 255
    for size in (30, 100, 400):
        crop = Crop(35.0, 20.0, 50.0)
        cut = crop.cut(picture, size)[..., 0].astype(float)
        rows, columns = np.indices(cut.shape)
        seen = np.array([(cut * columns).sum(), (cut * rows).sum()]) / cut.sum()
        point = crop.to_crop(np.array([[60.5, 40.5, 3.0]]), size)
        np.testing.assert_allclose(seen, point[0, :2], atol=0.6)
        np.testing.assert_allclose(crop.to_picture(point, size), [[60.5, 40.5, 3.0]])


def test_crop_beyond_the_picture_repeats_its_edge():
    picture = np.full((20, 20, 3), 90, np.uint8)
    np.testing.assert_array_equal(Crop(-30, -30, 80).cut(picture, 40), 90)


def test_landmarks_are_read_from_their_bytes():
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

    landmarks = NormalizedLandmarkList()
    for x, y, z in [(0.5, 0.25, -0.125), (0.0, 0.0, 0.0), (1e-30, 1.5, -3.0)]:
        landmarks.landmark.add(x=x, y=y, z=z)
    one_by_one = [(point.x, point.y, point.z) for point in landmarks.landmark]
    assert np.array_equal(_unit_points(landmarks), one_by_one)


def test_tracker_follows_and_loses(photo, face):
    blank = np.full_like(photo, 128)
    shifted = np.roll(photo, 12, axis=1)
    with FaceTracker() as tracker:
        assert tracker.points(blank) is None
        first = tracker.points(photo)
        again = tracker.points(shifted)
        assert tracker.points(blank) is None
        back = tracker.points(photo)
    assert apart(first, face.points, face.iod) < 0.05
    assert apart(again - (12, 0, 0), face.points, face.iod) < 0.05
    assert apart(back, face.points, face.iod) < 0.05
