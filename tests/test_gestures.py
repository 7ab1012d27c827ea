"""Invented motion is smooth, in range, reproducible, lively with a voice and calm without."""

import numpy as np
import pytest

from actalker.config import COEFFICIENTS, INDEX, REGIONS, SIGNED
from actalker.training.gestures import accompany, driver, loudness, measured

FPS = 25.0
FIRST = len(REGIONS["mouth"])
MESH = [i for i, name in enumerate(COEFFICIENTS) if name not in REGIONS["head"]]
UNSIGNED = [i for i, name in enumerate(COEFFICIENTS) if name not in SIGNED]
HEAD = [INDEX[name] for name in REGIONS["head"]]


def syllables(frames: int) -> np.ndarray:
    """Loudness like speech: four syllables a second."""
    return (0.65 + 0.35 * np.sin(2 * np.pi * 4 * np.arange(frames) / FPS)).astype(np.float32)


def column(motion: np.ndarray, name: str) -> np.ndarray:
    return motion[:, INDEX[name] - FIRST]


def test_loudness_of_a_tone_between_silences() -> None:
    samples = np.zeros(3 * 16000, np.float32)
    samples[16000:32000] = 0.1 * np.sin(np.arange(16000) * 0.2)
    level = loudness(samples, 75, FPS)
    assert level.shape == (75,)
    assert level[30:45].min() > 0.9
    assert level[:20].max() == 0
    assert loudness(0 * samples, 75, FPS).max() == 0


@pytest.mark.parametrize("frames", [0, 1, 7, 250])
def test_shapes(frames: int) -> None:
    rng = np.random.default_rng(0)
    assert accompany(np.zeros(frames), FPS, rng).shape == (frames, 19)
    assert driver(frames, FPS, rng).shape == (frames, 38)
    assert measured(np.zeros((frames, 38), np.float32), rng).shape == (frames, 38)


def test_same_generator_same_motion() -> None:
    first, second = (driver(100, FPS, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first, second)


def test_blinks_close_both_lids_every_few_seconds() -> None:
    motion = accompany(syllables(1500), FPS, np.random.default_rng(1))
    left = column(motion, "eyeBlinkLeft")
    closed = np.flatnonzero((left[1:-1] > 0.8) & (left[1:-1] >= left[:-2]) & (left[1:-1] > left[2:]))
    assert np.array_equal(left, column(motion, "eyeBlinkRight"))
    assert np.all(np.diff(closed) >= 2 * FPS - 1)
    assert np.all(np.diff(closed) <= 5 * FPS + 1)


def test_lids_often_close_where_a_phrase_ends() -> None:
    """Two seconds of speech, then silence: the share of drawn faces whose lids close within half a second of a time."""
    level = np.concatenate([syllables(50), np.zeros(50)])
    drawn = (column(accompany(level, FPS, np.random.default_rng(seed)), "eyeBlinkLeft") for seed in range(300))
    closed = np.array([track > 0.8 for track in drawn])
    before, after = closed[:, 25:35].any(1).mean(), closed[:, 50:60].any(1).mean()
    assert after > 0.45
    assert before < 0.25


def test_a_tracker_sees_nearly_the_whole_motion() -> None:
    motion = np.ones((50, 38)) * 0.5
    sizes = np.concatenate([measured(motion, np.random.default_rng(seed)).mean(0)[MESH] for seed in range(20)])
    assert abs(np.median(sizes) / 0.5 - 1) < 0.03
    assert 0.04 < np.std(sizes / 0.5) < 0.08


def test_head_moves_with_a_voice_and_is_calm_without() -> None:
    rng = np.random.default_rng(2)
    for name, least in (("headYaw", 1.6), ("headPitch", 1.1), ("headRoll", 0.9)):
        speaking = np.concatenate([column(accompany(syllables(250), FPS, rng), name) for _ in range(12)])
        silent = np.concatenate([column(accompany(np.zeros(250), FPS, rng), name) for _ in range(12)])
        assert speaking.std() > least
        assert silent.std() < 0.5 * speaking.std()


def test_brows_rise_only_with_a_voice() -> None:
    rng = np.random.default_rng(3)
    assert column(accompany(syllables(500), FPS, rng), "browInnerUp").max() > 0.1
    assert column(accompany(np.zeros(500), FPS, rng), "browInnerUp").max() == 0


def test_drivers_cover_the_range_and_stay_in_it() -> None:
    rng = np.random.default_rng(5)
    motion = np.concatenate([driver(250, FPS, rng) for _ in range(60)])
    assert np.abs(motion[:, MESH]).max() <= 1
    assert motion[:, UNSIGNED].min() >= 0
    for name, reach in (("headYaw", 17), ("headPitch", 12), ("headRoll", 12), ("gazeX", 0.5)):
        assert motion[:, INDEX[name]].max() > reach
        assert motion[:, INDEX[name]].min() < -reach
    for name in ("jawOpen", "mouthSmileLeft", "mouthPucker", "eyeBlinkLeft", "browDownLeft", "browInnerUp"):
        assert motion[:, INDEX[name]].max() > 0.7


def test_a_driver_says_what_it_is_given() -> None:
    mouth = np.zeros((200, FIRST), np.float32)
    mouth[:, INDEX["jawOpen"]] = syllables(200) * 0.5
    jaw = driver(200, FPS, np.random.default_rng(6), mouth)[:, INDEX["jawOpen"]]
    assert np.corrcoef(jaw, mouth[:, INDEX["jawOpen"]])[0, 1] > 0.95


def test_motion_has_no_jumps() -> None:
    """At ten times the frame rate a smooth motion moves a tenth as far per frame; a jump would stay as large."""
    for seed in range(10):
        motion = driver(1000, 10 * FPS, np.random.default_rng(seed))
        assert np.abs(np.diff(motion[:, MESH], axis=0)).max() < 0.15
        assert np.abs(np.diff(motion[:, HEAD], axis=0)).max() < 1.5
        voice = accompany(np.repeat(syllables(100), 10), 10 * FPS, np.random.default_rng(seed))
        assert np.abs(np.diff(voice, axis=0)).max() < 0.25


def test_a_tracker_sees_nearly_the_same() -> None:
    rng = np.random.default_rng(7)
    truth = np.concatenate([driver(250, FPS, rng) for _ in range(20)])
    seen = np.concatenate([measured(part, rng) for part in np.split(truth, 20)])
    assert not np.array_equal(truth, seen)
    assert seen[:, UNSIGNED].min() >= 0
    for name, least in (("headYaw", 0.97), ("headRoll", 0.97), ("jawOpen", 0.9), ("eyeBlinkLeft", 0.85)):
        assert np.corrcoef(truth[:, INDEX[name]], seen[:, INDEX[name]])[0, 1] > least
