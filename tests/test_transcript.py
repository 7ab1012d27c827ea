"""Phone times are read as forced aligners write them."""

import json

import pytest

from actalker.errors import InputError
from actalker.evaluate.transcript import read_phones

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 1.5
            text = "bee"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 0.62
            text = "B"
        intervals [3]:
            xmin = 0.62
            xmax = 1.5
            text = "IY1"
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.5
<exists>
2
"IntervalTier"
"phones"
0
1.5
3
0
0.5
"sil"
0.5
0.62
"b"
0.62
1.5
"IY1"
"IntervalTier"
"words"
0
1.5
1
0
1.5
"bee"
"""
WANTED = [(0.0, 0.5, "SIL"), (0.5, 0.62, "B"), (0.62, 1.5, "IY")]


@pytest.mark.parametrize("text", [LONG, SHORT, LONG.replace('name = "phones"', 'name = "segments"')])
def test_textgrids(tmp_path, text):
    (tmp_path / "a.TextGrid").write_text(text)
    assert read_phones(tmp_path / "a.TextGrid") == WANTED


def test_praat_writes_utf_16(tmp_path):
    (tmp_path / "a.TextGrid").write_text(LONG, "utf-16")
    assert read_phones(tmp_path / "a.TextGrid") == WANTED


@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"phones": rows}])
def test_json(tmp_path, wrap):
    (tmp_path / "a.json").write_text(json.dumps(wrap([[0.62, 1.5, "iy1"], [0, 0.5, "sp"], [0.5, 0.62, "b"]])))
    assert read_phones(tmp_path / "a.json") == WANTED


@pytest.mark.parametrize("text", ["", "hello", "[]", "[1, 2]", '{"words": []}', 'File type = "ooTextFile"'])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match="holds no phone times; give a TextGrid"):
        read_phones(tmp_path / "a.json")
    with pytest.raises(InputError, match="cannot be read; give a TextGrid"):
        read_phones(tmp_path / "nothing.json")
