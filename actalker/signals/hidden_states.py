"""What is heard around a frame: Whisper's log-mel, and which rows of what it makes of it belong to a frame."""

import numpy as np

RATE = 16000
STATES = 50  # hidden states a second
CHUNK = 30  # seconds that Whisper hears at once
WINDOW, HOP, MELS = 400, 160, 80


def state_rows(
    frames: int, fps: float, available: int, rate: int = STATES, before: int = 4, after: int = 6
) -> np.ndarray:
    """(frames, before + after) int64: indices of rows around each frame, -1 where there is no sound.

    `before` of them lie before the frame's moment, `after` from it on: what is about to be said counts, too.
    """
    moments = np.round(np.arange(frames) * (rate / fps)).astype(np.int64)
    rows = moments[:, None] + np.arange(-before, after)
    return np.where((rows >= 0) & (rows < available), rows, -1)


def whisper_mel(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) at 16 kHz -> log-mel (chunks, 80, 3000) float32, as Whisper knows it; silence fills the last."""
    from librosa.filters import mel

    length = CHUNK * RATE
    chunks = np.pad(samples, (0, -len(samples) % length)).reshape(-1, length)
    filters = mel(sr=RATE, n_fft=WINDOW, n_mels=MELS)
    return np.stack([_log_mel(chunk, filters) for chunk in chunks]).astype(np.float32)


def _log_mel(chunk: np.ndarray, filters: np.ndarray) -> np.ndarray:
    padded = np.pad(chunk, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: len(chunk) // HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW + 1)[:-1])) ** 2  # (3000, 201)
    logarithm = np.log10(np.maximum(filters @ power.T, 1e-10))
    return (np.maximum(logarithm, logarithm.max() - 8) + 4) / 4
