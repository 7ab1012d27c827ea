"""Every file is measured once, however many want it at the same time, and not for nobody."""

import threading
from pathlib import Path

import numpy as np
import pytest

from actalker.config import COEFFICIENTS, PRESETS
from actalker.errors import InputError
from actalker.pipelines import Request, stages
from actalker.pipelines.ahead import Errands
from actalker.pipelines.request import silent
from actalker.pipelines.stages import Senses
from actalker.signals.motion import Motion
from demo.runner import Ears

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO, CLIP = ASSETS / "faces/astronaut.jpg", ASSETS / "drivers/curious.mp4"
SPEECH = ASSETS / "speech/welcome.wav"
SOON = 20  # seconds that a thread may take


class Watching:
    """Stands in for watching a clip: three parts, each when it may be, and how often it was begun."""

    def __init__(self):
        self.begun, self.ended, self.next = [], threading.Event(), threading.Semaphore(0)

    def __call__(self, _path, _clip, _needed, progress):
        self.begun.append(progress)
        try:
            for number in range(3):
                while not self.next.acquire(timeout=0.02):
                    progress("measuring", 0.1)
                progress("measuring", 0.1)
                yield Motion(np.full((25, len(COEFFICIENTS)), number, np.float32), 25.0)
        finally:
            self.ended.set()

    def go_on(self):
        for _ in range(3):
            self.next.release()


@pytest.fixture
def watching(monkeypatch):
    watching = Watching()
    monkeypatch.setattr(stages, "_watched", watching)
    return watching


@pytest.fixture(scope="module")
def request_():
    return Request(PHOTO, None, CLIP, regions=PRESETS["video"]).checked()


def test_whoever_wants_what_is_being_measured_follows_it(watching, request_):
    senses = Senses()
    with Errands(silent) as one, Errands(silent) as two:
        first, second = senses.begin(request_, one), senses.begin(request_, two)
        watching.go_on()
        assert len(first.driving) == 75
        assert np.array_equal(first.driving.values, second.driving.values)
    assert len(senses(request_).driving) == 75
    assert len(watching.begun) == 1


def test_it_goes_on_for_whoever_stays(watching, request_):
    senses = Senses()
    with Errands(silent) as two:
        with Errands(silent) as one:
            senses.begin(request_, one)
            second = senses.begin(request_, two)
        watching.go_on()
        assert len(second.driving) == 75
    assert len(watching.begun) == 1


def test_nothing_is_measured_for_nobody_and_half_of_it_is_not_kept(watching, request_):
    senses = Senses()
    with Errands(silent) as errands:
        senses.begin(request_, errands)
    assert watching.ended.wait(SOON)
    watching.go_on()
    assert len(senses(request_).driving) == 75
    assert len(watching.begun) == 2


def test_a_fault_is_told_to_all_and_not_kept(monkeypatch, request_):
    calls = []

    def broken(*_):
        calls.append(1)
        raise InputError("The clip is broken.")
        yield

    monkeypatch.setattr(stages, "_watched", broken)
    senses = Senses()
    for _ in range(2):
        with pytest.raises(InputError, match=r"^The clip is broken.$"):
            senses(request_)
    assert len(calls) == 2


def test_a_video_follows_what_is_measured_ahead(watching, request_):
    ears, left = Ears(), threading.Event()
    ahead = threading.Thread(target=ears.measure_ahead, args=(request_, "me", left))
    ahead.start()
    while not watching.begun:
        ahead.join(0.01)
    with Errands(silent) as errands:
        measured = ears.measure(request_, errands, "me")
        watching.next.release()
        assert len(next(errands.each(measured.watched))) == 25
        left.set()
        ahead.join(SOON)
        assert not ahead.is_alive()
        watching.go_on()
        assert len(measured.driving) == 75
    assert len(watching.begun) == 1


def test_what_is_measured_ahead_gives_way_to_others(watching, request_):
    ears = Ears()
    ahead = threading.Thread(target=ears.measure_ahead, args=(request_, "me", threading.Event()))
    ahead.start()
    while not watching.begun:
        ahead.join(0.01)
    assert not ears.look(Request(PHOTO, SPEECH), "another").faults
    ahead.join(SOON)
    assert not ahead.is_alive()
    assert watching.ended.wait(SOON)
