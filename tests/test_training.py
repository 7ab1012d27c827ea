"""Training: batches whose answer is known, a loop that learns and resumes exactly, and checkpoints that are strict."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from actalker.checkpoints import EMBEDDED, folder, load_motion_net, read_metadata, save_motion_net
from actalker.config import COEFFICIENTS, REGIONS, Control, MotionNet, Training
from actalker.errors import InputError
from actalker.model.conditioning import coefficient_mask
from actalker.model.motion_net import MotionDenoiser
from actalker.training.corpus import Rendering, Utterance
from actalker.training.data import Batches
from actalker.training.loop import train

TOY = MotionNet(Control(width=16, state=4, step_rank=2, condition=16), blocks=1, heads=2, speech_blocks=1)
QUICK = Training(steps=6, batch=2, frames=12, warmup=1, save_every=3)


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)

    def rendering(frames):
        """A mouth that opens with the level of the sound."""
        level = np.repeat(rng.random(frames // 3 + 1), 3)[:frames]
        mel = np.repeat(level, 4)[:, None] * np.ones(80) + 0.1 * rng.normal(size=(4 * frames, 80))
        return Rendering(mel, level[:, None] * np.linspace(0.2, 1, 19), level, [])

    return [Utterance("toy", "", [rendering(frames) for frames in (9, 40)]) for _ in range(3)]


def test_a_batch_has_the_answer(corpus):
    batches = Batches(corpus, 3, 20, 8, seed=1)
    for number in range(12):
        batch = batches.draw(number)
        heard = {name: coefficient_mask(mask) for name, mask in batch.masks.items()}
        for signal, motion in (("audio", batch.voice), ("video", batch.truth)):
            if signal in heard:
                assert torch.equal(batch.target * heard[signal], motion * heard[signal])
        assert (batch.target[:, batch.heard == 0] == 0).all()
        assert batch.mel.shape == (3, 80, 80)


def test_draws_do_not_depend_on_each_other(corpus):
    one, two = Batches(corpus, 2, 10, 8, seed=5), Batches(corpus, 2, 10, 8, seed=5)
    one.draw(0)
    assert torch.equal(one.draw(7).mel, two.draw(7).mel)


def test_a_resumed_run_equals_an_unbroken_one(corpus, tmp_path, monkeypatch):
    whole = train(corpus, TOY, QUICK, tmp_path / "whole", {})
    draw = Batches.draw

    def draw_until_stopped(batches, number):
        if number == 4:  # one step after the last save
            raise KeyboardInterrupt
        return draw(batches, number)

    with monkeypatch.context() as stopped:
        stopped.setattr(Batches, "draw", draw_until_stopped)
        with pytest.raises(KeyboardInterrupt):
            train(corpus, TOY, QUICK, tmp_path / "broken", {})
    assert (tmp_path / "broken/state.pt").exists()
    broken = train(corpus, TOY, QUICK, tmp_path / "broken", {})
    for name, weight in load_motion_net(whole).state_dict().items():
        assert torch.equal(weight, load_motion_net(broken).state_dict()[name]), name


def test_the_loop_learns(corpus, tmp_path):
    config = replace(QUICK, steps=60, batch=4, save_every=60)
    trained = load_motion_net(train(corpus, TOY, config, tmp_path, {}))
    batch = Batches(corpus, 16, 12, 8, seed=9).draw(0)
    said = trained.whiten(batch.voice)[..., : len(REGIONS["mouth"])]
    guess = trained.speech(batch.mel)[1]
    assert ((guess - said) ** 2).mean() < 0.5 * (said**2).mean()


def test_a_checkpoint_carries_its_config_and_facts(tmp_path):
    network = MotionDenoiser(TOY)
    save_motion_net(network, tmp_path / "net.safetensors", {"steps": 12})
    config, facts = read_metadata(tmp_path / "net.safetensors")
    assert (config, facts) == (TOY, {"steps": 12})
    loaded = load_motion_net(tmp_path / "net.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), loaded.parameters(), strict=True))


def test_checkpoints_that_are_none(tmp_path):
    with pytest.raises(InputError, match="no checkpoint at"):
        load_motion_net(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(InputError, match="not a checkpoint of this program"):
        load_motion_net(tmp_path / "text.safetensors")


def test_the_shipped_checkpoint_is_what_its_card_says():
    _, facts = read_metadata(folder() / EMBEDDED)
    card = (folder() / "README.md").read_text()
    assert f"--minutes {facts['corpus_minutes']:g} --steps {facts['steps']}" in card
    network = load_motion_net()
    assert network.mean.shape == (len(COEFFICIENTS),)
    assert all(torch.isfinite(weight).all() for weight in network.parameters())
