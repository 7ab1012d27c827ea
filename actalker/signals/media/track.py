"""A sound track on the disk: ten minutes at 48 kHz are 58 MB, which a video that is being made need not hold."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from actalker.saving import writing

_SAMPLE = np.dtype(np.int16)
_NAME = Path("the sound track")  # as messages call it


class Track:
    """Samples (n,) int16, 32767 being full scale, in a file without a name. A slice of it is read as an array.

    For one thread at a time. InputError: the disk is full, or there is no place for temporary files.
    """

    def __init__(self, pieces: Iterable[np.ndarray]) -> None:
        """Of float32 in [-1, 1]."""
        with writing(_NAME):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the track
        for piece in pieces:
            values = np.rint(np.clip(piece, -1, 1) * 32767).astype(_SAMPLE)
            with writing(_NAME):
                self._file.write(values.tobytes())
                self._file.flush()
        self.shape = (self._file.tell() // _SAMPLE.itemsize,)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        first, end, _ = part.indices(len(self))
        self._file.seek(first * _SAMPLE.itemsize)
        return np.frombuffer(self._file.read(max(0, end - first) * _SAMPLE.itemsize), _SAMPLE)
