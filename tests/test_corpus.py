"""A corpus is reproducible, resumable and aligned; the hard sound keeps its length, level and timing."""

import json
from pathlib import Path

import numpy as np
import pytest

from actalker.errors import InputError
from actalker.training import augment, corpus, texts
from actalker.training.voices import RATE, Spoken

BUZZ = (0.3 * np.sin(2 * np.pi * 150 * np.arange(RATE // 2) / RATE) ** 9).astype(np.float32)


def fake_speak(voice: str, text: str, rng: np.random.Generator, _sung: bool) -> Spoken:
    """Half a second of silence, an open vowel and silence, as a synthesiser would give it."""
    loud = np.float32(rng.uniform(0.5, 1.0))
    samples = np.concatenate([np.zeros(RATE // 2, np.float32), loud * BUZZ, np.zeros(RATE // 2, np.float32)])
    return Spoken(voice, text, samples, [(0.0, 0.5, "SIL"), (0.5, 1.0, "AA"), (1.0, 1.5, "SIL")])


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> corpus.CorpusPlan:
    monkeypatch.setattr(corpus, "speak", fake_speak)
    monkeypatch.setattr(corpus, "require_programs", lambda: None)
    lines = tmp_path / "lines.txt"
    lines.write_text("Some people may come by boat.\nThe maps are here.\n")
    return corpus.CorpusPlan(seed=0, texts=(lines,), utterances_per_shard=3)


def test_items_are_aligned(plan: corpus.CorpusPlan, tmp_path: Path) -> None:
    minutes = corpus.build_corpus(tmp_path / "a", plan, minutes=0.08)
    utterances = corpus.load_corpus(tmp_path / "a")
    spoken = [utterance for utterance in utterances if utterance.voice != "none"]
    assert minutes >= 0.08
    assert len(utterances) % 3 == 0
    assert all(len(utterance.renderings) == 3 for utterance in utterances)
    for rendering in (rendering for utterance in spoken for rendering in utterance.renderings):
        frames = len(rendering.mouth)
        assert rendering.mel.shape == (4 * frames, 80)
        assert rendering.evidence.shape == (4 * frames, 32)
        assert rendering.mouth.shape == (frames, 19)
        assert rendering.loudness.shape == (frames,)
        assert np.isfinite(rendering.mel.astype(np.float32)).all()
        start, end = next((start, end) for start, end, name in rendering.phones if name == "AA")
        middle, early = round((start + end) / 2 * 25), round((start - 0.3) * 25)
        assert rendering.mouth[middle, 0] > 0.4
        assert rendering.loudness[middle] > 0.8
        assert rendering.mouth[early, 0] < 0.05
    for clean in (utterance.renderings[0] for utterance in spoken):
        loud, quiet = clean.loudness > 0.8, clean.loudness == 0
        mel = clean.mel.astype(np.float32).reshape(len(loud), -1).mean(axis=1)
        assert mel[loud].mean() > mel[quiet].mean() + 1


def test_a_build_goes_on_where_it_stopped(plan: corpus.CorpusPlan, tmp_path: Path) -> None:
    corpus.build_corpus(tmp_path / "whole", plan, minutes=0.12)
    corpus.build_corpus(tmp_path / "parts", plan, minutes=0.04)
    corpus.build_corpus(tmp_path / "parts", plan, minutes=0.12)
    whole, parts = (corpus.load_corpus(tmp_path / name) for name in ("whole", "parts"))
    assert [item.text for item in whole] == [item.text for item in parts]
    assert np.array_equal(whole[-1].renderings[2].mel, parts[-1].renderings[2].mel)


def test_a_manifest_tells_every_item(plan: corpus.CorpusPlan, tmp_path: Path) -> None:
    corpus.build_corpus(tmp_path, plan, minutes=0.12, workers=2)
    rows = [json.loads(line) for line in (tmp_path / corpus.MANIFEST).read_text().splitlines()]
    items = corpus.load_corpus(tmp_path)
    assert [(row["voice"], row["text"], row["sung"]) for row in rows] == [(i.voice, i.text, i.sung) for i in items]
    assert [row["seeds"] for row in rows[:4]] == [[0, 0]] * 3 + [[0, 1]]
    clean = [[tuple(phone) for phone in row["phones"]] for row in rows]
    assert clean == [item.renderings[0].phones for item in items]


def test_only_the_first_shards_of_a_longer_corpus_are_used(plan: corpus.CorpusPlan, tmp_path: Path) -> None:
    corpus.build_corpus(tmp_path, plan, minutes=0.2)
    assert len(corpus.load_corpus(tmp_path, 0.01)) == 3
    assert len(corpus.load_corpus(tmp_path, 0.2)) == len(corpus.load_corpus(tmp_path))


def test_nobody_speaks_nobody_moves() -> None:
    rng = np.random.default_rng(0)
    for kind in ("silence", "noise", "music", "breaths", "clicks"):
        rendering = corpus._wordless(kind, rng)
        assert rendering.mouth.max() == 0
        assert rendering.loudness.max() == 0


def test_empty_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no corpus shards"):
        corpus.load_corpus(tmp_path)


def test_sentences_leave_authors_and_verse_out() -> None:
    fortunes = (
        "People who may sing do sing.\n\t\t-- Somebody Famous\n%\nNO SHOUTING IN THE LIBRARY PLEASE.\n%\nTen 2 4.\n"
    )
    assert texts.sentences_of(fortunes) == ["People who may sing do sing."]


@pytest.mark.parametrize("step", [step for _, step in augment.STEPS] + [augment.telephoned, augment.gained])
def test_hard_sound_keeps_length_and_timing(step: augment.Step) -> None:
    samples = np.concatenate([np.zeros(RATE, np.float32), BUZZ, np.zeros(RATE, np.float32)])
    result = step(samples, np.random.default_rng(1))
    power = np.square(result).reshape(-1, RATE // 20).mean(axis=1)
    assert result.shape == samples.shape
    assert result.dtype == np.float32
    assert 20 <= power.argmax() < 30
    assert power[:19].max() < 0.5 * power.max()


def test_stretch_scales_length() -> None:
    assert len(augment.resampled(BUZZ, 44)) == pytest.approx(1.1 * len(BUZZ), abs=1)
