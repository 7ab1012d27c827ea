"""Which of Whisper's hidden states, 50 a second, belong to a frame."""

import numpy as np

RATE = 50
BEFORE, AFTER = 4, 6  # rows before a frame's moment and from it on: what is about to be said counts, too


def state_rows(frames: int, fps: float, available: int) -> np.ndarray:
    """(frames, 10) int64: indices of hidden states around each frame, -1 where there is no sound."""
    moments = np.round(np.arange(frames) * (RATE / fps)).astype(np.int64)
    rows = moments[:, None] + np.arange(-BEFORE, AFTER)
    return np.where((rows >= 0) & (rows < available), rows, -1)
