"""Single frames: those of the whole result, and quick because nothing is measured or denoised twice."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from samples import write_sound

from actalker import pipelines
from actalker.config import PRESETS
from actalker.errors import InputError
from actalker.pipelines import Request, embedded
from actalker.pipelines.stages import Senses
from actalker.signals import media

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO = ASSETS / "faces/astronaut.jpg"


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    samples = media.read_audio(ASSETS / "speech/welcome.wav")
    return write_sound(tmp_path_factory.mktemp("speech") / "speech.wav", samples[None, 8000:24000], 16000)


@pytest.fixture
def pipeline(monkeypatch):
    """A pipeline that counts what it does in `made`."""
    pipeline = pipelines.load()
    pipeline.made = Counter()
    denoise, portrait, call = pipeline.denoise, embedded.Portrait, Senses.__call__

    def counted(name, run):
        return lambda *arguments: (pipeline.made.update([name]), run(*arguments))[1]

    monkeypatch.setattr(pipeline, "denoise", counted("motion", denoise))
    monkeypatch.setattr(embedded, "Portrait", counted("portrait", portrait))
    monkeypatch.setattr(Senses, "__call__", counted("measured", call))
    return pipeline


def request(speech, **settings):
    return Request(PHOTO, speech, size=128, steps=2, regions=PRESETS["voice"], **settings)


@pytest.mark.parametrize(("at", "number"), [(0, 0), (0.48, 12), (0.5, 12), (40, 24)])
def test_a_still_is_a_frame_of_the_result(pipeline, speech, tmp_path, monkeypatch, at, number):
    frames = []

    add = media.VideoWriter.add
    monkeypatch.setattr(media.VideoWriter, "add", lambda video, frame: (frames.append(frame), add(video, frame)))
    whole = request(speech, offsets={"headYaw": 5.0})
    pipeline(whole, tmp_path / "out.mp4")
    assert len(frames) == 25
    assert np.array_equal(pipeline.still(whole, at), frames[number])
    assert not np.array_equal(frames[number], frames[number - 3])


def test_offsets_and_time_render_one_frame(pipeline, speech):
    senses = Senses()
    plain = pipeline.still(request(speech), 0.5, senses)
    turned = pipeline.still(request(speech, offsets={"headYaw": 9.0}), 0.5, senses)
    pipeline.still(request(speech, offsets={"headYaw": 9.0}), 0.2, senses)
    assert pipeline.made == {"motion": 1, "portrait": 1, "measured": 1}
    assert not np.array_equal(plain, turned)
    assert np.array_equal(plain, pipeline.still(request(speech), 0.5, senses))


def test_masks_keep_the_motion_and_the_seed_keeps_the_portrait(pipeline, speech):
    senses = Senses()
    pipeline.still(request(speech), 0.5, senses)
    pipeline.still(request(speech, grow=0.1), 0.5, senses)
    assert pipeline.made == {"motion": 1, "portrait": 2, "measured": 2}
    pipeline.still(request(speech, grow=0.1, seed=1), 0.5, senses)
    assert pipeline.made == {"motion": 2, "portrait": 2, "measured": 3}


def test_a_changed_file_is_read_again(pipeline, speech, tmp_path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(PHOTO.read_bytes())
    senses = Senses()
    settings = {"speech": speech, "size": 128, "steps": 1}
    first = pipeline.still(Request(photo, **settings), 0.2, senses)
    photo.write_bytes((ASSETS / "faces/hopper.jpg").read_bytes())
    assert not np.array_equal(first, pipeline.still(Request(photo, **settings), 0.2, senses))
    assert pipeline.made["portrait"] == 2


def test_no_frame_before_the_first(pipeline, speech):
    for at in (-0.1, float("nan")):
        with pytest.raises(InputError, match="There is no frame at"):
            pipeline.still(request(speech), at)


def test_senses_keep_what_was_used_last(tmp_path):
    read = []
    senses, paths = Senses(most=2), [tmp_path / name for name in "abc"]

    def get(path):
        return senses._once(path, "x", lambda: read.append(path.name) or path.name)

    for path in (paths[0], paths[1], paths[0], paths[2], paths[0], paths[1]):
        assert get(path) == path.name
    assert read == ["a", "b", "c", "b"]
