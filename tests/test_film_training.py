"""Training of the full tier on a toy: it learns, and a run that was stopped goes on as if it had not been."""

import json
from dataclasses import replace

import pytest
import torch

from actalker.checkpoints import load_denoiser, read_metadata
from actalker.config import OWN, PAPER, FilmTraining, Full, Unet
from actalker.errors import InputError
from actalker.model.full import VideoDenoiser
from actalker.model.unet import start_as_identity
from actalker.training.film_loop import GATES, FilmLesson, choose_taught, draw, train_films
from actalker.training.films import Shot, check_clips, read_manifest

pytest.importorskip("accelerate")
FRAMES, GRID = 3, 8
TOY = FilmTraining(steps=200, batch=1, frames=FRAMES, rate=2e-3, average=0.9, all_parameters=True, save_every=200)
SHORT = replace(TOY, steps=12, batch=2, save_every=6)


def network():
    torch.manual_seed(0)
    unet = Unet(PAPER, (32, 32), (2, 2), 1, 16, clip_numbers=8, mask_rule="threshold", masked_over_time=True)
    encoders = replace(OWN, speech_hidden=16, speech_tokens=4, identity_hidden=16, place=(4, 8, 8, 16))
    made = VideoDenoiser(Full(unet=unet, encoders=encoders, fps=25.0))
    start_as_identity(made.unet)
    return made


@pytest.fixture(scope="module")
def shots(tmp_path_factory):
    """Two clips of smooth latents."""
    folder, paths = tmp_path_factory.mktemp("shots"), []
    torch.manual_seed(1)
    for i in range(2):
        still = torch.nn.functional.interpolate(torch.randn(1, 4, 2, 2), GRID, mode="bilinear")
        maps = torch.zeros(3, 8 * GRID, 8 * GRID)
        maps[0, 8:56, 8:56] = maps[1, 32:56, 8:56] = 1
        maps[2] = maps[0] - maps[1]
        moving = still + 0.1 * torch.linspace(-1, 1, 6)[:, None, None, None]
        told = (torch.randn(8), torch.randn(6, 20, 1, 113), torch.randn(6, 32), torch.randn(6, 6))
        paths.append(folder / f"{i}.npz")
        Shot(moving, *told, maps).save(paths[-1])
    return paths


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def unbroken(shots, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    return train_films(network(), shots, TOY, folder)


def test_the_loss_falls_by_half_in_200_steps(shots, unbroken):
    assert len(losses(unbroken.parent)) == 200
    unseen = [draw(shots, TOY, 10_000 + number) for number in range(30)]
    before, after = (
        sum(FilmLesson(made)(one).item() for one in unseen)
        for made in (network().requires_grad_(False), load_denoiser(unbroken))
    )
    assert after < before / 2


def test_a_stopped_run_goes_on_to_the_same_bits(shots, tmp_path):
    whole = train_films(network(), shots, SHORT, tmp_path / "whole")
    train_films(network(), shots, replace(SHORT, steps=6), tmp_path / "parts")
    resumed = train_films(network(), shots, SHORT, tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    one, two = (load_denoiser(path).state_dict() for path in (whole, resumed))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_checkpoint_tells_that_it_is_trained(unbroken):
    config, facts = read_metadata(unbroken)
    assert config == replace(network().config, window=FRAMES)
    assert facts == {"trained": True, "steps": 200}


def test_control_alone_leaves_svd_as_it_is(shots, tmp_path):
    made = network()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    taught = choose_taught(made, replace(TOY, all_parameters=False))
    path = train_films(made, shots, replace(TOY, steps=2, all_parameters=False), tmp_path)
    after = load_denoiser(path).state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved
    assert moved <= taught.keys()
    assert any(".control." in name for name in moved)
    assert any(name.startswith("unet.") for name in after.keys() - taught.keys())


def test_draws_open_every_gate_and_forget_now_and_then(shots):
    drawn = [draw(shots, TOY, number) for number in range(300)]
    for gates in GATES:
        assert 60 < sum(one.gates == gates for one in drawn) < 140
    assert 10 < sum("photo" not in one.told for one in drawn) < 60
    again = draw(shots, TOY, 7)
    assert torch.equal(again.noise, drawn[7].noise)
    assert again.gates == drawn[7].gates


def test_a_signal_alone_has_the_face_and_two_share_it(shots):
    lesson = FilmLesson(network())
    for gates in GATES:
        one = replace(draw(shots, TOY, 0), gates=gates)
        masks = lesson.conditions(one, torch.device("cpu")).masks.pixels
        areas = {name: int(mask.sum()) for name, mask in masks.items()}
        whole, mouth = 48 * 48, 24 * 48
        assert areas == ({"audio": mouth, "video": whole - mouth} if len(gates) == 2 else {gates[0]: whole})


def test_the_manifest_and_its_clips_are_checked(tmp_path):
    manifest = tmp_path / "clips.jsonl"
    manifest.write_text('{"video": "gone.mp4"}\nbroken.mp4\n')
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    videos = read_manifest(manifest)
    report = check_clips(videos, network().config, FRAMES)
    assert "does not exist" in report[str(videos[0])]
    assert report[str(videos[1])].endswith(".")
    manifest.write_text("{}")
    with pytest.raises(InputError, match="Line 1"):
        read_manifest(manifest)
    manifest.write_text("\n")
    with pytest.raises(InputError, match="names no video"):
        read_manifest(manifest)
