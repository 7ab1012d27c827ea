"""The bench: rivals compute the same thing as the yardstick, the report is complete, and mistakes are told."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from actalker.bench import render, scan, timing
from actalker.cli import main
from actalker.errors import InputError
from actalker.memory import peak_memory_mb

TINY = "2x45x6"


@pytest.mark.parametrize("name", ["chunked", "reference", *scan.OUTSIDE])
def test_a_rival_computes_the_same(name):
    if name == "mamba.py" and importlib.util.find_spec("mambapy") is None:
        with pytest.raises(InputError, match="mambapy is not installed"):
            scan._rival(name)
        return
    arguments = scan._arguments(2, 45, 6, state=True)
    expected = scan._both(scan._backend("reference"), arguments)
    assert torch.allclose(scan._both(scan._rival(name), arguments), expected, atol=1e-5)


def test_the_report_holds_every_figure(capsys):
    words = ["bench", "scan", "--shapes", TINY, "--against", "chunked", "reference", "--rounds", "2", "--threads", "1"]
    assert main([*words, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (one,) = report["shapes"]
    assert report["threads"] == 1
    assert report["exponentials_per_second"] > 1e8
    assert report["copied_bytes_per_second"] > 1e8
    assert (one["clips"], one["tokens"], one["channels"], one["states"]) == (2, 45, 6, 16)
    assert list(one["forward"]) == ["numba", "chunked", "reference"]
    assert list(one["forward_and_backward"]) == ["numba", "chunked"]
    assert list(one["masked"]) == ["100%", "50%", "25%"]
    for rows in (one["forward"], one["forward_and_backward"], one["masked"]):
        assert all(row["ms"] > 0 and row["ratio_min"] <= row["ratio"] <= row["ratio_max"] for row in rows.values())
        assert next(iter(rows.values()))["ratio"] == 1
    text = scan.as_text(report)
    assert all(len(line) <= 120 for line in text.splitlines())
    assert "2 x 45 tokens, 6 channels" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--shapes", "25x177"], "'25x177' is not a shape; give CLIPSxTOKENSxCHANNELS"),
        (["--shapes", "0x10x10"], "'0x10x10' is not a shape"),
        (["--against", "cuda9"], "cuda9 cannot be measured here"),
        (["--rounds", "0"], "--rounds is 0"),
    ],
)
def test_mistakes_are_told(capsys, words, sentence):
    assert main(["bench", "scan", *words]) == 2
    output, said = capsys.readouterr()
    assert output == ""
    assert sentence in said
    assert said.count("\n") == 1


def test_turns_are_compared_round_by_round():
    turns = timing.Turns([2.0, 3.0, 10.0], [1.0, 3.0, 2.0])
    assert turns.row == {"ms": 3000.0, "ratio": 2.0, "ratio_min": 1.0, "ratio_max": 3.0}
    seen = []
    turns = timing.take_turns({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, rounds=2)
    assert turns["a"].ratios == [1.0, 1.0]
    assert len(turns["b"].seconds) == 2
    changes = sum(one != other for one, other in zip(seen, seen[1:], strict=False))
    assert changes == 5  # a, b to warm up; then a, b, a, b


def test_memory_that_is_held_for_a_while_counts():
    held = timing.extra_memory(lambda: np.ones(8_000_000).sum())
    if held is None:
        pytest.skip("this system does not tell a process its peak memory")
    assert 60e6 < held < 80e6


def test_a_render_is_told_by_stage(capsys):
    assert main(["bench", "render", "--seconds", "1", "--modes", "voice", "--rounds", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["mode"], row["frames"]) == ("voice", 25)
    assert set(row["ms_a_frame"]) == {"measure", "denoise", "render", "encode"}
    assert row["factor_cold"]["median"] > row["factor_warm"]["median"] > 0
    assert row["first_piece_s"]["median"] > 0
    assert render.as_text({"rounds": 1, "threads": 1, "torch": "2", "rows": [row]}).count("\n") == 2


@pytest.mark.parametrize("words", [["--modes", "sideways"], ["--seconds", "0.5"]])
def test_what_cannot_be_rendered_for_the_bench_is_one_sentence(capsys, words):
    assert main(["bench", "render", *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_memory_is_what_a_program_held_itself():
    held = np.ones(50_000_000)  # 400 MB
    asked = "from actalker.memory import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert 5 < int(done.stdout) < 200
    assert peak_memory_mb() > held.nbytes / 2**20
