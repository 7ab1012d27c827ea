"""The embedded pipeline end to end on small clips: gates, lengths, sound, recipes, cancelling."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from samples import unsigned, write_sound

from actalker import pipelines
from actalker.config import COEFFICIENTS, PRESETS, REGIONS
from actalker.errors import InputError
from actalker.pipelines import Cancelled, Request, denoising
from actalker.pipelines.recipe import read_recipe
from actalker.signals import media
from actalker.signals.audio import Speech, joined
from actalker.signals.motion import Motion

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO = ASSETS / "faces/astronaut.jpg"


@pytest.fixture(scope="module")
def pipeline():
    return pipelines.load()


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """1.3 s of speech and 0.8 s of a driving clip."""
    folder = tmp_path_factory.mktemp("short")
    samples = media.read_audio(ASSETS / "speech/welcome.wav")
    speech = write_sound(folder / "speech.wav", samples[None, 8000 : 8000 + 20800], 16000)
    frames = [frame for frame, _ in zip(media.read_video(ASSETS / "drivers/curious.mp4"), range(20), strict=False)]
    media.write_video(folder / "driving.mp4", frames, 25)
    return {"speech": speech, "driving": folder / "driving.mp4"}


def run(pipeline, out, **settings):
    """Render small and return the facts, the motion and the decoded frames."""
    request = Request(photo=PHOTO, size=128, steps=2, **settings)
    facts = pipeline(request, out, motion_out=out.with_suffix(".npz"))
    with av.open(str(out)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(video=0)]
    return facts, Motion.load(out.with_suffix(".npz")), np.stack(frames)


def columns(region):
    return [COEFFICIENTS.index(name) for name in REGIONS[region]]


@pytest.fixture(scope="module")
def joint(pipeline, short, tmp_path_factory):
    return run(pipeline, tmp_path_factory.mktemp("joint") / "out.mp4", **short)


def test_joint_is_as_long_as_the_speech(joint):
    facts, motion, frames = joint
    assert facts["frames"] == len(motion) == len(frames) == round(1.3 * 25)
    assert facts["gates"] == {"audio": True, "video": True}
    assert facts["regions"] == PRESETS["joint"]
    with av.open(facts["out"]) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, picture.pix_fmt, sound.codec_context.name) == ("h264", "yuv420p", "aac")
        assert picture.average_rate == 25
        assert float(sound.duration * sound.time_base) == pytest.approx(facts["seconds"], abs=0.03)


def test_the_facts_are_complete_json(joint):
    facts = json.loads(json.dumps(joint[0]))
    wanted = (
        "out seconds frames fps width height tier seed gates regions timeline offsets faces_found driver_frames_filled"
    )
    wanted += " network_calls"
    assert set(wanted.split()) | {"timings", "realtime_factor", "peak_memory_mb", "recipe", "cancelled"} == set(facts)
    assert set(facts["timings"]) == {"measure", "denoise", "render", "encode", "total"}
    assert facts["network_calls"] == 2


@pytest.mark.parametrize(
    ("preset", "signal", "gates"), [("voice", "speech", (True, False)), ("video", "driving", (False, True))]
)
def test_a_closed_gate_changes_no_bit(pipeline, short, tmp_path, preset, signal, gates):
    regions = PRESETS[preset]
    _, alone, frames = run(pipeline, tmp_path / "alone.mp4", **{signal: short[signal]}, regions=regions)
    facts, both, others = run(pipeline, tmp_path / "both.mp4", **short, regions=regions)
    assert tuple(facts["gates"].values()) == gates
    assert np.array_equal(alone.values, both.values)
    assert np.array_equal(frames, others)


def test_the_clip_reaches_only_its_regions(pipeline, short, tmp_path, joint):
    media.write_video(tmp_path / "other.mp4", list(media.read_video(short["driving"]))[::-1], 25)
    _, other, _ = run(pipeline, tmp_path / "out.mp4", speech=short["speech"], driving=tmp_path / "other.mp4")
    assert np.array_equal(other.values[:, columns("mouth")], joint[1].values[:, columns("mouth")])
    assert not np.array_equal(other.values[:, columns("head")], joint[1].values[:, columns("head")])


def test_still_regions_and_strength(pipeline, short, tmp_path):
    still = {"speech": short["speech"], "regions": PRESETS["voice-still"]}
    _, motion, _ = run(pipeline, tmp_path / "one.mp4", **still)
    _, half, _ = run(pipeline, tmp_path / "half.mp4", **still, audio_strength=0.5)
    for region in ("eyes", "gaze", "brows", "head"):
        assert not motion.values[:, columns(region)].any()
    assert np.allclose(half.values, motion.values / 2, atol=1e-6)


def test_head_strength_moves_the_head_alone(pipeline, short, tmp_path):
    speech = {"speech": short["speech"], "regions": PRESETS["voice"]}
    _, motion, _ = run(pipeline, tmp_path / "one.mp4", **speech)
    _, calm, _ = run(pipeline, tmp_path / "calm.mp4", **speech, head_strength=0.25)
    assert motion.values[:, columns("head")].any()
    assert np.allclose(calm.values[:, columns("head")], motion.values[:, columns("head")] / 4, atol=1e-6)
    for region in ("mouth", "eyes", "gaze", "brows"):
        assert np.array_equal(calm.values[:, columns(region)], motion.values[:, columns(region)])


def test_seed_decides_and_repeats(pipeline, short, tmp_path):
    again = [run(pipeline, tmp_path / "a.mp4", speech=short["speech"], seed=seed)[1].values for seed in (3, 3, 4)]
    assert np.array_equal(again[0], again[1])
    assert not np.array_equal(again[0], again[2])


def test_other_rates(pipeline, short, tmp_path):
    facts, motion, frames = run(pipeline, tmp_path / "out.mp4", speech=short["speech"], fps=Fraction(30000, 1001))
    assert len(frames) == len(motion) == facts["frames"] == 39
    assert facts["seconds"] == pytest.approx(1.3, abs=1 / 30)


def test_a_preview_ends_early_and_reads_no_further(pipeline, short, tmp_path, monkeypatch):
    read = []

    def noted(real):
        return lambda *given: read.append(given[2]) or real(*given)

    monkeypatch.setattr(media, "read_audio", noted(media.read_audio))
    monkeypatch.setattr(media, "read_track", noted(media.read_track))
    facts, motion, frames = run(pipeline, tmp_path / "out.mp4", **short, until=0.48)
    assert facts["frames"] == len(motion) == len(frames) == 12
    assert read == [10.0, pytest.approx(0.58)]
    with av.open(facts["out"]) as container:
        sound = container.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(0.48, abs=0.03)
    assert read_recipe(Path(facts["recipe"])).until == 0.48


def test_a_preview_of_a_clip_alone_is_its_beginning(pipeline, short, tmp_path):
    _, whole, _ = run(pipeline, tmp_path / "whole.mp4", driving=short["driving"])
    facts, motion, _ = run(pipeline, tmp_path / "part.mp4", driving=short["driving"], until=0.4)
    assert facts["frames"] == 10
    wide = [COEFFICIENTS.index(name) for name in ("headYaw", "headPitch", "jawOpen")]
    assert (
        np.abs(motion.values[:8, wide] - whole.values[:8, wide]).max()
        < 0.2 * np.ptp(whole.values[:, wide], axis=0).max()
    )


def test_until_beyond_the_end_is_the_whole(pipeline, short, tmp_path, joint):
    facts, motion, _ = run(pipeline, tmp_path / "out.mp4", **short, until=30)
    assert np.array_equal(motion.values, joint[1].values)


def test_a_recipe_makes_the_same_video_again(pipeline, joint, tmp_path):
    request = read_recipe(Path(joint[0]["recipe"]))
    pipeline(request, tmp_path / "again.mp4")
    assert unsigned(tmp_path / "again.mp4") == unsigned(joint[0]["out"])


def test_cancelling_leaves_nothing(pipeline, short, tmp_path):
    def stop(stage, done):
        if stage == "rendering" and done > 0.3:
            raise Cancelled

    request = Request(photo=PHOTO, speech=short["speech"], size=128, steps=1)
    with pytest.raises(Cancelled):
        pipeline(request, tmp_path / "out.mp4", stop)
    assert list(tmp_path.iterdir()) == []


def test_a_strength_of_zero_is_still(pipeline, short, tmp_path):
    regions = PRESETS["joint"] | dict.fromkeys(("eyes", "gaze", "brows"), "still")
    _, _, mute = run(pipeline, tmp_path / "mute.mp4", driving=short["driving"], regions=regions | {"mouth": "still"})
    facts, _, zero = run(pipeline, tmp_path / "zero.mp4", **short, regions=regions, audio_strength=0.0)
    assert facts["gates"] == {"audio": False, "video": True}
    assert np.array_equal(mute, zero)


def test_a_face_that_vanishes_is_filled_and_counted(pipeline, tmp_path):
    frames = [frame for frame, _ in zip(media.read_video(ASSETS / "drivers/curious.mp4"), range(24), strict=False)]
    frames[10:15] = [np.full_like(frames[0], 128)] * 5
    media.write_video(tmp_path / "gap.mp4", frames, 25)
    facts, motion, _ = run(pipeline, tmp_path / "out.mp4", driving=tmp_path / "gap.mp4")
    assert facts["driver_frames_filled"] == 5
    assert np.abs(motion.values).max() < 40


@pytest.mark.parametrize("seed", range(4))
def test_no_video_begins_within_a_blink_of_the_voice(pipeline, short, tmp_path, seed):
    regions = PRESETS["voice"]
    asked = {"speech": short["speech"], "regions": regions, "seed": seed, "audio_strength": 1}
    _, motion, _ = run(pipeline, tmp_path / "out.mp4", **asked)
    lids = motion.values[:, [COEFFICIENTS.index("eyeBlinkLeft"), COEFFICIENTS.index("eyeBlinkRight")]]
    assert np.all(lids[0] == 0)
    assert np.any(lids != 0)


def test_guidance_takes_a_second_pass(pipeline, short, tmp_path, joint):
    facts, motion, _ = run(pipeline, tmp_path / "out.mp4", **short, guidance=2.0)
    assert facts["network_calls"] == 2 * joint[0]["network_calls"]
    assert not np.allclose(motion.values, joint[1].values)


def test_silence_keeps_the_mouth_still(pipeline, tmp_path):
    speech = write_sound(tmp_path / "silence.wav", np.zeros((1, 32000), np.float32), 16000)
    _, motion, frames = run(pipeline, tmp_path / "out.mp4", speech=speech, regions=PRESETS["voice-still"])
    assert np.abs(frames.astype(int) - frames[0]).mean(axis=(1, 2)).max() < 1.5
    assert motion.values[:, columns("mouth")].std(axis=0).max() < 0.02
    assert np.abs(motion.values[:, COEFFICIENTS.index("jawOpen")]).max() < 0.06


def test_settings_are_checked(short):
    request = Request(photo=PHOTO, speech=short["speech"])
    for bad, said in (
        ({"fps": Fraction(5)}, "fps is 5"),
        ({"size": 511}, "size is 511"),
        ({"steps": 0}, "steps is 0"),
        ({"until": 0.1}, "until is 0.1"),
    ):
        with pytest.raises(InputError, match=said):
            replace(request, **bad).checked()


def test_speech_in_pieces_is_speech_as_a_whole(monkeypatch):
    network, noise = pipelines.load().network, np.random.default_rng(0)
    mel, evidence = (noise.normal(size=(4 * 130 - 6, width)).astype(np.float32) for width in (80, 32))
    features = np.pad(joined(mel, evidence), ((0, 6), (0, 0)), mode="edge")

    def tokens(*asked):
        speech = denoising._Heard(network, Speech(noise, mel), iter(np.array_split(evidence, 7)), 130)
        for count in asked:
            speech.reach(count)
        return speech.tokens

    with torch.inference_mode():
        whole = network.speech(torch.from_numpy(features)[None])[0]
        assert torch.allclose(tokens(130), whole, atol=1e-5)
        monkeypatch.setattr(denoising, "HEARD_AT_ONCE", 40)
        assert torch.allclose(tokens(130), whole, atol=1e-5)
        assert torch.equal(tokens(13, 90, 130), tokens(130))
        assert not tokens(30)[:, 40:].any()
        monkeypatch.setattr(denoising, "REACH", 8)
        assert not torch.allclose(tokens(130), whole, atol=1e-3)
