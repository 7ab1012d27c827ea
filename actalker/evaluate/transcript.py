"""Phone times that somebody else found: Praat's TextGrid, as forced aligners write it, or JSON."""

import json
import re
from pathlib import Path

from actalker.errors import InputError
from actalker.signals.alignment import Phone

SILENCES = {"", "SIL", "SP", "SPN", "<EPS>", "#", "<P:>", "_", "PAU"}
TIERS = {"phones", "phone", "phonemes", "mau"}  # as the Montreal Forced Aligner and others name the tier
NUMBER = r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?"


def read_phones(path: Path) -> list[Phone]:
    """Phones of a file, in order: start and end in seconds and a name.

    JSON is a list of [start, end, name], or an object with such a list under "phones". Of a TextGrid the tier named
    phones is read, else its last interval tier. Names become ARPABET without stress, so that p, b and m are P, B and M.
    InputError: no such file, or nothing of the kind in it.
    """
    try:
        text = Path(path).read_bytes().decode(_encoding(path), "replace")
    except OSError:
        raise InputError(f"{path} cannot be read; give a TextGrid or JSON file with phone times.") from None
    found = _of_json(text) if text.lstrip()[:1] in ("[", "{") else _of_textgrid(text)
    if not found:
        raise InputError(f"{path} holds no phone times; give a TextGrid with a tier of phones, or JSON.")
    return sorted((float(start), float(end), _plain(str(name))) for start, end, name in found)


def _encoding(path: Path) -> str:
    return "utf-16" if Path(path).open("rb").read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def _of_json(text: str) -> list[tuple]:
    try:
        content = json.loads(text)
        rows = content["phones"] if isinstance(content, dict) else content
        return [(float(start), float(end), name) for start, end, name in rows]
    except (ValueError, TypeError, KeyError):
        return []


def _of_textgrid(text: str) -> list[tuple]:
    """Intervals of the phones' tier, in the long or the short form of the format."""
    tiers = re.split(r'"IntervalTier"', text)[1:]
    if not tiers:
        return []
    named = [tier for tier in tiers if (name := re.search(r'"([^"]*)"', tier)) and name[1].lower() in TIERS]
    tier = re.split(r'"TextTier"', (named or tiers)[-1 if not named else 0])[0]
    tier = re.sub(r"item\s*\[\d+\]:.*", "", tier, flags=re.DOTALL)  # the head of the next tier
    plain = re.sub(r"(?:intervals\s*\[\d+\]:|xmin\s*=|xmax\s*=|text\s*=)", " ", tier)
    return re.findall(rf'({NUMBER})\s+({NUMBER})\s+"([^"]*)"', plain)


def _plain(name: str) -> str:
    """An aligner's name as ARPABET without stress: "AA1" is AA, "p" is P; whatever means silence is SIL."""
    upper = re.sub(r"\d$|ʰ$|ʲ$", "", name.strip().upper())
    return "SIL" if upper in SILENCES else upper
