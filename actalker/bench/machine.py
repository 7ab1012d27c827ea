"""What this machine can do at best: the two throughputs that bound a scan."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np
from numba import njit

from actalker.scan.numba_kernels import EXACT, exp2


@njit(**EXACT)
def _exponentials(x, y, times):
    """y = 2**x, `times` times over."""
    for _ in range(times):
        for i in range(len(x)):
            y[i] = exp2(x[i])


def copy_throughput(threads: int, megabytes: int = 64, rounds: int = 9) -> float:
    """Bytes a second that `threads` threads read and write together, copying arrays that no cache holds."""
    pairs = [[np.ones(megabytes * 2**18, np.float32) for _ in range(2)] for _ in range(threads)]
    spent = _together(threads, lambda i: np.copyto(*pairs[i]), rounds)
    return threads * 2 * megabytes * 2**20 / spent


def exponential_throughput(threads: int, rounds: int = 9) -> float:
    """Elements a second of the scan's own 2**x, in `threads` threads, on rows that the nearest cache holds."""
    rows = [[np.linspace(-20, 0, 2048, dtype=np.float32), np.empty(2048, np.float32)] for _ in range(threads)]
    times = 20_000
    _exponentials(*rows[0], 1)
    return threads * times * 2048 / _together(threads, lambda i: _exponentials(*rows[i], times), rounds)


def _together(threads: int, work: Callable[[int], object], rounds: int) -> float:
    """Median seconds for `work(0)`, `work(1)`, ... side by side."""
    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(rounds):
            begin = time.perf_counter()
            list(pool.map(work, range(threads)))
            seconds.append(time.perf_counter() - begin)
    return median(seconds)
