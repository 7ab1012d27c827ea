"""The process that decodes: it keeps to its limits, outlives no one, and whatever becomes of it ends in a sentence."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from samples import moving, refusal, scene, tone, write_frames, write_sound

from actalker.config import LIMITS
from actalker.errors import InputError
from actalker.signals import media
from actalker.signals.media import door, process

ROOT = Path(__file__).parents[1]
TOO_HEAVY = "takes more time or memory to read than a {} may; make it smaller or shorter, or choose another {}."


@pytest.fixture
def clip(tmp_path) -> Path:
    """Two seconds of 50 frames with a tone."""
    media.write_video(tmp_path / "clip.mp4", moving(50), 25, (tone(2, 48000), 48000))
    return tmp_path / "clip.mp4"


@pytest.fixture
def heavy(tmp_path) -> Path:
    """A picture that may be decoded, and takes hundreds of megabytes."""
    Image.new("L", (10000, 9900), 7).save(tmp_path / "heavy.png")
    return tmp_path / "heavy.png"


@pytest.fixture(autouse=True)
def _alone():
    """No decoder is left from before, and none is left behind."""
    process._close_all()
    process._idle.clear()
    yield
    process._close_all()
    process._idle.clear()


def limited(monkeypatch, **limits) -> None:
    monkeypatch.setattr(door, "LIMITS", replace(LIMITS, **limits))


def exists(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def soon(condition) -> bool:
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_one_process_reads_a_file_after_another(clip):
    media.probe_video(clip)
    (decoder,) = process._idle
    assert len(list(media.read_video(clip))) == 50
    assert len(media.read_audio(clip)) > 30000
    assert process._idle == [decoder]


def test_a_process_is_replaced_after_many_files(monkeypatch, clip):
    monkeypatch.setattr(process, "_MOST_JOBS", 2)
    pids = set()
    for _ in range(4):
        media.probe_video(clip)
        pids |= {decoder.pid for decoder in process._idle}
    assert len(pids) == 2


def test_a_refused_file_leaves_the_process_fit(clip, tmp_path):
    media.probe_video(clip)
    (decoder,) = process._idle
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(0).bytes(5000))
    refusal(media.read_video, tmp_path / "noise.bin")
    media.probe_video(clip)
    assert process._idle == [decoder]


def test_nothing_heavy_is_in_the_process(clip):
    media.probe_video(clip)
    mapped = Path(f"/proc/{process._idle[0].pid}/maps").read_text()
    assert "libav" in mapped
    assert "torch" not in mapped
    assert "mediapipe" not in mapped


def test_the_process_knows_no_secrets_and_holds_no_other_files(monkeypatch, clip):
    monkeypatch.setenv("A_TOKEN", "secret")
    with open(clip) as held:
        media.probe_video(clip)
        pid = process._idle[0].pid
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert held.name not in links
    assert len(links) <= 8


def test_too_much_processor_time_ends_in_a_sentence(monkeypatch, clip):
    """Ten million frames a second are more than any machine gives within a second."""
    limited(monkeypatch, cpu_seconds=0)
    with pytest.raises(InputError) as refused:
        sum(1 for _ in media.read_video(clip, fps=1e7))
    assert str(refused.value) == f"clip.mp4 {TOO_HEAVY.format('video', 'video')}"
    monkeypatch.undo()
    assert len(list(media.read_video(clip))) == 50


def test_too_much_memory_ends_in_a_sentence(monkeypatch, heavy, clip):
    media.probe_video(clip)
    (decoder,) = process._idle
    status = Path(f"/proc/{decoder.pid}/status").read_text().split()
    limited(monkeypatch, memory_bytes=1024 * int(status[status.index("VmPeak:") + 1]) + (200 << 20))
    assert media.probe_video(clip).width == 96
    assert refusal(media.read_image, heavy) == f"heavy.png {TOO_HEAVY.format('picture', 'picture')}"
    assert media.probe_video(clip).width == 96
    assert process._idle == [decoder]


def test_a_process_that_says_nothing_is_ended(monkeypatch, clip):
    media.probe_video(clip)
    (stopped,) = process._idle
    os.kill(stopped.pid, signal.SIGSTOP)
    limited(monkeypatch, wall_seconds=0.2)
    assert refusal(media.probe_video, clip) == f"clip.mp4 {TOO_HEAVY.format('video', 'video')}"
    assert not exists(stopped.pid)
    monkeypatch.undo()
    assert media.probe_video(clip).width == 96


def test_a_process_that_breaks_down_ends_in_a_sentence(tmp_path):
    media.write_video(tmp_path / "long.mp4", moving(50, 1280, 720), 25)
    frames = media.read_video(tmp_path / "long.mp4")
    next(frames)
    (decoder,) = process._alive
    os.kill(decoder.pid, signal.SIGKILL)
    with pytest.raises(InputError, match="could not be decoded;"):
        list(frames)
    assert len(list(media.read_video(tmp_path / "long.mp4"))) == 50


def test_a_process_that_was_ended_while_idle_is_replaced(clip):
    media.probe_video(clip)
    (decoder,) = process._idle
    os.kill(decoder.pid, signal.SIGKILL)
    assert soon(lambda: not exists(decoder.pid))
    assert media.probe_video(clip).width == 96


def test_frames_that_nobody_wants_any_more_free_the_process(tmp_path):
    media.write_video(tmp_path / "big.mp4", moving(50, 1280, 720), 25)
    frames = media.read_video(tmp_path / "big.mp4")
    first = next(frames)
    (decoder,) = process._alive
    frames.close()
    assert process._idle == [decoder]
    assert np.array_equal(next(media.read_video(tmp_path / "big.mp4")), first)
    assert process._alive == {decoder}


def test_videos_are_read_in_step(clip):
    streams = [media.read_video(clip) for _ in range(3)]
    for frames in zip(*streams, strict=True):
        assert np.array_equal(frames[0], frames[1])
        assert np.array_equal(frames[0], frames[2])
    assert soon(lambda: len(process._alive) <= process._MOST_IDLE)


def test_threads_do_not_get_each_other_s_media(tmp_path):
    for grey in range(8):
        picture = np.full((80, 80, 3), 30 * grey, np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{grey}.png")
        media.write_video(tmp_path / f"{grey}.mp4", [picture] * 5, 25)

    def level(number: int) -> tuple[int, float]:
        grey = number % 8
        frames = list(media.read_video(tmp_path / f"{grey}.mp4"))
        return media.read_image(tmp_path / f"{grey}.png").mean() - 30 * grey, np.mean(frames) - 30 * grey

    with ThreadPoolExecutor(8) as pool:
        apart = np.abs(list(pool.map(level, range(32))))
    assert apart.max() < 3
    assert soon(lambda: len(process._alive) <= process._MOST_IDLE)


def test_a_process_outlives_the_thread_that_started_it(clip):
    thread = threading.Thread(target=media.probe_video, args=(clip,))
    thread.start()
    thread.join()
    (decoder,) = process._idle
    media.probe_video(clip)
    assert process._idle == [decoder]


def run(code: str, *arguments: object) -> subprocess.CompletedProcess:
    surroundings = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=100)


def test_a_process_ends_with_its_parent_even_in_the_midst_of_a_clip(tmp_path):
    media.write_video(tmp_path / "big.mp4", moving(50, 1280, 720), 25)
    code = """
import os, signal, sys
from actalker.signals import media
from actalker.signals.media import process
frames = media.read_video(sys.argv[1])
next(frames)
print(*(decoder.pid for decoder in process._alive), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(code, tmp_path / "big.mp4")
    assert done.returncode == -signal.SIGKILL
    assert soon(lambda: not exists(int(done.stdout)))


def test_a_forked_process_reads_by_a_decoder_of_its_own(clip):
    code = """
import multiprocessing, sys
from actalker.signals import media
from actalker.signals.media import process

def levels(path):
    found = [float(frame.mean()) for frame in media.read_video(path)]
    return found, process._idle[0].pid

path = sys.argv[1]
begun = media.read_video(path)
before = [float(next(begun).mean())]
mine = {decoder.pid for decoder in process._alive}
with multiprocessing.get_context("fork").Pool(2) as pool:
    answers = pool.map(levels, [path] * 4)
assert all(found == answers[0][0] for found, _ in answers)
assert not mine & {pid for _, pid in answers}
before += [float(frame.mean()) for frame in begun]
assert before == answers[0][0], (len(before), len(answers[0][0]))
assert {decoder.pid for decoder in process._alive} == mine
print("same")
"""
    done = run(code, clip)
    assert done.stdout == "same\n", done.stderr


def test_a_spawned_process_reads_too(clip):
    from multiprocessing import get_context

    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(media.probe_video, (clip,)) == media.probe_video(clip)


def test_reading_leaves_nothing_on_the_console(clip, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:3000])
    code = """
import sys
from actalker.signals import media
for path in sys.argv[1:]:
    try:
        list(media.read_video(path))
    except ValueError:
        pass
"""
    done = run(code, clip, tmp_path / "cut.mp4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_memory_of_the_program_does_not_grow_with_the_clip(tmp_path):
    """Read in a fresh process, whose peak is its own."""
    media.write_video(tmp_path / "short.mp4", moving(25, 640, 480), 25)
    media.write_video(tmp_path / "long.mp4", (frame for _ in range(10) for frame in moving(50, 640, 480)), 25)
    code = """
import resource, sys
from actalker.signals import media
peaks = []
for path in sys.argv[1:]:
    count = sum(1 for _ in media.read_video(path))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(count, peaks[1] - peaks[0])
"""
    count, grown = map(int, run(code, tmp_path / "short.mp4", tmp_path / "long.mp4").stdout.split())
    assert count == 500
    assert grown < 5000  # kilobytes; five frames


def test_a_painted_png_may_come_as_bytes(tmp_path):
    labels = np.arange(64 * 96, dtype=np.uint8).reshape(64, 96) % 6
    Image.fromarray(labels).save(tmp_path / "masks.png")
    content = (tmp_path / "masks.png").read_bytes()
    assert np.array_equal(media.read_labels(content), labels)
    assert np.array_equal(media.read_labels(tmp_path / "masks.png"), labels)
    assert refusal(media.read_labels, b"no png").startswith("the painted PNG is no PNG;")
    assert refusal(media.read_labels, b"").startswith("the painted PNG is no PNG;")


def test_where_no_process_can_be_limited_files_are_read_in_this_one(monkeypatch, clip):
    frames, sound = list(media.read_video(clip)), media.read_audio(clip)
    monkeypatch.setattr(door, "process", None)
    process._close_all()
    assert np.array_equal(list(media.read_video(clip)), frames)
    assert np.array_equal(media.read_audio(clip), sound)
    assert media.probe_video(clip).fps == 25
    assert "holds a video, not a picture" in refusal(media.read_image, clip)
    assert not process._alive


def test_rates_and_lengths_may_be_any_numbers(clip):
    assert len(list(media.read_video(clip, Fraction(25), np.float64(0.4)))) == 10
    assert len(media.read_audio(clip, np.int64(16000), Fraction(1))) == 16000


def test_an_hdr_clip_is_read_with_a_warning(tmp_path, caplog):
    with av.open(str(tmp_path / "hdr.mp4"), "w") as container:
        stream = container.add_stream("libx265", rate=25, width=96, height=64, pix_fmt="yuv420p10le")
        stream.codec_context.color_trc, stream.codec_context.color_primaries = 16, 9
        stream.codec_context.colorspace = 9
        for frame in moving(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    frames = list(media.read_video(tmp_path / "hdr.mp4"))
    assert len(frames) == 5
    assert "hdr.mp4 is an HDR video (PQ), so its colours may look pale; save it as SDR." in caplog.text


def test_hevc_is_read(tmp_path):
    with av.open(str(tmp_path / "hevc.mp4"), "w") as container:
        stream = container.add_stream("libx265", rate=25, width=96, height=64, pix_fmt="yuv420p")
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(), format="rgb24")))
        container.mux(stream.encode(None))
    for frame in media.read_video(tmp_path / "hevc.mp4"):
        assert np.abs(frame.astype(int) - scene()).mean() < 8


def test_a_clip_of_more_than_a_minute_is_refused(tmp_path):
    times = [Fraction(i) for i in range(0, 72, 2)]
    write_frames(tmp_path / "long.mkv", moving(36), times, rate=1)
    assert refusal(media.read_video, tmp_path / "long.mkv") == "long.mkv lasts 71 s; cut it to 60 s or less."
    assert len(list(media.read_video(tmp_path / "long.mkv", 1, longest=media.MOST_SECONDS))) == 71
    assert len(list(media.read_video(tmp_path / "long.mkv", 1, 30))) == 30


def test_a_clip_that_is_longer_than_it_says_is_refused_too(tmp_path):
    """A live recording has no length in its header."""
    with av.open(str(tmp_path / "live.webm"), "w", options={"live": "1"}) as container:
        video = container.add_stream("libvpx", rate=1, width=96, height=64, pix_fmt="yuv420p")
        for frame in moving(50):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = round(frame[0, 0, 0] - 20) // 4 * 2, Fraction(1, 1)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    assert refusal(media.read_video, tmp_path / "live.webm").endswith("cut it to 60 s or less.")


def test_sound_that_breaks_off_is_said(tmp_path, caplog):
    write_sound(tmp_path / "cut.wav", tone(3, 16000)[None], 16000)
    whole = (tmp_path / "cut.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    assert abs(len(media.read_audio(tmp_path / "cut.wav")) - 24000) < 200
    caplog.clear()
    media.read_audio(write_sound(tmp_path / "whole.mp3", tone(3, 44100)[None], 44100, "libmp3lame"))
    assert caplog.text == ""
