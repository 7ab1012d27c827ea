import numpy as np
import pytest
from drawn_subject import IRIS, WHITE, drawn_subject, frame_of, region

from actalker.render.eyes import Eyes, white_of_eyes
from actalker.render.scene import Subject
from actalker.signals.mesh import EYES


@pytest.fixture(scope="module")
def subject():
    return drawn_subject()


@pytest.fixture(scope="module")
def eyes(subject):
    return Eyes(subject)


def _iris_centroid(frame, side):
    """(2,) centre of the dark pixels inside one eye."""
    inside = region(frame, list(EYES[side].contour), grow=0)
    dark = inside & (frame.canvas.mean(axis=2) < 0.5 * np.mean(WHITE))
    return np.argwhere(dark).mean(0)[::-1]


def test_nothing_is_painted_while_the_eyes_do_not_move(subject, eyes):
    frame = frame_of(subject, jawOpen=0.5, headYaw=10.0, browInnerUp=1.0)
    eyes.draw(frame)
    assert not frame.canvas.any()


@pytest.mark.parametrize("side", EYES)
@pytest.mark.parametrize(("name", "axis"), [("gazeX", 0), ("gazeY", 1)])
def test_the_iris_follows_the_gaze(subject, eyes, side, name, axis):
    places = []
    for amount in (-0.5, 0.5):
        frame = frame_of(subject, **{name: amount})
        frame.canvas[:] = 255
        eyes.draw(frame)
        places.append(_iris_centroid(frame, side))
    moved = places[1] - places[0]
    assert moved[axis] > 0.01 * subject.rig.scale
    assert abs(moved[1 - axis]) < 0.3 * moved[axis]


@pytest.mark.parametrize("side", EYES)
def test_a_closed_lid_shows_nothing_and_leaves_the_other_eye_alone(subject, eyes, side):
    frame = frame_of(subject, **{f"eyeBlink{side}": 1.0})
    eyes.draw(frame)
    assert frame.canvas.max() < 1


@pytest.mark.parametrize("values", [{"eyeWideLeft": 0.6, "eyeWideRight": 0.6}, {"gazeX": 0.9, "headRoll": 10.0}])
def test_paint_stays_between_the_lids(subject, eyes, values):
    frame = frame_of(subject, **values)
    eyes.draw(frame)
    allowed = np.any([region(frame, list(eye.contour), grow=2) for eye in EYES.values()], axis=0)
    painted = frame.canvas.any(axis=2)
    assert painted.any()
    assert not painted[~allowed].any()


def test_the_layer_fades_in(subject, eyes):
    sums = []
    for amount in np.arange(0.0, 0.2, 0.01):
        frame = frame_of(subject, gazeX=amount)
        eyes.draw(frame)
        sums.append(frame.canvas.sum())
    assert sums[0] == 0
    assert np.diff(sums).max() < 0.15 * max(sums)


def test_the_place_that_the_iris_leaves_is_white(subject, eyes):
    frame = frame_of(subject, gazeX=1.0)
    eyes.draw(frame)
    x, y = (subject.points[468, :2] - frame.origin - [0.05 * subject.rig.scale, 0]).round().astype(int)
    assert frame.canvas[y, x].mean() > 0.5 * np.mean(WHITE)
    assert frame.canvas[y, x].mean() > 2 * np.mean(IRIS)


def test_white_of_eyes_is_read_from_the_photo(subject):
    np.testing.assert_allclose(white_of_eyes(subject), WHITE, rtol=0.35)


def test_a_tiny_face_does_not_fail():
    subject = drawn_subject(64)
    frame = frame_of(subject, gazeX=0.5)
    Eyes(subject).draw(frame)
    assert np.isfinite(frame.canvas).all()


def test_an_eye_outside_the_picture_does_not_fail():
    whole = drawn_subject()
    right_half = Subject(whole.picture[:, 150:], whole.points - [150, 0, 0], whole.rig, whole.skin_luma, False)
    frame = frame_of(right_half, gazeX=0.5)
    Eyes(right_half).draw(frame)
    assert np.isfinite(frame.canvas).all()
