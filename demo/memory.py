"""What a job no longer needs goes back to the system; glibc keeps it otherwise, a heap for each thread there was."""

import ctypes
from functools import lru_cache


def give_back() -> None:
    """Return free memory to the system, where the C library can."""
    trim = _trim()
    if trim:
        trim(0)


@lru_cache(1)
def _trim() -> object | None:
    try:
        return ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):  # another C library
        return None
