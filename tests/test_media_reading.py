"""Sound and video, read: the same samples and the right frames, whatever container, codec or clock they came in."""

import io
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from samples import moving, refusal, scene, tone, write_frames, write_sound

from actalker.signals import media


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Two seconds of 50 frames with a tone."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    media.write_video(path, moving(50), 25, (tone(2, 48000), 48000))
    return path


def test_sound_is_the_mean_of_its_channels(tmp_path):
    low, high = tone(1, 16000, 300), tone(1, 16000, 700)
    write_sound(tmp_path / "two.wav", np.stack([low, high]), 16000)
    read = media.read_audio(tmp_path / "two.wav")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, (low + high) / 2, atol=1e-4)


def test_six_channels_are_averaged_too(tmp_path):
    planes = np.zeros((6, 16000), np.float32)
    planes[2] = tone(1, 16000)
    write_sound(tmp_path / "six.wav", planes, 16000)
    np.testing.assert_allclose(media.read_audio(tmp_path / "six.wav"), planes[2] / 6, atol=1e-4)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_sound_is_read_only_so_far(tmp_path, rate):
    write_sound(tmp_path / "a.wav", tone(3, rate)[None], rate)
    whole, part = media.read_audio(tmp_path / "a.wav"), media.read_audio(tmp_path / "a.wav", max_seconds=1.25)
    assert len(part) == 20000
    np.testing.assert_allclose(part, whole[:20000], atol=1e-6)
    assert len(media.read_audio(tmp_path / "a.wav", max_seconds=9)) == len(whole)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_sound_is_resampled_in_place(tmp_path, rate):
    write_sound(tmp_path / "a.wav", tone(1, rate)[None], rate)
    read = media.read_audio(tmp_path / "a.wav")
    assert abs(len(read) - 16000) <= 1
    assert np.abs(read[500:15000] - tone(1, 16000)[500:15000]).max() < 0.01


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("flac", "flac"), ("ogg", "libopus"), ("m4a", "aac"), ("mp3", "libmp3lame"), ("webm", "libopus")],
)
def test_every_codec_gives_the_same_sound(tmp_path, ending, codec):
    burst = np.zeros(48000, np.float32)
    burst[24000:30000] = tone(1, 48000)[:6000]
    write_sound(tmp_path / f"a.{ending}", burst[None], 48000, codec)
    loud = np.abs(media.read_audio(tmp_path / f"a.{ending}")) > 0.1
    assert abs(loud.argmax() / 16000 - 0.5) < 0.01


def test_the_sound_of_a_video_is_read(clip):
    read = media.read_audio(clip)
    assert abs(len(read) - 32000) < 2000
    assert abs(np.abs(read[8000:24000]).max() - 0.4) < 0.05


def test_sound_that_starts_late_keeps_its_place(tmp_path):
    with av.open(str(tmp_path / "late.mkv"), "w") as container:
        video = container.add_stream("libx264", rate=25, width=96, height=64, pix_fmt="yuv420p")
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for frame in moving(30):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        frame = av.AudioFrame.from_ndarray(tone(0.5, 16000)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 8000, Fraction(1, 16000)
        container.mux(sound.encode(frame))
        container.mux([*video.encode(None), *sound.encode(None)])
    read = media.read_audio(tmp_path / "late.mkv")
    assert abs(len(read) - 16000) < 200
    assert np.all(read[:7800] == 0)


def test_samples_that_are_no_numbers_become_silence(tmp_path):
    samples = tone(1, 16000)
    samples[100:200] = np.nan
    samples[300:400] = 9.0
    write_sound(tmp_path / "bad.wav", samples[None], 16000, "pcm_f32le")
    read = media.read_audio(tmp_path / "bad.wav")
    assert np.isfinite(read).all()
    assert np.abs(read).max() <= 1.0


def test_sound_of_a_twentieth_of_a_second_is_refused(tmp_path):
    write_sound(tmp_path / "blip.wav", tone(0.05, 16000)[None], 16000)
    assert refusal(media.read_audio, tmp_path / "blip.wav").startswith(
        "blip.wav lasts only 0.05 s; give a recording of at"
    )


def test_sound_without_samples_is_refused(tmp_path):
    write_sound(tmp_path / "none.wav", tone(1, 16000)[None], 16000)
    whole = (tmp_path / "none.wav").read_bytes()
    (tmp_path / "none.wav").write_bytes(whole[: whole.index(b"data")] + b"data\0\0\0\0")
    assert "none.wav" in refusal(media.read_audio, tmp_path / "none.wav")


def test_silence_is_sound(tmp_path):
    write_sound(tmp_path / "quiet.wav", np.zeros((1, 16000), np.float32), 16000)
    assert np.array_equal(media.read_audio(tmp_path / "quiet.wav"), np.zeros(16000, np.float32))


def test_sound_of_more_than_ten_minutes_is_refused(tmp_path):
    write_sound(tmp_path / "long.flac", np.zeros((1, 8000 * 605), np.float32), 8000, "flac")
    assert refusal(media.read_audio, tmp_path / "long.flac").startswith("long.flac lasts 605 s; cut it to 600 s")


def levels(frames) -> list[int]:
    """Which of the `moving` frames each one is."""
    return [round((float(frame.mean()) - 20) / 4) for frame in frames]


def test_frames_come_back_in_order(clip):
    assert levels(media.read_video(clip)) == list(range(50))


def test_probing_tells_size_rate_length_and_sound(clip):
    assert media.probe_video(clip) == media.VideoInfo(96, 64, Fraction(25), 2.0, True)


STEADY = [Fraction(i, 25) for i in range(30)]
CHANGING = [*(Fraction(i, 30) for i in range(15)), Fraction(1), Fraction(2)]
LATE = [3 + time for time in STEADY]


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "clip.mov", "clip.avi", "clip.ts"])
@pytest.mark.parametrize("times", [STEADY, CHANGING, LATE], ids=["steady", "changing", "late"])
def test_the_length_told_is_that_of_the_frames(tmp_path, name, times):
    """Containers claim other lengths: from zero to the last frame's beginning, say."""
    if name == "clip.avi":  # has no times
        times = STEADY
    write_frames(tmp_path / name, moving(len(times)), times)
    info = media.probe_video(tmp_path / name)
    assert round(info.seconds * info.fps) == len(list(media.read_video(tmp_path / name, float(info.fps))))


@pytest.mark.parametrize(("fps", "count"), [(25, 50), (50, 100), (12.5, 25), (30, 60), (30000 / 1001, 60)])
def test_any_rate_can_be_had(clip, fps, count):
    read = levels(media.read_video(clip, fps=fps))
    assert len(read) == count
    wanted = np.arange(count) * 25 / fps
    assert np.abs(np.array(read) - wanted).max() <= 0.51 + 1e-6


def test_a_variable_rate_becomes_steady_by_timestamps(tmp_path):
    times = [Fraction(i, 30) for i in range(15)] + [Fraction(1, 2) + Fraction(i, 10) for i in range(6)]
    write_frames(tmp_path / "vfr.mkv", moving(21), times)
    read = levels(media.read_video(tmp_path / "vfr.mkv", fps=30))
    shown = [int(np.abs(np.array([float(t) for t in times]) - i / 30).argmin()) for i in range(30)]
    assert np.abs(np.array(read[:30]) - shown).max() <= 1
    assert np.mean(np.array(read[:30]) == shown) > 0.8


def test_reading_stops_where_told(clip):
    assert len(list(media.read_video(clip, fps=25, max_seconds=0.4))) == 10


def test_frames_are_read_one_at_a_time(clip):
    frames = media.read_video(clip)
    assert levels([next(frames)]) == [0]
    frames.close()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_phone_clip_is_turned_upright(tmp_path, degrees):
    """The display matrix of an mp4's track header is set by hand, as a phone does."""
    upright = scene(96, 64)
    lying = np.ascontiguousarray(np.rot90(upright, degrees // 90))
    media.write_video(tmp_path / "phone.mp4", [lying] * 5, 25)
    whole = bytearray((tmp_path / "phone.mp4").read_bytes())
    identity = b"".join(value.to_bytes(4, "big", signed=True) for value in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    a, b = {90: (0, 65536), 180: (-65536, 0), 270: (0, -65536)}[degrees]
    turned = b"".join(value.to_bytes(4, "big", signed=True) for value in (a, b, 0, -b, a, 0, 0, 0, 1 << 30))
    at = whole.index(identity, whole.index(b"tkhd"))
    whole[at : at + 36] = turned
    (tmp_path / "phone.mp4").write_bytes(whole)
    info = media.probe_video(tmp_path / "phone.mp4")
    assert (info.width, info.height) == (96, 64)
    assert np.abs(next(media.read_video(tmp_path / "phone.mp4")).astype(int) - upright).mean() < 6


@pytest.mark.parametrize(("side", "shape"), [(None, (64, 96, 3)), (100, (64, 96, 3)), (32, (32, 48, 3))])
def test_large_pictures_may_be_reduced_on_their_way(tmp_path, side, shape):
    scenery = scene(96, 64)
    media.write_video(tmp_path / "clip.mp4", [scenery] * 2, 25)
    frame = next(media.read_video(tmp_path / "clip.mp4", side=side))
    assert frame.shape == shape
    expected = cv2.resize(scenery, shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(frame.astype(int) - expected).mean() < 6


def test_a_browser_s_recording_without_a_length(tmp_path):
    with io.BytesIO() as stream:
        with av.open(stream, "w", format="webm", options={"live": "1"}) as container:
            video = container.add_stream("libvpx", rate=25, width=96, height=64, pix_fmt="yuv420p")
            for frame in moving(25):
                container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(video.encode(None))
        (tmp_path / "live.webm").write_bytes(stream.getvalue())
    assert abs(media.probe_video(tmp_path / "live.webm").seconds - 1.0) < 0.05
    assert len(list(media.read_video(tmp_path / "live.webm", fps=25))) == 25


def test_a_clip_that_breaks_off_is_used_as_far_as_it_goes(tmp_path, caplog):
    noise = np.random.default_rng(0)
    media.write_video(tmp_path / "cut.mp4", (noise.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(100)), 25)
    whole = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    count = len(list(media.read_video(tmp_path / "cut.mp4")))
    assert 20 < count < 80
    assert "cut.mp4 breaks off after" in caplog.text


def test_a_clip_cut_before_its_index_is_refused(tmp_path):
    with av.open(str(tmp_path / "cut.mp4"), "w") as container:  # the index comes last here
        stream = container.add_stream("libx264", rate=25, width=96, height=64, pix_fmt="yuv420p")
        for frame in moving(50):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    whole = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    assert "cut.mp4 is damaged or incomplete" in refusal(media.read_video, tmp_path / "cut.mp4")
    assert "cut.mp4 is damaged or incomplete" in refusal(media.probe_video, tmp_path / "cut.mp4")


def test_a_video_of_too_many_pixels_is_refused(tmp_path):
    write_frames(tmp_path / "8k.mkv", [np.zeros((4320, 7680, 3), np.uint8)], [Fraction(0)], (7680, 4320))
    assert "8k.mkv has 7680 x 4320 pixels" in refusal(media.read_video, tmp_path / "8k.mkv")


def test_a_video_of_more_than_ten_minutes_needs_a_limit(tmp_path):
    times = [Fraction(i) for i in range(0, 660, 10)]
    write_frames(tmp_path / "long.mkv", moving(66), times, rate=1)
    assert "long.mkv lasts 6" in refusal(media.read_video, tmp_path / "long.mkv")
    assert len(list(media.read_video(tmp_path / "long.mkv", fps=1, max_seconds=30))) == 30


def test_no_file_can_name_another_one(tmp_path, clip):
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    assert "list.mp4 holds text, not a video" in refusal(media.read_video, tmp_path / "list.mp4")


def test_a_sound_track_is_read_by_slices_in_sixteen_bits(tmp_path):
    path = write_sound(tmp_path / "tone.wav", tone(1, 48000)[None], 48000)
    track, samples = media.read_track(path, 48000), media.read_audio(path, 48000)
    assert track.shape == (len(track),) == samples.shape
    wanted = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    for part in (slice(0, 48000), slice(100, 200), slice(47990, 49000), slice(48000, 49000)):
        assert np.array_equal(track[part], wanted[part])
