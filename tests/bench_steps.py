"""What each number of sampling steps costs and changes, printed: motion against that of fifty steps, and lips.

    python tests/bench_steps.py

Real recordings speak, alone (voice) and beside procedural drivers (joint); every number of steps starts from the same
noise. Errors are root mean squares over frames, in standard deviations of the motion after fifty steps, the median of a
region's coefficients. Lips are scored as by `actalker train --score`, of one seed.
"""

import logging
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from actalker import pipelines  # noqa: E402
from actalker.config import COEFFICIENTS, REGIONS  # noqa: E402
from actalker.training.alignment import Recording, load_recordings  # noqa: E402
from actalker.training.behaviour import LEAST_SECONDS  # noqa: E402
from actalker.training.corpus import FPS  # noqa: E402
from actalker.training.gestures import driver, measured  # noqa: E402
from actalker.training.predictors import moved  # noqa: E402
from actalker.training.scoring import score  # noqa: E402

STEPS, ENOUGH = (1, 2, 3, 4, 6, 12, 50), 50
MOVES = 0.01  # a coefficient whose standard deviation is below it keeps still
log = logging.getLogger("bench")


def main() -> None:
    """Print a row for each number of steps."""
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    pipeline, real = pipelines.load(), load_recordings()
    long = [one for one in real if one.seconds >= LEAST_SECONDS]
    together = list(zip(long, _clips(long), strict=True))
    voice, joint, spent = {}, {}, {}
    for steps in STEPS:
        begun = time.process_time()
        voice[steps] = [moved(pipeline, "voice", one.samples, None, steps=steps) for one in real]
        spent[steps] = (time.process_time() - begun) / sum(map(len, voice[steps])) * 1000
        joint[steps] = [moved(pipeline, "joint", one.samples, clip, steps=steps) for one, clip in together]
    log.info("%d recordings, %d beside drivers; error by region: voice / joint", len(real), len(long))
    for steps in STEPS:
        errors = (f"{name} {_error(voice, steps, name):.2f} / {_error(joint, steps, name):.2f}" for name in REGIONS)
        lips = score(real, [voice[steps]], draws=1)
        shown = ", ".join(f"{name} {one.value:.2f}" for name, one in lips.items())
        log.info("%d steps (%.2f ms a frame): %s; %s", steps, spent[steps], "; ".join(errors), shown)


def _clips(recordings: list[Recording]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [measured(driver(round(one.seconds * FPS), FPS, rng), rng) for one in recordings]


def _error(motions: dict[int, list[np.ndarray]], steps: int, region: str) -> float:
    made, wanted = (np.concatenate(motions[number]) for number in (steps, ENOUGH))
    columns = [COEFFICIENTS.index(name) for name in REGIONS[region]]
    spreads = wanted[:, columns].std(axis=0)
    wrong = np.sqrt(((made - wanted)[:, columns] ** 2).mean(axis=0))
    return statistics.median((wrong / spreads)[spreads > MOVES])


if __name__ == "__main__":
    main()
