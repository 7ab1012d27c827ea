"""Two signals at once, and a voice alone: measures with known answers, and the shipped model's control."""

from pathlib import Path

import numpy as np
import pytest

from actalker.config import COEFFICIENTS, INDEX, REGIONS
from actalker.evaluate.lips import opening
from actalker.pipelines.embedded import EmbeddedPipeline
from actalker.signals.audio import RATE
from actalker.signals.media import read_audio
from actalker.training import behaviour

WELCOME = Path(__file__).parents[1] / "assets/speech/welcome.wav"
MOUTH = slice(0, len(REGIONS["mouth"]))


@pytest.fixture
def sway() -> np.ndarray:
    """Twenty seconds of a head that sways slowly about its place, and of lids that tremble."""
    times = np.arange(500) / 25
    motion = np.zeros((500, len(COEFFICIENTS)))
    for number, column in enumerate(behaviour.HEAD):
        motion[:, column] = np.sin(2 * np.pi * times + number)
    motion[:, INDEX["eyeBlinkLeft"]] = 0.1 * np.sin(9 * times)
    return motion


def test_drift_is_what_the_head_wanders(sway: np.ndarray) -> None:
    assert behaviour._drift(sway) < 0.1
    sway[:, INDEX["headPitch"]] += np.linspace(0, 6, 500)
    assert behaviour._drift(sway) == pytest.approx(4, abs=0.1)


def test_a_jolt_at_a_seam_is_seen(sway: np.ndarray) -> None:
    joined = np.arange(200, 224)
    assert behaviour._seam_jerk(sway, joined) == pytest.approx(1, abs=0.1)
    sway[212:, INDEX["headYaw"]] += 1
    assert behaviour._seam_jerk(sway, joined) > 2
    assert behaviour._seam_jerk(sway, np.arange(300, 324)) < 1


def test_unlike_tells_equal_heads_from_independent_ones(sway: np.ndarray) -> None:
    assert behaviour._unlike(sway, sway) == 0
    assert behaviour._unlike(sway, np.roll(sway, 6, axis=0)) == pytest.approx(2**0.5, abs=0.1)


def test_the_shipped_model_lets_each_signal_move_its_own(real_voice: np.ndarray) -> None:
    met = behaviour._meet(EmbeddedPipeline(), real_voice, np.random.default_rng(2))  # a driver whose every region moves
    assert np.array_equal(met.joint[:, MOUTH], met.replaced[:, MOUTH])
    assert not np.allclose(met.joint[:, behaviour.HEAD], met.replaced[:, behaviour.HEAD], atol=0.1)
    assert behaviour._mouth_follows_voice([met]) > 0.95
    assert all(behaviour._follows_clip(region)([met]) > 0.95 for region in ("eyes", "gaze", "brows", "head"))
    assert np.ptp(opening(met.joint)) > 0.1


@pytest.fixture(scope="module")
def real_voice() -> np.ndarray:
    """Four seconds of the example speech."""
    return read_audio(WELCOME, RATE)[: 4 * RATE]
