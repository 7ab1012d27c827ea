"""What the synthesisers say: sentences and single words of Debian's packages, or of the user's own files."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actalker.errors import InputError

FORTUNES = Path("/usr/share/games/fortunes")
DICTIONARIES = Path("/usr/share/dict")
WORD_LISTS = {  # language -> file, Debian package
    "en": ("words", "wamerican"),
    "fr": ("french", "wfrench"),
    "de": ("ngerman", "wngerman"),
    "es": ("spanish", "wspanish"),
    "it": ("italian", "witalian"),
}
SALAD_SHARE = 0.4  # of English texts: random words, rich in p, b and m; other languages have nothing else
CLOSING_SHARE = 0.45  # of a salad's words must need closed lips
SALAD_FRAMES = (
    "the {} {} will {} a {}",
    "my {} and your {} are {}",
    "we {} the {}, {}",
    "{} {} {} {}",
    "why did the {} {} by the {}?",
    "{} and {}, but {}",
    "please {} that {} before {}",
    "I'm {}, maybe {} or {}",
)
FOREIGN_FRAMES = ("{} {} {} {}", "{} {}, {} {} {}", "{} {} {}?")


@dataclass(frozen=True)
class Texts:
    """English sentences, and single words by language."""

    sentences: list[str]
    words: dict[str, list[str]]

    def draw(self, language: str, rng: np.random.Generator) -> str:
        """A sentence, or random words."""
        english = language == "en"
        if english and rng.random() >= SALAD_SHARE:
            return str(rng.choice(self.sentences))
        frame = str(rng.choice(SALAD_FRAMES if english else FOREIGN_FRAMES))
        return re.sub(r"\{\}", lambda _: self._word(language, rng), frame)

    def _word(self, language: str, rng: np.random.Generator) -> str:
        """A word; nearly every second time one that needs closed lips."""
        closing, words = rng.random() < CLOSING_SHARE, self.words[language]
        drawn = [words[i] for i in rng.integers(0, len(words), 20)]
        return next((word for word in drawn if not closing or re.search("[pbm]", word)), drawn[0])


def load_texts(paths: Sequence[Path] = ()) -> Texts:
    """Texts of the given files, one sentence a line, for every language; or Debian's.

    InputError: a package is missing.
    """
    if paths:
        lines = [line.strip() for path in paths for line in path.read_text("utf-8").splitlines()]
        words = sorted({word for line in lines for word in re.findall(r"[^\W\d_]{3,}", line.lower())})
        return Texts([line for line in lines if line], dict.fromkeys(WORD_LISTS, words))
    if not FORTUNES.exists():
        raise InputError(f"{FORTUNES} was not found: install the Debian package fortunes.")
    sources = sorted(path for path in FORTUNES.iterdir() if not path.suffix)
    sentences = {line for path in sources for line in sentences_of(path.read_text("utf-8", errors="ignore"))}
    return Texts(sorted(sentences), {language: _words(*found) for language, found in WORD_LISTS.items()})


def _words(name: str, package: str) -> list[str]:
    """The plain words of 3 to 12 letters of a list, without names and abbreviations."""
    path = DICTIONARIES / name
    if not path.exists():
        raise InputError(f"{path} was not found: install the Debian package {package}.")
    words = path.read_text("utf-8").split()
    return [word.lower() for word in words if re.fullmatch(r"[^\W\d_][^\W\d_]{2,11}", word) and word[1:].islower()]


def sentences_of(fortunes: str) -> list[str]:
    """Plain sentences of 20 to 95 letters, without the authors' names."""
    found = []
    for fortune in fortunes.split("\n%\n"):
        plain = re.sub(r"\s+", " ", re.sub(r"--.*", "", fortune, flags=re.DOTALL))
        for sentence in re.split(r"(?<=[.!?;])\s+", plain):
            ordinary = re.fullmatch(r"[A-Za-z' ,.!?;-]{20,95}", sentence) and sentence != sentence.upper()
            if ordinary:
                found.append(sentence.strip(" -"))
    return found
