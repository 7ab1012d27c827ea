"""The rig: what coefficients do to a symmetric face, and the geometry that places it in a picture."""

import numpy as np
import pytest

from actalker.config import COEFFICIENTS, INDEX, REGIONS
from actalker.signals import mesh
from actalker.signals.rig import BiharmonicFill, Rig, head_angles, head_rotation, procrustes

UPPER, LOWER = list(mesh.LIPS_INNER_UPPER[1:-1]), list(mesh.LIPS_INNER_LOWER[1:-1])


@pytest.fixture(scope="module")
def rig():
    return Rig(mesh.canonical_face() * 100 + (200, 150, 0))


def deformed(rig, **coefficients):
    values = np.zeros(len(COEFFICIENTS))
    for name, value in coefficients.items():
        values[INDEX[name]] = value
    return rig.deform(values)


def lip_gaps(points):
    return points[LOWER, 1] - points[UPPER, 1]


def test_mesh_is_symmetric_and_has_holes():
    face, mirror = mesh.canonical_face(), mesh.mirrored()
    np.testing.assert_allclose(face, face[mirror] * (-1, 1, 1), atol=1e-9)
    assert np.linalg.norm(face[33] - face[263]) == pytest.approx(1)
    edges = np.sort(mesh.triangles()[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    assert len(mesh.triangles()) == 852
    assert (uses == 1).sum() == 36 + 20 + 16 + 16  # the rims of the face, the mouth and both eyes
    assert uses.max() == 2


@pytest.mark.parametrize("part", ["upper", "lower", "upper_lid", "lower_lid", "upper_fold", "lower_fold", "iris"])
def test_left_eye_mirrors_the_right(part):
    right, left = np.array(getattr(mesh.EYE_RIGHT, part)), np.array(getattr(mesh.EYE_LEFT, part))
    np.testing.assert_array_equal(mesh.mirrored()[right], left)


def test_procrustes_recovers_a_similarity():
    source = np.random.default_rng(0).normal(size=(20, 3))
    rotation, translation = head_rotation(20, -10, 35), np.array([4.0, -2.0, 1.0])
    found = procrustes(source, 2.5 * source @ rotation.T + translation)
    np.testing.assert_allclose(found[0], rotation, atol=1e-12)
    assert found[1] == pytest.approx(2.5)
    np.testing.assert_allclose(found[2], translation, atol=1e-12)


def test_head_rotation_signs():
    nose, ear = np.array([0, 0, -1.0]), np.array([1.0, 0, 0])
    assert (head_rotation(10, 0, 0) @ nose)[0] > 0.1  # to image right
    assert (head_rotation(0, 10, 0) @ nose)[1] > 0.1  # down
    assert (head_rotation(0, 0, 10) @ ear)[1] > 0.1  # clockwise


def test_head_angles_invert_head_rotation():
    np.testing.assert_allclose(head_angles(head_rotation(17, -9, 30)), (17, -9, 30))


def test_fill_keeps_handles_and_reproduces_a_constant():
    fill = BiharmonicFill(mesh.canonical_face())
    offset = np.array([0.1, -0.2, 0.3])
    filled = fill({10: offset, 152: offset, 234: offset})
    np.testing.assert_allclose(filled[: mesh.SKIN_VERTICES], np.tile(offset, (mesh.SKIN_VERTICES, 1)), atol=1e-5)
    assert not filled[mesh.SKIN_VERTICES :].any()


def test_rig_places_its_face_where_it_was_measured(rig):
    np.testing.assert_allclose(rig.to_image(rig.neutral), mesh.canonical_face() * 100 + (200, 150, 0), atol=1e-9)
    np.testing.assert_allclose(rig.to_face(rig.to_image(rig.neutral)), rig.neutral, atol=1e-12)
    assert rig.scale == pytest.approx(100)


def test_shapes_do_not_depend_on_head_pose(rig):
    turned = Rig(mesh.canonical_face() @ head_rotation(15, 5, -20).T * 60 + (50, 80, 10))
    np.testing.assert_allclose(turned.basis, rig.basis, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in COEFFICIENTS if name.endswith("Left")])
def test_left_and_right_shapes_are_mirror_images(rig, name):
    right = name.removesuffix("Left") + "Right"
    # the mirror image of a signed sideways shape is its negative
    mirrored = rig.basis[INDEX[right]] if right in INDEX else -rig.basis[INDEX[name]]
    expected = rig.basis[INDEX[name]][mesh.mirrored()] * (-1, 1, 1)
    np.testing.assert_allclose(mirrored, expected, atol=0.004)


def test_every_mesh_coefficient_moves_something_and_pose_nothing(rig):
    moving = np.abs(rig.basis).max((1, 2)) > 0.01
    still = {*REGIONS["head"], "tongueUp"}
    assert {name for name, moves in zip(COEFFICIENTS, moving, strict=True) if not moves} == still


def test_jaw_opens_the_mouth_in_the_middle_first(rig):
    gaps = lip_gaps(deformed(rig, jawOpen=1.0)) - lip_gaps(rig.neutral)
    assert gaps[4] > 0.2
    assert gaps[0] < 0.5 * gaps[4]
    np.testing.assert_allclose(gaps, gaps[::-1], atol=0.01)


def test_mouth_close_undoes_the_parting_of_the_jaw(rig):
    gaps = lip_gaps(deformed(rig, jawOpen=0.8, mouthClose=0.8)) - lip_gaps(rig.neutral)
    assert np.abs(gaps).max() < 0.01
    assert deformed(rig, jawOpen=0.8, mouthClose=0.8)[mesh.CHIN, 1] > rig.neutral[mesh.CHIN, 1] + 0.1


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_blink_closes_one_eye(rig, side):
    eye = mesh.EYES[side]
    closed = deformed(rig, **{f"eyeBlink{side}": 1.0})
    np.testing.assert_allclose(closed[list(eye.upper)], closed[list(eye.lower)], atol=1e-9)
    other = mesh.EYES["Left" if side == "Right" else "Right"]
    assert not (closed - rig.neutral)[list(other.contour)].any()


def test_smile_lifts_and_widens_the_corners(rig):
    smiling = deformed(rig, mouthSmileLeft=1.0, mouthSmileRight=1.0)
    assert (smiling[[61, 291], 1] < rig.neutral[[61, 291], 1] - 0.05).all()
    assert smiling[291, 0] - smiling[61, 0] > rig.neutral[291, 0] - rig.neutral[61, 0] + 0.15


def test_seal_closes_an_open_mouth():
    points = mesh.canonical_face().copy()
    points[LOWER, 1] += 0.12
    points[list(mesh.LIPS_OUTER_LOWER[1:-1]), 1] += 0.12
    rig = Rig(points)
    assert lip_gaps(rig.neutral).min() > 0.1
    np.testing.assert_allclose(lip_gaps(rig.neutral + rig.seal), 0, atol=1e-9)


def test_jaw_swing_carries_the_lower_lip(rig):
    carried = rig.jaw_swing(rig.neutral[[14]], 0.5)
    np.testing.assert_allclose(carried, deformed(rig, jawOpen=0.5)[[14]], atol=0.02)
