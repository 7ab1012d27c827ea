"""The full tier from a toy's folders to a video, by the command: convert, then animate."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from samples import unsigned, write_sound
from toy_full import toy_released, toy_svd, toy_whisper

from actalker import checkpoints, pipelines
from actalker.cli import main
from actalker.errors import InputError
from actalker.pipelines import Cancelled, Request, Running
from actalker.pipelines.full import sampling_of
from actalker.pipelines.stages import Senses
from actalker.signals import media

ASSETS = Path(__file__).parents[1] / "assets"
PHOTO = ASSETS / "faces/astronaut.jpg"


@pytest.fixture(scope="module")
def svd(tmp_path_factory):
    return toy_svd(tmp_path_factory.mktemp("svd"))


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """0.6 s of speech and of a driving clip."""
    folder = tmp_path_factory.mktemp("short")
    samples = media.read_audio(ASSETS / "speech/welcome.wav")
    speech = write_sound(folder / "speech.wav", samples[None, 8000 : 8000 + 9600], 16000)
    frames = [frame for frame, _ in zip(media.read_video(ASSETS / "drivers/curious.mp4"), range(15), strict=False)]
    media.write_video(folder / "driving.mp4", frames, 25)
    return {"speech": speech, "driving": folder / "driving.mp4"}


@pytest.fixture
def begun(svd, tmp_path_factory, monkeypatch, capsys):
    """Checkpoints from SVD alone."""
    out = tmp_path_factory.mktemp("begun")
    assert main(["convert", str(svd), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained"] is False
    monkeypatch.setenv("ACTALKER_CHECKPOINTS", str(out))
    return out


@pytest.fixture(scope="module")
def released(svd, tmp_path_factory):
    """Checkpoints from SVD, ACTalker's files and Whisper."""
    folder = tmp_path_factory.mktemp("released")
    toy_released(folder / "actalker"), toy_whisper(folder / "whisper")
    assert main(["convert", str(svd), str(folder), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.mark.parametrize("given", [("speech",), ("driving",), ("speech", "driving")], ids=["speech", "clip", "both"])
def test_animate_makes_a_video_for_every_gate(given, released, short, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ACTALKER_CHECKPOINTS", str(released))
    media_given = [f"--{name}={short[name]}" for name in given]
    options = ["--tier=full", "--size=128", "--steps=1", "--fps=10", "--json", f"--out={tmp_path / 'out.mp4'}"]
    assert main(["animate", f"--photo={PHOTO}", *media_given, *options]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["frames"] == 6
    assert facts["trained"]
    assert facts["gates"] == {"audio": "speech" in given, "video": "driving" in given}
    with av.open(str(tmp_path / "out.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == 6
    assert frames[0].shape[0] % 64 == frames[0].shape[1] % 64 == 0
    assert json.loads((tmp_path / "out.json").read_text())["made_with"]["tier"] == "full"


@pytest.mark.usefixtures("begun")
def test_untrained_weights_say_so(short, tmp_path, capsys):
    fast = ["--tier=full", "--size=128", "--fps=10", "--fast", "--precision=bf16", "--offload", "--decode=4"]
    asked = ["animate", f"--photo={PHOTO}", f"--speech={short['speech']}", f"--out={tmp_path / 'out.mp4'}"]
    assert main([*asked, *fast]) == 0
    assert "untrained" in capsys.readouterr().out
    recipe = ["animate", f"--recipe={tmp_path / 'out.json'}", f"--out={tmp_path / 'again.mp4'}", "--json"]
    assert main(recipe) == 0
    assert json.loads(capsys.readouterr().out)["tier"] == "full"
    assert unsigned(tmp_path / "again.mp4") == unsigned(tmp_path / "out.mp4")
    said = refused(capsys, *asked, "--tier=full", "--device=cuda:77")
    assert "cuda:77 cannot be used" in said
    assert "belong to the full tier" in refused(capsys, *asked, "--fast")


@pytest.mark.usefixtures("begun")
def test_approximate_options_run_alone_and_are_in_the_recipe(short, tmp_path, capsys):
    asked = ["animate", f"--photo={PHOTO}", f"--speech={short['speech']}", f"--out={tmp_path / 'out.mp4'}"]
    chosen = ["--schedule=short", "--guidance-interval", "1.5", "10", "--cache-interval=4"]
    assert main([*asked, "--tier=full", "--size=128", "--fps=10", *chosen]) == 0
    running = json.loads((tmp_path / "out.json").read_text())["made_with"]["running"]
    assert running["preset"] == "release"
    assert Running(**running).checked() == Running(
        schedule="short", guidance_interval=(1.5, 10.0), cache_interval=4, decode=running["decode"]
    )
    recipe = ["animate", f"--recipe={tmp_path / 'out.json'}", f"--out={tmp_path / 'again.mp4'}"]
    assert main(recipe) == 0
    assert unsigned(tmp_path / "again.mp4") == unsigned(tmp_path / "out.mp4")
    capsys.readouterr()
    assert "cache_interval is 0" in refused(capsys, *asked, "--tier=full", "--cache-interval=0")
    assert "cache_interval belong to the full tier" in refused(capsys, *asked, "--cache-interval=2")


def test_signals_masks_and_seeds_matter(released, short, monkeypatch):
    monkeypatch.setenv("ACTALKER_CHECKPOINTS", str(released))
    pipeline, senses = pipelines.load("full", Running(preset="fast")), Senses()

    def render(**changes):
        request = Request(photo=PHOTO, size=128, fps=10, **(short | changes)).checked()
        return np.stack(list(pipeline.frames(request, senses(request))))

    one = render()
    assert not np.array_equal(one, render(seed=1))
    assert not np.array_equal(one, render(driving=None))
    assert not np.array_equal(one, render(speech=None))
    pipeline.running = Running(preset="fast", masks="ones")
    assert not np.array_equal(one, render())


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.usefixtures("begun")
def test_frames_come_while_windows_are_denoised(offload, short, monkeypatch):
    """A window is 25 frames: 36 frames and a window of padding make three."""
    pipeline = pipelines.load("full", Running(decode=2, offload=offload))
    calls, run = [], pipeline.network.forward
    monkeypatch.setattr(pipeline.network, "forward", lambda *given: calls.append(0) or run(*given))
    request = Request(photo=PHOTO, speech=short["speech"], size=128, fps=60, steps=1).checked()
    frames = pipeline.frames(request, Senses()(request))
    next(frames)
    at_first = len(calls)
    assert len(list(frames)) == 35
    assert len(calls) == 3
    assert (at_first < 3) != offload


def test_strengths_scale_the_guidance_of_their_signal():
    request = Request(photo=PHOTO, audio_strength=0.5, video_strength=1.5, guidance=2.0)
    assert sampling_of(request, Running()).scales == (2.0, 7.5, 9.0)


@pytest.mark.usefixtures("begun")
def test_stopping_leaves_nothing(short, tmp_path):
    def stop(stage, done):
        if stage == "denoising" and done > 0:
            raise Cancelled

    request = Request(photo=PHOTO, size=128, steps=2, fps=10, speech=short["speech"])
    with pytest.raises(Cancelled):
        pipelines.load("full")(request, tmp_path / "out.mp4", stop)
    assert not list(tmp_path.iterdir())


def refused(capsys, *arguments):
    """The one sentence with which the command ends."""
    assert main([*map(str, arguments)]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    return said


class Evil:
    """Pickles as a call."""

    def __reduce__(self):
        return print, ("code was run",)


def test_what_cannot_be_converted_is_one_sentence(svd, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert "not a folder" in refused(capsys, "convert", tmp_path / "nowhere", "--out", out)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "No Stable Video Diffusion" in refused(capsys, "convert", empty, "--out", out)
    alone = tmp_path / "alone"
    shutil.copytree(svd / "unet", alone / "unet")
    assert "has no vae" in refused(capsys, "convert", alone, "--out", out)
    cut = tmp_path / "cut"
    for name in ("unet", "vae"):
        (cut / name).mkdir(parents=True)
        for file in (svd / name).iterdir():
            content = file.read_bytes()
            (cut / name / file.name).write_bytes(content if file.suffix == ".json" else content[:-9])
    assert "cannot be read" in refused(capsys, "convert", cut, "--out", out)
    part = tmp_path / "part"
    part.mkdir()
    torch.save({"proj1.weight": torch.zeros(1)}, part / "vasa_linear-1.pth")
    assert "are missing" in refused(capsys, "convert", svd, part, "--out", out)
    monkeypatch.setattr(checkpoints, "free_memory", lambda: 1_000_000)
    assert "GB into memory" in refused(capsys, "convert", svd, "--out", out)
    assert not out.exists()


def test_code_in_a_pickle_is_not_run(svd, tmp_path, capsys):
    folder = toy_released(tmp_path / "files")
    toy_whisper(tmp_path / "whisper")
    torch.save({"generator": Evil(), "pose_model": {}}, folder / "MX31c_32k.ckpt")
    said = refused(capsys, "convert", svd, tmp_path, "--out", tmp_path / "out")
    assert "more than tensors" in said
    assert "code was run" not in said + capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_damaged_weights_and_small_machines_are_one_sentence(begun, short, tmp_path, monkeypatch, capsys):
    asked = ["animate", f"--photo={PHOTO}", f"--speech={short['speech']}", "--tier=full", f"--out={tmp_path / 'o.mp4'}"]
    monkeypatch.setattr(checkpoints, "free_memory", lambda: 10_000_000)
    said = refused(capsys, *asked)
    assert "GB of memory and 0.0 GB are free" in said
    monkeypatch.undo()
    monkeypatch.setenv("ACTALKER_CHECKPOINTS", str(begun))
    whole = (begun / checkpoints.DENOISER).read_bytes()
    (begun / checkpoints.DENOISER).write_bytes(whole[: len(whole) // 2])
    assert "is not a checkpoint" in refused(capsys, *asked)
    (begun / checkpoints.DENOISER).unlink()
    assert "actalker convert" in refused(capsys, *asked)
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.usefixtures("begun")
def test_other_tiers_and_other_requests_are_refused(short, tmp_path):
    pipeline = pipelines.load("full")
    request = Request(photo=PHOTO, speech=short["speech"])
    with pytest.raises(InputError, match=r"head_strength is 0\.5"):
        pipeline(replace(request, head_strength=0.5), tmp_path / "out.mp4")
    with pytest.raises(InputError, match="motion-out"):
        pipeline(request, tmp_path / "out.mp4", motion_out=tmp_path / "m.npz")
    with pytest.raises(InputError, match="full tier has no offsets"):
        pipeline(replace(request, offsets={"jawOpen": 0.2}), tmp_path / "out.mp4")


def test_released_weights_can_be_taught_more(released, short, tmp_path, monkeypatch, capsys):
    pytest.importorskip("accelerate")
    monkeypatch.setenv("ACTALKER_CHECKPOINTS", str(released))
    frames = list(media.read_video(short["driving"]))
    sound = media.read_audio(ASSETS / "speech/welcome.wav", 16000)[8000:17600]
    media.write_video(tmp_path / "clip.mp4", frames, 25, (sound, 16000))
    (tmp_path / "clips.txt").write_text("clip.mp4\n")
    train = ["train", "--tier=full", "--frames=4", "--size=64", "--steps=1", "--batch=1", "--json"]
    assert main([*train, f"--clips={tmp_path / 'clips.txt'}", f"--out={tmp_path / 'run'}"]) == 0
    made = Path(json.loads(capsys.readouterr().out)["checkpoint"])
    (config, facts), (before, _) = (checkpoints.read_metadata(path) for path in (made, released / checkpoints.DENOISER))
    assert facts == {"trained": True, "steps": 1}
    assert config.unet == before.unet
    (cached,) = (tmp_path / "run" / "clips").glob("*.npz")
    with np.load(cached) as shot:
        assert shot["latents"].shape == (8, 4, 8, 8)  # 12.5 frames a second
        assert shot["expression"].shape == (8, 512)


def test_clips_are_checked_and_train_what_can_then_be_rendered(begun, short, tmp_path, capsys):
    pytest.importorskip("accelerate")
    frames = list(media.read_video(short["driving"]))
    sound = media.read_audio(ASSETS / "speech/welcome.wav", 16000)[8000:17600]
    media.write_video(tmp_path / "good.mp4", frames, 25, (sound, 16000))
    media.write_video(tmp_path / "mute.mp4", frames, 25)
    (tmp_path / "all.txt").write_text("good.mp4\nmute.mp4\n")
    (tmp_path / "good.txt").write_text("good.mp4\n")
    train = ["train", "--tier=full", "--frames=4", "--size=128", "--json"]
    assert main([*train, f"--clips={tmp_path / 'all.txt'}", "--check"]) == 0
    said = list(json.loads(capsys.readouterr().out)["clips"].values())
    assert said[0] == "ok"
    assert "has no sound" in said[1]
    out = f"--out={tmp_path / 'run'}"
    assert "has no sound" in refused(capsys, *train, f"--clips={tmp_path / 'all.txt'}", out)
    assert main([*train, f"--clips={tmp_path / 'good.txt'}", out, "--steps=1", "--batch=2"]) == 0
    checkpoint = Path(json.loads(capsys.readouterr().out)["checkpoint"])
    (begun / checkpoints.DENOISER).write_bytes(checkpoint.read_bytes())
    asked = ["animate", f"--photo={PHOTO}", f"--speech={short['speech']}", f"--out={tmp_path / 'out.mp4'}"]
    assert main([*asked, "--tier=full", "--size=128", "--fps=10", "--fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trained"]
