"""Measured motion: known coefficients come back from meshes and frames; time is handled to the frame."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from actalker.config import COEFFICIENTS, INDEX, REGIONS
from actalker.errors import InputError
from actalker.signals import fit, mesh
from actalker.signals import motion as motions
from actalker.signals.face import FaceTracker
from actalker.signals.motion import Motion, measure_motion, motion_in_parts, motion_of, track
from actalker.signals.rig import Rig, head_rotation, neck_pivot
from actalker.training.scoring import opening

PHOTO = Path(__file__).parents[1] / "assets/faces/astronaut.jpg"
FPS = 25.0


def bump(frames, centre, width):
    """(frames,) rises from 0 to 1 and falls again around `centre`."""
    return np.exp(-0.5 * ((np.arange(frames) - centre) / width) ** 2)


def acted(frames=100, **curves):
    """Meshes (t, 478, 3) px of a face that does what `curves` say, in front of a camera at rest."""
    slack = Rig(mesh.canonical_face() * 140 + (260, 240, 0))
    rig = Rig(slack.to_image(slack.neutral + slack.seal))
    values = np.zeros((frames, len(COEFFICIENTS)))
    for name, curve in curves.items():
        values[:, INDEX[name]] = curve
    head = values[:, [INDEX[name] for name in REGIONS["head"]]]
    pivot = rig.to_image(neck_pivot(rig.neutral)[None])
    meshes = []
    for row, (yaw, pitch, roll, x, y, z) in zip(values, head, strict=True):
        points = (rig.to_image(rig.deform(row)) - pivot) * (1 + z)
        meshes.append(points @ head_rotation(yaw, pitch, roll).T + pivot + rig.scale * np.array([x, y, 0]))
    return np.array(meshes)


def tracked(meshes):
    """What the face mesh makes of lips: half of their sideways motion, no depth, and small gaps that stick together."""
    seen = meshes.copy()
    lips = list(mesh.LIPS)
    seen[:, lips] = meshes[0, lips] + (meshes[:, lips] - meshes[0, lips]) * (0.5, 1, 0)
    gap = fit.lip_gap(seen) / 140
    seen[:, fit.LOWER_LIP, 1] -= 140 * np.where(gap < 0.045, gap - gap**2 / 0.045, 0)[:, None]
    return seen


def measured(meshes, name):
    return fit.coefficients(meshes, FPS)[:, INDEX[name]]


def test_a_face_at_rest_measures_zero():
    values = fit.coefficients(acted(), FPS)
    assert np.abs(values).max() < 0.02


@pytest.mark.parametrize("name", ["headYaw", "headPitch", "headRoll", "headX", "headY", "headZ"])
def test_pose_is_relative_to_the_usual_pose(name):
    size = {"headX": 0.2, "headY": 0.15, "headZ": 0.1}.get(name, 12.0)
    curve = size * bump(100, 30, 6) - size * bump(100, 70, 4)
    expected = curve * fit.GAINS.get(name, 1.0)
    tilted = acted(**{name: curve, "jawOpen": 0.6 * bump(100, 50, 8)})
    np.testing.assert_allclose(measured(tilted, name), expected, atol=0.03 * size)


def test_usual_pose_is_the_median_and_not_the_first_frame():
    curve = np.where(np.arange(100) < 10, 15.0, 0.0)
    yaw = measured(acted(headYaw=curve), "headYaw")
    assert np.abs(yaw[20:]).max() < 0.2
    assert yaw[:8].min() > 14


@pytest.mark.parametrize(
    "name",
    ["jawOpen", "jawLeft", "mouthSmileLeft", "mouthSmileRight", "mouthPucker", "mouthStretch", "browInnerUp"],
)
def test_shapes_come_back(name):
    curve = 0.6 * bump(100, 50, 10)
    values = fit.coefficients(acted(**{name: curve, "headYaw": 8 * bump(100, 40, 15)}), FPS)
    assert np.corrcoef(values[:, INDEX[name]], curve)[0, 1] > 0.97
    assert values[50, INDEX[name]] > 0.35
    assert values[0, INDEX[name]] < 0.05


def test_neutral_is_not_the_first_frame():
    """A clip that starts with an open, smiling mouth still measures its closed mouth as rest."""
    curve = np.where(np.arange(100) < 25, 0.6, 0.0)
    meshes = acted(jawOpen=curve, mouthSmileLeft=curve)
    assert measured(meshes, "jawOpen")[:25].min() > 0.4
    assert np.abs(measured(meshes, "jawOpen")[30:]).max() < 0.05
    assert np.abs(measured(meshes, "mouthSmileLeft")[30:]).max() < 0.05


def test_full_blink_reads_one_and_its_onset_does_not_move():
    curve = bump(100, 40, 2)
    blink = measured(acted(eyeBlinkLeft=curve, eyeBlinkRight=curve), "eyeBlinkLeft")
    assert blink[40] > 0.9
    assert np.argmax(np.correlate(blink, curve, "full")) == 99  # no delay
    assert np.abs(blink[55:]).max() < 0.05


def test_one_eye_blinks_alone():
    values = fit.coefficients(acted(eyeBlinkRight=bump(100, 40, 2)), FPS)
    assert values[40, INDEX["eyeBlinkRight"]] > 0.9
    assert values[40, INDEX["eyeBlinkLeft"]] < 0.1


def test_eyes_narrowed_by_a_smile_do_not_blink():
    smiling = np.where(np.arange(150) > 50, 1.0, 0.0)
    meshes = acted(150, eyeSquintLeft=smiling, eyeSquintRight=smiling, mouthSmileLeft=smiling, mouthSmileRight=smiling)
    values = fit.coefficients(meshes, FPS)
    assert values[80:, INDEX["eyeBlinkLeft"]].max() < 0.15
    assert values[80:, INDEX["eyeSquintLeft"]].min() > 0.5


def test_gaze_is_carried_through_a_blink():
    look = np.where(np.arange(100) > 20, 0.5, 0.0)
    shut = bump(100, 60, 2)
    meshes = acted(gazeX=look, eyeBlinkLeft=shut, eyeBlinkRight=shut)
    meshes[58:63, mesh.SKIN_VERTICES :, 0] += 30  # the mesh guesses hidden irises badly
    gaze = measured(meshes, "gazeX")
    assert np.ptp(gaze[30:]) < 0.1
    assert gaze[40] - gaze[0] == pytest.approx(0.5, abs=0.1)


def test_touching_lips_stay_touching():
    curve = 0.5 * bump(100, 50, 10)
    values = fit.coefficients(acted(jawOpen=curve, mouthClose=curve), FPS)
    assert values[50, INDEX["mouthClose"]] == pytest.approx(values[50, INDEX["jawOpen"]], abs=0.05)


@pytest.mark.parametrize("jaw", [0.05, 0.08, 0.12, 0.16, 0.25])
def test_small_openings_come_back(jaw):
    wide = 0.6 * bump(100, 20, 4)
    values = fit.coefficients(tracked(acted(jawOpen=wide + jaw * bump(100, 60, 6))), FPS)
    assert opening(values)[60] == pytest.approx(jaw, abs=0.02)
    assert np.abs(opening(values)[80:]).max() < 0.02


def test_rounded_lips_do_not_read_as_an_open_jaw():
    rounded = 0.6 * bump(100, 50, 8)
    values = fit.coefficients(tracked(acted(mouthFunnel=rounded, mouthPucker=rounded / 2)), FPS)
    assert values[50, INDEX["mouthFunnel"]] > 0.3
    assert opening(values).max() < 0.12


def test_lips_that_touch_are_not_parted_by_anything():
    curve = 0.5 * bump(100, 50, 10)
    meshes = acted(jawOpen=curve, mouthClose=curve, mouthFunnel=curve)
    upper, lower = list(mesh.LIPS_INNER_UPPER), list(mesh.LIPS_INNER_LOWER)
    meshes[:, lower, 1] = meshes[:, upper, 1]
    rig = Rig(meshes[0])
    gap = fit.lip_gap(np.array([rig.deform(row) for row in fit.coefficients(meshes, FPS)]))
    assert gap.min() > -0.001
    assert gap.max() < fit.GAP_SLACK + 0.005


def test_frames_of_a_photo_are_measured_and_gaps_filled():
    photo = np.array(Image.open(PHOTO).convert("RGB").reduce(2))
    blank = np.full_like(photo, 128)
    shifts = 12 * np.sin(np.arange(12) / 4)
    frames = [
        cv2.warpAffine(
            photo, np.array([[1.0, 0, shift], [0, 1, 0]]), photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
        )
        for shift in shifts
    ]
    told = []
    whole = measure_motion(iter(frames), FPS, told.append)
    with_gap = measure_motion([*frames[:7], blank, blank, *frames[9:]], FPS)
    assert told == list(range(1, 13))
    assert (whole.filled, with_gap.filled) == (0, 2)
    assert whole.values.shape == with_gap.values.shape == (12, len(COEFFICIENTS))
    assert np.isfinite(with_gap.values).all()
    assert np.corrcoef(whole.column("headX"), shifts)[0, 1] > 0.98
    assert np.abs(with_gap.column("headX") - whole.column("headX")).max() < 0.06


@pytest.fixture(scope="module")
def long_clip():
    """Meshes of 24 s: a jaw that moves, blinks every two seconds, and three times no face."""
    at = np.arange(600)
    blinks = sum(bump(600, middle, 2) for middle in range(30, 600, 50))
    meshes = tracked(acted(600, jawOpen=0.3 + 0.3 * np.sin(at / 7), eyeBlinkLeft=blinks, eyeBlinkRight=blinks))
    for gap in (slice(0, 4), slice(205, 230), slice(590, 600)):
        meshes[gap] = np.nan
    return meshes


def test_motion_is_told_part_after_part_and_the_same(long_clip, monkeypatch):
    taken, ready, parts = [], [], []
    for part in motion_in_parts((taken.append(face) or face for face in long_clip), FPS):
        ready.append((len(taken), len(part)))
        parts.append(part)
    assert ready == [(279, 243), (379, 100), (479, 100), (579, 100), (600, 57)]
    told = Motion.joined(parts)
    assert told.filled == 39
    monkeypatch.setattr(motions, "PART_SECONDS", 1000)
    assert np.allclose(Motion.joined(motion_in_parts(long_clip, FPS)).values, told.values, atol=1e-6)


def test_the_end_of_a_clip_does_not_change_its_beginning(long_clip):
    whole, most = (Motion.joined(motion_in_parts(meshes, FPS)) for meshes in (long_clip, long_clip[:450]))
    assert np.array_equal(whole.values[:400], most.values[:400])


def test_who_can_wait_learns_what_is_usual_from_all_of_a_clip():
    grinning = tracked(acted(600, mouthSmileLeft=(np.arange(600) < 400) * 0.8, jawOpen=(np.arange(600) < 400) * 0.3))
    in_time = Motion.joined(motion_in_parts(grinning, FPS)).column("mouthSmileLeft")
    whole = motion_of(grinning, FPS).column("mouthSmileLeft")
    assert in_time[:390].max() < 0.1
    assert whole[:390].min() > 0.5


def test_looking_a_frame_ahead_changes_nothing():
    photo = np.array(Image.open(PHOTO).convert("RGB").reduce(2))
    frames = [np.roll(photo, shift, axis=1) for shift in range(-60, 61, 12)]  # its window follows it
    frames[5] = np.full_like(photo, 128)
    with FaceTracker() as tracker:
        one_by_one = [tracker.points(frame) for frame in frames]
    assert one_by_one[5] is None
    ahead = np.array(list(track(iter(frames))))
    assert np.isnan(ahead[5]).all()
    for seen, expected in zip(np.delete(ahead, 5, axis=0), one_by_one[:5] + one_by_one[6:], strict=True):
        np.testing.assert_array_equal(seen, expected)


def test_no_face_at_all_is_one_sentence():
    frames = [np.full((120, 160, 3), 90, np.uint8)] * 5
    with pytest.raises(
        InputError, match=r"^No face was found in any of the 5 frames of cat.mp4; use a clip that shows one face.$"
    ):
        measure_motion(frames, FPS, name="cat.mp4")


def ramp(frames=20, fps=25.0):
    values = np.zeros((frames, len(COEFFICIENTS)), np.float32)
    values[:, 0] = np.arange(frames)
    return Motion(values, fps, filled=3)


@pytest.mark.parametrize("fps", [10.0, 24.0, 30000 / 1001, 60.0])
def test_resampling_keeps_length_and_shape(fps):
    motion = ramp(100)
    other = motion.resampled(fps)
    assert len(other) == round(4 * fps)
    middle = slice(5, -5)
    at = (np.arange(len(other)) + 0.5) / fps  # seconds in the middle of each frame
    np.testing.assert_allclose(other.values[middle, 0], (at * 25 - 0.5)[middle], atol=1e-3)
    assert len(motion.resampled(fps, 77)) == 77
    assert other.filled == 3


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("pingpong", [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]),
        ("loop", [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]),
        ("hold", [0, 1, 2, *[3] * 7]),
    ],
)
def test_extension_is_exact(how, expected):
    motion = ramp(4)
    assert motion.extended(10, how).values[:, 0].tolist() == expected
    assert motion.extended(3, how).values[:, 0].tolist() == [0, 1, 2]
    assert motion.resampled(25.0, 1).extended(4, how).values[:, 0].tolist() == [0] * 4


def test_unknown_extension_is_refused():
    with pytest.raises(InputError, match="choose pingpong, loop or hold"):
        ramp().extended(30, "backwards")


def test_save_and_load(tmp_path):
    motion = Motion(np.random.default_rng(0).normal(size=(9, len(COEFFICIENTS))).astype(np.float32), 30000 / 1001, 2)
    motion.save(tmp_path / "motion.npz")
    loaded = Motion.load(tmp_path / "motion.npz")
    np.testing.assert_array_equal(loaded.values, motion.values)
    assert (loaded.fps, loaded.filled, loaded.names) == (motion.fps, 2, COEFFICIENTS)
    assert loaded.seconds == pytest.approx(9 * 1001 / 30000)


def test_load_puts_columns_in_order(tmp_path):
    np.savez(tmp_path / "old.npz", values=np.array([[1.0, 2.0]]), names=["headYaw", "jawOpen"], fps=25)
    loaded = Motion.load(tmp_path / "old.npz")
    assert (loaded.column("headYaw")[0], loaded.column("jawOpen")[0], loaded.values.sum()) == (1, 2, 3)


def test_load_refuses_other_files(tmp_path):
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", a=1)
    for name in ("text.npz", "other.npz", "missing.npz"):
        with pytest.raises(InputError, match="is not a motion file"):
            Motion.load(tmp_path / name)
