"""Lips and voice: each measure gives the known answer on constructed mouths, and shows a known disturbance."""

import math

import numpy as np
import pytest

from actalker.config import COEFFICIENTS, INDEX
from actalker.evaluate import lips
from actalker.evaluate.lips import Mouthing
from actalker.evaluate.series import FPS, runs

RATE = 16000


def syllables(seconds: float = 8.0, seed: int = 0) -> np.ndarray:
    """(t,) an envelope of syllables at random times, between 0 and 1."""
    rng = np.random.default_rng(seed)
    at, curve, time = np.arange(round(seconds * FPS)), np.zeros(round(seconds * FPS)), 2.0
    while time < len(curve):
        curve += rng.uniform(0.4, 1) * np.exp(-0.5 * ((at - time) / 1.5) ** 2)
        time += rng.uniform(4, 11)
    return curve.clip(0, 1)


def buzzing(loudness: np.ndarray) -> np.ndarray:
    """Noise (n,) at 16 kHz that is as loud as the curve says, 40 dB from top to bottom."""
    level = np.interp(np.arange(len(loudness) * RATE // FPS), (np.arange(len(loudness)) + 0.5) * RATE / FPS, loudness)
    noise = np.random.default_rng(1).normal(size=len(level))
    return (0.1 * noise * 10 ** (2 * (level - 1))).astype(np.float32)


def mouth(**curves: np.ndarray | float) -> np.ndarray:
    """Motion (t, 38) with these coefficients."""
    frames = max(np.size(curve) for curve in curves.values())
    motion = np.zeros((frames, len(COEFFICIENTS)), np.float32)
    for name, curve in curves.items():
        motion[:, INDEX[name]] = curve
    return motion


def late(curve: np.ndarray, frames: int) -> np.ndarray:
    return curve[np.clip(np.arange(len(curve)) - frames, 0, len(curve) - 1)]


def test_the_envelope_follows_how_loud_a_voice_is():
    curve = syllables()
    heard = lips.envelope(buzzing(curve))
    assert len(heard) == len(curve)
    assert np.corrcoef(heard, curve)[0, 1] > 0.9
    assert (heard.min(), heard.max()) == pytest.approx((0, 0.85), abs=0.15)


def test_humming_is_loud_but_says_nothing_of_the_mouth():
    """220 Hz all the time, and syllables of noise above it, of which only the envelope's band takes notice."""
    curve = syllables()
    hum = 0.5 * np.sin(2 * np.pi * 220 * np.arange(len(curve) * RATE // FPS) / RATE).astype(np.float32)
    assert np.corrcoef(lips.envelope(buzzing(curve) + hum), curve)[0, 1] > 0.8


def test_a_mouth_that_moves_as_the_voice_does_is_in_time():
    curve = syllables()
    voice = lips.envelope(buzzing(curve))
    assert lips.offset_ms(0.4 * curve, voice) == pytest.approx(0, abs=6)
    assert lips.voice_correlation(0.4 * curve, voice) > 0.85
    assert lips.chance_correlation(0.4 * curve, voice) < 0.6


@pytest.mark.parametrize("frames", [-5, -1, 3, 8])
def test_a_delay_is_the_offset(frames):
    curve = syllables()
    assert lips.offset_ms(late(curve, frames), lips.envelope(buzzing(curve))) == pytest.approx(40 * frames, abs=6)


def test_a_smile_that_outlasts_the_syllables_changes_no_offset():
    curve = syllables()
    gape = 2.0 * np.linspace(0, 1, len(curve)) ** 2
    voice = lips.envelope(buzzing(curve))
    assert lips.offset_ms(late(curve, 3) + gape, voice) == pytest.approx(120, abs=10)
    assert lips.voice_correlation(curve + gape, voice) > 0.8


def test_of_swapped_speech_the_correlation_is_gone():
    curve, voice = syllables(12.0), lips.envelope(buzzing(syllables(12.0, seed=5)))
    assert lips.voice_correlation(curve, voice) < lips.chance_correlation(curve, voice) + 0.1
    assert lips.voice_correlation(curve, voice) < 0.4


def test_noise_costs_correlation():
    curve = syllables()
    voice, noise = lips.envelope(buzzing(curve)), np.random.default_rng(2).normal(size=len(curve))
    found = [lips.voice_correlation(curve + level * noise, voice) for level in (0.0, 0.3, 1.0)]
    assert found[0] > found[1] + 0.1 > found[2] + 0.2


def test_what_does_not_move_has_no_offset():
    voice = lips.envelope(buzzing(syllables()))
    assert math.isnan(lips.offset_ms(np.zeros(200), voice))
    assert math.isnan(lips.voice_correlation(np.zeros(200), voice))
    assert math.isnan(lips.chance_correlation(np.ones(90), voice[:90]))


def test_shapes_of_the_mouth():
    assert lips.opening(mouth(jawOpen=0.5, mouthClose=0.2, mouthUpperUp=0.1))[0] == pytest.approx(0.33)
    assert lips.width(mouth(mouthStretch=0.4, mouthSmileLeft=0.2))[0] == pytest.approx(0.5)
    assert lips.width(mouth(mouthPucker=0.4))[0] == pytest.approx(-0.4)
    assert lips.rounding(mouth(mouthPucker=0.4, mouthFunnel=0.3))[0] == pytest.approx(0.7)


def test_likeness_to_a_person_knows_no_gain_and_sees_what_is_missing():
    one, other, third = (syllables(seed=seed) for seed in range(3))
    person = mouth(jawOpen=one, mouthStretch=other, mouthFunnel=third)
    assert lips.likeness(0.5 * person, person) == pytest.approx({"opening": 1, "width": 1, "rounding": 1})
    stiff = lips.likeness(mouth(jawOpen=one, mouthStretch=third), person)
    assert stiff["opening"] == pytest.approx(1)
    assert abs(stiff["width"]) < 0.4
    assert math.isnan(stiff["rounding"])
    assert lips.real_offset_ms(late(person, 2), person) == pytest.approx(80, abs=5)
    assert lips.likeness(late(person, 6), person)["opening"] < 0.5


PHONES = [(0.0, 1.0, "SIL"), (1.0, 1.2, "AA"), (1.2, 1.32, "B"), (1.32, 1.6, "AA"), (1.6, 1.8, "T"), (1.8, 2.0, "AA")]
PHONES += [(2.0, 2.12, "M"), (2.12, 2.4, "AA"), (2.4, 3.4, "SIL")]


def said(**closed: float) -> Mouthing:
    """A mouth that is open at 0.3 but for frames near the given seconds."""
    o = np.full(85, 0.3)
    for second in closed.values():
        o[round(second * FPS)] = 0.0
    return Mouthing(o, PHONES)


def test_closures_that_are_made_and_closures_that_are_not_asked_for():
    both, none, wrong = said(b=1.24, m=2.04), said(), said(t=1.68)
    assert [lips.closure_hit([one]) for one in (both, none, wrong)] == [1, 0, 0]
    assert [lips.false_closures([one]) for one in (both, none, wrong)] == [0, 0, pytest.approx(1 / 3, abs=0.15)]
    assert lips.closure_ranking([both]) == 1
    assert lips.closure_ranking([none]) == 0.5
    assert lips.closure_hit([said(b=1.24)]) == 0.5


def test_a_mouth_that_hangs_shut_hits_everything_and_is_told_by_its_false_closures():
    shut = Mouthing(np.zeros(85), PHONES)
    assert lips.closure_hit([shut]) == lips.false_closures([shut]) == 1
    assert lips.closure_ranking([shut]) == 0.5


def test_stillness_is_the_share_of_movement_in_silence():
    silent = np.zeros(85, bool)
    silent[:25], silent[60:] = True, True
    shaking = np.arange(85) % 2
    for share in (0.0, 0.25, 1.0):
        o = shaking * np.where(silent, share * 0.2, 0.2)
        assert lips.stillness([Mouthing(o, PHONES)]) == pytest.approx(share, abs=0.04)


def test_pauses_stand_in_for_phones():
    loud = np.r_[np.zeros(20), np.full(30, 0.8), np.zeros(4), np.full(30, 0.8), np.zeros(10)]
    assert lips.pauses(loud) == [(0.0, 0.8, "SIL"), (0.8, 3.36, "?"), (3.36, 3.76, "SIL")]
    assert lips.pauses(np.ones(25)) == [(0.0, 1.0, "?")]
    nothing = [Mouthing(np.full(94, 0.3), lips.pauses(loud))]
    assert math.isnan(lips.closure_hit(nothing))
    assert math.isnan(lips.stillness(nothing))


def test_runs_are_found_at_both_ends():
    assert runs(np.array([1, 1, 0, 1, 0, 0, 1], bool)).tolist() == [[0, 2], [3, 4], [6, 7]]
    assert runs(np.zeros(3, bool)).shape == (0, 2)
