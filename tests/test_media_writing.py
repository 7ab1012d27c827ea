"""Video, written: exact rate and length, sound in step, true colours, and never half a file."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from samples import moving, scene, tone

from actalker.errors import InputError
from actalker.signals import media


@pytest.mark.parametrize("fps", [25, 24, 29.97, 30000 / 1001, Fraction(30000, 1001), 60])
def test_rate_and_lengths_are_exact(tmp_path, fps):
    media.write_video(tmp_path / "out.mp4", moving(50), fps, (tone(5, 44100), 44100))
    with av.open(str(tmp_path / "out.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        exact = Fraction(fps).limit_denominator(1001)
        assert (video.codec_context.name, video.codec_context.format.name, sound.codec_context.name) == (
            "h264",
            "yuv420p",
            "aac",
        )
        assert video.average_rate == exact
        assert video.frames == 50
        assert video.duration * video.time_base == 50 / exact
        assert sound.duration == round(50 / exact * 44100)


def test_sound_stays_in_step(tmp_path):
    clicks = np.zeros(48000 * 4, np.float32)
    clicks[[48000, 96000, 144000]] = 1.0
    media.write_video(tmp_path / "out.mp4", moving(50), 12.5, (clicks, 48000))
    read = np.abs(media.read_audio(tmp_path / "out.mp4", 48000))
    for i in (48000, 96000, 144000):
        assert abs(int(read[i - 2000 : i + 2000].argmax()) - 2000) <= 2


def test_short_sound_is_followed_by_silence_and_stereo_stays_stereo(tmp_path):
    both = np.stack([tone(1, 48000), np.zeros(48000, np.float32)], axis=1)
    media.write_video(tmp_path / "out.mp4", moving(50), 25, (both, 48000))
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].channels == 2
    read = media.read_audio(tmp_path / "out.mp4", 48000)
    assert abs(np.abs(read[10000:40000]).max() - 0.2) < 0.02
    assert np.abs(read[52000:]).max() < 0.01


def test_a_rate_that_aac_does_not_know(tmp_path):
    media.write_video(tmp_path / "out.mp4", moving(50), 25, (tone(2, 10000), 10000))
    assert abs(len(media.read_audio(tmp_path / "out.mp4")) - 32000) < 2000


def test_colours_are_converted_as_they_are_tagged(tmp_path):
    media.write_video(tmp_path / "out.mp4", [scene(192, 128)] * 3, 25)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
    read = next(media.read_video(tmp_path / "out.mp4")).astype(int)
    for row, column in ((30, 40), (30, 150), (100, 40), (100, 150)):
        assert np.abs(read[row, column] - scene(192, 128)[row, column]).max() <= 4


def test_an_odd_row_and_column_are_left_out(tmp_path):
    media.write_video(tmp_path / "out.mp4", moving(3, 97, 65), 25)
    info = media.probe_video(tmp_path / "out.mp4")
    assert (info.width, info.height) == (96, 64)


def test_playing_can_start_before_the_file_is_whole(tmp_path):
    media.write_video(tmp_path / "out.mp4", moving(10), 25)
    whole = (tmp_path / "out.mp4").read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")


def test_frames_are_taken_one_at_a_time(tmp_path):
    alive = set()

    class Frame(np.ndarray):
        def __del__(self):
            alive.discard(id(self))

    def frames():
        for image in moving(200):
            frame = image.view(Frame)
            alive.add(id(frame))
            yield frame
            assert len(alive) < 20

    media.write_video(tmp_path / "out.mp4", frames(), 25)


@pytest.mark.parametrize("before", [0, 3])
def test_a_failure_leaves_nothing_behind(tmp_path, before):
    def failing():
        yield from moving(before)
        raise RuntimeError("no more frames")

    with pytest.raises(RuntimeError, match="no more frames"):
        media.write_video(tmp_path / "out.mp4", failing(), 25, (tone(1, 16000), 16000))
    assert list(tmp_path.iterdir()) == []


def test_a_failure_keeps_the_file_that_was_there(tmp_path):
    (tmp_path / "out.mp4").write_text("precious")
    with pytest.raises(ValueError, match="no frames"):
        media.write_video(tmp_path / "out.mp4", [], 25)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_place_that_is_no_folder_is_refused(tmp_path):
    for place in (tmp_path / "nowhere" / "out.mp4", tmp_path):
        with pytest.raises(InputError):
            media.write_video(place, moving(3), 25)


def test_names_may_be_anything(tmp_path):
    path = tmp_path / " -rf ü 日本 'q\" %d.mp4"
    media.write_video(path, moving(5), 25)
    assert len(list(media.read_video(path))) == 5


def test_the_same_frames_make_the_same_file(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        media.write_video(tmp_path / name, moving(30), 25, (tone(2, 48000), 48000))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot hold a process to one core")
def test_the_number_of_cores_does_not_show(tmp_path):
    code = (
        "import os, sys; os.sched_setaffinity(0, list(os.sched_getaffinity(0))[: int(sys.argv[2])])\n"
        "from samples import moving; from actalker.signals import media\n"
        "media.write_video(sys.argv[1], moving(60, 320, 240), 25)"
    )
    tests = Path(__file__).parent
    for cores in ("1", "64"):
        path = os.pathsep.join(map(str, (tests, tests.parent)))
        command = [sys.executable, "-c", code, str(tmp_path / f"{cores}.mp4"), cores]
        subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True)
    assert (tmp_path / "1.mp4").read_bytes() == (tmp_path / "64.mp4").read_bytes()
