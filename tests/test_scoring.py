"""Each measure gives the known answer on motion with a known fault."""

import json
import math

import numpy as np
import pytest

from actalker.cli import main
from actalker.errors import InputError
from actalker.evaluate import lips as measures
from actalker.evaluate.series import Estimate, bootstrap
from actalker.signals import media
from actalker.training import scorecard, talking, visemes
from actalker.training.alignment import Recording
from actalker.training.scoring import MEASURES, Pair, Section, score, table
from actalker.training.visemes import COLUMN
from tests.samples import moving, tone

JAW, CLOSE = COLUMN["jawOpen"], COLUMN["mouthClose"]
WORDS = "SIL B AA T IY M OW SIL K AE P EY S AO B UH M AA SIL L AY F AA M IH T SIL"


def recording(words: str = WORDS, each: float = 0.14, pause: float = 0.7, name: str = "made") -> Recording:
    """Phones in a row, of one length; silences are longer."""
    phones, start = [], 0.0
    for phone in words.split():
        end = start + (pause if phone == "SIL" else each)
        phones.append((start, end, phone))
        start = end
    return Recording.of(name, np.zeros(round(start * 16000), np.float32), phones)


def with_opening(o: np.ndarray) -> np.ndarray:
    """Motion (t, 19) whose opening is `o` (t,)."""
    motion = np.zeros((len(o), len(COLUMN)), np.float32)
    motion[:, JAW] = o
    return motion


def value(name: str, motion: np.ndarray, of: Recording | None = None) -> float:
    return MEASURES[name]([Pair(of or recording(), motion)])


def late(motion: np.ndarray, frames: int) -> np.ndarray:
    rows = np.clip(np.arange(len(motion)) - frames, 0, len(motion) - 1)
    return motion[rows]


def test_the_reference_itself_is_perfect():
    mouth = recording().mouth
    for name, best in {"opening r": 1, "jaw r": 1, "p/b/m hit": 1, "spurious/s": 0, "ranking AUC": 1}.items():
        assert value(name, mouth) == pytest.approx(best), name
    assert value("lag ms", mouth) == pytest.approx(0, abs=1e-6)
    assert value("stillness", mouth) < 0.02


@pytest.mark.parametrize("frames", [-4, -1, 0, 3])
def test_a_delay_is_the_lag(frames):
    assert value("lag ms", late(recording().mouth, frames)) == pytest.approx(40 * frames, abs=2)


def test_a_delay_of_half_a_frame_is_half_the_lag():
    mouth = recording().mouth
    assert value("lag ms", (mouth + late(mouth, 1)) / 2) == pytest.approx(20, abs=2)


def test_a_delay_costs_correlation_and_closures():
    delayed = late(recording().mouth, 5)
    assert value("opening r", delayed) < 0.5
    assert value("p/b/m hit", delayed) < 0.7


def test_without_closures_nothing_is_hit():
    motion = recording().mouth.copy()
    motion[:, CLOSE] = 0
    motion[:, JAW] = np.maximum(motion[:, JAW], 0.2)
    assert value("p/b/m hit", motion) == 0
    assert value("spurious/s", motion) == 0


def test_half_the_closures_are_half_the_hits():
    of = recording("SIL B AA AA AA AA P AA AA AA AA SIL")
    motion = with_opening(np.full(len(of.mouth), 0.3))
    motion[round((0.7 + 0.07 - 0.03) * 25), JAW] = 0.05
    assert value("p/b/m hit", motion, of) == 0.5


def test_ranking_knows_no_threshold():
    mouth = recording().mouth
    assert value("ranking AUC", with_opening(measures.opening(mouth) + 0.3)) == 1
    assert value("ranking AUC", -mouth) < 0.05
    assert value("ranking AUC", with_opening(np.full(len(mouth), 0.3))) == 0.5


def test_closures_in_a_vowel_are_spurious():
    of = recording("SIL AA AA AA AA AA AA AA AA B AA AA SIL")
    motion = with_opening(np.full(len(of.mouth), 0.3))
    motion[[25, 26, 32], JAW] = 0.0, 0.0, 0.05  # one that lasts two frames, and one of a single frame
    motion[4, JAW] = 0.0  # in silence, where it may be
    speech = 11 * 0.14 - 0.2  # without 100 ms beside each silence
    assert value("spurious/s", motion, of) == pytest.approx(2 / speech, rel=0.03)


def test_a_closure_that_was_asked_for_is_not_spurious():
    of = recording("SIL AA AA B AA AA SIL")
    motion = with_opening(np.full(len(of.mouth), 0.3))
    motion[round((0.7 + 2.5 * 0.14 - 0.03) * 25), JAW] = 0.0
    assert value("spurious/s", motion, of) == 0


def test_jitter_in_silence_counts_beside_that_in_speech():
    of = recording("SIL AA AA AA AA AA AA AA SIL")
    alternating = np.arange(len(of.mouth)) % 2
    silent = Pair(of, of.mouth).said.silent(0, 0)
    assert value("stillness", with_opening(alternating * np.where(silent, 0.1, 0.2)), of) == pytest.approx(
        0.5, abs=0.02
    )
    assert value("stillness", with_opening(alternating * np.where(silent, 0.0, 0.2)), of) == 0


def test_noise_lowers_correlation_as_it_must():
    long = recording(" ".join([WORDS] * 8))
    spread = measures.opening(long.mouth).std()
    noise = np.random.default_rng(0).normal(size=len(long.mouth)) * spread
    noisy = {
        level: value("opening r", with_opening(measures.opening(long.mouth) + level * noise), long) for level in (1, 2)
    }
    assert noisy[1] == pytest.approx(1 / math.sqrt(2), abs=0.05)
    assert noisy[2] == pytest.approx(1 / math.sqrt(5), abs=0.05)


def test_correlation_ignores_gain_and_offset():
    assert value("opening r", with_opening(2 * measures.opening(recording().mouth) + 0.1)) == pytest.approx(1)
    assert value("jaw r", 0.5 * recording().mouth) == pytest.approx(1)


def test_what_does_not_tell_is_nan_and_shown_as_nothing():
    of = recording("AA T AA T AA")
    still = np.zeros_like(of.mouth)
    for name in ("opening r", "jaw r", "p/b/m hit", "ranking AUC", "stillness", "lag ms"):
        assert math.isnan(value(name, still, of)), name
    none = score([of], [[still]], draws=5)["opening r"]
    assert none.as_text(2) == "-"
    assert none.as_dict() == {"value": None, "low": None, "high": None}


def test_another_length_is_refused():
    with pytest.raises(ValueError, match="for made, which lasts"):
        Pair(recording(), recording().mouth[1:])


def test_long_recordings_count_more():
    short, long = recording("SIL B AA SIL"), recording(" ".join(["SIL B AA AA SIL"] * 3))
    pairs = [Pair(short, short.mouth), Pair(long, with_opening(np.full(len(long.mouth), 0.3)))]
    assert MEASURES["p/b/m hit"](pairs) == 0.25


def test_intervals_are_seeded_and_hold_the_value():
    groups = list(np.random.default_rng(1).normal(size=40))
    first, again = (bootstrap(np.mean, groups, draws=200) for _ in range(2))
    assert first == again
    assert first.low < first.value < first.high
    assert first.high - first.low == pytest.approx(2 * 1.645 * np.std(groups) / math.sqrt(40), rel=0.25)
    assert bootstrap(np.mean, [2.0] * 5, draws=50) == Estimate(2.0, 2.0, 2.0)


def test_seeds_of_a_recording_are_drawn_together():
    of = [recording(name="a"), recording(name="b")]
    good, bad = [one.mouth for one in of], [with_opening(np.full(len(one.mouth), 0.3)) for one in of]
    hit = score(of, [good, bad], draws=50)["p/b/m hit"]
    assert (hit.value, hit.low, hit.high) == (0.5, 0.5, 0.5)


def test_table_and_json_show_every_row():
    row = score([recording()], [[recording().mouth]], draws=5)
    section = Section("Made", {"model": row, "loudness only": row}, {"lag ms": "-20 to 20"})
    lines = table([section]).splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["model", "loudness only", "wanted"]
    assert all(name in lines[1] for name in MEASURES)
    assert "1.00 [1.00, 1.00]" in lines[2]
    assert lines[-1].endswith("-20 to 20")
    assert json.loads(json.dumps(section.as_dict()))["rows"]["model"]["p/b/m hit"]["value"] == 1


def clip(frames: int = 200) -> tuple[talking.Clip, np.ndarray]:
    """Real lips that open and close at random, and their gap with three more frames."""
    gap = np.convolve(np.random.default_rng(3).normal(size=frames + 7), np.hanning(5), "same")[:frames]
    return talking.Clip("clip.mp4", np.zeros(frames * 640, np.float32), gap), gap


@pytest.mark.parametrize("frames", [-2, 0, 1])
def test_lips_are_followed_at_their_best_lag(frames):
    lips, gap = clip()
    scores = talking.score_lips(lips, [np.roll(2 * gap + 1, frames)])
    assert scores["lip gap r"].value == pytest.approx(1)
    assert scores["lag ms"].value == pytest.approx(40 * frames)


def test_lips_of_somebody_else_are_not_followed():
    lips, _ = clip()
    others = [np.random.default_rng(seed).normal(size=210) for seed in range(10)]
    assert abs(talking.score_lips(lips, others)["lip gap r"].value) < 0.25
    assert math.isnan(talking.score_lips(lips, [np.ones(210)])["lip gap r"].value)


def test_a_clip_must_have_sound_and_a_face(tmp_path):
    mute, silent, faceless = (tmp_path / f"{name}.mp4" for name in ("mute", "silent", "faceless"))
    media.write_video(mute, moving(4), 25)
    media.write_video(silent, moving(4), 25, (np.zeros(7680, np.float32), 48000))
    media.write_video(faceless, moving(4), 25, (tone(0.16, 48000), 48000))
    with pytest.raises(InputError, match="no sound track"):
        talking.read_clip(mute)
    with pytest.raises(InputError, match="holds only silence"):
        talking.read_clip(silent)
    with pytest.raises(InputError, match="shows a face in 0 of 4 frames"):
        talking.read_clip(faceless)


def test_command_prints_the_table_or_json(monkeypatch, capsys):
    section = Section("Made", {"model": {"lag ms": Estimate(1.0, 0.0, 2.0)}}, {})
    asked = []
    monkeypatch.setattr(scorecard, "score_checkpoint", lambda *given: asked.append(given) or [section])
    assert main(["train", "--score", "--talking", "a.mp4", "b.mp4", "--rendered"]) == 0
    assert "1 [0, 2]" in capsys.readouterr().out
    assert main(["train", "--score", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sections"][0]["title"] == "Made"
    assert [len(talks) for _, talks, _ in asked] == [2, 0]
    assert [photo and photo.exists() for *_, photo in asked] == [True, None]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [([], "needs the folders --corpus and --out"), (["--talking", "a.mp4"], "belong to --score")],
)
def test_command_says_what_is_missing(options, complaint, capsys):
    assert main(["train", *options]) == 2
    assert complaint in capsys.readouterr().err


def test_measures_and_synthetic_mouths_agree_on_what_closes_when():
    assert set(visemes.BILABIALS) == measures.BILABIALS
    assert measures.LEAD == visemes.LEAD
