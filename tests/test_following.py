"""Following and control: known answers on constructed motion, and known disturbances."""

import math

import numpy as np
import pytest

from actalker.config import COEFFICIENTS, INDEX, PRESETS, REGIONS
from actalker.evaluate import control, following

FRAMES = 250


def wave(seed: int, size: float = 1.0, width: float = 4.0) -> np.ndarray:
    """(t,) smooth random movement of standard deviation `size`."""
    bell = np.exp(-0.5 * (np.arange(-20, 21) / width) ** 2)
    curve = np.convolve(np.random.default_rng(seed).normal(size=FRAMES + 40), bell, "valid")
    return size * (curve - curve.mean()) / curve.std()


def acting(seed: int = 0) -> np.ndarray:
    """(t, 38) everything moves on its own; the lids blink four times."""
    motion = np.zeros((FRAMES, len(COEFFICIENTS)))
    for number, name in enumerate(COEFFICIENTS):
        motion[:, number] = wave(100 * seed + number, 6.0 if name in following.ANGLES else 0.15)
    lids = sum(np.exp(-0.5 * ((np.arange(FRAMES) - centre) / 1.5) ** 2) for centre in (30, 90, 150, 220))
    motion[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = lids[:, None]
    return motion


def with_column(motion: np.ndarray, name: str, values: np.ndarray | float) -> np.ndarray:
    changed = motion.copy()
    changed[:, INDEX[name]] = values
    return changed


def test_a_driver_follows_itself():
    driver = acting()
    assert following.pose_error_degrees(driver, driver) == pytest.approx(0, abs=1e-5)
    assert following.lag_ms(driver, driver) == pytest.approx(0, abs=1e-6)
    assert set(following.coefficient_correlations(driver, driver)) == set(COEFFICIENTS)
    assert min(following.coefficient_correlations(driver, driver).values()) == pytest.approx(1)
    assert max(following.coefficient_errors(driver, driver).values()) == 0
    assert following.blink_hit(driver, driver) == 1
    assert following.false_blinks(driver, driver) == 0


def test_the_pose_error_is_the_angle_between_the_heads():
    still = np.zeros((FRAMES, len(COEFFICIENTS)))
    turns = np.where(np.arange(FRAMES) < 150, 0.0, 10.0)  # rests at 0 for most of the time
    for name in following.ANGLES:
        assert following.pose_error_degrees(with_column(still, name, turns), still) == pytest.approx(4.0, abs=0.05)


def test_another_camera_angle_is_no_pose_error():
    driver = with_column(np.zeros((FRAMES, len(COEFFICIENTS))), "headYaw", wave(1, 6.0))
    turned = with_column(driver, "headYaw", driver[:, INDEX["headYaw"]] + 12.0)
    assert following.pose_error_degrees(turned, driver) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("frames", [-2, 3])
def test_a_delay_is_the_lag(frames):
    driver = acting()
    delayed = driver[np.clip(np.arange(FRAMES) - frames, 0, FRAMES - 1)]
    assert following.lag_ms(delayed, driver) == pytest.approx(40 * frames, abs=3)
    assert following.pose_error_degrees(delayed, driver) > 2
    assert following.coefficient_correlations(delayed, driver)["headYaw"] < 0.97


def test_half_the_movement_correlates_but_errs():
    driver = acting()
    halved = 0.5 * driver
    assert following.coefficient_correlations(halved, driver)["headYaw"] == pytest.approx(1)
    yaw = driver[:, INDEX["headYaw"]]
    expected = 0.5 * np.abs(yaw - yaw.mean()).mean()
    assert following.coefficient_errors(halved, driver)["headYaw"] == pytest.approx(expected)


def test_what_the_driver_does_not_move_is_not_compared():
    driver = np.zeros((FRAMES, len(COEFFICIENTS)))
    assert following.coefficient_correlations(acting(), driver) == {}
    assert math.isnan(following.lag_ms(acting(), driver))
    assert math.isnan(following.lag_ms(driver, acting()))
    assert math.isnan(following.region_correlation(acting(), driver, "brows"))
    assert math.isnan(following.blink_hit(acting(), driver))


def test_a_region_counts_by_what_moves_most_in_it():
    driver = np.zeros((FRAMES, len(COEFFICIENTS)))
    driver = with_column(with_column(driver, "jawOpen", wave(1, 0.3)), "mouthPucker", wave(2, 0.1))
    result = with_column(driver, "mouthPucker", 0.0)
    assert following.region_correlation(result, driver, "mouth") == pytest.approx(0.75)
    assert following.region_correlation(acting(7), acting(), "brows") == pytest.approx(0, abs=0.25)


def test_blinks_are_hit_missed_and_made_up():
    driver = acting()
    late = with_column(driver, "eyeBlinkLeft", np.roll(driver[:, INDEX["eyeBlinkLeft"]], 25))
    late = with_column(late, "eyeBlinkRight", late[:, INDEX["eyeBlinkLeft"]])
    assert len(following.blinks(driver)) == 4
    assert following.blink_hit(late, driver) == 0
    assert following.false_blinks(late, driver) == pytest.approx(4 / (FRAMES / 25 / 60))
    two = driver.copy()
    two[120:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = 0
    assert following.blink_hit(two, driver) == 0.5
    assert following.false_blinks(two, driver) == 0


def test_lids_that_shut_by_half_still_blink():
    driver = acting()
    assert following.blink_hit(0.5 * driver, driver) == 1
    assert following.blink_hit(0.1 * driver, driver) == 0


def test_a_longer_result_is_compared_up_to_the_drivers_end():
    driver = acting()
    longer = np.concatenate([driver, acting(3)])
    assert following.pose_error_degrees(longer, driver) == pytest.approx(0, abs=1e-5)


def test_a_change_is_0_for_the_same_and_2_for_the_unrelated():
    one = acting()
    for region in REGIONS:
        assert control.change(one, one, region) == 0
        if region != "eyes":  # whose blinks come at the same times
            assert control.change(one, acting(5), region) == pytest.approx(2, abs=0.8)
    assert math.isnan(control.change(0 * one, 0 * one, "mouth"))


def test_a_change_of_known_size():
    """A tenth of another movement of equal size is added: 0.01 over the mean of 1 and 1.01."""
    one = np.zeros((FRAMES, len(COEFFICIENTS)))
    one = with_column(one, "jawOpen", wave(1, 0.3))
    other = with_column(one, "jawOpen", wave(1, 0.3) + wave(2, 0.03))
    correlated = 2 * np.cov(wave(1, 0.3), wave(2, 0.03))[0, 1] / 0.09
    assert control.change(one, other, "mouth") == pytest.approx(0.01 / (1.005 + correlated / 2), rel=0.01)
    assert control.change(one, other + 5.0, "mouth") == pytest.approx(control.change(one, other, "mouth"))


def test_degrees_and_eye_distances_weigh_alike():
    still = np.zeros((FRAMES, len(COEFFICIENTS)))
    turning, shifting = with_column(still, "headYaw", wave(1, 6.0)), with_column(still, "headX", wave(1, 0.2))
    assert control.change(turning + shifting, shifting, "head") == pytest.approx(
        control.change(turning + shifting, turning, "head")
    )


def test_leaks_are_those_of_regions_that_do_not_listen():
    joint, one = PRESETS["joint"], acting()
    other = acting(9)
    other[:, : len(REGIONS["mouth"])] = one[:, : len(REGIONS["mouth"])]
    assert control.leaks(one, other, joint, "video") == {"mouth": 0}
    found = control.leaks(one, other, joint, "audio")
    assert set(found) == {"eyes", "gaze", "brows", "head"}
    assert found["brows"] > 1


def test_conflicts_are_those_of_regions_that_follow_the_signal():
    joint, one = PRESETS["joint"], acting()
    noisy = one.copy()
    noisy[:, INDEX["jawOpen"]] += wave(77, 0.05)
    assert control.conflicts(noisy, one, joint, "video") == dict.fromkeys(("eyes", "gaze", "brows", "head"), 0)
    conflict = control.conflicts(noisy, one, joint, "audio")
    assert conflict["mouth"] == pytest.approx(0.05**2 / (19 * 0.15**2), rel=0.2)
