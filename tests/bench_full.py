"""What the full tier's savings are worth and how far they move a result, printed as the README's table.

    python tests/bench_full.py

Operations are counted at full size on the meta device, against the released program's own count. Errors are measured on
a toy with random weights: they say how far a result moves, and little about how it looks.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from fill_rule import SHAPES, fill  # noqa: E402

from actalker.config import Encoders, Full, Unet, VideoSampling  # noqa: E402
from actalker.model import control  # noqa: E402
from actalker.model.diffusion import gathered, window_starts  # noqa: E402
from actalker.model.full import VideoDenoiser  # noqa: E402
from actalker.model.masks import Masks  # noqa: E402
from actalker.model.video_diffusion import Film, denoise_film, guidance_rows, padded, planned  # noqa: E402
from actalker.options import add_tier, tier_and_running  # noqa: E402
from actalker.pipelines import Request  # noqa: E402
from actalker.pipelines.full import sampling_of  # noqa: E402

RELEASED = 186.886e12  # a step of a window of 25 frames at 576 x 576: four branches, whatever the gates
WINDOW, GRID = 25, 72
GATES = {"voice": ("audio",), "clip": ("video",), "both": ("audio", "video")}
OPTIONS = (
    "",
    "--schedule short",
    "--guidance-interval 1.5 10",
    "--cache-interval 2",
    "--cache-interval 3",
    "--schedule short --guidance-interval 1.5 10 --cache-interval 3",
    "--fast --cache-interval 1",
    "--fast",
)
TOY = Unet(channels=(32, 64), heads=(2, 4), layers=1, context=32, clip_numbers=8)  # the golden numbers' "unetA"
TOY_FRAMES, TOY_WINDOW, TOY_GRID = 6, 3, 8


def sampling(words: str) -> VideoSampling:
    """What these options of the command make of a request without settings of its own."""
    parser = argparse.ArgumentParser()
    add_tier(parser)
    parser.set_defaults(recipe=None)
    _, running = tier_and_running(parser.parse_args(["--tier=full", *words.split()]))
    return sampling_of(Request(photo=Path("me.jpg"), steps=VideoSampling.steps), running)


@cache
def full_network() -> VideoDenoiser:
    """The network at full size, without values."""
    with torch.device("meta"):
        return VideoDenoiser(Full()).eval().requires_grad_(False)


def a_film(unet: Unet, gates: tuple[str, ...], frames: int, grid: int, made: Callable[..., Tensor]) -> Film:
    """A film whose tensors are `made`, with masks of ones."""
    tokens = {"audio": 32, "video": 1}
    return Film(
        made(unet.context),
        {name: made(frames, tokens[name], unet.context) for name in gates},
        {name: made(tokens[name], unet.context) for name in gates},
        Masks(dict.fromkeys(gates, torch.ones(8 * grid, 8 * grid))),
        made(1, unet.channels[0], grid, grid),
        made(3),
        made(4, grid, grid),
        frames,
    )


def _without_values(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def counted(run: Callable[[], Tensor]) -> int:
    """Operations of a call on the meta device; the scan's are 9 an element, as in the release's count."""
    scans = []

    def scan(u: Tensor, _delta: Tensor, A: Tensor, *_others: Tensor, **_options: object) -> Tensor:
        scans.append(9 * u.numel() * A.shape[1])
        return torch.empty_like(u)

    with mock.patch.object(control, "selective_scan", scan), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() + sum(scans)


@cache
def call_costs(gates: tuple[str, ...], guided: bool) -> dict[str, int]:
    """Operations for a window: of the network, of its deep part, and of what is left when that is remembered."""
    conditions = a_film(Unet(), gates, WINDOW, GRID, _without_values).conditions(guidance_rows(set(gates)), 0)
    if not guided:
        conditions = conditions.only(len(conditions.rows) - 1)
    network, given = full_network(), (_without_values(1, WINDOW, 4, GRID, GRID), _without_values(1), conditions)
    deep = network.deep(*given)
    return {
        "whole": counted(lambda: network(*given)),
        "deep": counted(lambda: network.deep(*given)),
        "shallow": counted(lambda: network(*given, deep)),
    }


def clip_cost(gates: tuple[str, ...], config: VideoSampling, frames: int) -> int:
    """Operations of a whole clip."""
    starts = range(0, padded(frames, WINDOW, config), WINDOW - config.overlap)
    windows = len(starts) if config.padding else len(window_starts(frames, WINDOW, config.overlap))
    total = 0
    for step in planned(set(gates), WINDOW, config):
        costs = call_costs(gates, step.shares is not None)
        total += costs["whole"] if config.cache_interval == 1 else costs["shallow"] + step.fresh * costs["deep"]
    return windows * total


def saved(gates: tuple[str, ...], config: VideoSampling, frames: int) -> float:
    """How many times as much the released program computes: its windows do not overlap, and one more is padding."""
    return VideoSampling.steps * -(-(frames + WINDOW) // WINDOW) * RELEASED / clip_cost(gates, config, frames)


@cache
def toy() -> VideoDenoiser:
    """A network of two levels, filled by the rule of the golden numbers."""
    small = Encoders(speech_hidden=1, identity_hidden=1)
    network = VideoDenoiser(Full(TOY, small, window=TOY_WINDOW)).eval().requires_grad_(False)
    fill(network.unet, "unet", SHAPES["e"]["unetA"]["shapes"])
    return network


@torch.inference_mode()
def toy_latents(config: VideoSampling, seed: int = 0, network: VideoDenoiser | None = None) -> Tensor:
    """(1, t, 4, h, w): a clip of the toy, told by voice and clip."""
    config, draw = replace(config, overlap=min(config.overlap, 1)), torch.Generator().manual_seed(0)
    film = a_film(TOY, GATES["both"], TOY_FRAMES, TOY_GRID, lambda *shape: torch.randn(shape, generator=draw))
    shape = (1, TOY_FRAMES + TOY_WINDOW, 4, TOY_GRID, TOY_GRID)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    noise = noise[:, : padded(TOY_FRAMES, TOY_WINDOW, config)]
    parts = denoise_film(network or toy(), film, noise, film.photo / 5, TOY_WINDOW, config, lambda _step: None)
    return gathered(parts, noise)[:, :TOY_FRAMES]


def error(result: Tensor, expected: Tensor) -> float:
    """|difference| / |expected|, Euclidean."""
    return ((result - expected).norm() / expected.norm()).item()


def rows() -> Iterator[tuple[str, list[float], float]]:
    """Of each of OPTIONS: savings at 25 and at 250 frames for each of GATES, and the toy's error."""
    expected = toy_latents(sampling(""))
    for words in OPTIONS:
        config = sampling(words)
        savings = [saved(gates, config, frames) for frames in (25, 250) for gates in GATES.values()]
        yield words, savings, error(toy_latents(config), expected)


def main() -> None:
    """Print the table, and for scale the error of another seed."""
    torch.set_num_threads(1)
    for words, savings, moved in rows():
        cells = [f"`{words}`" if words else "none", *(f"{one:.2f}" for one in savings), f"{moved:.2f}"]
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    other = error(toy_latents(sampling(""), seed=1), toy_latents(sampling("")))
    sys.stdout.write(f"Another seed's error is {other:.2f}.\n")


if __name__ == "__main__":
    main()
