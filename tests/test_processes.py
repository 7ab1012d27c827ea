"""Training on several processes: the losses and weights of one, whoever began and whoever went on; shards in place."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_training import TOY, toy_corpus

from actalker.checkpoints import load_motion_net, read_metadata
from actalker.config import Training
from actalker.model.motion_net import MotionDenoiser
from actalker.training import corpus
from actalker.training.data import Batches

ROOT = Path(__file__).parents[1]
LOSSES = ("place", "change", "auxiliary", "closure")
END = 12  # the step after the last


def trained(folder: Path, processes: int, batch: int = 4, end: int = END) -> subprocess.CompletedProcess:
    """Train the toy in `folder` up to a step, as accelerate starts it."""
    program = [str(ROOT / "tests/toy_training.py"), str(folder), str(batch), str(end)]
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]  # GPUs or not
    alone = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(launch if processes > 1 else []), *program]
    return subprocess.run(command, env=os.environ | alone, capture_output=True, text=True)


def losses(folder: Path) -> np.ndarray:
    """(steps, 4) as they were logged, to four digits."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, END + 1))
    return np.array([[row[name] for name in LOSSES] for row in rows])


def far(one: Path, two: Path) -> float:
    """How far apart two folders' weights are, beside how far training moved them."""
    torch.manual_seed(0)
    start = MotionDenoiser(TOY)
    first, second = (load_motion_net(folder / "motion_net.safetensors") for folder in (one, two))
    moved, apart = (
        sum(((a - b) ** 2).sum().item() for a, b in zip(first.parameters(), other.parameters(), strict=True))
        for other in (start, second)
    )
    return (apart / moved) ** 0.5


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    done = trained(folder, 1)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("first", [2, 1], ids=["two processes throughout", "one process, then two"])
def test_the_number_of_processes_changes_nothing(alone, tmp_path, first):
    for processes, end in ((first, 5), (2, END)):
        done = trained(tmp_path, processes, end=end)
        assert done.returncode == 0, done.stderr
    assert read_metadata(tmp_path / "motion_net.safetensors")[1] == {"processes": 2, "steps": END}
    assert np.abs(losses(tmp_path) - losses(alone)).max() <= 2e-4
    assert far(alone, tmp_path) < 1e-3


def test_rows_that_cannot_be_shared_out(tmp_path):
    done = trained(tmp_path, 2, batch=3)
    assert done.returncode != 0
    assert "3 clips a step cannot be shared out evenly to 2 processes; give a multiple." in done.stderr


def test_a_shard_is_read_in_place(tmp_path):
    items = toy_corpus()
    corpus._write_shard(corpus._shard_path(tmp_path, 0), items, 1.0)
    read = corpus.load_corpus(tmp_path)
    assert [(one.voice, len(one.renderings)) for one in read] == [(one.voice, len(one.renderings)) for one in items]
    mel = read[0].renderings[1].mel
    while not isinstance(mel, np.memmap):
        mel = mel.base
    stored = np.load(corpus._shard_path(tmp_path, 0))
    for name, array in corpus.mapped(corpus._shard_path(tmp_path, 0)).items():
        assert (array == stored[name]).all(), name
    config = Training(batch=3, frames=10, seed=5)
    one, two = (Batches(source, config, 8).draw(3) for source in (items, read))
    assert torch.equal(one.features, two.features)
    assert torch.equal(one.target, two.target)
