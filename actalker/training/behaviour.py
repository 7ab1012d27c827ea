"""What the model does with two signals, and with a voice alone for a minute: read off its motion, without rendering."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from actalker.config import INDEX, REGIONS
from actalker.evaluate.control import change
from actalker.evaluate.following import blinks, region_correlation
from actalker.evaluate.lips import opening
from actalker.evaluate.series import Estimate, bootstrap, pearson
from actalker.model.diffusion import window_starts
from actalker.pipelines.embedded import EmbeddedPipeline
from actalker.signals.audio import RATE
from actalker.training.alignment import Recording
from actalker.training.corpus import FPS
from actalker.training.gestures import driver, measured
from actalker.training.predictors import moved
from actalker.training.scoring import Section

LEAST_SECONDS = 2.0  # of a recording that is put beside a driver
MINUTE = 60  # s
ANGLES = [INDEX[name] for name in ("headYaw", "headPitch", "headRoll")]
HEAD = [INDEX[name] for name in REGIONS["head"]]
WANTED_CONTROL = {"mouth r": ">= 0.95", **{f"{name} r": ">= 0.95" for name in REGIONS if name != "mouth"}, "leak": "0"}
WANTED_ALONE = {"blinks/min": "8 to 25", "most degrees": "<= 8", "seam jerk": "<= 1", "drift": "<= 1", "unlike": "> 0"}


@dataclass(frozen=True)
class Meeting:
    """A voice and a clip: what each does alone and what both do together; `replaced` has another clip. (t, 38) each."""

    voice: np.ndarray
    clip: np.ndarray
    joint: np.ndarray
    replaced: np.ndarray


def control(pipeline: EmbeddedPipeline, recordings: Sequence[Recording]) -> Section:
    """Real voices beside procedural drivers: the joint mode against each signal alone, and the leak into the mouth."""
    rng = np.random.default_rng(0)
    voices = [one.samples for one in recordings if one.seconds >= LEAST_SECONDS]
    meetings = [_meet(pipeline, samples, rng) for samples in voices]
    measures: dict[str, Callable[[Sequence[Meeting]], float]] = {"mouth r": _mouth_follows_voice}
    measures |= {f"{name} r": _follows_clip(name) for name in REGIONS if name != "mouth"}
    measures["leak"] = lambda drawn: max(change(one.joint, one.replaced, "mouth") for one in drawn)
    row = {name: bootstrap(measure, meetings) for name, measure in measures.items()}
    title = f"Joint mode against the voice alone (mouth) and the clip alone (others): {len(meetings)} pairs"
    return Section(title, {"joint": row}, WANTED_CONTROL)


def _meet(pipeline: EmbeddedPipeline, samples: np.ndarray, rng: np.random.Generator) -> Meeting:
    frames = round(len(samples) / RATE * FPS)
    clip, other = (measured(driver(frames, FPS, rng), rng) for _ in range(2))
    tasks = (("voice", samples, None), ("video", None, clip), ("joint", samples, clip), ("joint", samples, other))
    return Meeting(*(moved(pipeline, *task)[:frames] for task in tasks))


def _mouth_follows_voice(drawn: Sequence[Meeting]) -> float:
    """Pearson's r of the mouth's opening in joint mode and by the voice alone."""
    return pearson(*(np.concatenate([opening(getattr(one, name)) for one in drawn]) for name in ("joint", "voice")))


def _follows_clip(region: str) -> Callable[[Sequence[Meeting]], float]:
    """`region_correlation` of joint mode and the clip alone."""

    def measure(drawn: Sequence[Meeting]) -> float:
        joint, clip = (np.concatenate([getattr(one, name) for one in drawn]) for name in ("joint", "clip"))
        return region_correlation(joint, clip, region)

    return measure


def alone(pipeline: EmbeddedPipeline, recordings: Sequence[Recording], seeds: Sequence[int] = range(4)) -> Section:
    """A minute of real voices, one after the other, that moves the whole face."""
    samples = np.resize(np.concatenate([one.samples for one in recordings]), MINUTE * RATE)
    motions = [moved(pipeline, "voice", samples, None, seed) for seed in seeds]
    config = pipeline.network.config
    seams = window_starts(len(motions[0]), config.window, config.overlap)[1:]
    joined = np.unique([start + np.arange(config.overlap) for start in seams])
    rows = {}
    for seed, motion, other in zip(seeds, motions, [*motions[1:], motions[0]], strict=True):
        values = {
            "blinks/min": len(blinks(motion)) * 60 / MINUTE,
            "most degrees": np.abs(motion[:, ANGLES]).max(),
            "seam jerk": _seam_jerk(motion, joined),
            "drift": _drift(motion),
            "unlike": _unlike(motion, other),
        }
        rows[f"seed {seed}"] = {name: Estimate.alone(value) for name, value in values.items()}
    return Section(f"Voice alone, {MINUTE} s", rows, WANTED_ALONE)


def _seam_jerk(motion: np.ndarray, joined: np.ndarray) -> float:
    """Mean |third difference| where windows overlap over that elsewhere; coefficients in standard deviations."""
    moving = motion[:, motion.std(axis=0) > 1e-3]
    jerk = np.abs(np.diff(moving / moving.std(axis=0), 3, axis=0)).mean(axis=1)
    at = np.isin(np.arange(len(jerk)) + 1, joined)
    return float(jerk[at].mean() / jerk[~at].mean())


def _drift(motion: np.ndarray) -> float:
    """Degrees between the mean poses of the first and the last third."""
    third = len(motion) // 3
    return float(np.abs(motion[:third, ANGLES].mean(axis=0) - motion[-third:, ANGLES].mean(axis=0)).max())


def _unlike(motion: np.ndarray, other: np.ndarray) -> float:
    """By how much two seeds' heads differ, in standard deviations: 1.4 for independent ones, 0 for equal ones."""
    return float((np.square(motion - other)[:, HEAD].mean(axis=0) / motion[:, HEAD].var(axis=0)).mean() ** 0.5)
