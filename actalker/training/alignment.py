"""Real recordings whose words are known, with the time of every phone in them, found by forced alignment.

They are for scoring alone: nothing is trained on them. The aligner is pocketsphinx, whose package carries an English
acoustic model and dictionary. First the words are placed, with silences between them, then the phones within the words.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from actalker.errors import InputError
from actalker.signals import media
from actalker.signals.audio import RATE
from actalker.training.visemes import PHONES, mouth_motion
from actalker.training.voices import Phone

if TYPE_CHECKING:
    from pocketsphinx import Decoder

READ_ALOUD = Path("/usr/share/pocketsphinx/test/data")
SPOKEN_WORDS = Path("/usr/share/sounds/alsa")  # "Front_Left.wav" says "front left"

FRAME = 0.01  # s, step of the aligner
# A frame looks ahead, so that boundaries come early: by this much (median of 227 boundaries of flite's voice awb, whose
# times are known).
EARLY = 0.005  # s
# Wide beams, and silence as a likely thing between words: else a first consonant swallows the silence before it.
SETTINGS = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80, "bestpath": False, "silprob": 0.3}


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
    decoder = _decoder()
    return [align(decoder, path, text) for path, text in texts]


def align(decoder: "Decoder", path: Path, text: str) -> Recording:
    """The recording at `path`, in which exactly `text` is said, with its phones. InputError: they do not fit."""
    samples = _read(path)
    sound = np.round(samples * 32767).astype(np.int16).tobytes()
    name = f"{path.parent.name}/{path.stem}"
    try:
        decoder.set_align_text(text)
        _decode(decoder, sound)
        decoder.set_alignment()
        _decode(decoder, sound)
        found = [(phone.name, phone.start, phone.duration) for word in decoder.get_alignment() for phone in word]
    except RuntimeError as refusal:
        raise InputError(f"{name} does not fit the words {text!r}; give the words that are said in it.") from refusal
    return Recording.of(name, samples, _filling(found, len(samples) / RATE))


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


def _decoder() -> "Decoder":
    try:
        from pocketsphinx import Decoder
    except ImportError:
        raise InputError("The aligner was not found: pip install pocketsphinx.") from None
    return Decoder(lm=None, loglevel="FATAL", **SETTINGS)


def _read(path: Path) -> np.ndarray:
    """Samples (n,) float32 at 16 kHz of any audio file, or of headerless 16-bit ones at that rate."""
    if path.suffix == ".raw":
        return np.fromfile(path, "<i2").astype(np.float32) / 32768
    return media.read_audio(path, RATE)


def _decode(decoder: "Decoder", sound: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _filling(found: list[tuple[str, int, int]], seconds: float) -> list[Phone]:
    """(name, first frame, frames) of the aligner -> phones from 0 to `seconds` without gaps; noises are silence."""
    marks = [(start * FRAME + EARLY, name if name in PHONES else "SIL") for name, start, _ in found]
    marks[0] = (0.0, marks[0][1])
    _, start, frames = found[-1]
    marks.append(((start + frames) * FRAME + EARLY, "SIL"))
    marks = [(start, name) for start, name in marks if start < seconds]
    marks = [mark for i, mark in enumerate(marks) if i == 0 or {mark[1], marks[i - 1][1]} != {"SIL"}]
    ends = [*(start for start, _ in marks[1:]), seconds]
    return [(start, end, name) for (start, name), end in zip(marks, ends, strict=True)]
