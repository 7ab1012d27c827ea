"""Real recordings whose words are known, with the time of every phone in them, found by forced alignment.

They are for scoring alone: nothing is trained on them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actalker.errors import InputError
from actalker.signals import media
from actalker.signals.alignment import Phone, align_phones, aligner
from actalker.signals.audio import RATE
from actalker.training.visemes import mouth_motion

if TYPE_CHECKING:
    from actalker.signals.alignment import Decoder

READ_ALOUD = Path("/usr/share/pocketsphinx/test/data")
SPOKEN_WORDS = Path("/usr/share/sounds/alsa")  # "Front_Left.wav" says "front left"


@dataclass(frozen=True)
class Recording:
    """Speech with known phones: samples (n,) float32 at 16 kHz; the phones fill it; `mouth` (t, 19) is at 25 fps."""

    name: str
    samples: np.ndarray
    phones: list[Phone]
    mouth: np.ndarray

    @classmethod
    def of(cls, name: str, samples: np.ndarray, phones: list[Phone]) -> "Recording":
        """A recording with the mouth motion that belongs to its phones."""
        return cls(name, samples, phones, mouth_motion(phones, len(samples) / RATE))

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / RATE


def load_recordings() -> list[Recording]:
    """Audiobook sentences, playing cards, a command and single words, aligned; the order is always the same.

    InputError: a Debian package or pocketsphinx is missing.
    """
    texts = _texts()
    decoder = aligner()
    return [align(decoder, path, text) for path, text in texts]


def align(decoder: "Decoder", path: Path, text: str) -> Recording:
    """The recording at `path`, in which exactly `text` is said, with its phones. InputError: they do not fit."""
    samples = _read(path)
    name = f"{path.parent.name}/{path.stem}"
    return Recording.of(name, samples, align_phones(decoder, samples, text, name))


def _texts() -> list[tuple[Path, str]]:
    """Recordings and what is said in each."""
    found = [(path, path.stem.replace("_", " ").lower()) for path in sorted(SPOKEN_WORDS.glob("*_*.wav"))]
    if not found:
        raise InputError(f"{SPOKEN_WORDS} holds no spoken words: install the Debian package alsa-utils.")
    listings = READ_ALOUD / "librivox" / "transcription", READ_ALOUD / "cards" / "cards.transcription"
    command = READ_ALOUD / "goforward.raw"
    for needed in (*listings, command):
        if not needed.exists():
            raise InputError(f"{needed} was not found: install the Debian package pocketsphinx-testdata.")
    for listing in listings:
        said = re.findall(r"^<s>\s*(.*?)\s*</s>\s*\((\S+)\)", listing.read_text("utf-8"), re.MULTILINE)
        found += [(listing.with_name(f"{name}.wav"), text) for text, name in said]
    return [*found, (command, "go forward ten meters")]


def _read(path: Path) -> np.ndarray:
    """Samples (n,) float32 at 16 kHz of any audio file, or of headerless 16-bit ones at that rate."""
    if path.suffix == ".raw":
        return np.fromfile(path, "<i2").astype(np.float32) / 32768
    return media.read_audio(path, RATE)
