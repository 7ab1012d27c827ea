"""The C library's memory: glibc keeps a heap for each thread that there was, and in it what the thread let go."""

import contextlib
import ctypes
from functools import cache

M_ARENA_MAX = -8  # glibc's malloc.h
HEAPS = 2


@cache
def share_heaps() -> None:
    """From now on all threads of this process share two heaps, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, HEAPS)


def give_back() -> None:
    """Return free memory to the system, where the C library can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
