"""What is scored has the length of its sound; the baselines know what they say they know."""

from pathlib import Path

import numpy as np
import pytest

from actalker.config import COEFFICIENTS
from actalker.evaluate.lips import loudness, opening
from actalker.pipelines.embedded import EmbeddedPipeline
from actalker.signals.audio import RATE, read_speech
from actalker.training.alignment import Recording
from actalker.training.predictors import elsewhere, fit_loudness, regressed, sampled, shuffled
from actalker.training.visemes import MOUTH

SPEECH = Path(__file__).parents[1] / "assets" / "speech" / "welcome.wav"


@pytest.fixture(scope="module")
def pipeline() -> EmbeddedPipeline:
    return EmbeddedPipeline()


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return read_speech(SPEECH).samples[: int(1.23 * RATE)]


def test_model_speaks_as_long_as_the_sound(pipeline, samples):
    predict = sampled(pipeline, seed=0)
    motion = predict(samples)
    assert motion.shape == (31, len(COEFFICIENTS))
    assert np.array_equal(motion, predict(samples))
    assert not np.array_equal(motion, sampled(pipeline, seed=1)(samples))


def test_regression_head_says_nearly_what_samples_say(pipeline, samples):
    mouth = regressed(pipeline)(samples)
    assert mouth.shape == (31, len(MOUTH))
    mean = np.mean([sampled(pipeline, seed=seed)(samples) for seed in range(4)], axis=0)
    assert np.corrcoef(opening(mouth), opening(mean))[0, 1] > 0.8


def buzzing(levels: list[float]) -> np.ndarray:
    """Noise, a second of each level."""
    noise = np.random.default_rng(0).normal(size=RATE * len(levels))
    return (noise * np.repeat(levels, RATE)).astype(np.float32)


def test_loudness_is_relative_to_the_loud_end():
    heard = loudness(buzzing([0.1, 0.01]))
    assert heard.shape == (50,)
    assert heard[5:20].min() > 0.7
    assert heard[30:].max() < 0.1
    assert loudness(buzzing([0.02, 0.002])) == pytest.approx(heard, abs=0.01)


def test_loudness_baseline_opens_the_jaw_where_it_is_loud():
    samples = buzzing([0.1, 0.005, 0.1, 0.005])
    phones = [(0.0, 1.0, "AA"), (1.0, 2.0, "SIL"), (2.0, 3.0, "AA"), (3.0, 4.0, "SIL")]
    predict = fit_loudness([Recording.of("made", samples, phones)])
    motion = predict(samples)
    assert motion.shape == (100, len(MOUTH))
    assert np.ptp(motion[:, 1:]) == 0
    assert opening(motion)[5:20].min() > 0.4
    assert opening(motion)[30:45].max() < 0.2


def test_shuffled_speech_is_always_another_recordings():
    motions = [np.full((frames, 19), number) for number, frames in enumerate((5, 2, 9))]
    for number, (own, other) in enumerate(zip(motions, shuffled(motions), strict=True)):
        assert other.shape == own.shape
        assert number not in other
    assert elsewhere([motions[1]], 5).shape == (5, 19)
