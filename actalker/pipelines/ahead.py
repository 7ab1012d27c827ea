"""Work done side by side on the cores there are."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache, partial
from itertools import count
from threading import Condition, Event, Lock
from typing import Generic, TypeVar

from threadpoolctl import threadpool_limits

from actalker.pipelines.request import STAGES, Cancelled, Progress

S, T = TypeVar("S"), TypeVar("T")

EACH = 2  # results for each thread that may wait to be taken
ATTENTION = 0.25  # seconds between two looks at whether to go on
ERRAND = "errand"  # begins the names of the threads in which errands are done


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def leave_cores_to_threads() -> None:
    """From now on linear algebra is done in the thread that wants it.

    OpenBLAS's own threads stay awake while they wait for more, and so take the cores from those that render.
    """
    threadpool_limits(1, user_api="blas")


def in_order(work: Callable[[S], T], things: Iterable[S], threads: int | None = None) -> Iterator[T]:
    """The work done on one thing after another, in threads a few results ahead of whoever takes them.

    What is yielded does not depend on the number of threads (None: one for each core). An iterator that is closed, or
    whose work raises, begins nothing more and returns when its threads are done.
    """
    threads = threads or cores()
    pool, waiting = ThreadPoolExecutor(threads), deque[Future[T]]()
    try:
        for thing in things:
            waiting.append(pool.submit(work, thing))
            if len(waiting) >= EACH * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Stream(Generic[T]):
    """Things that one thread makes, for any number of readers: each gets all of them in order, as they are made.

    They are made for as long as somebody follows, that is, takes calls of progress without raising Cancelled.
    """

    def __init__(self, *followers: Progress) -> None:
        self._made: list[T] = []
        self._ended, self._fault = False, None
        self._news = Condition()
        self._followers = list(followers)

    @classmethod
    def of(cls, *things: T) -> "Stream[T]":
        """One that is complete."""
        stream = cls()
        stream.fill(things)
        return stream

    def fill(self, things: Iterable[T]) -> None:
        """Make them all, in the maker's thread. What they raise, readers get behind the last one."""
        try:
            for thing in things:
                self._add(thing)
        except BaseException as fault:  # noqa: BLE001 - raised where it is read
            self._fault = fault
        with self._news:
            self._ended, self._followers = True, []
            self._news.notify_all()

    @property
    def broken(self) -> bool:
        """Whether it broke off, or is about to as nobody follows any more."""
        return self._fault is not None

    def follow(self, progress: Progress) -> bool:
        """Be told how far it is, from now on. False where it is broken."""
        with self._news:
            if not self.broken and not self._ended:
                self._followers.append(progress)
            return not self.broken

    def told(self, stage: str, done: float) -> None:
        """The progress callback for whoever makes it. Raises Cancelled once nobody follows."""
        with self._news:
            followers = list(self._followers)
        left = [follower for follower in followers if not _takes(follower, stage, done)]
        with self._news:
            self._followers = [follower for follower in self._followers if follower not in left]
            if not self._followers:
                self._fault = Cancelled()
                raise self._fault

    def reaches(self, number: int, timeout: float | None = None) -> bool:
        """Wait until thing `number` is made or nothing more comes, but no longer than `timeout` seconds."""
        with self._news:
            return self._news.wait_for(lambda: self._ended or number < len(self._made), timeout)

    def so_far(self) -> list[T]:
        """What is made already."""
        with self._news:
            return list(self._made)

    def __iter__(self) -> Iterator[T]:
        for number in count():
            self.reaches(number)
            if number == len(self._made):
                break
            yield self._made[number]
        if self._fault is not None:
            raise self._fault

    def _add(self, thing: T) -> None:
        with self._news:
            self._made.append(thing)
            self._news.notify_all()


def _takes(progress: Progress, stage: str, done: float) -> bool:
    """Whether a progress callback takes a call."""
    try:
        progress(stage, done)
    except Cancelled:
        return False
    return True


class Errands:
    """Things done in threads of their own while `progress` is told how far they are, so that it can end the wait.

    Use it as a context manager. A wait that was ended does not end what takes a few seconds at most, which is then
    forgotten; what takes longer calls `told`, and ends there. `progress` hears of the stage that is furthest.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress, self._at = progress, (STAGES[0], 0.0)
        self._told: dict[str, float] = {}
        self._lock, self._left = Lock(), Event()

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

    def stream(self, things: Iterable[T]) -> Stream[T]:
        """Start making them now."""
        stream = Stream()
        self.begin(lambda: stream.fill(things))
        return stream

    def result(self, future: Future[T]) -> T:
        """What came of it, or the error that it raised."""
        self._attend(lambda timeout: bool(wait([future], timeout).done))
        return future.result()

    def each(self, stream: Stream[T]) -> Iterator[T]:
        """What is in a stream, waited for like a result."""
        things = iter(stream)
        for number in count():
            self._attend(partial(stream.reaches, number))
            try:
                yield next(things)
            except StopIteration:
                return

    def told(self, stage: str, done: float) -> None:
        """A progress callback for what is done in a thread. Raises Cancelled once nobody waits any more.

        A stage of which nothing is done yet may still be waiting for the one before.
        """
        if self._left.is_set():
            raise Cancelled
        if done > 0:
            with self._lock:
                self._told[stage] = max(done, self._told.get(stage, 0.0))

    def tell(self, stage: str, done: float) -> None:
        """The progress callback for whoever waits."""
        if (STAGES.index(stage), done) >= (STAGES.index(self._at[0]), self._at[1]):
            self._at = stage, done
            self._progress(stage, done)

    def _attend(self, ready: Callable[[float], bool]) -> None:
        while not ready(0):
            self._report() or self._progress(*self._at)
            ready(ATTENTION)
        self._report()

    def _report(self) -> bool:
        """Pass on what was told since the last time, if anything was."""
        with self._lock:
            told, self._told = self._told, {}
        for stage in STAGES:
            if stage in told:
                self.tell(stage, told[stage])
        return bool(told)


def await_errands() -> None:
    """Wait for those that nobody waits for any more; at the end of a program, which cannot end before them."""
    for thread in threading.enumerate():
        if thread.name.startswith(ERRAND):
            thread.join()
