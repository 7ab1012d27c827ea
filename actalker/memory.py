"""Memory: how much a program held, and the C library's, which keeps heaps for threads that there were."""

import contextlib
import ctypes
import re
import sys
from functools import cache
from pathlib import Path

M_ARENA_MAX = -8  # glibc's malloc.h
HEAPS = 2
STATUS = Path("/proc/self/status")


@cache
def share_heaps() -> None:
    """From now on all threads of this process share two heaps, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, HEAPS)


def give_back() -> None:
    """Return free memory to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def peak_memory_mb() -> int | None:
    """The most memory that this program ever held; None where the system does not tell."""
    told = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    if told:  # on Linux getrusage counts what the program that started this one held, too
        return round(int(told[1]) / 2**10)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
