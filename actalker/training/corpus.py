"""The speech corpus: sentences spoken by synthesisers, each rendered three times, with the mouth that belongs to it.

A folder holds shards (`shard-00000.npz`, ...), read in place. A shard depends only on the seed and its number, so that
a build can be stopped and continued at any time, and several builds with the same seed agree.
"""

import json
import logging
import math
import multiprocessing
import os
import struct
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from actalker.config import MEL_PER_FRAME
from actalker.errors import InputError
from actalker.saving import replacing
from actalker.signals import phones
from actalker.signals.audio import log_mel, normalise
from actalker.training import augment
from actalker.training.gestures import loudness
from actalker.training.texts import Texts, load_texts
from actalker.training.visemes import PHONES, mouth_motion
from actalker.training.voices import RATE, TRAINING_VOICES, Phone, Spoken, language, require_programs, speak

FPS = 25
SAMPLES_PER_FRAME = RATE // FPS
UTTERANCES_PER_SHARD = 24
TRACKS = ("mel", "evidence", "mouth", "loudness")  # of a rendering, as a shard names them
RENDERINGS = 3  # the first clean, the others augmented
WORDLESS_SHARE = 0.06  # items without any speech: they teach the mouth to stay still
JOINED_SHARE = 0.25  # items of two sentences with a pause between
SUNG_SHARE = 0.06  # items that are nearly sung: slow, on one pitch
MANIFEST = "manifest.jsonl"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rendering:
    """One version of an utterance at t frames, 25 a second, float16: what is heard and how the face answers.

    mel (4t, 80), evidence (4t, 32) of the phones that a recogniser hears in it, mouth (t, 19), loudness (t,).
    """

    mel: np.ndarray
    evidence: np.ndarray
    mouth: np.ndarray
    loudness: np.ndarray
    phones: list[Phone]


@dataclass(frozen=True)
class Utterance:
    """One item: voice "none" and an empty text where nobody speaks. The first rendering is clean."""

    voice: str
    text: str
    renderings: list[Rendering]
    sung: bool = False


@dataclass(frozen=True)
class CorpusPlan:
    """What to build; equal plans make equal shards. `texts`: files with one sentence a line instead of Debian's."""

    seed: int = 1
    voices: dict[str, float] = field(default_factory=lambda: dict(TRAINING_VOICES))
    texts: tuple[Path, ...] = ()
    utterances_per_shard: int = UTTERANCES_PER_SHARD
    wordless_share: float = WORDLESS_SHARE


def build_corpus(
    folder: Path,
    plan: CorpusPlan,
    minutes: float,
    workers: int = 1,
    progress: Callable[[float], None] = lambda _: None,
) -> float:
    """Add shards until the folder holds `minutes` of raw speech; returns how many it holds.

    InputError: a synthesiser or the texts are missing.
    """
    done, shard = sum(map(_shard_minutes, sorted(folder.glob("shard-*.npz")))), 0
    if done >= minutes:
        return done
    require_programs()
    folder.mkdir(parents=True, exist_ok=True)
    texts = load_texts(plan.texts)
    with multiprocessing.Pool(workers, maxtasksperchild=1) as pool:  # espeak-ng's sound depends on what it said before
        while done < minutes:
            missing = []
            while len(missing) < workers:
                if not _shard_path(folder, shard).exists():
                    missing.append(shard)
                shard += 1
            tasks = [pool.apply_async(_build_shard, (folder, plan, texts, number)) for number in missing]
            done += sum(task.get() for task in tasks)
            progress(done)
    write_manifest(folder, plan)
    return done


def write_manifest(folder: Path, plan: CorpusPlan) -> None:
    """`manifest.jsonl`, a line for each item: where it is, its seeds, and what is said by whom and when."""
    part = folder / (MANIFEST + ".part")
    with part.open("w") as file:
        for path in sorted(folder.glob("shard-*.npz")):
            index = _read_index(path)
            clean = np.cumsum([0, *(item["count"] for item in index["utterances"])])
            for number, item in enumerate(index["utterances"]):
                seeds = [plan.seed, int(path.stem.removeprefix("shard-"))]
                row = {"shard": path.name, "item": number, "seeds": seeds} | item
                file.write(json.dumps(row | {"phones": index["phones"][clean[number]]}) + "\n")
    part.replace(folder / MANIFEST)


def load_corpus(folder: Path, minutes: float = math.inf) -> list[Utterance]:
    """The first shards' utterances, in order, until `minutes` of raw speech are reached. InputError: no shard there."""
    paths = sorted(Path(folder).glob("shard-*.npz"))
    if not paths:
        raise InputError(f"{folder} holds no corpus shards: build one first.")
    reached = np.cumsum([0.0, *map(_shard_minutes, paths)])
    return [
        item for path, before in zip(paths, reached, strict=False) if before < minutes for item in _read_shard(path)
    ]


@dataclass(frozen=True)
class _Track:
    """Speech and everything else apart, (n,) each, so that gestures follow the speech alone."""

    speech: np.ndarray
    other: np.ndarray
    phones: list[Phone]


def _build_shard(folder: Path, plan: CorpusPlan, texts: Texts, number: int) -> float:
    """Write one shard; returns its minutes of raw speech."""
    rng = np.random.default_rng((plan.seed, number))
    utterances: list[Utterance] = []
    seconds, babble = 0.0, augment.coloured_noise(3 * RATE, 1, rng)
    while len(utterances) < plan.utterances_per_shard:
        if rng.random() < plan.wordless_share:
            utterances.append(Utterance("none", "", [_wordless(kind, rng) for kind in _draw_wordless(rng)]))
            continue
        voice = str(rng.choice(list(plan.voices), p=_shares(plan.voices)))
        lines = [texts.draw(language(voice), rng) for _ in range(1 + (rng.random() < JOINED_SHARE))]
        sung = bool(rng.random() < SUNG_SHARE)
        try:
            spoken = [_levelled(speak(voice, line, rng, sung)) for line in lines]
        except (LookupError, ValueError, subprocess.SubprocessError) as refusal:
            log.info("%s could not say %r: %s", voice, lines, refusal)
            continue
        renderings = [_render(_padded(spoken, rng), index > 0, babble, rng) for index in range(RENDERINGS)]
        utterances.append(Utterance(voice, " ".join(lines), renderings, sung))
        seconds += sum(sentence.seconds for sentence in spoken)
        babble = spoken[0].samples
    _write_shard(_shard_path(folder, number), utterances, seconds / 60)
    return seconds / 60


def _shares(voices: dict[str, float]) -> np.ndarray:
    weights = np.array(list(voices.values()))
    return weights / weights.sum()


def _levelled(spoken: Spoken) -> Spoken:
    """The same sentence with a peak of 0.5. ValueError: no sound, or a phone without a mouth shape."""
    peak = np.abs(spoken.samples).max(initial=0.0)
    if peak < 0.01 or spoken.seconds < 0.3:
        raise ValueError("no sound came out")
    if unknown := {name for _, _, name in spoken.phones} - PHONES:
        raise ValueError(f"no mouth shape for {sorted(unknown)}")
    return Spoken(spoken.voice, spoken.text, spoken.samples / (2 * peak), spoken.phones)


def _padded(sentences: list[Spoken], rng: np.random.Generator) -> _Track:
    """The sentences with silence before, between and after; some of the silences hold a breath or a click."""
    speech, other, phones = [], [], []
    start = 0.0
    for spoken in [None, *[part for sentence in sentences for part in (sentence, None)]]:
        if spoken is None:
            samples = np.zeros(int(rng.uniform(0.1, 1.2) * RATE), np.float32)
            noise, sounds = _mouth_noises(len(samples), rng), [(0.0, len(samples) / RATE, "SIL")]
        else:
            samples, noise, sounds = spoken.samples, np.zeros_like(spoken.samples), spoken.phones
        speech.append(samples)
        other.append(noise)
        phones += [(start + begin, start + end, name) for begin, end, name in sounds]
        start += len(samples) / RATE
    return _Track(np.concatenate(speech), np.concatenate(other), phones)


def _mouth_noises(count: int, rng: np.random.Generator) -> np.ndarray:
    """Silence (count,) that may hold a breath and a click; the mouth does not follow either."""
    sound = np.zeros(count, np.float32)
    if rng.random() < 0.4 and count > 0.4 * RATE:
        _add_breath(sound, rng)
    if rng.random() < 0.2:
        start = rng.integers(0, count - 100)
        click = rng.normal(size=80) * np.exp(-np.arange(80) / 15)
        sound[start : start + 80] += rng.uniform(0.01, 0.1) * click
    return sound


def _add_breath(sound: np.ndarray, rng: np.random.Generator) -> None:
    count = int(rng.uniform(0.2, 0.38) * RATE)
    start = rng.integers(0, len(sound) - count)
    sound[start : start + count] += (
        rng.uniform(0.002, 0.012) * augment.coloured_noise(count, 1, rng) * np.hanning(count)
    )


def _draw_wordless(rng: np.random.Generator) -> list[str]:
    return list(rng.choice(["silence", "noise", "music", "breaths", "clicks"], RENDERINGS))


def _wordless(kind: str, rng: np.random.Generator) -> Rendering:
    """A recording of 2 to 5 seconds in which nobody speaks."""
    count = int(rng.uniform(2, 5) * RATE)
    sound = np.zeros(count, np.float32)
    if kind == "music":
        sound = _music(count, rng)
    for _ in range(int(rng.integers(1, 4)) if kind == "breaths" else 0):
        _add_breath(sound, rng)
    if kind == "clicks":
        sound[rng.integers(0, count, 4)] = rng.uniform(-0.5, 0.5, 4)
    if kind != "silence" or rng.random() < 0.5:
        sound = sound + augment.coloured_noise(count, rng.uniform(0, 2), rng) * 10 ** rng.uniform(-4.5, -1.3)
    return _rendered(_Track(np.zeros_like(sound), sound, [(0.0, count / RATE, "SIL")]), sound)


def _music(count: int, rng: np.random.Generator) -> np.ndarray:
    """Notes of a few harmonics, a quarter of a second or longer each."""
    times = np.arange(count) / RATE
    sound = np.zeros(count, np.float32)
    for begin in np.arange(0, times[-1], rng.uniform(0.25, 0.8)):
        pitch = 110 * 2 ** (rng.integers(0, 30) / 12)
        envelope = np.where(times >= begin, np.exp(-(times - begin) * rng.uniform(1, 6)), 0)
        tone = sum(np.sin(2 * np.pi * pitch * k * times) / k**1.5 for k in range(1, 6))
        sound += (0.1 * envelope * tone).astype(np.float32)
    return sound


def _render(track: _Track, hard: bool, babble: np.ndarray, rng: np.random.Generator) -> Rendering:
    if not hard:
        mixture = track.speech + track.other
        return _rendered(track, mixture + rng.normal(0, 10 ** rng.uniform(-4.5, -3), len(mixture)))
    stretch = augment.drawn_stretch(rng)
    factor = stretch / augment.RESAMPLE_STEPS
    phones = [(start * factor, end * factor, name) for start, end, name in track.phones]
    slower = _Track(augment.resampled(track.speech, stretch), augment.resampled(track.other, stretch), phones)
    return _rendered(slower, augment.distorted(slower.speech + slower.other, babble, rng))


def _rendered(track: _Track, mixture: np.ndarray) -> Rendering:
    """Features and targets of `mixture` cut to whole frames; the targets come from the track alone."""
    frames = len(mixture) // SAMPLES_PER_FRAME
    whole = mixture[: frames * SAMPLES_PER_FRAME].astype(np.float32)
    return Rendering(
        mel=normalise(log_mel(whole)).astype(np.float16),
        evidence=phones.evidence(whole).astype(np.float16),
        mouth=mouth_motion(track.phones, frames / FPS, FPS).astype(np.float16),
        loudness=loudness(track.speech, frames, FPS, RATE).astype(np.float16),
        phones=track.phones,
    )


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.npz"


def _write_shard(path: Path, utterances: list[Utterance], minutes: float) -> None:
    """Arrays of all renderings end to end, and an index that tells them apart. Nothing is left when it fails."""
    renderings = [rendering for utterance in utterances for rendering in utterance.renderings]
    index = {
        "minutes": minutes,
        "frames": [len(rendering.mouth) for rendering in renderings],
        "phones": [rendering.phones for rendering in renderings],
        "utterances": [
            {"voice": item.voice, "text": item.text, "sung": item.sung, "count": len(item.renderings)}
            for item in utterances
        ],
    }
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            index=np.array(json.dumps(index)),
            **{name: np.concatenate([getattr(rendering, name) for rendering in renderings]) for name in TRACKS},
        )


def _shard_minutes(path: Path) -> float:
    return _read_index(path)["minutes"]


def _read_index(path: Path) -> dict:
    with np.load(path) as shard:
        return json.loads(str(shard["index"]))


def mapped(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an uncompressed .npz file where they lie in it, not read before they are used.

    Training draws windows from anywhere, so a stream of samples (tar shards) would change its batches. Mapped, a shard
    is in a machine's memory once, whichever processes of it draw, and only as far as they do: nothing else is needed.
    """
    whole, arrays = np.memmap(path, mode="r"), {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for entry in archive.infolist():
            file.seek(entry.header_offset + 26)  # where a local header says how long the name and what follows it are
            file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
            np.lib.format.read_magic(file)
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            arrays[entry.filename.removesuffix(".npy")] = np.ndarray(shape, kind, whole, file.tell())
    return arrays


def _read_shard(path: Path) -> list[Utterance]:
    index, tracks = _read_index(path), mapped(path)
    mel, evidence, mouth, loud = (tracks[name] for name in TRACKS)
    ends = np.cumsum(index["frames"])
    renderings = [
        Rendering(
            mel[MEL_PER_FRAME * (end - count) : MEL_PER_FRAME * end],
            evidence[MEL_PER_FRAME * (end - count) : MEL_PER_FRAME * end],
            mouth[end - count : end],
            loud[end - count : end],
            [tuple(phone) for phone in phones],
        )
        for end, count, phones in zip(ends, index["frames"], index["phones"], strict=True)
    ]
    remaining = iter(renderings)
    return [
        Utterance(item["voice"], item["text"], [next(remaining) for _ in range(item["count"])], item["sung"])
        for item in index["utterances"]
    ]
