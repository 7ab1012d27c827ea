"""Sync-C and Sync-D by SyncNet (Chung and Zisserman 2016), whose network the user brings as a TorchScript file.

It is `syncnet_python`'s `S` with both of its halves traced:

    sound, lips = torch.zeros(1, 1, 13, 20), torch.zeros(1, 3, 5, 224, 224)
    torch.jit.trace_module(net.eval(), {"forward_aud": sound, "forward_lip": lips}).save("syncnet.pt")

    forward_aud  (n, 1, 13, 20) MFCC: 20 rows at 100 Hz  -> (n, d)
    forward_lip  (n, 3, 5, 224, 224) frames, 0 to 255, the channels in the order blue, green, red -> (n, d)

The scores are defined on the 224 x 224 face crops at 25 fps that `run_pipeline.py` of the same repository writes
(`pycrop/*.avi`), so only such a crop is scored: another detector's crop would be another measure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from actalker.errors import InputError

SIDE = 224  # px of a crop
WINDOW = 5  # frames that the network sees at once
ROWS = 4  # MFCC rows for a frame
SHIFTS = 15  # frames, either way
BATCH = 20

RATE, LENGTH, STEP, FFT = 16000, 400, 160, 512  # of the MFCC, in samples
FILTERS, CEPSTRA, LIFTER, EMPHASIS = 26, 13, 22, 0.97
LEAST_POWER = np.finfo(float).eps


@dataclass(frozen=True)
class Sync:
    """Sync-D, the least distance of lips and sound, Sync-C, how far it is below the median, and its offset."""

    distance: float
    confidence: float
    offset_frames: int


def sync_scores(network: torch.nn.Module, frames: Iterable[np.ndarray], samples: np.ndarray) -> Sync:
    """Scores of a crop's frames (224, 224, 3) uint8 and its sound (n,) float32 at 16 kHz.

        D(k) = mean over i of |lip(i) - sound(i + k)|, |k| <= 15;  Sync-D = min D;  Sync-C = median D - min D

    with sound(i + k) zero beyond the ends. No unit. Papers report 3 to 9 for Sync-C and 6 to 11 for Sync-D, of results
    that look alike. Fooled by: what was trained against it scores better than people; codecs move it by 0.4 to 1.2; it
    does not follow what viewers prefer. InputError: the frames are no such crop, or too few.
    """
    lips = _lip_features(network, frames)
    sound = _sound_features(network, mfcc(np.round(samples * 32767)))
    count = min(len(lips), len(sound))
    if count < 1:
        raise InputError(f"SyncNet needs {WINDOW + 1} frames with sound or more; the crop is too short.")
    padded = np.pad(sound[:count], ((SHIFTS, SHIFTS), (0, 0)))
    shifted = (padded[k : k + count] for k in range(2 * SHIFTS + 1))
    # The network's own code measures distances with this small number added to every difference.
    distances = np.array([np.linalg.norm(lips[:count] - one + 1e-6, axis=1).mean() for one in shifted])
    least = int(distances.argmin())
    return Sync(float(distances[least]), float(np.median(distances) - distances[least]), SHIFTS - least)


def _lip_features(network: torch.nn.Module, frames: Iterable[np.ndarray]) -> np.ndarray:
    """(t - 5, d) of every five frames in a row but the last; no more than a batch of windows is held."""
    found = []
    for windows in _window_batches(frames):
        tensor = torch.from_numpy(np.stack(windows)).permute(0, 4, 1, 2, 3).float()  # (n, 3, 5, h, w)
        with torch.inference_mode():
            found.append(network.forward_lip(tensor).numpy())
    return np.concatenate(found)[:-1] if found else np.zeros((0, 1))


def _window_batches(frames: Iterable[np.ndarray]) -> Iterator[list[np.ndarray]]:
    recent: list[np.ndarray] = []
    batch: list[np.ndarray] = []
    for frame in frames:
        if frame.shape[:2] != (SIDE, SIDE):
            shape = f"{frame.shape[1]} x {frame.shape[0]}"
            raise InputError(
                f"SyncNet's crop has {shape} pixels; give one of {SIDE} x {SIDE} from its run_pipeline.py."
            )
        recent = [*recent[-WINDOW + 1 :], frame[..., ::-1]]
        if len(recent) == WINDOW:
            batch.append(np.stack(recent))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _sound_features(network: torch.nn.Module, rows: np.ndarray) -> np.ndarray:
    """(n, d) of the 20 MFCC rows (m, 13) from each frame's first on."""
    count = max(0, (len(rows) - WINDOW * ROWS) // ROWS + 1)
    found = []
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        windows = np.stack([rows[ROWS * i : ROWS * i + WINDOW * ROWS].T[None] for i in numbers])
        with torch.inference_mode():
            found.append(network.forward_aud(torch.from_numpy(windows).float()).numpy())
    return np.concatenate(found) if found else np.zeros((0, 1))


def mfcc(samples: np.ndarray) -> np.ndarray:
    """Samples (n,) in 16-bit units -> (m, 13) cepstra at 100 Hz, as SyncNet was trained on.

    Rectangular windows of 25 ms, 26 mel triangles, the first cepstrum replaced by the logarithm of the energy.
    """
    from scipy.fft import dct

    count = 1 + max(0, -(-(len(samples) - LENGTH) // STEP))
    emphasised = np.append(samples[:1], samples[1:] - EMPHASIS * samples[:-1]).astype(float)
    padded = np.pad(emphasised, (0, max(0, (count - 1) * STEP + LENGTH - len(samples))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, LENGTH)[::STEP][:count]
    power = np.abs(np.fft.rfft(windows, FFT)) ** 2 / FFT
    energy = np.maximum(power.sum(axis=1), LEAST_POWER)
    cepstra = dct(np.log(np.maximum(power @ _triangles().T, LEAST_POWER)), type=2, axis=1, norm="ortho")[:, :CEPSTRA]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / LIFTER)
    cepstra[:, 0] = np.log(energy)
    return cepstra


def _triangles() -> np.ndarray:
    """(26, 257) mel filters with their corners at whole bins."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, FILTERS + 2) / 2595) - 1)
    corners = np.floor((FFT + 1) * hertz / RATE)
    bins = np.arange(FFT // 2 + 1)
    low, middle, high = (corners[i : i + FILTERS, None] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.where((bins >= low) & (bins < middle), rising, np.where((bins >= middle) & (bins < high), falling, 0.0))
