"""What the program and its decoder say to each other: JSON that announces bytes, and those bytes.

Questions bring them along in the pipe. Answers bring many, so those lie in shared memory, a chunk after another in a
ring: the pipe says that one more is there, and another pipe that one has been taken and may be written over.
"""

import json
import mmap
import os
import struct
from collections.abc import Callable

import numpy as np

CHUNK, CHUNKS = 1 << 20, 8  # bytes of a chunk, chunks in the ring
SHARED = CHUNK * CHUNKS

_SIZES = struct.Struct("<II")  # bytes of JSON, bytes that it announces
_MOST_WORDS = 1 << 16  # bytes of JSON: long names and settings fit
_ONE = b"\1"

Fill = Callable[[memoryview], None]  # fills a buffer from a pipe


def ask(pipe: int, message: dict, content: bytes = b"") -> None:
    """Write a question and its content. OSError: nobody reads any more."""
    _write(pipe, _heading(message, len(content)))
    _write(pipe, content)


def asked(fill: Fill, most: int) -> tuple[dict, bytes]:
    """The next question and its content. ValueError: it is none, or brings more than `most` bytes."""
    message, size = _read_heading(fill, most)
    content = bytearray(size)
    fill(memoryview(content))
    return message, bytes(content)


class Answers:
    """The decoder's end of the ring."""

    def __init__(self, pipe: int, taken: int, shared: int) -> None:
        self._pipe, self._taken = pipe, taken
        self._ring = memoryview(mmap.mmap(shared, SHARED))
        self._free, self._next = CHUNKS, 0

    def send(self, message: dict, content: memoryview | bytes = b"") -> None:
        """Write an answer, as fast as the other side takes it. OSError, EOFError: nobody reads any more."""
        heading = _heading(message, len(content))
        for begin in range(0, len(content), CHUNK):
            self._put(content[begin : begin + CHUNK])
            _write(self._pipe, heading + _ONE)
            heading = b""
        _write(self._pipe, heading)

    def _put(self, chunk: memoryview) -> None:
        if self._free == 0:
            self._free = len(os.read(self._taken, CHUNKS))
            if self._free == 0:
                raise EOFError
        begin = self._next * CHUNK
        self._ring[begin : begin + len(chunk)] = chunk
        self._free, self._next = self._free - 1, (self._next + 1) % CHUNKS


class Answered:
    """The program's end of the ring."""

    def __init__(self, fill: Fill, taken: int, shared: int) -> None:
        self._fill, self._taken = fill, taken
        self._ring = np.frombuffer(mmap.mmap(shared, SHARED, prot=mmap.PROT_READ), np.uint8)
        self._next = 0

    def receive(self, most: int) -> tuple[dict, np.ndarray]:
        """The next answer and its content, (n,) uint8. ValueError: it is none, or brings more than `most` bytes."""
        message, size = _read_heading(self._fill, most)
        content = np.empty(size, np.uint8)
        for begin in range(0, size, CHUNK):
            self._take(content[begin : begin + CHUNK])
        return message, content

    def _take(self, chunk: np.ndarray) -> None:
        self._fill(memoryview(bytearray(1)))
        begin = self._next * CHUNK
        chunk[:] = self._ring[begin : begin + len(chunk)]
        self._next = (self._next + 1) % CHUNKS
        _write(self._taken, _ONE)


def _heading(message: dict, size: int) -> bytes:
    words = json.dumps(message).encode()
    return _SIZES.pack(len(words), size) + words


def _read_heading(fill: Fill, most: int) -> tuple[dict, int]:
    sizes = bytearray(_SIZES.size)
    fill(memoryview(sizes))
    length, size = _SIZES.unpack(sizes)
    if length > _MOST_WORDS or size > most:
        raise ValueError("no message, or one that is too long")
    words = bytearray(length)
    fill(memoryview(words))
    return json.loads(words), size


def _write(pipe: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(pipe, rest) :]
