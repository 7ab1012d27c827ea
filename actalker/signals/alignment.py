"""When each phone of known words is said: forced alignment by pocketsphinx, whose package carries an English model.

First the words are placed, with silences between them, then the phones within the words.
"""

from typing import TYPE_CHECKING

import numpy as np

from actalker.errors import InputError
from actalker.signals.audio import RATE

if TYPE_CHECKING:
    from pocketsphinx import Decoder

Phone = tuple[float, float, str]  # start and end in seconds, ARPABET name or SIL

FRAME = 0.01  # s, step of the aligner
# A frame looks ahead, so that boundaries come early: by this much (median of 227 boundaries of flite's voice awb, whose
# times are known).
EARLY = 0.005  # s
# Wide beams, and silence as a likely thing between words: else a first consonant swallows the silence before it.
SETTINGS = {"beam": 1e-80, "wbeam": 1e-60, "pbeam": 1e-80, "bestpath": False, "silprob": 0.3}


def aligner() -> "Decoder":
    """What `align_phones` needs; it takes a moment to load. InputError: pocketsphinx is missing."""
    try:
        from pocketsphinx import Decoder
    except ImportError:
        raise InputError("The aligner was not found: pip install pocketsphinx.") from None
    return Decoder(lm=None, loglevel="FATAL", **SETTINGS)


def align_phones(decoder: "Decoder", samples: np.ndarray, text: str, name: str) -> list[Phone]:
    """The phones of samples (n,) at 16 kHz in which exactly `text` is said; they fill the recording without gaps.

    InputError: words and recording, called `name`, do not fit, or a word is not in the dictionary.
    """
    sound = np.round(samples * 32767).astype(np.int16).tobytes()
    try:
        decoder.set_align_text(text)
        _decode(decoder, sound)
        decoder.set_alignment()
        _decode(decoder, sound)
        found = [(phone.name, phone.start, phone.duration) for word in decoder.get_alignment() for phone in word]
    except RuntimeError as refusal:
        raise InputError(f"{name} does not fit the words {text!r}; give the words that are said in it.") from refusal
    return _filling(found, len(samples) / RATE)


def _decode(decoder: "Decoder", sound: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _filling(found: list[tuple[str, int, int]], seconds: float) -> list[Phone]:
    """(name, first frame, frames) of the aligner -> phones from 0 to `seconds` without gaps; noises are silence."""
    marks = [(start * FRAME + EARLY, name if name.isalpha() else "SIL") for name, start, _ in found]
    marks[0] = (0.0, marks[0][1])
    _, start, frames = found[-1]
    marks.append(((start + frames) * FRAME + EARLY, "SIL"))
    marks = [(start, name) for start, name in marks if start < seconds]
    marks = [mark for i, mark in enumerate(marks) if i == 0 or {mark[1], marks[i - 1][1]} != {"SIL"}]
    ends = [*(start for start, _ in marks[1:]), seconds]
    return [(start, end, name) for (start, name), end in zip(marks, ends, strict=True)]
