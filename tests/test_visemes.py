"""Phones become mouth motion with real closures, right timing and rest in silence."""

import shutil

import numpy as np
import pytest

from actalker.training import voices
from actalker.training.visemes import COLUMN, GLIDES, LEAD, PHONES, TARGETS, mouth_motion

VOWELS = ["AA", "AE", "AH", "AO", "AW", "AX", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"]
CONSONANTS = [*"BDFGKLMNPRSTVWYZ", "CH", "DH", "HH", "JH", "NG", "SH", "TH", "ZH"]


def spell(*names: str, each: float = 0.12, silence: float = 0.4) -> tuple[list[voices.Phone], float]:
    """The phones in a row between two silences, and the whole length in seconds."""
    lengths = [silence, *[each] * len(names), silence]
    ends = np.cumsum(lengths)
    phones = [
        (float(end - length), float(end), name)
        for end, length, name in zip(ends, lengths, ["SIL", *names, "SIL"], strict=True)
    ]
    return phones, float(ends[-1])


def opening(mouth: np.ndarray) -> np.ndarray:
    """How far the lips are apart."""
    return mouth[:, COLUMN["jawOpen"]] - mouth[:, COLUMN["mouthClose"]]


def test_every_phone_has_a_shape_within_range() -> None:
    assert {*VOWELS, *CONSONANTS, "SIL"} == PHONES
    assert set(GLIDES) - set(TARGETS) == {"AY", "AW", "OY", "EY"}
    for _, target in TARGETS.values():
        assert target.min() >= 0
        assert target.max() <= 1


def test_unknown_phone_is_refused() -> None:
    with pytest.raises(KeyError):
        mouth_motion([(0.0, 0.5, "QQ")], 0.5)


@pytest.mark.parametrize("seconds", [0.0, 0.04, 1.0, 2.51])
def test_shape_follows_length(seconds: float) -> None:
    assert mouth_motion([(0.0, seconds, "SIL")], seconds).shape == (round(seconds * 25), 19)


def test_silence_is_the_photo_itself() -> None:
    assert np.abs(mouth_motion([(0.0, 2.0, "SIL")], 2.0)).max() == 0


@pytest.mark.parametrize("bilabial", ["P", "B", "M"])
@pytest.mark.parametrize("offset", np.arange(0, 0.04, 0.007))
@pytest.mark.parametrize("length", [0.03, 0.09])
def test_every_bilabial_closes_the_lips_on_some_frame(bilabial: str, offset: float, length: float) -> None:
    start = 0.5 + offset
    phones = [(0.1, start, "AA"), (start, start + length, bilabial), (start + length, 1.0, "AA"), (1.0, 1.2, "SIL")]
    mouth = mouth_motion(phones, 1.2)
    frame = round((start + length / 2 - LEAD) * 25)
    assert opening(mouth)[frame - 1 : frame + 2].min() <= 0
    assert opening(mouth)[frame - 5] > 0.3
    assert opening(mouth)[frame + 5] > 0.3


def test_vowels_never_close() -> None:
    phones, seconds = spell("T", "AA", "K", "AE", "T", "IY", "G", "AO")
    spoken = slice(round(0.5 * 25), round((seconds - 0.55) * 25))
    assert opening(mouth_motion(phones, seconds))[spoken].min() > 0.06


def test_open_vowels_open_wider_than_close_ones() -> None:
    jaw = {}
    for vowel in ("AA", "AH", "IY"):
        phones, seconds = spell("T", vowel, "T", each=0.2)
        jaw[vowel] = mouth_motion(phones, seconds)[:, COLUMN["jawOpen"]].max()
    assert jaw["AA"] > jaw["AH"] > jaw["IY"]


def test_rounding_starts_before_the_rounded_vowel() -> None:
    rounded, seconds = spell("S", "UW")
    spread, _ = spell("S", "IY")
    during_s = round((0.4 + 0.06) * 25)
    pucker = COLUMN["mouthPucker"]
    assert mouth_motion(rounded, seconds)[during_s, pucker] > mouth_motion(spread, seconds)[during_s, pucker] + 0.05


def test_lips_lead_the_sound() -> None:
    phones, seconds = spell("AA", each=0.2)
    jaw = mouth_motion(phones, seconds, fps=100)[:, COLUMN["jawOpen"]]
    assert jaw.argmax() / 100 == pytest.approx(0.5 - LEAD, abs=0.03)


def test_other_frame_rates_show_the_same_motion() -> None:
    phones, seconds = spell("AA", "S", "OW", each=0.2)
    coarse, fine = mouth_motion(phones, seconds, 25), mouth_motion(phones, seconds, 50)
    assert np.abs(coarse - fine[::2][: len(coarse)]).max() < 0.02


def test_restarting_times_are_joined() -> None:
    phones = voices._contiguous([("pau", 0.2), ("aa", 0.5), ("pau", 0.1), ("em", 0.3)], 0.85)
    assert [name for _, _, name in phones] == ["SIL", "AA", "SIL", "M", "SIL"]
    assert [end for _, end, _ in phones] == pytest.approx([0.2, 0.5, 0.6, 0.8, 0.85])


def test_espeak_names_are_arpabet() -> None:
    assert set(voices.ESPEAK_TO_ARPABET.values()) <= PHONES
    assert voices._arpabet_of_espeak("n;", "en") == "N"
    assert [voices._arpabet_of_espeak("r", language) for language in ("en", "de", "it")] == ["R", "K", "D"]
    with pytest.raises(LookupError):
        voices._arpabet_of_espeak("%%", "en")


@pytest.mark.parametrize("voice", [*voices.TRAINING_VOICES, voices.HELD_OUT_VOICE])
def test_synthesisers_tell_their_phones(voice: str) -> None:
    if shutil.which(voice.split()[0]) is None:
        pytest.skip(f"{voice} is not installed")
    spoken = voices.speak(voice, "Maybe my people", np.random.default_rng(0))
    starts, ends = [start for start, _, _ in spoken.phones], [end for _, end, _ in spoken.phones]
    names = [name for _, _, name in spoken.phones]
    assert spoken.samples.dtype == np.float32
    assert starts[1:] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(spoken.seconds, abs=0.01)
    assert set(names) <= PHONES
    assert names.count("M") == 2
    assert names.count("P") == 2


@pytest.mark.parametrize("phone", ["W", "UW", "OW", "ER", "SH"])
def test_rounded_lips_come_together_but_do_not_meet(phone: str) -> None:
    motion = mouth_motion([(0.0, 0.2, "SIL"), (0.2, 0.6, phone), (0.6, 0.8, "SIL")], 0.8)
    jaw, close = motion[10, COLUMN["jawOpen"]], motion[10, COLUMN["mouthClose"]]
    assert 0.2 * jaw < close < 0.7 * jaw
    assert jaw - close > 0.06


def test_something_sung_is_slow_and_holds_its_pitch() -> None:
    spoken, sung = (voices.Manner.drawn(np.random.default_rng(1), sung=sung) for sung in (False, True))
    assert sung.stretch > 1.1 * spoken.stretch
    assert sung.spread < 0.1 * spoken.spread
