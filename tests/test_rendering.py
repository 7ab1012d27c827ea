"""Results in pieces while they are rendered, and what is left of a result that was cancelled."""

import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from samples import moving, tone, unsigned, write_sound

from actalker import pipelines
from actalker.config import PRESETS
from actalker.pipelines import Cancelled, Request, ahead, stages
from actalker.pipelines.recipe import read_recipe
from actalker.pipelines.rendering import Pieces, piece_ends, write
from actalker.signals import media
from actalker.signals.motion import Motion

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO = ASSETS / "faces/astronaut.jpg"


@pytest.fixture(scope="module")
def pipeline():
    return pipelines.load()


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """2 s of speech."""
    samples = media.read_audio(ASSETS / "speech/welcome.wav")
    return write_sound(tmp_path_factory.mktemp("speech") / "speech.wav", samples[None, 8000:40000], 16000)


def request(speech, **settings):
    return Request(PHOTO, speech, size=128, steps=1, regions=PRESETS["voice"], **settings)


def lengths(path):
    """Frames, and seconds of picture and sound."""
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        frames = sum(1 for _ in container.decode(video=0))
        return frames, float(picture.duration * picture.time_base), float(sound.duration * sound.time_base)


def stop_at(stage, share):
    def progress(now, done):
        if now == stage and done >= share:
            raise Cancelled

    return progress


def test_pieces_are_the_whole_and_come_while_it_is_rendered(pipeline, speech, tmp_path, monkeypatch):
    done, pieces, rendered, add = [0.0], [], [], Pieces.add
    monkeypatch.setattr(Pieces, "add", lambda self, frame: rendered.append(media.labelled(frame)) or add(self, frame))

    def progress(stage, share):
        done[0] = share if stage == "rendering" else 0.0

    def take(path):
        pieces.append((path, done[0]))

    out = tmp_path / "out.mp4"
    facts = pipeline(request(speech), out, progress, chunk=take, chunk_seconds=0.8)
    assert [path.name for path, _ in pieces] == [f"out.piece-{i:03d}.mp4" for i in range(3)]
    assert [share for _, share in pieces] == pytest.approx([0.24, 0.64, 1.0])
    assert [lengths(path)[0] for path, _ in pieces] == [12, 20, 18]
    for path, _ in pieces:
        _, picture, sound = lengths(path)
        assert sound == pytest.approx(picture, abs=0.001)
    whole = np.stack(list(media.read_video(out))).astype(int)
    joined = np.concatenate([np.stack(list(media.read_video(path))) for path, _ in pieces])
    assert len(whole) == len(joined) == facts["frames"] == 50
    off, off_in_pieces = (np.abs(made - np.array(rendered, int)).mean() for made in (whole, joined))
    assert off_in_pieces <= off < 3  # they are soon thrown away, and yet no worse to look at
    heard = np.concatenate([media.read_audio(path, 48000)[: round(lengths(path)[1] * 48000)] for path, _ in pieces])
    original = media.read_audio(out, 48000)
    short = min(len(heard), len(original))
    assert np.corrcoef(heard[:short], original[:short])[0, 1] > 0.99


def test_pieces_do_not_change_the_whole(pipeline, speech, tmp_path):
    pipeline(request(speech), tmp_path / "a.mp4")
    pipeline(request(speech), tmp_path / "b.mp4", chunk=lambda path: path.unlink())
    assert unsigned(tmp_path / "a.mp4") == unsigned(tmp_path / "b.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.mp4", "b.json", "b.mp4"]


@pytest.mark.parametrize(
    ("total", "fps", "seconds", "ends"),
    [
        (250, 25, 2.0, [12, 37, 87, 137, 187, 237, 250]),
        (248, 25, 2.0, [12, 37, 87, 137, 187, 248]),
        (5, 25, 2.0, [5]),
        (30, 25, 0.2, [5, 10, 15, 20, 25, 30]),
        (10, Fraction(30000, 1001), 0.01, list(range(1, 11))),
    ],
)
def test_where_pieces_end(total, fps, seconds, ends):
    assert piece_ends(total, Fraction(fps), seconds) == ends


def frames_of(path):
    return np.stack(list(media.read_video(path)))


def test_frames_depend_on_neither_threads_nor_pieces(pipeline, speech, tmp_path, monkeypatch):
    asked, threads = request(speech, seed=3), torch.get_num_threads()
    monkeypatch.setattr(ahead, "cores", lambda: 1)
    pipeline(asked, tmp_path / "alone.mp4")
    monkeypatch.setattr(ahead, "cores", lambda: 3)
    torch.set_num_threads(2)
    try:
        pieces = []
        pipelines.load()(asked, tmp_path / "together.mp4", chunk=pieces.append, chunk_seconds=0.7)
    finally:
        torch.set_num_threads(threads)
    assert len(pieces) > 1
    alone = frames_of(tmp_path / "alone.mp4")
    assert np.array_equal(alone, frames_of(tmp_path / "together.mp4"))
    pipeline(request(speech, seed=4), tmp_path / "other.mp4")
    assert not np.array_equal(alone, frames_of(tmp_path / "other.mp4"))


def test_what_was_rendered_before_cancelling_is_kept(pipeline, speech, tmp_path):
    out, motion = tmp_path / "out.mp4", tmp_path / "motion.npz"
    facts = pipeline(request(speech), out, stop_at("rendering", 0.72), motion)
    assert facts["cancelled"] is True
    assert facts["frames"] == len(Motion.load(motion)) == 35
    assert facts["seconds"] == 1.4
    assert lengths(out) == (35, 1.4, pytest.approx(1.4, abs=0.001))
    assert read_recipe(out.with_suffix(".json")).until is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["motion.npz", "out.json", "out.mp4"]


TOO_EARLY = [("measuring", 0), ("denoising", 0.0), ("denoising", 1.0), ("rendering", 0.5)]


@pytest.mark.parametrize(("stage", "share"), TOO_EARLY)
def test_too_little_is_not_kept(pipeline, speech, tmp_path, stage, share):
    with pytest.raises(Cancelled):
        pipeline(request(speech), tmp_path / "out.mp4", stop_at(stage, share), tmp_path / "motion.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_piece_that_is_not_complete_is_not_left(tmp_path):
    def frames():
        yield from moving(30)
        raise Cancelled

    out, handed = tmp_path / "out.mp4", []
    sound = (tone(4, 48000), 48000)
    count = write(out, frames(), Fraction(25), sound, Pieces(out, 100, Fraction(25), sound, handed.append, 2.0))
    assert count == (30, True)
    assert [path.name for path in handed] == ["out.piece-000.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.piece-000.mp4"]


def test_whoever_gets_the_pieces_may_cancel(pipeline, speech, tmp_path):
    pieces = []

    def take(path):
        pieces.append(path)
        if len(pieces) == 2:
            raise Cancelled

    facts = pipeline(request(speech), tmp_path / "out.mp4", chunk=take)
    assert (facts["cancelled"], facts["frames"]) == (True, 37)


def test_the_network_is_left_between_two_calls(pipeline, speech):
    asked = request(speech).checked()
    calls = []
    measured = stages.measure(asked)
    long = Request(**{**vars(asked), "steps": 4})

    def progress(_stage, done):
        calls.append(done)
        if done >= 0.5:
            raise Cancelled

    with pytest.raises(Cancelled):
        pipeline.denoise(long, measured, progress)
    assert calls == [0.0, 0.25, 0.5]


def test_listening_can_be_left_while_it_goes_on(monkeypatch, speech):
    begun, may_end, asked = threading.Event(), threading.Event(), []
    monkeypatch.setattr(stages, "_listen", lambda *_: begun.set() or may_end.wait(20))

    def progress(_stage, _done):
        if begun.is_set():
            asked.append(may_end.is_set())
        if len(asked) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        stages.Senses()(request(speech).checked(), progress)
    assert asked == [False, False]
    may_end.set()


def test_progress_never_goes_back_within_a_stage(pipeline, speech, tmp_path):
    told = []
    frames = [frame for frame, _ in zip(media.read_video(ASSETS / "drivers/curious.mp4"), range(12), strict=False)]
    media.write_video(tmp_path / "driving.mp4", frames, 25)
    asked = Request(PHOTO, speech, tmp_path / "driving.mp4", size=128, steps=1)
    pipeline(asked, tmp_path / "out.mp4", lambda *now: told.append(now))
    stages_told = list(dict.fromkeys(stage for stage, _ in told))
    assert stages_told == ["measuring", "denoising", "rendering"]
    for stage in stages_told:
        shares = [done for now, done in told if now == stage]
        assert shares == sorted(shares)
        assert shares[-1] == 1.0
