"""Phone evidence: shares that add up, silence that is silence, and the same whatever the recording level."""

from pathlib import Path

import numpy as np
import pytest

from actalker.signals import media
from actalker.signals.audio import hear
from actalker.signals.phones import CHANNELS, CLASSES, acoustic_model, evidence

VOICE = Path(__file__).parents[1] / "assets/speech/welcome.wav"
SILENCE = 0


@pytest.fixture(scope="module")
def voice():
    return media.read_audio(VOICE, 16000)


@pytest.fixture(scope="module")
def heard(voice):
    return evidence(voice)


def test_each_half_is_made_of_shares(heard, voice):
    assert heard.shape == (-(-len(voice) // 160), CHANNELS)
    assert heard.dtype == np.float32
    for half in (heard[:, : len(CLASSES)], heard[:, len(CLASSES) :]):
        assert np.allclose((half**2).sum(axis=1), 1, atol=1e-5)


def test_pauses_are_silent_and_speech_is_not(heard):
    assert (heard[:15, SILENCE] > 0.9).all()
    assert (heard[-15:, SILENCE] > 0.9).all()
    assert (heard[50:650, SILENCE] > 0.9).mean() < 0.25
    faint = np.random.default_rng(0).normal(size=16000).astype(np.float32) * 1e-3
    assert evidence(faint)[20:-20, SILENCE].mean() > 0.9


def test_it_hears_the_first_word(heard):
    """ "Welcome": the lips round before the tongue's root rises."""
    order = [CLASSES[number].split()[0] for number in heard[10:75, : len(CLASSES)].argmax(axis=1)]
    firsts = [name for name, before in zip(order[1:], order, strict=False) if name != before]
    assert firsts.index("W") < firsts.index("K")


def test_level_does_not_matter(heard, voice):
    assert np.abs(evidence(voice * 0.1) - heard).mean() < 0.01


def test_smoothing_looks_no_further_than_a_third_of_a_second(voice):
    """Behind the front end's mean, which a recording's end changes: the same rows with and without what follows."""
    from actalker.signals import phones

    model = acoustic_model()
    scores = np.concatenate([*model.scores(phones._dynamics(phones._cepstra(voice[:48000])))])
    likely = phones._likely(scores)

    def smoothed(*pieces):
        smoother = phones._Smoother(model)
        return np.concatenate([*map(smoother.add, pieces), smoother.rest()])

    whole, cut = smoothed(likely), smoothed(likely[:200])
    assert np.array_equal(smoothed(likely[:7], likely[7:200], likely[200:]), whole)
    reach = phones.LAG + phones.BLOCK
    assert np.array_equal(whole[: 200 - reach], cut[: 200 - reach])
    assert not np.array_equal(whole[:200], cut)


def test_features_are_mel_evidence_and_that_there_is_evidence(voice, heard):
    speech = hear(voice)
    assert speech.features.shape == (len(heard), 80 + CHANNELS + 1)
    assert np.array_equal(speech.features[:, :80], speech.mel)
    assert np.array_equal(speech.features[:, 80:-1], heard)
    assert (speech.features[:, -1] == 1).all()


def test_no_sound_is_no_rows():
    assert evidence(np.zeros(0, np.float32)).shape == (0, CHANNELS)
