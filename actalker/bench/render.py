"""`actalker bench render`: the embedded tier from files to a video, by mode and length, cold and warm.

Every run stands between matrix products of a fixed size, so that figures from different machines can be compared: a
frame's cost is told in products, too. Cold is a fresh process with its imports. Warm is a program that has rendered
before: it keeps weights and the photo's set-up, and measures voice and clip anew.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from actalker.config import PRESETS
from actalker.errors import InputError
from actalker.pipelines import Cancelled, Request
from actalker.pipelines.embedded import EmbeddedPipeline
from actalker.pipelines.stages import SOUND_RATE
from actalker.signals import media

ASSETS = Path(__file__).parents[2] / "assets"
PHOTO, SPEECH, DRIVER = (ASSETS / name for name in ("faces/astronaut.jpg", "speech/story.wav", "drivers/cheerful.mp4"))
MODES = ("joint", "voice", "video")
LENGTHS = (10.0, 60.0)  # seconds
SIDE = 1024  # of the square matrices, float32
STAGES = ("measure", "denoise", "render", "encode")
LONGEST_CLIP = 60.0  # seconds; a driving clip is no longer, and is continued to and fro


def bench_render(lengths: Sequence[float], modes: Sequence[str], rounds: int) -> dict:
    """Times by length and mode. Modes take turns in every round. InputError: a length under 1 s, or an unknown mode."""
    if unknown := [mode for mode in modes if mode not in MODES]:
        raise InputError(f"There is no mode {unknown[0]!r} to measure; choose from {', '.join(MODES)}.")
    if any(not length >= 1 for length in lengths):
        raise InputError("A clip to measure lasts 1 second or more; give --seconds such as 10.")
    pipeline = EmbeddedPipeline()
    with TemporaryDirectory() as folder:
        rows = [row for length in lengths for row in _of_length(pipeline, Path(folder), length, modes, rounds)]
    return {"threads": torch.get_num_threads(), "torch": torch.__version__, "rounds": rounds, "rows": rows}


def product_seconds(times: int = 5) -> float:
    """Seconds of the fixed reference: a product of two matrices of 1024 x 1024 in float32; median of some."""
    a, b = (torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    return median(_seconds(lambda: a @ b) for _ in range(times))


def _of_length(
    pipeline: EmbeddedPipeline, folder: Path, length: float, modes: Sequence[str], rounds: int
) -> list[dict]:
    requests = {mode: _request(folder, mode, length) for mode in modes}
    cold: dict[str, list[dict]] = {mode: [] for mode in modes}
    warm: dict[str, list[dict]] = {mode: [] for mode in modes}
    for mode, request in requests.items():
        pipeline(request, folder / f"{mode}.mp4")  # once to warm up
    for number in range(rounds):
        for mode, request in requests.items():
            cold[mode].append(_fresh(request, folder / f"cold-{number}.mp4"))
            warm[mode].append(_again(pipeline, request, folder / f"warm-{number}.mp4"))
    return [_row(mode, length, warm[mode], cold[mode]) for mode in modes]


def _request(folder: Path, mode: str, length: float) -> Request:
    """The example's files, as long as wanted."""
    from scipy.io import wavfile  # it sets an environment variable

    speech, driver = folder / f"{length:g}.wav", folder / f"{length:g}.mp4"
    if not speech.exists():
        samples = np.resize(media.read_audio(SPEECH, SOUND_RATE), round(length * SOUND_RATE))
        wavfile.write(speech, SOUND_RATE, (32767 * samples).astype(np.int16))
        frames = list(media.read_video(DRIVER, 25.0))
        there_and_back = frames + frames[-2:0:-1]
        count = round(min(length, LONGEST_CLIP) * 25)
        media.write_video(driver, (there_and_back[i % len(there_and_back)] for i in range(count)), 25)
    given = {"speech": speech if mode != "video" else None, "driving": driver if mode != "voice" else None}
    return Request(photo=PHOTO, regions=PRESETS[mode], **given)


def _fresh(request: Request, out: Path) -> dict:
    """The command in a process of its own: its facts, and how long it took, imports included."""
    preset = next(name for name, regions in PRESETS.items() if regions == request.regions)
    asked = [sys.executable, "-m", "actalker", "animate", f"--photo={request.photo}", f"--preset={preset}"]
    asked += [f"--{name}={path}" for name, path in (("speech", request.speech), ("driving", request.driving)) if path]
    begun = time.perf_counter()
    done = subprocess.run([*asked, f"--out={out}", "--json"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout) | {"spent": time.perf_counter() - begun}


def _again(pipeline: EmbeddedPipeline, request: Request, out: Path) -> dict:
    """One run in this process: its facts, and what a product took around it; and when a first piece could be played."""
    before, begun = product_seconds(), time.perf_counter()
    facts = pipeline(request, out)
    spent = time.perf_counter() - begun
    after = product_seconds()
    return facts | {
        "spent": spent,
        "product": (before + after) / 2,
        "first_piece": _first_piece(pipeline, request, out),
    }


def _first_piece(pipeline: EmbeddedPipeline, request: Request, out: Path) -> float:
    """Seconds until there is something to play, after which the run is stopped."""
    begun = time.perf_counter()
    waited: list[float] = []

    def stop(_piece: Path) -> None:
        waited.append(time.perf_counter() - begun)
        raise Cancelled

    with suppress(Cancelled):
        pipeline(request, out.with_stem("first"), chunk=stop)
    return waited[0]


def _row(mode: str, length: float, warm: list[dict], cold: list[dict]) -> dict:
    frames = warm[0]["frames"]
    per_frame = {stage: median(one["timings"][stage] for one in warm) / frames for stage in STAGES}
    return {
        "mode": mode,
        "seconds": length,
        "frames": frames,
        "factor_warm": _spread([one["spent"] / one["seconds"] for one in warm]),
        "factor_cold": _spread([one["spent"] / one["seconds"] for one in cold]),
        "first_piece_s": _spread([one["first_piece"] for one in warm]),
        "products_a_frame": _spread([one["spent"] / frames / one["product"] for one in warm]),
        "ms_a_frame": {stage: round(1e3 * value, 2) for stage, value in per_frame.items()},
        "frames_a_second": {stage: round(1 / value) for stage, value in per_frame.items() if value},
        "peak_memory_mb": max(one["peak_memory_mb"] or 0 for one in cold),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {name: round(of(values), 3) for name, of in (("median", median), ("min", min), ("max", max))}


def _seconds(run: Callable[[], object]) -> float:
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def as_text(report: dict) -> str:
    """The report as a table; times are medians with the lowest and the highest."""
    heads = ("warm / length", "cold / length", "first piece, s", "products a frame")
    lines = [
        f"{report['rounds']} rounds, {report['threads']} threads, torch {report['torch']}; median (lowest to highest)",
        f"length  mode    {'  '.join(head.ljust(20) for head in heads)}  peak     ms a frame: {', '.join(STAGES)}",
    ]
    for row in report["rows"]:
        spreads = (row[name] for name in ("factor_warm", "factor_cold", "first_piece_s", "products_a_frame"))
        told = "  ".join(f"{one['median']:.2f} ({one['min']:.2f} to {one['max']:.2f})".ljust(20) for one in spreads)
        stages = ", ".join(f"{row['ms_a_frame'][stage]:.1f}" for stage in STAGES)
        lines.append(f"{row['seconds']:>4g} s  {row['mode']:<6}  {told}  {row['peak_memory_mb']} MB  {stages}")
    return "\n".join(lines)
