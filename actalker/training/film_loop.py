"""Training of the full tier on accelerate. The same command again continues from the last state.

A step draws clips, windows, gates and noise from its own number alone: a run that was stopped goes on as if it had not
been.
"""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from actalker.checkpoints import save_weights
from actalker.config import FilmTraining
from actalker.model.diffusion import precondition
from actalker.model.full import VideoDenoiser
from actalker.model.masks import Masks
from actalker.model.video_conditions import VideoConditions
from actalker.pipelines.vae import SCALE
from actalker.training.films import Shot
from actalker.training.processes import begin, mean_over, share

if TYPE_CHECKING:
    from accelerate import Accelerator

GATES = (("audio",), ("video",), ("audio", "video"))  # one of the three a draw (paper, section 3.4)
TAUGHT = (".control.", ".adapters.", ".speech.", ".identity.", ".motion.", ".place.")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draw:
    """One window of one clip, and what is told of it."""

    shot: Shot
    start: int
    photo: int  # the frame that is the photo
    gates: tuple[str, ...]
    told: frozenset[str]  # of photo and the open gates, what is not dropped
    sigma: Tensor  # (1,)
    noise: Tensor  # (1, t, 4, h, w)


def draw(shots: Sequence[Path], config: FilmTraining, number: int) -> Draw:
    """Draw `number` of a run; nothing else decides it but the seed. Drawn on the CPU: the same for every device."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)

    def pick(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    shot = Shot.load(shots[pick(len(shots))])
    length = len(shot.latents)
    gates = GATES[pick(len(GATES))]
    dropped = torch.rand(3, generator=generator) < config.drop
    told = frozenset(name for name, gone in zip(("photo", *gates), dropped, strict=False) if not gone)
    start, photo = pick(length - config.frames + 1), pick(length)
    sigma = (torch.randn(1, generator=generator) * config.sigma_std + config.sigma_mean).exp()
    noise = torch.randn(1, config.frames, *shot.latents.shape[1:], generator=generator)
    return Draw(shot, start, photo, gates, told, sigma, noise)


class FilmLesson(nn.Module):
    """A network and the loss of a draw, as one module: what is distributed is what is differentiated."""

    def __init__(self, network: VideoDenoiser):
        super().__init__()
        self.network = network

    def forward(self, drawn: Draw) -> Tensor:
        """Error of the velocity: that of the denoised film, weighted by (1 + sigma²) / sigma²."""
        device = self.network.place.conv_in.weight.device
        shot, t = drawn.shot, drawn.noise.shape[1]
        target = shot.latents[None, drawn.start : drawn.start + t].to(device)
        sigma = drawn.sigma.to(device)
        noisy = target + sigma * drawn.noise.to(device)
        denoised = precondition(self.network)(noisy, sigma, self.conditions(drawn, device))
        return ((denoised - target) ** 2 * (1 + sigma**-2)).mean()

    def conditions(self, drawn: Draw, device: torch.device) -> VideoConditions:
        """What is told: a single signal has the whole face, two have their parts; what is dropped is silence."""
        network, shot, t = self.network, drawn.shot, drawn.noise.shape[1]
        window = slice(drawn.start, drawn.start + t)
        face, mouth, rest = shot.maps
        alone = len(drawn.gates) == 1
        areas = {"audio": face if alone else mouth, "video": face if alone else rest}
        signals = {}
        for name in drawn.gates:
            heard = float(name in drawn.told)
            if name == "audio":
                signals[name] = network.speech(heard * shot.speech[None, window].to(device))
            else:
                expression, pose = (heard * x[None, window].to(device) for x in (shot.expression, shot.pose))
                signals[name] = network.motion(expression, pose)[:, :, None]
        shown = float("photo" in drawn.told)
        identity = shown * network.identity(shot.identity.to(device))[None, None].expand(1, t, -1)
        photo = shown * shot.latents[drawn.photo][None].to(device) / SCALE
        place = network.place(face.expand(1, 3, -1, -1).to(device))[None]
        masks = Masks({name: areas[name] for name in drawn.gates}, network.config.unet.mask_rule)
        return VideoConditions(identity, signals, masks, place, network.numbers.to(device), photo)


class Average(nn.Module):
    """An exponential moving average of the parameters that are taught, in float32."""

    def __init__(self, taught: dict[str, nn.Parameter]):
        super().__init__()
        self.names = list(taught)
        self.values = nn.ParameterList(nn.Parameter(p.detach().clone().float(), False) for p in taught.values())

    @torch.no_grad()
    def follow(self, taught: dict[str, nn.Parameter], keep: float) -> None:
        for slow, fast in zip(self.values, taught.values(), strict=True):
            slow.lerp_(fast.float(), 1 - keep)

    def over(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A state dict with the averages in their place."""
        return state | {name: value.detach().cpu() for name, value in zip(self.names, self.values, strict=True)}


def choose_taught(network: VideoDenoiser, config: FilmTraining) -> dict[str, nn.Parameter]:
    """The parameters that are taught, by name; the others are frozen."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(config.all_parameters or any(part in f".{name}" for part in TAUGHT))
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def train_films(network: VideoDenoiser, shots: Sequence[Path], config: FilmTraining, folder: Path) -> Path:
    """Train on cached shots; state, log and averaged weights go to `folder`. Returns the checkpoint's path."""
    accelerator = begin(config.batch, config.precision)
    network.unet.checkpointing = config.checkpointing
    taught = choose_taught(network.train(), config)
    optimizer = torch.optim.AdamW(taught.values(), config.rate)
    average = Average(taught).to(accelerator.device)
    lesson, optimizer = accelerator.prepare(FilmLesson(network), optimizer)
    accelerator.register_for_checkpointing(average)
    first = _resume(accelerator, folder)
    log.info(
        "%d of %d parameters, %d clips, from step %d, on %s",
        len(taught),
        len([*network.parameters()]),
        len(shots),
        first,
        accelerator.device,
    )
    started, checkpoint = time.monotonic(), folder / "denoiser.safetensors"
    for step in range(first, config.steps):
        loss = _step(accelerator, lesson, optimizer, list(taught.values()), shots, config, step)
        average.follow(taught, min(config.average, (1 + step) / (10 + step)))
        _record(accelerator, folder, step + 1, loss, (time.monotonic() - started) / (step + 1 - first))
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            _save(accelerator, folder, step + 1)
            if accelerator.is_main_process:
                facts = {"trained": True, "steps": step + 1}
                trained = replace(network.config, window=config.frames)
                state = {name: value.cpu() for name, value in network.state_dict().items()}
                save_weights(checkpoint, average.over(state), trained, facts)
    return checkpoint


def _step(
    accelerator: "Accelerator",
    lesson: nn.Module,
    optimizer: torch.optim.Optimizer,
    taught: list[nn.Parameter],
    shots: Sequence[Path],
    config: FilmTraining,
    step: int,
) -> float:
    """One step over the batch's draws, shared out among the processes."""
    total = 0.0
    for place in range(config.batch)[share(accelerator, config.batch)]:
        drawn = draw(shots, config, step * config.batch + place)
        with accelerator.autocast():
            loss = lesson(drawn) * accelerator.num_processes / config.batch
        accelerator.backward(loss)
        total += loss.item()
    accelerator.clip_grad_norm_(taught, config.clip)
    optimizer.step()
    optimizer.zero_grad()
    return mean_over(accelerator, torch.tensor(total, device=accelerator.device))


def _resume(accelerator: "Accelerator", folder: Path) -> int:
    """Go on from the last state of the folder, if there is one. Returns the step to go on with."""
    path = folder / "state"
    if not (path / "step.json").exists():
        return 0
    accelerator.load_state(str(path))
    return json.loads((path / "step.json").read_text())["step"]


def _save(accelerator: "Accelerator", folder: Path, step: int) -> None:
    """The state, beside the last one until it is whole."""
    part, path, old = (folder / name for name in ("state.part", "state", "state.old"))
    accelerator.save_state(str(part))
    if accelerator.is_main_process:
        (part / "step.json").write_text(json.dumps({"step": step}))
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.replace(old)
        part.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def _record(accelerator: "Accelerator", folder: Path, step: int, loss: float, seconds: float) -> None:
    if not accelerator.is_main_process:
        return
    folder.mkdir(parents=True, exist_ok=True)
    row = {"step": step, "loss": loss, "seconds_per_step": round(seconds, 3)}
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    if step % 50 == 0:
        log.info("%s", row)
