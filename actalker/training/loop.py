"""One training loop, of any number of processes. The same command again continues from the last state, with as many or
another number of them; an average over steps is what ships.
"""

import copy
import json
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from actalker.checkpoints import parameters, save_motion_net
from actalker.config import COEFFICIENTS, INDEX, REGIONS, MotionNet, Sampling, Training
from actalker.convert.folders import read_pickle
from actalker.model.conditioning import belonging
from actalker.model.diffusion import loss, precondition
from actalker.model.motion_net import MotionDenoiser
from actalker.training.corpus import Utterance
from actalker.training.data import MOUTH, Batch, Batches
from actalker.training.processes import begin, mean_over, share

if TYPE_CHECKING:
    from accelerate import Accelerator

# Errors in these are seen first: lips that meet, jaw, lids.
WEIGHTS = {"jawOpen": 3.0, "mouthClose": 3.0, "mouthFunnel": 1.5, "mouthPucker": 1.5, "eyeBlinkLeft": 2.0}
WEIGHTS["eyeBlinkRight"] = WEIGHTS["eyeBlinkLeft"]
REST = 0.06  # sum of the mouth's coefficients below which it rests
TOUCHING, APART = 0.03, 0.08  # openings at which lips look closed, and open
DRAWERS = 2  # processes that draw batches for a GPU
LEAST_STD = {"mouth": 0.03, "eyes": 0.05, "gaze": 0.05, "brows": 0.05, "head": 0.02}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Noise:
    """What is random about a step over b rows. Drawn on the CPU: the same for every device and number of processes."""

    forgotten: bool  # whether signals become null tokens
    sigma: Tensor  # (b,)
    values: Tensor  # (b, t, k)
    blank: Tensor  # (b,) rows that start as sampling does

    @classmethod
    def draw(cls, shape: torch.Size, config: Training) -> "Noise":
        """For a target of this shape (b, t, k)."""
        forgotten = bool(torch.rand(()) < config.drop)
        sigma = (torch.randn(shape[0]) * config.sigma_std + config.sigma_mean).exp()
        values, blank = torch.randn(shape), torch.rand(shape[0]) < config.blank
        return cls(forgotten, torch.where(blank, Sampling.sigma_max, sigma), values, blank)

    def rows(self, rows: slice) -> "Noise":
        """That of some of the rows."""
        return Noise(self.forgotten, self.sigma[rows], self.values[rows], self.blank[rows])


class Lesson(nn.Module):
    """A network and its losses on a batch, as one module: what is distributed is what is differentiated."""

    def __init__(self, network: MotionDenoiser, config: Training):
        super().__init__()
        self.network, self.config = network, config

    def forward(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Scalars: place, change, auxiliary, closure."""
        network, config = self.network, self.config
        target = network.whiten(batch.target)
        speech, mouth = network.speech(batch.features)
        driving = network.watch(batch.driving) if "video" in batch.masks else None
        conditions = network.condition(batch.shape, batch.masks, speech, driving)
        if noise.forgotten:
            conditions = network.forget(conditions)
        noisy, sigma = _noised(target, noise)
        denoised = precondition(network)(noisy, sigma, conditions)
        place, change = loss(denoised, target, sigma, batch.heard * _emphasis(batch.target, config))
        missed = (mouth - network.whiten(batch.voice)[..., :MOUTH]) ** 2
        auxiliary = (missed * _emphasis(batch.voice, config)[..., :MOUTH]).mean()
        closure = _misclosed(_unwhitened_mouth(network, mouth), batch.voice).mean()
        closure = closure + (_misclosed(network.unwhiten(denoised), batch.target) * batch.heard[:, 0]).mean()
        return {"place": place, "change": change, "auxiliary": auxiliary, "closure": closure}


def train(corpus: list[Utterance], net: MotionNet, config: Training, folder: Path, facts: dict) -> Path:
    """Train MotionNet; state, log and averaged weights go to `folder`. Returns the checkpoint's path."""
    accelerator = begin(config.batch)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    device = accelerator.device
    batches = Batches(corpus, config, net.shape)
    network = MotionDenoiser(net).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), config.rate, (0.9, 0.98), weight_decay=config.decay)
    first = _resume(folder, network, average, optimizer)
    if first == 0:
        _set_statistics(network, average, batches)
    lesson = accelerator.prepare(Lesson(network, config))
    checkpoint = folder / "motion_net.safetensors"
    facts_of_start = parameters(network), len(batches.renderings), first, device, accelerator.num_processes
    log.info("%d parameters, %d renderings, from step %d, on %s, processes: %d", *facts_of_start)
    workers = 0 if device.type == "cpu" else DRAWERS  # a GPU waits for batches, a CPU has no core to spare
    drawn = DataLoader(batches, sampler=range(first, config.steps), batch_size=None, num_workers=workers)
    started = time.monotonic()
    for step, batch in enumerate(drawn, first):
        for group in optimizer.param_groups:
            group["lr"] = config.rate * _schedule(step, config)
        torch.manual_seed(config.seed * config.steps + step)  # a resumed run draws the same noise
        losses = _step(accelerator, lesson, optimizer, batch, config)
        _follow(average, network, min(config.average, (1 + step) / (10 + step)))
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            means = {name: mean_over(accelerator, value) for name, value in losses.items()}
            if accelerator.is_main_process:
                _record(folder, step + 1, means, (time.monotonic() - started) / (step + 1 - first))
                _save(folder, step + 1, network, average, optimizer)
                save_motion_net(average, checkpoint, facts | {"steps": step + 1})
    accelerator.wait_for_everyone()
    return checkpoint


def _step(
    accelerator: "Accelerator", lesson: nn.Module, optimizer: torch.optim.Optimizer, whole: Batch, config: Training
) -> dict[str, Tensor]:
    """One step over this process's rows of a batch. Gives its losses, whose mean over processes is the batch's."""
    rows, noise = share(accelerator, config.batch), Noise.draw(whole.target.shape, config)
    losses = lesson(whole.rows(rows).to(accelerator.device), noise.rows(rows))
    portions = _portions(whole, rows, accelerator.num_processes, config)
    losses = {name: value * portions.get(name, 1.0) for name, value in losses.items()}
    place, change, auxiliary, closure = losses.values()
    total = place + config.velocity * change + config.auxiliary * auxiliary + config.closure * closure
    optimizer.zero_grad()
    total.backward()
    torch.nn.utils.clip_grad_norm_(lesson.parameters(), config.clip)
    optimizer.step()
    return losses


def _portions(whole: Batch, rows: slice, processes: int, config: Training) -> dict[str, float]:
    """What makes the processes' mean of a weighted loss that of the whole batch: this one's part of the weights."""
    weight = whole.heard * _emphasis(whole.target, config)
    parts = {name: one[rows].sum() / one.sum() for name, one in (("place", weight), ("change", weight[:, 1:]))}
    return {name: processes * part.item() for name, part in parts.items()}


def _noised(target: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """target (b, t, k) under noise, and the noise's levels (b,)."""
    sigma = noise.sigma.to(target.device)
    noisy = target + sigma[:, None, None] * noise.values.to(target.device)
    start = (noise.blank[:, None, None] & belonging(Sampling.settled)).to(target.device)
    return noisy.masked_fill(start, 0), sigma


def _unwhitened_mouth(network: MotionDenoiser, mouth: Tensor) -> Tensor:
    return mouth * network.std[:MOUTH] + network.mean[:MOUTH]


def _emphasis(motion: Tensor, config: Training) -> Tensor:
    """Weights (b, t, k) by coefficient, and in the mouth by frame: closed lips and rest are short and count more."""
    closed, resting = _seal(motion), (motion[..., :MOUTH].abs().sum(dim=-1) < REST).float()
    frames = 1 + (config.sealed - 1) * closed + (config.resting - 1) * resting
    weights = _weights().to(motion.device).repeat(*motion.shape[:2], 1)
    weights[..., :MOUTH] *= frames[..., None]
    return weights


def _seal(motion: Tensor) -> Tensor:
    """How far a target's lips meet, (b, t), 0 also where they are rounded: undoes what `visemes` does at p, b, m."""
    share = motion[..., INDEX["mouthClose"]] / (1.05 * motion[..., INDEX["jawOpen"]] + 0.02)
    return (2 * share - 1).clamp(0, 1)


def _misclosed(motion: Tensor, target: Tensor) -> Tensor:
    """(b, t): tenths by which lips that should meet are open, and lips that should be open are not."""
    gap, seal = _opening(motion), _seal(target)
    left_open = (seal > 0.9) * (gap - TOUCHING).relu()
    shut = (seal < 0.05) * (_opening(target) > 0.1) * (APART - gap).relu()
    return 10 * (left_open + shut)


def _opening(motion: Tensor) -> Tensor:
    """(b, t): how far apart the lips are, in the jaw's units."""
    raised = motion[..., INDEX["mouthUpperUp"]] + motion[..., INDEX["mouthLowerDown"]]
    return motion[..., INDEX["jawOpen"]] - motion[..., INDEX["mouthClose"]] + 0.3 * raised


def _weights() -> Tensor:
    return torch.tensor([WEIGHTS.get(name, 1.0) for name in COEFFICIENTS])


def _schedule(step: int, config: Training) -> float:
    """Warm-up, a flat part, then a cosine to one hundredth."""
    progress = step / config.steps
    cosine = 0.5 * (1 + math.cos(math.pi * max(0.0, progress - config.flat) / (1 - config.flat)))
    return min(1.0, (step + 1) / config.warmup) * max(cosine, 0.01)


def _follow(average: MotionDenoiser, network: MotionDenoiser, keep: float) -> None:
    with torch.no_grad():
        for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)


def _set_statistics(network: MotionDenoiser, average: MotionDenoiser, batches: Batches, draws: int = 40) -> None:
    """Mean and spread of each coefficient over voices and drivers alike; draws come from after any training step."""
    drawn = [batches.draw(10**9 + number) for number in range(draws)]
    values = torch.cat([motion.flatten(0, 1) for batch in drawn for motion in (batch.voice, batch.truth)])
    least = torch.tensor([LEAST_STD[region] for region, names in REGIONS.items() for _ in names])
    for net in (network, average):
        net.mean.copy_(values.mean(0))
        net.std.copy_(values.std(0).maximum(least))


def _resume(folder: Path, network: MotionDenoiser, average: MotionDenoiser, optimizer: torch.optim.Optimizer) -> int:
    """Fill all three from the last state of the folder, if there is one. Returns the step to go on with."""
    path = folder / "state.pt"
    if not path.exists():
        return 0
    state = read_pickle(path)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]


def _save(
    folder: Path, step: int, network: MotionDenoiser, average: MotionDenoiser, optimizer: torch.optim.Optimizer
) -> None:
    parts = {"network": network, "average": average, "optimizer": optimizer}
    part = folder / "state.part"
    torch.save({"step": step} | {name: value.state_dict() for name, value in parts.items()}, part)
    part.replace(folder / "state.pt")


def _record(folder: Path, step: int, losses: dict[str, float], seconds: float) -> None:
    row = {
        "step": step,
        **{name: round(value, 4) for name, value in losses.items()},
        "seconds_per_step": round(seconds, 3),
    }
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    log.info("%s", row)
