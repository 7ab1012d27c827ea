"""Speech synthesisers that also tell when each phone sounds: flite, festival and espeak-ng.

Every phone is given as ARPABET without stress marks (AX for schwa, SIL for silence), whatever the program calls it.
"""

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from actalker.errors import InputError
from actalker.signals import media

RATE = 16000
Phone = tuple[float, float, str]  # start and end in seconds, ARPABET name

# Share of the training speech. espeak-ng is formant synthesis: useful for phone coverage, harmful in bulk.
TRAINING_VOICES: dict[str, float] = {
    "flite slt": 0.31,
    "flite rms": 0.31,
    "flite kal16": 0.13,
    "festival kal_diphone": 0.12,
    "espeak-ng en": 0.06,
    "espeak-ng fr": 0.02,
    "espeak-ng de": 0.02,
    "espeak-ng es": 0.015,
    "espeak-ng it": 0.015,
}
HELD_OUT_VOICE = "flite awb"

FLITE_PITCH = {"slt": 170.0, "rms": 95.0, "awb": 120.0, "kal16": 105.0}  # mean Hz
FESTIVAL_PITCH = 115.0
ESPEAK_WORDS = 165  # a minute
ESPEAK_DIALECTS = ("en-us", "en-us", "en-us", "en-us-nyc", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029")
ESPEAK_VARIANTS = (
    "",
    *(f"+m{n}" for n in range(1, 8)),
    *(f"+f{n}" for n in range(1, 6)),
    "+Alex",
    "+Linda",
    "+Michael",
)
SUNG_STRETCH = (1.5, 2.4)  # how much slower than speech something sung is

SPELLINGS = {"PAU": "SIL", "H#": "SIL", "BRTH": "SIL", "EM": "M", "EN": "N", "NX": "N", "EL": "L", "DX": "D"}
SPELLINGS |= {"AXR": "ER", "HV": "HH", "UX": "UW", "IX": "IH"}

ESPEAK_PHONES = {
    "SIL": "_ _: _! _^_ _| |",
    "AA": "A A: A@ 0 0# A# 0_ A~",
    "AE": "a aa a: & a2",
    "AH": "V V#",
    "AX": "@ @2 @5 a# @- @#",
    "AO": "O O: O@ o@ O2 o: o O#",
    "EH": "E e@ E# E2 e",
    "ER": "3 3: VR IR 3r @r W",
    "IH": "I I# I2 i@ I@ i@3",
    "IY": "i i: i2",
    "UH": "U U@ U# Y Y: UR",
    "UW": "u: u u# w# y: u:# y",
    "OW": "oU o:U @U oU# eU",
    "AY": "aI aI@ aI2 aI3",
    "AW": "aU aU@",
    "EY": "eI e: e#",
    "OY": "OI OY oI",
    "P": "p p# ph pF",
    "B": "b",
    "M": "m m-",
    "F": "f",
    "V": "v v# B",
    "TH": "T",
    "DH": "D D#",
    "T": "t t# t2 t[ * t- t`",
    "D": "d d# d2 d[ * ** R2",
    "N": "n n- n^ n#",
    "L": "l l- @L l# l^ L",
    "S": "s ss ts ts2",
    "Z": "z z# z2 dz",
    "SH": "S S;",
    "ZH": "Z",
    "CH": "tS",
    "JH": "dZ",
    "K": "k k# x C",
    "G": "g Q",
    "NG": "N",
    "HH": "h h# ?",
    "R": "r r- R r#",
    "W": "w w2",
    "Y": "j ; J^",
}
ESPEAK_TO_ARPABET = {mnemonic: phone for phone, names in ESPEAK_PHONES.items() for mnemonic in names.split()}
UNROUNDED_R = {"fr": "K", "de": "K", "es": "D", "it": "D"}  # only English rounds the lips for an r


@dataclass(frozen=True)
class Spoken:
    """One sentence: samples (n,) float32 at 16 kHz and the phones that fill it without gaps."""

    voice: str
    text: str
    samples: np.ndarray
    phones: list[Phone]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / RATE


@dataclass(frozen=True)
class Manner:
    """How something is said: factors of a voice's usual phone lengths, pitch, and spread of pitch."""

    stretch: float
    pitch: float
    spread: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, sung: bool = False) -> "Manner":
        """Of speech; what is sung is slow and holds one pitch."""
        if sung:
            return cls(rng.uniform(*SUNG_STRETCH), rng.uniform(0.8, 1.5), 0.05)
        return cls(rng.uniform(0.8, 1.3), rng.uniform(0.75, 1.35), rng.uniform(0.6, 1.6))


def speak(voice: str, text: str, rng: np.random.Generator, sung: bool = False) -> Spoken:
    """Say one sentence in a manner drawn from `rng`; `voice` is one of TRAINING_VOICES or HELD_OUT_VOICE."""
    program, _, name = voice.partition(" ")
    samples, phones = SYNTHESISERS[program](name, text, Manner.drawn(rng, sung), rng)
    return Spoken(voice, text, samples, phones)


def language(voice: str) -> str:
    """The language that a voice speaks: "en", "fr", ..."""
    program, _, name = voice.partition(" ")
    return name if program == "espeak-ng" else "en"


def require_programs() -> None:
    """Raise InputError, naming the Debian package, when a synthesiser is not installed."""
    for program in SYNTHESISERS:
        if shutil.which(program) is None:
            raise InputError(f"The speech synthesiser {program} was not found: install the Debian package {program}.")


def _speak_flite(name: str, text: str, manner: Manner, _: np.random.Generator) -> tuple[np.ndarray, list[Phone]]:
    pitch = FLITE_PITCH[name] * manner.pitch
    settings = {
        "duration_stretch": manner.stretch,
        "int_f0_target_mean": pitch,
        "int_f0_target_stddev": pitch * 0.14 * manner.spread,
    }
    options = [word for key, value in settings.items() for word in ("--setf", f"{key}={value:.3f}")]
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        command = ["flite", "-voice", name, *options, "-psdur", "-t", text, "-o", str(wav)]
        report = _run(command)
        samples = media.read_audio(wav, RATE)
    ends = [(phone, float(end)) for phone, end in re.findall(r"(\S+):([\d.]+)", report)]
    return samples, _contiguous(ends, len(samples) / RATE)


def _speak_festival(name: str, text: str, manner: Manner, _: np.random.Generator) -> tuple[np.ndarray, list[Phone]]:
    quoted = text.replace("\\", "").replace('"', "")
    mean, spread = FESTIVAL_PITCH * manner.pitch, 16 * manner.spread
    with tempfile.TemporaryDirectory() as folder:
        wav, script = Path(folder) / "speech.wav", Path(folder) / "speak.scm"
        script.write_text(
            f"""(voice_{name})
            (set! int_lr_params '((target_f0_mean {mean:.1f}) (target_f0_std {spread:.1f})
                                  (model_f0_mean 170) (model_f0_std 34)))
            (Parameter.set 'Duration_Stretch {manner.stretch:.3f})
            (set! spoken (utt.synth (Utterance Text "{quoted}")))
            (utt.save.wave spoken "{wav}")
            (mapcar (lambda (phone) (format t "%s:%f\\n" (item.name phone) (item.feat phone "end")))
                    (utt.relation.items spoken 'Segment))"""
        )
        report = _run(["festival", "-b", str(script)])
        samples = media.read_audio(wav, RATE)
    ends = [(phone, float(end)) for phone, end in re.findall(r"(\S+):([\d.]+)", report)]
    return samples, _contiguous(ends, len(samples) / RATE)


def _speak_espeak(name: str, text: str, manner: Manner, rng: np.random.Generator) -> tuple[np.ndarray, list[Phone]]:
    from scipy.signal import resample_poly

    library = _Espeak.shared()
    dialect = str(rng.choice(ESPEAK_DIALECTS)) if name == "en" else name
    pitch, spread = np.clip((50 * manner.pitch, 55 * manner.spread), 0, 99)
    voice = dialect + str(rng.choice(ESPEAK_VARIANTS))
    raw, events = library.synthesise(text, voice, ESPEAK_WORDS / manner.stretch, pitch, spread)
    samples = resample_poly(raw, RATE, library.rate).astype(np.float32)
    starts = [start for start, _ in events]
    ends = [*starts[1:], len(samples) / RATE]
    return samples, [
        (start, end, _arpabet_of_espeak(mnemonic, name))
        for (start, mnemonic), end in zip(events, ends, strict=True)
        if end > start
    ]


SYNTHESISERS: dict[str, Callable[[str, str, Manner, np.random.Generator], tuple[np.ndarray, list[Phone]]]] = {
    "flite": _speak_flite,
    "festival": _speak_festival,
    "espeak-ng": _speak_espeak,
}


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def _contiguous(ends: list[tuple[str, float]], seconds: float) -> list[Phone]:
    """Phones from (name, end time) pairs, filling `seconds` exactly.

    The times start again at 0 where a program begins a new sentence; the last silence may be cut short in the sound.
    """
    phones: list[Phone] = []
    start = offset = 0.0
    for name, end in ends:
        if end + offset <= start:
            offset = start
        stop = min(end + offset, seconds)
        if stop > start:
            phones.append((start, stop, SPELLINGS.get(name.upper(), name.upper())))
            start = stop
    if start < seconds:
        phones.append((start, seconds, "SIL"))
    return phones


def _arpabet_of_espeak(mnemonic: str, language: str) -> str:
    """ARPABET name of an espeak-ng mnemonic; marks of length, tone or palatalisation at its end do not matter."""
    for name in (mnemonic, mnemonic.rstrip("~|;^:'")):
        phone = ESPEAK_TO_ARPABET.get(name)
        if phone is not None:
            return UNROUNDED_R.get(language, phone) if phone == "R" else phone
    raise LookupError(f"espeak-ng phone {mnemonic!r} has no ARPABET name")


class _EspeakEventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _EspeakEvent(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EspeakEventId),
    ]


class _Espeak:
    """The espeak-ng library: the command line does not tell when a phone sounds, the C interface does."""

    SYNCHRONOUS, PHONEME_EVENTS, PHONEME, UTF8 = 2, 1, 7, 1
    SPEED, PITCH, PITCH_RANGE = 1, 3, 4

    def __init__(self) -> None:
        try:
            self.library = ctypes.CDLL("libespeak-ng.so.1")
        except OSError as missing:
            raise InputError(
                "The library of espeak-ng was not found: install the Debian package espeak-ng."
            ) from missing
        self.rate = self.library.espeak_Initialize(self.SYNCHRONOUS, 0, None, self.PHONEME_EVENTS)
        self.blocks: list[np.ndarray] = []
        self.events: list[tuple[float, str]] = []
        callback = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent)
        )
        self.receive = callback(self._receive)  # kept: the library holds only a pointer to it
        self.library.espeak_SetSynthCallback(self.receive)

    @classmethod
    @functools.cache
    def shared(cls) -> "_Espeak":
        """The one instance of this process: the library keeps its state in globals."""
        return cls()

    def synthesise(
        self, text: str, voice: str, words_per_minute: float, pitch: float, pitch_range: float
    ) -> tuple[np.ndarray, list[tuple[float, str]]]:
        """Samples (n,) in [-1, 1] at `rate` and (start in seconds, mnemonic) of each phone."""
        self.blocks.clear()
        self.events.clear()
        self.library.espeak_SetVoiceByName(voice.encode())
        for parameter, value in ((self.SPEED, words_per_minute), (self.PITCH, pitch), (self.PITCH_RANGE, pitch_range)):
            self.library.espeak_SetParameter(parameter, int(value), 0)
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, self.UTF8, None, None)
        self.library.espeak_Synchronize()
        return np.concatenate(self.blocks).astype(np.float32) / 32768, list(self.events)

    def _receive(self, samples, count: int, events) -> int:
        if count > 0 and samples:
            self.blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        position = 0
        while events[position].type:
            event = events[position]
            name = event.id.string.decode() if event.type == self.PHONEME else "("
            if not name.startswith("("):  # such names mark a change of language
                self.events.append((event.audio_position / 1000, name))
            position += 1
        return 0
