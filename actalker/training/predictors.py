"""What is scored: the model as a user gets it, its regression head, rendered video, and two baselines.

A predictor takes samples (n,) float32 at 16 kHz and gives motion (t, 19) or (t, 38) at 25 fps, t = round(25 n / 16000).
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from actalker.config import COEFFICIENTS, MEL_PER_FRAME, PRESETS, Sampling
from actalker.evaluate.lips import loudness, opening
from actalker.pipelines import Request
from actalker.pipelines.ahead import Stream
from actalker.pipelines.embedded import EmbeddedPipeline
from actalker.pipelines.stages import Measured
from actalker.signals.audio import RATE, hear
from actalker.signals.face import Face
from actalker.signals.media import MOST_SECONDS, read_video
from actalker.signals.mesh import canonical_face
from actalker.signals.motion import Motion, measure_motion
from actalker.signals.phones import evidence
from actalker.signals.regions import gates
from actalker.training.alignment import Recording
from actalker.training.corpus import FPS
from actalker.training.visemes import COLUMN, MOUTH

Predictor = Callable[[np.ndarray], np.ndarray]


def moved(
    pipeline: EmbeddedPipeline,
    mode: str,
    samples: np.ndarray | None,
    driving: np.ndarray | None,
    seed: int = 0,
    steps: int = Sampling.steps,
) -> np.ndarray:
    """Denoised motion (t, 38) of a preset for an average face; samples (n,) at 16 kHz, driving (t, 38) as measured."""
    speech = None if samples is None else hear(samples)
    heard = None if samples is None else Stream.of(evidence(samples))
    clip = None if driving is None else Stream.of(Motion(driving, float(FPS)))
    given = {name for name, signal in (("audio", speech), ("video", clip)) if signal is not None}
    request = Request(Path("face"), regions=PRESETS[mode], seed=seed, steps=steps)
    seconds = speech.seconds if speech else len(driving) / FPS
    opened, nothing = gates(request.regions, given), np.zeros((1, 1, 3), np.uint8)
    measured = Measured(nothing, Face.of(canonical_face()), 1, {}, opened, speech, heard, clip, seconds)
    return pipeline.denoise(request, measured).motion.values


def sampled(pipeline: EmbeddedPipeline, seed: int) -> Predictor:
    """Denoised motion of the preset "voice": (t, 38)."""
    return lambda samples: moved(pipeline, "voice", samples, None, seed)


def regressed(pipeline: EmbeddedPipeline) -> Predictor:
    """The mouth as the speech encoder's auxiliary head gives it, without any sampling: (t, 19)."""
    network = pipeline.network

    def predict(samples: np.ndarray) -> np.ndarray:
        heard = hear(samples).features
        rows = np.minimum(np.arange(MEL_PER_FRAME * _frames(samples)), len(heard) - 1)
        with torch.inference_mode():
            mouth = network.speech(torch.from_numpy(heard[rows])[None])[1]
            whole = network.unwhiten(F.pad(mouth, (0, len(COEFFICIENTS) - len(MOUTH))))
        return whole[0, :, : len(MOUTH)].numpy()

    return predict


def rendered(pipeline: EmbeddedPipeline, photo: Path, seed: int, sounds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Motion measured from the video of the photo saying each sound: (t, 38) each.

    The videos are measured as one clip, so that a short one shares what is measured as the neutral face.
    """
    from scipy.io import wavfile

    def frames() -> Iterator[np.ndarray]:
        for samples in sounds:
            with tempfile.TemporaryDirectory() as folder:
                speech, video = Path(folder) / "speech.wav", Path(folder) / "video.mp4"
                wavfile.write(speech, RATE, samples)
                pipeline(Request(photo, speech, regions=PRESETS["voice"], seed=seed, label=False), video)
                yield from read_video(video, FPS, longest=MOST_SECONDS)

    values = measure_motion(frames(), FPS, name="the rendered video").values
    return np.split(values, np.cumsum([_frames(samples) for samples in sounds])[:-1])


def fit_loudness(recordings: Sequence[Recording]) -> Predictor:
    """Baseline: the jaw alone, opened by an affine map of loudness that fits the openings of these recordings best."""
    heard = np.concatenate([loudness(recording.samples) for recording in recordings])
    slope, level = np.polyfit(heard, np.concatenate([opening(recording.mouth) for recording in recordings]), 1)

    def predict(samples: np.ndarray) -> np.ndarray:
        heard = loudness(samples)
        motion = np.zeros((len(heard), len(MOUTH)), np.float32)
        motion[:, COLUMN["jawOpen"]] = slope * heard + level
        return motion

    return predict


def shuffled(motions: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Baseline: for each recording the motion of the following ones, as long as its own."""
    return [
        elsewhere([*motions[number + 1 :], *motions[:number]], len(motion)) for number, motion in enumerate(motions)
    ]


def elsewhere(motions: Sequence[np.ndarray], frames: int) -> np.ndarray:
    """The motions one after the other, again and again, cut to `frames`."""
    joined = np.concatenate(motions)
    return joined[np.arange(frames) % len(joined)]


def _frames(samples: np.ndarray) -> int:
    return round(len(samples) / RATE * FPS)
