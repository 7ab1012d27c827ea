"""Work done side by side on the cores there are."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

from actalker.pipelines.request import Cancelled, Progress

T = TypeVar("T")

EACH = 2  # results for each thread that may wait to be taken
ATTENTION = 0.25  # seconds between two looks at whether to go on
ERRAND = "errand"  # begins the names of the threads in which errands are done


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(work: Callable[[int], T], count: int, threads: int | None = None) -> Iterator[T]:
    """work(0), work(1), ... work(count - 1), done in threads a few results ahead of whoever takes them.

    What is yielded does not depend on the number of threads (None: one for each core). An iterator that is closed, or
    whose work raises, begins nothing more and returns when its threads are done.
    """
    threads = threads or cores()
    pool, waiting = ThreadPoolExecutor(threads), deque[Future[T]]()
    try:
        for i in range(count):
            waiting.append(pool.submit(work, i))
            if len(waiting) >= EACH * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Errands:
    """Things done in threads of their own while `progress` is told of the stage, so that it can end the wait.

    Use it as a context manager. A wait that was ended does not end what takes a few seconds at most, which is then
    forgotten; what takes longer calls `told`, and ends there.
    """

    def __init__(self, progress: Progress, stage: str = "measuring", done: float = 0.0) -> None:
        self._progress, self._stage, self._done = progress, stage, done
        self._left = Event()

    def __enter__(self) -> "Errands":
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Start it now; `result` waits for it."""
        worker = ThreadPoolExecutor(1, thread_name_prefix=ERRAND)
        future = worker.submit(work)
        worker.shutdown(wait=False)
        return future

    def result(self, future: Future[T]) -> T:
        """What came of it, or the error that it raised."""
        while not future.done():
            self._progress(self._stage, self._done)
            wait([future], timeout=ATTENTION)
        return future.result()

    def told(self, _stage: str, done: float) -> None:
        """A progress callback for what is done in a thread. Raises Cancelled once nobody waits any more."""
        if self._left.is_set():
            raise Cancelled
        self._done = max(self._done, done)


def await_errands() -> None:
    """Wait for those that nobody waits for any more; at the end of a program, which cannot end before them."""
    for thread in threading.enumerate():
        if thread.name.startswith(ERRAND):
            thread.join()
