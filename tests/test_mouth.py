import numpy as np
import pytest
from drawn_subject import drawn_subject, frame_of, region

from actalker.render.mouth import Mouth
from actalker.signals.mesh import LIPS_INNER_LOWER, LIPS_INNER_UPPER

LIP_CONTOUR = [*LIPS_INNER_UPPER, *LIPS_INNER_LOWER[-2:0:-1]]
SPEECH = {
    "ah": {"jawOpen": 0.5},
    "ee": {"jawOpen": 0.1, "mouthStretch": 0.5, "mouthUpperUp": 0.3, "mouthLowerDown": 0.3},
    "oh": {"jawOpen": 0.25, "mouthFunnel": 0.7},
    "turned": {"jawOpen": 0.4, "headYaw": 12.0, "headRoll": 10.0},
}


@pytest.fixture(scope="module")
def subject():
    return drawn_subject()


@pytest.fixture(scope="module")
def mouth(subject):
    return Mouth(subject)


@pytest.mark.parametrize("open_by", [0.0, 0.1])
def test_nothing_is_painted_while_the_mouth_does_not_move(open_by):
    subject = drawn_subject(open_by=open_by)
    frame = frame_of(subject)
    Mouth(subject).draw(frame)
    assert not frame.canvas.any()


def test_sealed_lips_paint_nothing(subject, mouth):
    frame = frame_of(subject, jawOpen=0.3, mouthClose=0.3)
    closed = (frame.shaped[list(LIPS_INNER_UPPER)] + frame.shaped[list(LIPS_INNER_LOWER)]) / 2
    frame.shaped[list(LIPS_INNER_UPPER)] = frame.shaped[list(LIPS_INNER_LOWER)] = closed
    mouth.draw(frame)
    assert not frame.canvas.any()


@pytest.mark.parametrize("sound", SPEECH)
def test_paint_stays_between_the_lips(subject, mouth, sound):
    frame = frame_of(subject, **SPEECH[sound])
    mouth.draw(frame)
    painted = frame.canvas.any(axis=2)
    assert painted.sum() > 0.5 * region(frame, LIP_CONTOUR, grow=0).sum()
    assert not painted[~region(frame, LIP_CONTOUR, grow=2)].any()


def test_the_mouth_opens_without_a_jump(subject, mouth):
    light, changes = [], []
    before = frame_of(subject).canvas
    for jaw in np.arange(0.0, 0.5, 0.01):
        frame = frame_of(subject, jawOpen=jaw)
        mouth.draw(frame)
        light.append(frame.canvas.sum())
        changes.append(np.abs(frame.canvas - before).sum())
        before = frame.canvas
    assert np.diff(light).min() > -0.02 * max(light)
    assert max(changes) < 0.12 * max(light)


def test_upper_teeth_stay_in_the_skull_and_show_above_a_dark_cavity(subject, mouth):
    columns = []
    for jaw in (0.4, 0.55):
        frame = frame_of(subject, jawOpen=jaw)
        mouth.draw(frame)
        x = round(frame.posed[13, 0] - frame.origin[0] + 0.04 * subject.rig.scale)
        columns.append(frame.canvas[:, x].mean(axis=1))
    edges = [int(np.argmin(np.diff(column))) for column in columns]
    assert abs(edges[0] - edges[1]) <= 1
    teeth, cavity = columns[1][edges[1] - 1], columns[1][edges[1] + 4]
    assert teeth > 2.5 * cavity > 0


def test_a_photo_keeps_its_own_teeth():
    subject = drawn_subject(open_by=0.1)
    frame = frame_of(subject, jawOpen=0.3)
    Mouth(subject).draw(frame)
    x, y = _between_lips(subject.points)
    np.testing.assert_allclose(frame.canvas[y - frame.origin[1], x - frame.origin[0]], subject.picture[y, x], rtol=0.12)


def test_the_tongue_rises_with_tongue_up(subject, mouth):
    red = []
    for raised in (0.0, 1.0):
        frame = frame_of(subject, jawOpen=0.5, tongueUp=raised)
        mouth.draw(frame)
        x, y = _between_lips(frame.posed) - frame.origin
        red.append(frame.canvas[y, x, 0])
    assert red[1] > 1.2 * red[0]


@pytest.mark.parametrize("size", [128, 1024])
def test_small_and_large_faces_look_alike(size):
    subject = drawn_subject(size)
    frame = frame_of(subject, jawOpen=0.4)
    Mouth(subject).draw(frame)
    inside = frame.canvas[region(frame, LIP_CONTOUR, grow=0)].mean()
    reference_subject = drawn_subject(320)
    reference = frame_of(reference_subject, jawOpen=0.4)
    Mouth(reference_subject).draw(reference)
    assert inside == pytest.approx(reference.canvas[region(reference, LIP_CONTOUR, grow=0)].mean(), rel=0.35)


def _between_lips(points: np.ndarray) -> np.ndarray:
    """(2,) whole-pixel middle between the lips."""
    return points[[13, 14], :2].mean(0).round().astype(int)
