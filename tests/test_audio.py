"""Speech features: their shape, their definition, and that loudness is forgiven while silence is not."""

import numpy as np
import pytest

from actalker.signals import audio


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Two seconds built like speech: a buzz through moving formants, in syllables, with pauses between them."""
    t = np.arange(2 * audio.RATE) / audio.RATE
    pitch = 2 * np.pi * np.cumsum(120 + 20 * np.sin(2 * np.pi * 0.7 * t)) / audio.RATE
    formants = (500 + 300 * np.sin(2 * np.pi * 1.3 * t), 1500 + 500 * np.sin(2 * np.pi * 0.9 * t), 2500 + 0 * t)
    harmonics = np.arange(1, 31)[:, None] * pitch / (2 * np.pi)
    envelope = sum(np.exp(-(((np.arange(1, 31)[:, None] * 120 - f) / 150) ** 2)) for f in formants)
    syllables = np.clip(np.sin(2 * np.pi * 2.5 * t) * 3, 0, 1)
    noise = np.random.default_rng(0).normal(size=t.size) * 1e-4
    buzz = (envelope * np.sin(2 * np.pi * harmonics)).sum(axis=0) * syllables
    return (0.1 * buzz / buzz.std() + noise).astype(np.float32)


def at_dbfs(samples: np.ndarray, level: float) -> np.ndarray:
    return (samples / samples.std() * 10 ** (level / 20)).astype(np.float32)


def features(samples: np.ndarray) -> np.ndarray:
    return audio.normalise(audio.log_mel(samples))


def noise(level: float, seconds: float = 2.0) -> np.ndarray:
    return at_dbfs(np.random.default_rng(1).normal(size=int(seconds * audio.RATE)), level)


def test_log_mel_of_a_tone_peaks_in_the_bin_of_its_frequency():
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(audio.RATE) / audio.RATE)
    mel = audio.log_mel(tone.astype(np.float32))
    centres = audio._filters().argmax(axis=0) * audio.RATE / audio.FFT
    assert mel.shape == (100, audio.BINS)
    assert abs(centres[mel[50].argmax()] - 1000) < 40


@pytest.mark.parametrize(("samples", "rows"), [(1, 1), (160, 1), (161, 2), (16000, 100), (160_001, 1001)])
def test_one_row_for_every_ten_milliseconds(samples, rows):
    assert audio.log_mel(np.zeros(samples, np.float32)).shape == (rows, audio.BINS)


def test_rows_are_centred_on_their_time():
    click = np.zeros(audio.RATE, np.float32)
    click[50 * audio.HOP] = 1.0
    assert audio.log_mel(click).mean(axis=1).argmax() == 50


def test_long_recordings_are_measured_as_short_ones(speech):
    long = np.tile(speech, 6)  # more than one block of rows
    begin = 5 * len(speech)
    rows = slice(begin // audio.HOP + 3, begin // audio.HOP + 190)
    np.testing.assert_allclose(audio.log_mel(long)[rows], audio.log_mel(speech)[3:190], atol=1e-4)


@pytest.mark.parametrize("level", [-3, -30, -40])
def test_loudness_does_not_matter(speech, level):
    rest = np.abs(features(at_dbfs(speech, level)) - features(at_dbfs(speech, -20)))
    assert rest[features(at_dbfs(speech, -20)).mean(axis=1) > -1].mean() < 0.1


def test_a_microphone_s_colour_does_not_matter(speech):
    dull = np.convolve(speech, [0.5, 0.3, 0.2])[: len(speech)].astype(np.float32)
    voiced = features(speech).mean(axis=1) > -0.5
    assert np.abs(features(dull) - features(speech))[voiced].mean() < 0.15
    assert np.abs(audio.log_mel(dull) - audio.log_mel(speech))[voiced].mean() > 0.5


@pytest.mark.parametrize("samples", [1, 100, 1600, 32000])
def test_digital_silence_is_finite_and_lowest(samples):
    mel = features(np.zeros(samples, np.float32))
    assert np.all(mel == np.float32(-3.2))
    assert audio.Speech(np.zeros(samples, np.float32), mel).silent


@pytest.mark.parametrize("level", [-60, -70, -90])
def test_a_noise_floor_is_not_lifted_to_speech(speech, level):
    quiet = noise(level)
    assert features(quiet).mean(axis=1).max() < np.percentile(features(speech).mean(axis=1), 90) - 1.5
    assert audio.Speech(quiet, features(quiet)).silent
    assert not audio.Speech(speech, features(at_dbfs(speech, -40))).silent


def test_one_word_in_a_long_silence_is_as_loud_as_in_a_sentence(speech):
    word = speech[: int(0.2 * audio.RATE)]
    alone = noise(-75, seconds=10.0)
    alone[80_000 : 80_000 + len(word)] += word
    said = features(alone)[500:520].mean(axis=1)
    assert said.max() > -0.5
    assert features(alone)[:400].mean() < said.max() - 2


def test_a_click_does_not_hide_the_speech(speech):
    clicked = speech.copy()
    clicked[200:230] = 1.0
    np.testing.assert_allclose(features(clicked)[50:], features(speech)[50:], atol=0.3)


def test_an_empty_recording_has_no_rows():
    assert features(np.zeros(0, np.float32)).shape == (0, audio.BINS)


def test_lengths_follow_from_the_samples(speech):
    voice = audio.Speech(speech, features(speech))
    assert voice.seconds == 2.0
    assert (voice.frames(25), voice.frames(30000 / 1001)) == (50, 60)
