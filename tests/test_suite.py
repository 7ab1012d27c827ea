"""The project's own results, rendered and scored anew, hold what the README says of them."""

import json
import math

import pytest

from actalker.cli import main
from actalker.evaluate import suite
from actalker.evaluate.suite import DOWN, EXPECTED, MARKS, README, ROWS, UP, ZERO, Outcome, Row

WHERE = {"date": "2026-01-01", "version": "0", "weights": "abc", "machine": "a machine"}


def outcome(**changes: float) -> Outcome:
    """What was expected, but for changes by row, whose spaces are underscores."""
    kept = json.loads(EXPECTED.read_text())["values"]
    return Outcome(kept | {name.replace("_", " "): value for name, value in changes.items()}, WHERE, kept)


@pytest.mark.parametrize(
    ("better", "value", "worse"),
    [(UP, 0.71, False), (UP, 0.69, True), (UP, 2.0, False), (DOWN, 0.89, False), (DOWN, 0.91, True), (DOWN, -1, False)]
    + [(ZERO, -0.85, False), (ZERO, -0.95, True), (ZERO, 0.0, False), (UP, math.nan, True), (DOWN, math.nan, True)],
)
def test_a_row_is_worse_on_the_wrong_side_by_more_than_its_tolerance(better, value, worse):
    assert Row("row", better, 0.1).worse(value, 0.8) == worse


def test_exactly_nothing_may_leak():
    (leak,) = [row for row in ROWS if row.tolerance == 0]
    assert not leak.worse(0.0, 0.0)
    assert leak.worse(1e-9, 0.0)


def test_every_row_has_an_expected_value():
    stored = json.loads(EXPECTED.read_text())
    assert list(stored["values"]) == [row.name for row in ROWS]
    assert all(math.isfinite(value) for value in stored["values"].values())
    assert set(stored["where"]) == {"date", "version", "weights", "machine"}


def test_the_readme_shows_the_expected_values():
    start, end = MARKS
    assert README.read_text().split(start)[1].split(end)[0].strip() == suite.stored_table()


def test_tables_mark_what_fell_behind():
    fallen = outcome(**{"voice:_voice_r": 0.01})
    assert fallen.worse == ["voice: voice r"]
    assert [line for line in suite.as_text(fallen).splitlines() if line.endswith("WORSE")]
    assert suite.as_markdown(fallen).count("WORSE") == 1
    assert "WORSE" not in suite.as_text(outcome())
    assert len(suite.as_csv(fallen).splitlines()) == len(ROWS) + 1


def test_update_keeps_the_values_and_rewrites_the_readme(tmp_path, monkeypatch, capsys):
    readme, stored = tmp_path / "README.md", tmp_path / "suite.json"
    readme.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    better = outcome(**{"voice:_voice_r": 0.99})
    monkeypatch.setattr(suite, "README", readme)
    monkeypatch.setattr(suite, "EXPECTED", stored)
    monkeypatch.setattr(suite, "run", lambda _progress: better)
    assert main(["evaluate", "--suite", "--update", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["worse"] == []
    assert json.loads(stored.read_text())["values"]["voice: voice r"] == 0.99
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| voice: voice r | 0.99 | higher | 0.06 |" in text
    assert "old" not in text


def test_no_row_got_worse():
    found = suite.run()
    report = {name: (found.values[name], found.expected[name]) for name in found.worse}
    assert report == {}
