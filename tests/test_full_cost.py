"""What the full tier computes, counted at full size on the meta device, against the released program's own count."""

import pytest
from bench_full import GATES, RELEASED, call_costs, clip_cost, sampling, saved

ALL_THREE = "--schedule short --guidance-interval 1.5 10 --cache-interval 3"
gates = pytest.mark.parametrize("gates", GATES.values(), ids=GATES)


@pytest.mark.parametrize(("gates", "least"), [*zip(GATES.values(), (1.40, 1.43, 1.06), strict=True)], ids=GATES)
def test_a_step_costs_less_than_the_release_s_at_the_same_output(gates, least):
    assert RELEASED / call_costs(gates, guided=True)["whole"] >= least


def test_the_defaults_run_what_the_release_runs():
    calls = clip_cost(GATES["both"], sampling(""), 125) / call_costs(GATES["both"], guided=True)["whole"]
    assert calls == 25 * 6


@gates
@pytest.mark.parametrize(("frames", "least"), [(25, 10), (250, 8)])
def test_the_fast_preset_costs_a_fraction_of_the_release_s_clip(gates, frames, least):
    assert saved(gates, sampling("--fast"), frames) >= least


@gates
@pytest.mark.parametrize(
    ("words", "least"),
    [("--schedule short", 2.49), ("--guidance-interval 1.5 10", 2), ("--cache-interval 3", 2.3), (ALL_THREE, 10)],
)
def test_each_option_saves_by_itself(gates, words, least):
    assert clip_cost(gates, sampling(""), 25) / clip_cost(gates, sampling(words), 25) >= least


@gates
@pytest.mark.parametrize("guided", [True, False])
def test_what_is_remembered_is_most_of_a_call(gates, guided):
    costs = call_costs(gates, guided)
    assert costs["shallow"] < 0.1 * costs["whole"]
    assert costs["whole"] <= costs["deep"] + costs["shallow"] < 1.001 * costs["whole"]
