"""Turns: every candidate once a round, its time against the first one's in the same round."""

import contextlib
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

TURN = 0.05  # seconds that a turn lasts at least
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


@dataclass(frozen=True)
class Turns:
    """Seconds of each round, and their ratios to the yardstick's of the same round."""

    seconds: list[float]
    ratios: list[float]

    @property
    def row(self) -> dict[str, float]:
        return {
            "ms": round(1e3 * median(self.seconds), 3),
            "ratio": round(median(self.ratios), 2),
            "ratio_min": round(min(self.ratios), 2),
            "ratio_max": round(max(self.ratios), 2),
        }


def take_turns(candidates: dict[str, Callable[[], object]], rounds: int) -> dict[str, Turns]:
    """Run all candidates in turn, `rounds` times, after once to warm up. The first is the yardstick of the ratios."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    times = {name: _times(run) for name, run in candidates.items()}
    for _ in range(rounds):
        for name, run in candidates.items():
            seconds[name].append(_duration(run, times[name]))
    yardstick = next(iter(seconds.values()))
    return {name: Turns(own, [a / b for a, b in zip(own, yardstick, strict=True)]) for name, own in seconds.items()}


def _times(run: Callable[[], object]) -> int:
    """How often a quick candidate must run for its turn to last."""
    warm = min(_duration(run, 1) for _ in range(2))
    return max(1, round(TURN / warm))


def _duration(run: Callable[[], object], times: int) -> float:
    """Seconds of one run, averaged over `times` of them."""
    begin = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - begin) / times


def keep_freed_memory() -> None:
    """From now on this process reuses memory that it freed, where the C library is glibc.

    Otherwise every large result begins with pages that the system must find and clear, which can take longer than what
    is measured.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def extra_memory(run: Callable[[], object]) -> int | None:
    """The most bytes that a run held beyond what there was before it; None where the system does not tell."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system, lest it be used unseen
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = _status("VmRSS")
        kept = run()  # noqa: F841 - what it returns counts
        return _status("VmHWM") - before
    except (OSError, AttributeError):
        return None


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
