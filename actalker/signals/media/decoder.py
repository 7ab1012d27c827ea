"""The decoder: a process that opens files, one after another and within limits, and holds nothing worth taking.

It is asked over its standard input and answers over its standard output (see wire). It ends with whoever started it.
"""

import logging
import math
import os
import select
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from actalker.config import MediaLimits
from actalker.errors import InputError
from actalker.signals.media import pictures, reading, wire

try:
    import resource
except ImportError:  # not everywhere can a process be limited
    resource = None

READY, DONE, STOP = "ready", "done", "stop"
_ASKED = 0  # standard input
_MOST_ASKED = 1 << 30  # bytes of a file that is handed over


def decoded(job: dict, content: bytes) -> Iterator[np.ndarray | dict]:
    """What a file holds, piece by piece. InputError: it is not what is wanted."""
    path, limits, settings = Path(job["path"]), MediaLimits(**job["limits"]), job["settings"]
    match job["work"]:
        case "image":
            yield pictures.decode_image(path, limits)
        case "labels":
            yield pictures.decode_labels(path, content or None, limits)
        case "audio":
            yield from reading.decode_audio(path, limits=limits, **settings)
        case "video":
            yield from reading.decode_video(path, limits=limits, **settings)
        case "info":
            info = reading.decode_info(path, limits)
            yield asdict(info) | {"fps": str(info.fps)}


def serve(taken: int, shared: int) -> None:
    """Answer until nobody asks any more. `taken` and `shared` are the ring's file descriptors."""
    answer = wire.Answers(os.dup(1), taken, shared).send
    logging.getLogger("actalker").addHandler(_Passing(answer))
    answer({READY: True})
    _silence()
    while True:
        try:
            job, content = wire.asked(_fill, _MOST_ASKED)
            if "work" in job:  # a late "stop" may come between two
                _answer_one(job, content, answer)
        except (EOFError, OSError):  # whoever asked is gone
            return


def _answer_one(job: dict, content: bytes, answer: Callable[..., None]) -> None:
    _limit(job["cpu_seconds"], job["limits"]["memory_bytes"])
    end = {DONE: True}
    try:
        for piece in decoded(job, content):
            if isinstance(piece, dict):
                answer({"facts": piece})
            elif piece.size:
                piece = np.ascontiguousarray(piece)
                answer({"dtype": piece.dtype.name, "shape": piece.shape}, memoryview(piece).cast("B"))
            if select.select([_ASKED], [], [], 0)[0]:  # "stop", or nobody is there any more
                break
    except InputError as known:
        end["fault"] = str(known)
    except MemoryError:
        end["heavy"] = True
    answer(end)


def _fill(view: memoryview) -> None:
    while view:
        count = os.readv(_ASKED, [view])
        if count == 0:
            raise EOFError
        view = view[count:]


def _silence() -> None:
    """What libraries print would be noise on the console, and nonsense between answers."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _limit(cpu_seconds: int, memory_bytes: int) -> None:
    """Let this process end where the next file takes more processor time or address space, or writes anything."""
    if resource is None:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = math.ceil(used.ru_utime + used.ru_stime) + cpu_seconds
    for kind, most in (("CPU", until), ("AS", memory_bytes), ("FSIZE", 0), ("CORE", 0)):
        _limit_one(getattr(resource, f"RLIMIT_{kind}"), most)


def _limit_one(kind: int, most: int) -> None:
    hardest = resource.getrlimit(kind)[1]
    try:
        resource.setrlimit(kind, (most, hardest))
    except (ValueError, OSError):  # a system that does not know this limit, or has a lower one
        return


class _Passing(logging.Handler):
    """Hands warnings on to whoever asked."""

    def __init__(self, answer: Callable[..., None]) -> None:
        super().__init__(logging.WARNING)
        self._answer = answer

    def emit(self, record: logging.LogRecord) -> None:
        self._answer({"warning": record.getMessage()})
