"""The processes that decode, seen from the program: started when needed, lent to one reader at a time, used again."""

import atexit
import fcntl
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from actalker.signals.media import wire
from actalker.signals.media.decoder import DONE, READY, STOP

_ROOT = Path(__file__).parents[3]
_START = """import sys
sys.path.insert(0, sys.argv[1])
from actalker.signals.media.decoder import serve
serve(int(sys.argv[2]), int(sys.argv[3]))"""
_TOLD = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "HOME", "LANG", "LC_ALL", "TMPDIR")  # and no secrets
_SMALL = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}  # address space is limited
_STARTING = 60.0  # seconds
_STOPPING = 1.0  # seconds that a decoder gets to end what nobody wants any more; then it is ended
_MOST_JOBS = 100  # of one process: whatever files have left in it goes
_MOST_IDLE = 2


class TooHeavy(Exception):
    """A file reached the limit of time or memory."""


class Gone(Exception):
    """The decoder broke down."""


class Decoder:
    """One process that decodes a file after another."""

    def __init__(self) -> None:
        taken, self._taken = os.pipe()
        shared = _shared_memory(wire.SHARED)
        self._process = _started(taken, shared)
        self._question, self._answer = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._answered = wire.Answered(self._fill, self._taken, shared)
        os.close(taken)
        os.close(shared)
        self._poll = select.poll()
        self._poll.register(self._answer, select.POLLIN)
        self._left = 0.0  # seconds to wait for the present file
        self._ready, self._busy, self._torn, self._jobs = False, False, False, 0
        _alive.add(self)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def answers(self, job: dict, content: bytes, seconds: float, most: int) -> Iterator[tuple[dict, np.ndarray]]:
        """Every message about a file, the last one under DONE. `seconds`: how long to wait in all, `most`: bytes each.

        Raises TooHeavy or Gone.
        """
        self._await_start()
        self._left, self._busy, self._jobs = seconds, True, self._jobs + 1
        try:
            wire.ask(self._question, job, content)
            while self._busy:
                self._torn = True
                message, array = self._answered.receive(most)
                self._torn, self._busy = False, DONE not in message
                yield message, array
        except (EOFError, OSError, ValueError):
            self.close()
            raise (TooHeavy if self._out_of_time() else Gone) from None

    def settle(self) -> bool:
        """Let go of the present file. False: this process cannot be used again."""
        if self._torn:  # by an interrupt, in the middle of an answer
            return False
        if self._busy:
            self._left = _STOPPING
            try:
                wire.ask(self._question, {STOP: True})
                while self._busy:
                    self._busy = DONE not in self._answered.receive(sys.maxsize)[0]
            except (EOFError, OSError, ValueError):
                return False
        return self._jobs < _MOST_JOBS and self.alive

    def close(self) -> None:
        """End the process."""
        if self in _alive:  # not one of the process that this one was forked from
            self._process.kill()
            self.disown()
            self._process.wait()

    def disown(self) -> None:
        """Close this process's ends of the pipes."""
        _alive.discard(self)
        self._process.stdin.close()
        self._process.stdout.close()
        os.close(self._taken)

    def _await_start(self) -> None:
        if self._ready:
            return
        self._left = _STARTING
        try:
            self._ready = READY in self._answered.receive(0)[0]
        except (EOFError, OSError, ValueError):
            self.close()
            raise RuntimeError("The process that reads media does not start; see 'actalker doctor'.") from None

    def _fill(self, view: memoryview) -> None:
        """Fill a buffer with what the process says. TimeoutError, which is an OSError: it says nothing."""
        while view:
            begin = time.monotonic()
            if not self._poll.poll(max(0.0, 1000 * self._left)):
                self._left = 0.0
                raise TimeoutError
            self._left -= time.monotonic() - begin
            count = os.readv(self._answer, [view])
            if count == 0:
                raise EOFError
            view = view[count:]

    def _out_of_time(self) -> bool:
        return self._left <= 0 or self._process.returncode == -signal.SIGXCPU


def _started(taken: int, shared: int) -> subprocess.Popen:
    told = {name: os.environ[name] for name in _TOLD if name in os.environ} | _SMALL
    command = [sys.executable, "-P", "-c", _START, str(_ROOT), str(taken), str(shared)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0, "pass_fds": (taken, shared)}
    return subprocess.Popen(command, env=told, start_new_session=True, **pipes)


def _shared_memory(size: int) -> int:
    """A file descriptor of memory that two processes can map, and that cannot be cut under either's feet."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(size)
            return os.dup(file.fileno())
    shared = os.memfd_create("media", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(shared, size)
    fcntl.fcntl(shared, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return shared


@contextmanager
def borrowed() -> Iterator[Decoder]:
    """A decoder for one file."""
    decoder = _take()
    try:
        yield decoder
    finally:
        _give_back(decoder)


def _take() -> Decoder:
    with _lock:
        while _idle:
            decoder = _idle.pop()
            if decoder.alive:
                return decoder
            decoder.close()
    return Decoder()


def _give_back(decoder: Decoder) -> None:
    if decoder not in _alive:
        return
    fit = decoder.settle()
    with _lock:
        if fit and len(_idle) < _MOST_IDLE:
            _idle.append(decoder)
            return
    decoder.close()


def _forget() -> None:
    """In a forked process: the decoders are the other one's."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()
    for decoder in list(_alive):
        decoder.disown()


def _close_all() -> None:
    for decoder in list(_alive):
        decoder.close()


_idle: list[Decoder] = []
_alive: set[Decoder] = set()
_lock = threading.Lock()
os.register_at_fork(after_in_child=_forget)
atexit.register(_close_all)
