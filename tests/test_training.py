"""Training: batches whose answer is known, a loop that learns and resumes exactly, and checkpoints that are strict."""

from dataclasses import replace

import pytest
import torch
from toy_training import TOY, toy_corpus

from actalker.checkpoints import EMBEDDED, folder, load_motion_net, read_metadata, save_motion_net
from actalker.config import COEFFICIENTS, INDEX, REGIONS, Training
from actalker.errors import InputError
from actalker.model.conditioning import coefficient_mask
from actalker.model.motion_net import MotionDenoiser
from actalker.training import loop
from actalker.training.data import Batches
from actalker.training.loop import train
from actalker.training.visemes import mouth_motion

QUICK = Training(steps=6, batch=2, frames=12, warmup=1, save_every=3)


@pytest.fixture(scope="module")
def corpus():
    return toy_corpus()


def test_a_batch_has_the_answer(corpus):
    batches = Batches(corpus, Training(batch=3, frames=20, seed=1), 8)
    for number in range(12):
        batch = batches.draw(number)
        heard = {name: coefficient_mask(mask) for name, mask in batch.masks.items()}
        for signal, motion in (("audio", batch.voice), ("video", batch.truth)):
            if signal in heard:
                assert torch.equal(batch.target * heard[signal], motion * heard[signal])
        assert (batch.target[:, batch.heard == 0] == 0).all()
        assert batch.features.shape == (3, 80, 113)


def test_draws_do_not_depend_on_each_other(corpus):
    one, two = (Batches(corpus, Training(batch=2, frames=10, seed=5), 8) for _ in range(2))
    one.draw(0)
    assert torch.equal(one.draw(7).features, two.draw(7).features)


def test_now_and_then_one_kind_of_hearing_is_withheld(corpus):
    rows = torch.cat([Batches(corpus, Training(batch=50, frames=10, seed=2), 8).draw(k).features for k in range(8)])
    no_mel, no_phones = ((rows[..., part] == 0).all(dim=(1, 2)).float().mean() for part in (slice(80), slice(80, None)))
    assert 0.24 < no_mel < 0.36
    assert 0.10 < no_phones < 0.20
    assert (rows[..., -1].amin(dim=1) == rows[..., -1].amax(dim=1)).all()


def test_lips_that_should_meet_and_lips_that_should_not():
    phones = [(0.0, 0.5, "AA"), (0.5, 0.7, "M"), (0.7, 1.2, "AA")]
    target = torch.from_numpy(mouth_motion(phones, 1.2))[None]
    seal = loop._seal(target)[0]
    assert seal[14:17].min() > 0.95  # lips run ahead of the sound
    assert seal[:10].max() == 0
    assert loop._misclosed(target, target).max() == 0
    ajar = target.clone()
    ajar[0, 15, INDEX["mouthClose"]] = 0
    shut = target.clone()
    shut[0, 5, INDEX["mouthClose"]] = shut[0, 5, INDEX["jawOpen"]]
    for motion, frame in ((ajar, 15), (shut, 5)):
        assert loop._misclosed(motion, target)[0].nonzero().flatten().tolist() == [frame]


def test_closed_lips_and_rest_count_more():
    phones = [(0.0, 1.0, "SIL"), (1.0, 1.5, "AA"), (1.5, 1.7, "B"), (1.7, 2.2, "AA")]
    target = torch.from_numpy(mouth_motion(phones, 2.2))[None]
    motion = torch.cat([target, torch.zeros(1, 55, len(COEFFICIENTS) - 19)], dim=-1)
    weights = loop._emphasis(motion, Training())[0] / loop._weights()
    assert torch.allclose(weights[10, :19], torch.tensor(Training.resting))
    assert torch.allclose(weights[31, :19], torch.tensor(1.0))
    assert weights[39, 0] > 1.9
    assert (weights[:, 19:] == 1).all()


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
    batch = Batches(corpus, Training(batch=16, frames=12, seed=9), 8).draw(0)
    said = trained.whiten(batch.voice)[..., : len(REGIONS["mouth"])]
    guess = trained.speech(batch.features)[1]
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
