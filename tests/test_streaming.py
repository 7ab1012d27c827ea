"""Speech and clip are denoised and rendered while the rest of them is still measured, and the result is the same."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from samples import unsigned, write_sound

from actalker import pipelines
from actalker.config import COEFFICIENTS, PRESETS
from actalker.errors import InputError
from actalker.pipelines import Request, stages
from actalker.pipelines.ahead import Stream
from actalker.pipelines.denoising import Performance, denoise_in_parts
from actalker.pipelines.stages import Measured
from actalker.signals import media
from actalker.signals.audio import hear
from actalker.signals.face import Face
from actalker.signals.mesh import canonical_face
from actalker.signals.motion import Motion
from actalker.signals.phones import evidence_in_parts

ASSETS = Path(__file__).parents[1] / "assets"
SECONDS = 20


@pytest.fixture(scope="module")
def pipeline():
    return pipelines.load()


@pytest.fixture(scope="module")
def speech():
    """A voice, and all that is heard in it."""
    spoken = hear(np.resize(media.read_audio(ASSETS / "speech/welcome.wav"), SECONDS * 16000))
    return spoken, Stream.of(*evidence_in_parts(spoken.samples))


def watched(seconds, fps=30.0):
    """Parts of a clip's motion that wavers."""
    frames = np.arange(round(seconds * fps))
    values = 0.3 * np.sin(frames[:, None] / np.arange(9, 9 + len(COEFFICIENTS))).astype(np.float32)
    return [Motion(part, fps, filled=1) for part in np.array_split(values, seconds // 2)]


def asked(preset, **settings):
    return Request(Path("face"), regions=PRESETS[preset], steps=2, **settings)


def measured(preset, clip, speech):
    opened = {"audio": preset != "video", "video": preset != "voice"}
    spoken, heard = speech if opened["audio"] else (None, None)
    nothing, face = np.zeros((1, 1, 3), np.uint8), Face.of(canonical_face())
    return Measured(nothing, face, 1, {}, opened, spoken, heard, clip, float(SECONDS))


@pytest.mark.parametrize(
    ("preset", "length", "fps"), [("joint", 22, 25), ("video", 20, 25), ("joint", 9, 25), ("joint", 22, 24)]
)
def test_parts_move_the_face_as_the_whole_does(pipeline, speech, preset, length, fps):
    request, parts = asked(preset, fps=Fraction(fps)), watched(length)
    performed = list(denoise_in_parts(pipeline.network, request, measured(preset, Stream.of(*parts), speech)))
    heard = speech[0], Stream.of(np.concatenate(list(speech[1])))
    one = pipeline.denoise(request, measured(preset, Stream.of(Motion.joined(parts)), heard))
    assert len(performed) > 3
    several = Performance.joined(performed)
    assert len(several.motion) == SECONDS * fps
    assert np.array_equal(several.motion.values, one.motion.values)
    assert np.array_equal(several.seal, one.seal)
    assert several.calls == one.calls
    assert several.motion.filled == len(parts)


class Making:
    """A stream whose parts are made when they are taken."""

    def __init__(self, parts):
        self.parts, self.taken = list(parts), []

    def __iter__(self):
        return (self.taken.append(part) or part for part in self.parts)

    def so_far(self):
        return self.taken


@pytest.mark.parametrize("preset", ["voice", "video", "joint"])
def test_the_beginning_comes_before_all_is_measured(pipeline, speech, preset):
    clip, heard = Making(watched(22)), Making(speech[1])
    performed = denoise_in_parts(pipeline.network, asked(preset), measured(preset, clip, (speech[0], heard)))
    next(performed)
    for stream, used in ((heard, preset != "video"), (clip, preset != "voice")):
        assert (len(stream.taken) > 0) == used
        assert len(stream.taken) < len(stream.parts) - 1
    list(performed)
    assert preset == "voice" or len(clip.taken) == len(clip.parts)
    assert preset == "video" or len(heard.taken) == len(heard.parts)


def test_a_clip_that_breaks_off_ends_the_performance_with_its_sentence(pipeline, speech):
    def breaking():
        yield from watched(22)[:8]
        raise InputError("The clip is broken.")

    clip = Stream()
    clip.fill(breaking())
    performed = denoise_in_parts(pipeline.network, asked("joint"), measured("joint", clip, speech))
    next(performed)
    with pytest.raises(InputError, match=r"^The clip is broken.$"):
        list(performed)


def test_measuring_first_or_meanwhile_makes_the_same_video(pipeline, tmp_path):
    samples = media.read_audio(ASSETS / "speech/welcome.wav")
    speech = write_sound(tmp_path / "speech.wav", samples[None, 8000:30000], 16000)
    request = Request(ASSETS / "faces/astronaut.jpg", speech, ASSETS / "drivers/curious.mp4", size=128, steps=1)
    pipeline(request, tmp_path / "meanwhile.mp4")
    pipeline(request, tmp_path / "first.mp4", measure=lambda one, _: stages.measure(one))
    assert unsigned(tmp_path / "meanwhile.mp4") == unsigned(tmp_path / "first.mp4")


@pytest.mark.parametrize("alone", [False, True])
def test_a_clip_that_breaks_off_leaves_nothing(pipeline, tmp_path, monkeypatch, alone):
    """It is rendered before it breaks off, also where its own length decides how long the result is."""
    samples = np.resize(media.read_audio(ASSETS / "speech/welcome.wav"), 20 * 16000)
    speech = write_sound(tmp_path / "speech.wav", samples[None], 16000)
    clip = ASSETS / "drivers/curious.mp4"
    preset = PRESETS["video" if alone else "joint"]
    request = Request(ASSETS / "faces/astronaut.jpg", speech, clip, regions=preset, size=128, steps=1)
    info = replace(media.probe_video(clip), seconds=20.0)
    monkeypatch.setattr(media, "probe_video", lambda _: info)
    rendering = Event()

    def breaking(*_):
        yield from watched(22)[:8]
        assert rendering.wait(20)
        raise InputError("The clip is broken.")

    def progress(stage, _done):
        if stage == "rendering":
            rendering.set()

    monkeypatch.setattr(stages, "_watched", breaking)
    with pytest.raises(InputError, match=r"^The clip is broken.$"):
        pipeline(request, tmp_path / "out.mp4", progress)
    assert rendering.is_set()
    assert [path.name for path in tmp_path.iterdir()] == ["speech.wav"]


def test_a_clip_without_a_face_leaves_nothing(pipeline, tmp_path):
    media.write_video(tmp_path / "grey.mp4", [np.full((96, 128, 3), 90, np.uint8)] * 30, 25)
    request = Request(ASSETS / "faces/astronaut.jpg", ASSETS / "speech/welcome.wav", tmp_path / "grey.mp4", size=128)
    with pytest.raises(InputError, match=r"^No face was found in any of the 30 frames of grey.mp4"):
        pipeline(request, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["grey.mp4"]
