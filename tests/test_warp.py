"""The warp at pixel level, on small made-up pictures."""

import numpy as np
import pytest

from actalker.render.warp import CutOut, SamplingMap

SQUARE = np.array([[0, 0], [9, 0], [9, 7], [0, 7]], float)  # corners of a 10 x 8 picture
HALVES = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def drawn(screen, triangles=HALVES, rest=SQUARE, light=None, depth=0.0, shape=(8, 10), solid=False):
    where = SamplingMap.empty(shape)
    screen = np.column_stack([screen, np.full(len(screen), depth)])
    where.draw(triangles, screen, rest, np.ones(len(rest)) if light is None else light, solid)
    return where


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 256, (8, 10, 3), np.uint8)


def test_nothing_moved_is_the_picture_whatever_matte_and_plate(picture):
    rng = np.random.default_rng(2)
    matte, plate = rng.integers(0, 256, (8, 10), np.uint8), rng.integers(0, 256, (8, 10, 3), np.uint8)
    frame = CutOut.of(picture, matte, plate).over(plate, drawn(SQUARE))
    np.testing.assert_array_equal(frame, picture)


def test_whole_pixels_are_moved_unchanged_and_uncover_the_plate(picture):
    plate = np.full_like(picture, 7)
    cut_out = CutOut.of(picture, np.full((8, 10), 255, np.uint8), plate)
    frame = cut_out.over(plate, drawn(SQUARE + (3, 0)))
    np.testing.assert_array_equal(frame[:, 4:], picture[:, 1:-3])  # column 3 is the softened edge
    np.testing.assert_array_equal(frame[:, :2], plate[:, :2])


def test_light_scales_the_foreground_only():
    picture = np.full((8, 10, 3), 100, np.uint8)
    matte = np.zeros((8, 10), np.uint8)
    matte[:, 5:] = 255
    frame = CutOut.of(picture, matte, picture).over(picture, drawn(SQUARE, light=np.full(4, 1.5)))
    assert (frame[:, :5] == 100).all()
    assert (frame[:, 5:] == 150).all()


def test_triangles_seen_from_behind_are_left_out():
    where = drawn(SQUARE, triangles=HALVES[:, ::-1].copy())
    assert (where.source < -1).all()


def test_every_pixel_of_a_square_is_covered_once_cut_in_two():
    source = drawn(SQUARE).source
    x, y = np.meshgrid(np.arange(10), np.arange(8))
    np.testing.assert_allclose(source, np.stack([x, y], -1), atol=1e-4)


def test_solid_triangles_hide_what_is_deeper():
    where = drawn(SQUARE, depth=1.0, solid=True)
    near, far = np.column_stack([SQUARE, np.zeros(4)]), np.column_stack([SQUARE, np.full(4, 2.0)])
    where.draw(HALVES, near, SQUARE + 50, np.ones(4), solid=True)
    where.draw(HALVES, far, SQUARE + 90, np.ones(4), solid=True)
    assert where.source.min() >= 49.9
    assert where.source.max() < 65


def test_a_fold_is_softened():
    """Two sheets that overlap leave a hard edge in the map; the frame gets a step in between."""
    picture = np.zeros((8, 40, 3), np.uint8)
    picture[:, 20:] = 200
    plate = np.zeros_like(picture)
    rest = np.array([[0, 0], [39, 0], [39, 7], [0, 7]], float)
    where = drawn(rest, rest=rest, shape=(8, 40))
    sheet = np.array([[0, 0, 0], [10, 0, 0], [10, 7, 0], [0, 7, 0]], float)
    where.draw(HALVES, sheet, sheet[:, :2] + (25, 0), np.ones(4), solid=False)
    row = CutOut.of(picture, np.full((8, 40), 255, np.uint8), plate).over(plate, where)[4, :, 0]
    assert row[5] == 200
    assert row[15] == 0
    assert any(20 < value < 180 for value in row[9:13])
