"""The full tier's approximate options on a toy: what they compute, and how far they move a result."""

from dataclasses import replace

import pytest
import torch
from bench_full import GATES, TOY, TOY_FRAMES, TOY_WINDOW, a_film, error, sampling, toy, toy_latents

from actalker.config import FAST, SCHEDULES, Unet, VideoSampling
from actalker.errors import InputError
from actalker.model.masks import Masks
from actalker.model.unet import VideoUnet
from actalker.model.video_conditions import VideoConditions
from actalker.model.video_diffusion import denoise_film, guidance_rows, planned, remembering
from actalker.pipelines import Running
from actalker.pipelines.compiling import compile_parts

SHORT = VideoSampling(steps=4)  # enough to compare bits


def fresh(config):
    return "".join("x" if step.fresh else "." for step in planned({"audio"}, 25, config))


def test_the_deep_part_is_made_anew_when_it_is_due_and_when_rows_come():
    assert fresh(VideoSampling()) == 25 * "x"
    assert fresh(VideoSampling(cache_interval=3)) == 8 * "x.." + "x"
    assert fresh(replace(FAST, cache_interval=2)) == "x.xx.x.x.x"  # guidance begins with the fourth
    assert fresh(FAST) == "x..x..x..x"


def test_windows_move_only_with_what_is_remembered():
    steps = planned({"audio"}, 25, VideoSampling(cache_interval=2))
    assert [step.first for step in steps][:6] == [0, 0, 14, 14, 3, 3]
    assert [step.first for step in planned({"audio"}, 25, VideoSampling())][:4] == [0, 7, 14, 21]


class Spy:
    """In the network's place: deep parts are numbered by call and row, and every call says which it was given."""

    def __init__(self):
        self.made, self.told, self.calls = {}, 0, []

    def deep(self, x, _level, conditions):
        self.told += 1
        rows = 100 * self.told + torch.arange(len(conditions.identity))
        self.made[conditions.start] = rows.tolist()
        return rows.repeat_interleave(x.shape[1])[:, None, None, None]

    def __call__(self, x, _level, conditions, deep):
        given = deep.flatten().unflatten(0, (-1, x.shape[1]))
        assert (given == given[:, :1]).all()
        self.calls.append((given[:, 0].tolist(), self.made[conditions.start][-len(conditions.identity) :]))
        return torch.zeros(len(conditions.identity), *x.shape[1:])


@pytest.mark.parametrize(
    "config",
    [
        VideoSampling(cache_interval=3),
        VideoSampling(cache_interval=2, overlap=1),
        replace(FAST, cache_interval=2, overlap=1),
    ],
    ids=["shifted", "overlapping", "fast"],
)
def test_every_window_and_row_gets_its_own_deep_part(config):
    film = a_film(TOY, GATES["both"], TOY_FRAMES, 2, torch.ones)
    spy, noise = Spy(), torch.zeros(1, TOY_FRAMES + TOY_WINDOW * config.padding, 4, 2, 2)
    list(denoise_film(spy, film, noise, film.photo, TOY_WINDOW, config, lambda _step: None))
    assert all(given == last_made for given, last_made in spy.calls)
    steps = planned(set(film.signals), TOY_WINDOW, config)
    windows = len(spy.calls) // len(steps)
    assert spy.told == windows * sum(step.fresh for step in steps)
    rows = [len(given) for given, _ in spy.calls[::windows]]
    assert rows == [1 if step.shares is None else 4 for step in steps]


def test_windows_that_moved_on_are_forgotten():
    conditions, kept = a_film(TOY, GATES["both"], 3, 2, torch.ones).conditions(guidance_rows(set(GATES["both"])), 0), {}
    for start in (0, 2):
        network = remembering(Spy(), kept, fresh=True)
        network(torch.zeros(4, 3, 4, 2, 2), torch.zeros(1), replace(conditions, start=start))
    assert list(kept) == [2]


@pytest.mark.parametrize("row", [None, 3])
def test_a_deep_part_of_the_same_call_changes_no_bit(row):
    film = a_film(TOY, GATES["both"], 3, 8, torch.randn)
    told = film.conditions(guidance_rows(set(film.signals)), 0)
    conditions = told if row is None else told.only(row)
    given = torch.randn(1, 3, 4, 8, 8), torch.zeros(1), conditions
    whole, deep = toy()(*given), toy().deep(*given)
    assert torch.equal(toy()(*given, deep), whole)
    assert not torch.equal(toy()(*given, 2 * deep), whole)


def test_options_at_their_ends_are_the_release_to_the_bit():
    whole = toy_latents(SHORT)
    assert torch.equal(toy_latents(replace(SHORT, guidance_interval=(0.001, 701.0))), whole)
    assert torch.equal(toy_latents(replace(SHORT, cache_interval=1)), whole)
    once = toy_latents(replace(SHORT, cache_interval=2))
    assert not torch.equal(once, whole)
    assert torch.equal(toy_latents(replace(SHORT, cache_interval=2)), once)  # nothing is left of the clip before


def test_options_move_a_result_less_than_another_seed_does():
    released = toy_latents(sampling(""))
    bounds = {
        "--schedule short": 0.25,
        "--cache-interval 2": 0.4,
        "--guidance-interval 1.5 10": 0.75,
        "--cache-interval 3": 0.7,
        "--fast": 0.75,
    }
    errors = {words: error(toy_latents(sampling(words)), released) for words in bounds}
    assert all(0.01 < errors[words] < bound for words, bound in bounds.items()), errors
    assert errors["--cache-interval 2"] < errors["--cache-interval 3"]
    assert error(toy_latents(sampling(""), seed=1), released) > max(errors.values())


def test_a_value_of_its_own_takes_the_place_of_the_preset_s():
    fast, released = sampling("--fast"), sampling("")
    assert fast == FAST
    assert released == VideoSampling()
    assert sampling("--fast --cache-interval 1") == replace(FAST, cache_interval=1)
    assert sampling("--fast --guidance-interval 0 inf") == replace(FAST, guidance_interval=released.guidance_interval)
    assert sampling("--fast --schedule release") == replace(FAST, steps=25, levels=None)
    assert sampling("--schedule short") == replace(released, steps=10, levels=SCHEDULES["short"])
    assert sampling("--fast --overlap 0") == replace(FAST, overlap=0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--cache-interval 0", "cache_interval is 0; give a whole number from 1 to 50"),
        ("--guidance-interval 5 5", "guidance_interval is 5 to 5; give two noise levels"),
        ("--guidance-interval -1 5", "guidance_interval is -1 to 5"),
        ("--guidance-interval nan 5", "guidance_interval is nan to 5"),
        ("--overlap 25", "overlap is 25; give a whole number from 0 to 24"),
    ],
)
def test_bad_values_are_one_sentence(words, said):
    with pytest.raises(InputError, match=said):
        sampling(words)
    with pytest.raises(InputError, match="schedule is 'long'; choose one of release, short"):
        Running(schedule="long").checked()


def test_compiled_parts_give_the_same_up_to_rounding():
    """On the CPU, for which torch writes C++."""
    torch.manual_seed(0)
    unet = VideoUnet(Unet(channels=(32,), heads=(1,), layers=1, context=8, clip_numbers=8)).eval()
    tokens = {"audio": torch.randn(1, 2, 3, 8), "video": torch.randn(1, 2, 1, 8)}
    masks = Masks(dict.fromkeys(tokens, torch.ones(32, 32)))
    told = VideoConditions(torch.randn(1, 2, 8), tokens, masks, torch.randn(1, 1, 32, 4, 4), torch.randn(3))
    given = torch.randn(1, 2, 8, 4, 4), torch.zeros(1), told
    with torch.inference_mode():
        eager = unet(*given)
        try:
            compile_parts(unet, torch.device("cpu"))
        except InputError as nothing:
            pytest.skip(str(nothing))
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert error(unet(*given), eager) < 1e-4
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before


def test_a_machine_without_a_compiler_is_one_sentence(monkeypatch):
    def fail(*_given):
        raise RuntimeError("No working C++ compiler found\nand more")

    monkeypatch.setattr(torch, "compile", lambda _function: fail)
    with pytest.raises(InputError, match=r"compiled here for cpu \(No working C\+\+ compiler found\); leave --compile"):
        compile_parts(torch.nn.Identity(), torch.device("cpu"))
