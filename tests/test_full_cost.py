"""What the full tier computes, counted at full size on the meta device, against the released program's own count."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from actalker.config import FAST, Full, VideoSampling
from actalker.model import control
from actalker.model.diffusion import precondition, window_starts
from actalker.model.full import VideoDenoiser
from actalker.model.masks import Masks
from actalker.model.video_diffusion import Film, guidance_rows, padded, video_levels

RELEASED = 186.886e12  # a step of a window of 25 frames at 576 x 576: four branches, whatever the gates
FRAMES, GRID = 25, 72


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        made = VideoDenoiser(Full()).eval().requires_grad_(False)
    made.counted = {}  # operations of a call, by gates
    return made


@pytest.fixture
def scanned(monkeypatch):
    """Shapes of the scan without its values, and its operations as the release's count has them."""
    counts = []

    def scan(u, _delta, A, *_others, **_options):
        counts.append(9 * u.numel() * A.shape[1])
        return torch.empty_like(u)

    monkeypatch.setattr(control, "selective_scan", scan)
    return counts


def film(gates, frames=FRAMES):
    meta = {"device": "meta"}
    tokens = {"audio": 32, "video": 1}
    masks = Masks(dict.fromkeys(gates, torch.ones(8 * GRID, 8 * GRID)))
    return Film(
        torch.empty(1024, **meta),
        {name: torch.empty(frames, tokens[name], 1024, **meta) for name in gates},
        {name: torch.empty(tokens[name], 1024, **meta) for name in gates},
        masks,
        torch.empty(1, 320, GRID, GRID, **meta),
        torch.empty(3, **meta),
        torch.empty(4, GRID, GRID, **meta),
        frames,
    )


def step_cost(network, gates, scanned, single=False):
    """Operations of one call for a window."""
    if (key := (*gates, single)) in network.counted:
        return network.counted[key]
    told = film(gates).conditions(guidance_rows(set(gates)), 0)
    conditions = told.only(len(told.rows) - 1) if single else told
    scanned.clear()
    with FlopCounterMode(display=False) as counter:
        out = precondition(network)(
            torch.empty(1, FRAMES, 4, GRID, GRID, device="meta"), torch.empty((), device="meta"), conditions
        )
    assert out.shape == (len(conditions.identity), FRAMES, 4, GRID, GRID)
    network.counted[key] = counter.get_total_flops() + sum(scanned)
    return network.counted[key]


@pytest.mark.parametrize(
    ("gates", "least"),
    [(["audio"], 1.40), (["video"], 1.43), (["audio", "video"], 1.06)],
    ids=["speech", "clip", "both"],
)
def test_a_step_costs_less_than_the_release_s_at_the_same_output(network, scanned, gates, least):
    saved = RELEASED / step_cost(network, gates, scanned)
    assert saved >= least


def clip_cost(network, gates, scanned, config, frames):
    """Operations of a whole clip."""
    starts = range(0, padded(frames, FRAMES, config), FRAMES - config.overlap)
    windows = len(starts) if config.padding else len(window_starts(frames, FRAMES, config.overlap))
    low, high = config.guided
    steps = [bool(low <= level <= high) for level in video_levels(config)[:-1]]
    told, alone = (step_cost(network, gates, scanned, single) for single in (False, True))
    return windows * (steps.count(True) * told + steps.count(False) * alone)


@pytest.mark.parametrize("gates", [["audio"], ["video"], ["audio", "video"]], ids=["speech", "clip", "both"])
def test_the_fast_preset_costs_a_tenth_of_the_release_s_clip(network, scanned, gates):
    released = 2 * 25 * RELEASED  # a window of 25 frames, and the padding
    assert released / clip_cost(network, gates, scanned, FAST, FRAMES) >= 10


def test_the_defaults_run_what_the_release_runs(network, scanned):
    both = ["audio", "video"]
    calls = clip_cost(network, both, scanned, VideoSampling(), 125) / step_cost(network, both, scanned)
    assert calls == 25 * 6
