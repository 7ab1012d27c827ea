"""A toy network, a toy corpus, and a program that trains one on the other, for accelerate to start.

accelerate launch --multi_gpu --num_processes 2 tests/toy_training.py FOLDER BATCH END
"""

import os
import sys
from pathlib import Path

import numpy as np
import torch

from actalker.config import Control, MotionNet, Training
from actalker.training.corpus import Rendering, Utterance
from actalker.training.data import Batch, Batches
from actalker.training.loop import train

TOY = MotionNet(Control(width=16, state=4, step_rank=2, condition=16), blocks=1, heads=2, speech_blocks=1)


def toy_corpus() -> list[Utterance]:
    rng = np.random.default_rng(0)

    def rendering(frames):
        """A mouth that opens with the level of the sound."""
        level = np.repeat(rng.random(frames // 3 + 1), 3)[:frames]
        mel = np.repeat(level, 4)[:, None] * np.ones(80) + 0.1 * rng.normal(size=(4 * frames, 80))
        evidence = np.repeat(level, 4)[:, None] * np.ones(32)
        return Rendering(mel, evidence, level[:, None] * np.linspace(0.2, 1, 19), level, [])

    return [Utterance("toy", "", [rendering(frames) for frames in (9, 40)]) for _ in range(3)]


def stop_at(step: int) -> None:
    """End the process, as if it had been killed, before this step."""
    draw = Batches.draw

    def draw_or_stop(batches: Batches, number: int) -> Batch:
        if number == step:
            raise SystemExit
        return draw(batches, number)

    Batches.draw = draw_or_stop


if __name__ == "__main__":
    folder, batch, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    stop_at(end)
    config = Training(steps=12, batch=batch, frames=12, warmup=1, save_every=1)
    train(toy_corpus(), TOY, config, folder, {"processes": int(os.environ.get("WORLD_SIZE", 1))})
