"""Phones are found where they sound in real recordings, and what is missing is named."""

import importlib.util
import shutil
import sys

import numpy as np
import pytest

from actalker.errors import InputError
from actalker.signals import media
from actalker.signals.alignment import EARLY, _filling, aligner
from actalker.training import alignment
from actalker.training.alignment import SPOKEN_WORDS, Recording
from actalker.training.visemes import BILABIALS, PHONES
from actalker.training.voices import speak

has_aligner = pytest.mark.skipif(importlib.util.find_spec("pocketsphinx") is None, reason="pocketsphinx is missing")
has_words = pytest.mark.skipif(not SPOKEN_WORDS.exists(), reason="alsa-utils is not installed")
has_sentences = pytest.mark.skipif(
    not (alignment.READ_ALOUD / "librivox").exists(), reason="pocketsphinx-testdata is not installed"
)


def assert_filled(recording: Recording) -> None:
    starts, ends, names = zip(*recording.phones, strict=True)
    assert starts[0] == 0
    assert starts[1:] == ends[:-1]
    assert ends[-1] == recording.seconds
    assert set(names) <= PHONES
    assert "SIL SIL" not in " ".join(names)
    assert recording.samples.dtype == np.float32
    assert recording.mouth.shape == (round(recording.seconds * 25), 19)


def test_frames_become_phones_without_gaps():
    found = [("SIL", 0, 10), ("+NSN+", 10, 5), ("B", 15, 6), ("IY", 21, 20)]
    phones = _filling(found, 0.6)
    assert [name for _, _, name in phones] == ["SIL", "B", "IY", "SIL"]
    assert [end for _, end, _ in phones] == pytest.approx([0.15 + EARLY, 0.21 + EARLY, 0.41 + EARLY, 0.6])


def test_speech_to_the_very_end_needs_no_silence():
    assert [name for _, _, name in _filling([("B", 0, 9), ("IY", 9, 31)], 0.4)] == ["B", "IY"]


@has_aligner
@has_words
def test_words_of_one_recording():
    recording = alignment.align(aligner(), SPOKEN_WORDS / "Side_Right.wav", "side right")
    assert_filled(recording)
    assert [name for _, _, name in recording.phones if name != "SIL"] == ["S", "AY", "D", "R", "AY", "T"]
    assert recording.name == "alsa/Side_Right"


@has_aligner
@has_words
@has_sentences
def test_all_recordings_are_aligned_the_same_way_every_time():
    recordings, again = alignment.load_recordings(), alignment.load_recordings()
    assert len(recordings) > 15
    assert sum(name in BILABIALS for recording in recordings for _, _, name in recording.phones) > 30
    for one, other in zip(recordings, again, strict=True):
        assert_filled(one)
        assert (one.name, one.phones) == (other.name, other.phones)


@has_aligner
@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed")
def test_boundaries_lie_where_a_synthesiser_put_them(tmp_path):
    text = "people who live by the sea swim before breakfast"
    spoken = speak("flite awb", text, np.random.default_rng(0))
    path = tmp_path / "speech.wav"
    write_wav(path, spoken.samples)
    recording = alignment.align(aligner(), path, text)
    errors = []
    for start, _, name in recording.phones:
        near = [begin for begin, _, other in spoken.phones if other == name and abs(begin - start) < 0.1]
        errors += [start - near[0]] if len(near) == 1 else []
    assert len(errors) > 20
    assert abs(np.median(errors)) < 0.012
    assert np.percentile(np.abs(errors), 80) < 0.03


def write_wav(path, samples):
    from scipy.io import wavfile

    wavfile.write(path, 16000, samples)
    assert len(media.read_audio(path)) == len(samples)


@has_aligner
@has_words
def test_words_that_nobody_knows_are_refused():
    with pytest.raises(InputError, match="does not fit the words 'sside qright'"):
        alignment.align(aligner(), SPOKEN_WORDS / "Side_Right.wav", "sside qright")


def test_what_is_missing_is_named(monkeypatch, tmp_path):
    (tmp_path / "Front_Left.wav").touch()
    monkeypatch.setattr(alignment, "SPOKEN_WORDS", tmp_path)
    monkeypatch.setattr(alignment, "READ_ALOUD", tmp_path)
    with pytest.raises(InputError, match="Debian package pocketsphinx-testdata"):
        alignment.load_recordings()
    monkeypatch.setattr(alignment, "SPOKEN_WORDS", tmp_path / "nowhere")
    with pytest.raises(InputError, match="Debian package alsa-utils"):
        alignment.load_recordings()
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(InputError, match="pip install pocketsphinx"):
        aligner()
