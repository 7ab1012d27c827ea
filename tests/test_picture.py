"""Identity and picture: known answers on constructed faces and frames, and known disturbances."""

import math

import cv2
import numpy as np
import pytest

from actalker.errors import InputError
from actalker.evaluate import identity, patches, picture
from actalker.signals.face import Face
from actalker.signals.fit import STEADY, Posed
from actalker.signals.mesh import EYES, LIPS, canonical_face
from actalker.signals.rig import head_rotation

FRAMES = 90
IOD = 70.0  # px


def meshes(frames: int = FRAMES, shape: np.ndarray | None = None, yaw: np.ndarray | float = 0.0) -> np.ndarray:
    """(t, 478, 3) px: a face in the middle of 256 x 256 px that turns as `yaw` says."""
    face = canonical_face() if shape is None else shape
    turns = [head_rotation(angle, 0, 0) for angle in np.broadcast_to(yaw, frames)]
    return np.array([IOD * face @ turn.T for turn in turns]) + [128, 110, 0]


def noisy(points: np.ndarray, size: float, seed: int = 0) -> np.ndarray:
    return points + np.random.default_rng(seed).normal(size=points.shape) * size


def shapes(points: np.ndarray) -> np.ndarray:
    return Posed.of(points, canonical_face()).shapes


def textured(side: int = 256, blur: float = 0.0) -> np.ndarray:
    """A picture with structure of every size, as skin and features have."""
    rng = np.random.default_rng(0)
    layers = [scale * cv2.GaussianBlur(rng.normal(size=(side, side)), (0, 0), scale) for scale in (1, 2, 4, 8, 16)]
    grain = 128 + 60 * np.sum(layers, axis=0)
    grain = cv2.GaussianBlur(grain, (0, 0), blur) if blur else grain
    return np.repeat(grain.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_jitter_is_the_size_of_white_noise():
    assert picture.jitter(meshes()) == 0
    for size in (0.1, 0.4):
        assert picture.jitter(noisy(meshes(), size)) == pytest.approx(1000 * size / IOD, rel=0.05)
    assert math.isnan(picture.jitter(meshes(2)))


def test_steady_movement_is_no_jitter_and_does_not_hide_it():
    moving = meshes() + np.arange(FRAMES)[:, None, None] * [1.5, -0.5, 0]
    assert picture.jitter(moving) == pytest.approx(0, abs=1e-9)
    assert picture.jitter(noisy(moving, 0.2)) == pytest.approx(200 / IOD, rel=0.05)
    nodding = meshes(yaw=8 * np.sin(np.arange(FRAMES) / 8))
    assert picture.jitter(nodding) < 2


def test_a_face_that_grows_wider_drifts():
    wider = canonical_face() * [1.05, 1.0, 1.0]
    clip = np.concatenate([meshes(45), meshes(45, wider)])
    assert picture.shape_drift(shapes(meshes())) == pytest.approx(0, abs=1e-6)
    assert picture.shape_drift(shapes(clip)) == pytest.approx(
        picture.shape_distance(shapes(clip[:30]), shapes(clip)[-1])
    )
    assert 1 < picture.shape_drift(shapes(clip)) < 4


def test_turning_and_moving_lips_are_no_drift():
    assert picture.shape_drift(shapes(meshes(yaw=np.linspace(-15, 15, FRAMES)))) < 0.01
    talking = meshes()
    talking[60:, list(LIPS), 1] += 6
    assert picture.shape_drift(shapes(talking)) == pytest.approx(0, abs=0.01)


def test_another_person_is_farther_than_the_same():
    other = canonical_face().copy()
    other[:, 1] *= 1.12
    assert picture.shape_distance(shapes(noisy(meshes(), 0.3)), shapes(meshes())[0]) < 0.3
    assert picture.shape_distance(shapes(meshes(shape=other)), shapes(meshes())[0]) > 2


def test_sharpness_falls_with_blur_and_ignores_light():
    face = Face.of(meshes(1)[0])
    photo = picture.detail(textured(), face)
    sharp = [picture.sharpness(np.array([picture.detail(textured(blur=blur), face)]), photo) for blur in (0, 0.5, 2.0)]
    assert sharp[0] == pytest.approx(1)
    assert 1 > sharp[1] + 0.1 > sharp[2] + 0.2
    dim = (textured() * 0.6 + 20).astype(np.uint8)
    assert picture.sharpness(np.array([picture.detail(dim, face)]), photo) == pytest.approx(1, abs=0.05)


def test_sharpness_hardly_knows_size():
    """The same face, photographed at three times as many pixels."""
    large = cv2.resize(textured(), (768, 768), interpolation=cv2.INTER_CUBIC)
    photo = picture.detail(large, Face.of(3 * meshes(1)[0]))
    small = picture.detail(textured(), Face.of(meshes(1)[0]))
    assert picture.sharpness(np.array([small]), photo) == pytest.approx(1, abs=0.15)
    assert math.isnan(picture.detail(np.full((256, 256, 3), 90, np.uint8), Face.of(meshes(1)[0])))


def test_the_background_is_what_is_beside_the_head():
    background, face = picture.Background(), Face.of(meshes(1)[0] * 0.5)
    frame = textured()
    inside, outside = frame.copy(), frame.copy()
    inside[40:250, 40:90] += 60  # head, neck and chest
    outside[:, 200:] = (outside[:, 200:] * 0.5).astype(np.uint8)
    changes = [background.change(one, face) for one in (frame, frame, inside, outside)]
    assert changes[:3] == [0, 0, 0]
    assert changes[3] > 10
    assert math.isnan(background.change(frame, None))
    assert picture.background_change(np.array([0.0, 2.0, np.nan, 4.0])) == 2
    assert math.isnan(picture.background_change(np.array([np.nan])))


def test_a_head_that_fills_the_picture_has_no_background():
    assert math.isnan(
        picture.Background().change(textured(), Face.of((meshes(1)[0] - [128, 110, 0]) * 2 + [128, 128, 0]))
    )


def test_a_similarity_is_found():
    points = np.random.default_rng(0).normal(size=(9, 2))
    turn = 1.7 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    found = patches.similarity_matrix(points, points @ turn.T + [3, -2])
    assert found == pytest.approx(np.column_stack([turn, [3, -2]]))


def film(seed: int, eyes: bool, mouth: bool, points: np.ndarray) -> list[np.ndarray]:
    """A face on whose eyes or mouth the light flickers by seed."""
    levels = np.random.default_rng(seed).uniform(0.3, 1.0, size=len(points))
    frames = []
    for level, mesh_points in zip(levels, points, strict=True):
        frame = textured().astype(np.float32)
        for there, vertices in ((eyes, EYES["Left"].contour), (eyes, EYES["Right"].contour), (mouth, LIPS)):
            if there:
                area = np.zeros(frame.shape[:2], np.uint8)
                hull = cv2.convexHull(np.round(mesh_points[list(vertices), :2]).astype(np.int32))
                cv2.fillPoly(area, [hull], 1)
                frame[area > 0] *= level
        frames.append(frame.astype(np.uint8))
    return frames


def test_pixels_tell_which_region_changed():
    points = meshes(40)
    both = film(1, True, True, points)
    found = patches.pixel_changes(both, points, film(1, True, True, points), points)
    assert found == pytest.approx({"mouth": 0, "eyes": 0, "gaze": 0, "brows": math.nan}, nan_ok=True)  # they rest
    lips_alone = [np.where(_lower(one), two, one) for one, two in zip(both, film(2, True, True, points), strict=True)]
    found = patches.pixel_changes(both, points, lips_alone, points)
    assert found["eyes"] == found["gaze"] == 0
    assert found["mouth"] > 1


def _lower(frame: np.ndarray) -> np.ndarray:
    return (np.arange(len(frame)) > 125)[:, None, None]


def test_pixels_of_a_face_that_moves_along_are_the_same():
    """The second film is the first one, panned: its mesh takes the pan out."""
    points = meshes(40)
    one = film(1, True, True, points)
    panned = [np.roll(frame, 9, axis=1) for frame in one]
    found = patches.pixel_changes(one, points, panned, points + [9, 0, 0])
    assert max(found["mouth"], found["eyes"]) < 0.001


def test_similarity_of_embeddings_is_the_cosine():
    ones = np.eye(3)[[0, 0, 1]]
    assert identity.similarity(ones, np.array([1.0, 0, 0])) == pytest.approx(2 / 3)
    assert math.isnan(identity.similarity(np.zeros((0, 3)), np.ones(3)))


def test_arcface_gets_its_eyes_where_it_wants_them(tmp_path):
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    pool = helper.make_node("GlobalAveragePool", ["x"], ["y"])
    flat = helper.make_node("Flatten", ["y"], ["z"])
    graph = helper.make_graph(
        [pool, flat],
        "mean colour",
        [helper.make_tensor_value_info("x", kind, [None, 3, 112, 112])],
        [helper.make_tensor_value_info("z", kind, [None, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / identity.FILE))
    face, red = Face.of(meshes(1)[0]), np.zeros((256, 256, 3), np.uint8)
    red[..., 0] = 255
    network = identity.ArcFace(tmp_path / identity.FILE)
    assert network.embed(red, face) == pytest.approx(np.array([1, -1, -1]) / math.sqrt(3), abs=1e-4)
    dotted = np.zeros((256, 256, 3), np.uint8)
    for vertex in (468, 473):
        cv2.circle(dotted, tuple(np.round(face.points[vertex, :2]).astype(int)), 3, (255, 255, 255), -1)
    rows, columns = np.nonzero(identity.aligned(dotted, face)[..., 0] > 100)
    left, right = columns < 56, columns > 56
    for side, (x, y) in zip((left, right), identity.TEMPLATE[:2], strict=True):
        assert (columns[side].mean(), rows[side].mean()) == pytest.approx((x, y), abs=4)


def test_arcface_is_only_used_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "HOME", tmp_path)
    assert identity.find_arcface() is None
    (tmp_path / "buffalo_l").mkdir()
    (tmp_path / "buffalo_l" / identity.FILE).write_bytes(b"no network")
    assert identity.find_arcface() == tmp_path / "buffalo_l" / identity.FILE
    with pytest.raises(InputError, match="is not an ONNX network"):
        identity.ArcFace(identity.find_arcface())


def test_steady_points_leave_out_what_speaks():
    assert not {*STEADY} & {*LIPS}
