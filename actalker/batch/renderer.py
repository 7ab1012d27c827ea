"""One row's video: the models are loaded once, what rows share is measured once, and no row ever raises."""

import hashlib
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from actalker import pipelines
from actalker.batch.ledger import Ledger, Stopped
from actalker.batch.manifest import request_from
from actalker.checkpoints import sha256
from actalker.errors import InputError
from actalker.pipelines import Request, Running
from actalker.pipelines.recipe import refuse_to_overwrite
from actalker.pipelines.stages import Senses, stamp

MOST, ROOM = 4096, 2**29  # photos, voices and motions that a worker keeps, and their bytes
KEPT = ("seconds", "frames", "width", "height", "tier", "seed", "timings", "realtime_factor", "peak_memory_mb")
KEPT += ("faces_found", "driver_frames_filled", "warning")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A row to be made, as it is sent to workers. Equal keys: the same video."""

    name: str
    words: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Setting:
    """What all rows of a run share."""

    out: Path
    run: str = ""  # which one it is, as the ledger knows it
    tier: str = "embedded"
    running: Running = Running()
    score: bool = False


class Renderer:
    """Makes rows, one at a time. InputError: the tier's weights are missing or too large."""

    def __init__(self, setting: Setting) -> None:
        _take_one_core()
        self._setting, self._ledger = setting, Ledger(setting.out)
        self._pipeline = pipelines.load(setting.tier, setting.running)
        self._senses = Senses(MOST, ROOM, content)
        self._score = _scorer() if setting.score else None
        self._worker = f"{socket.gethostname()}:{os.getpid()}"

    def __call__(self, job: Job) -> dict:
        """The row's record. It is on disk by then, so that a row that comes again is not made again."""
        if settled := self._ledger.settled(job.name, job.key):
            return settled
        base = {"name": job.name, "key": job.key}
        try:
            request = request_from(job.words, self._setting.tier)
            with self._ledger.working(self._setting.run, job.name) as place:
                video = place / "result.mp4"
                return self._ledger.keep(base | self._made(job, request, video), video)
        except Stopped:
            raise
        except InputError as fault:
            return self._ledger.keep(base | {"error": str(fault), "lasting": True})
        except Exception as fault:
            log.exception("Row %s failed.", job.name)
            sentence = f"This row met a fault of the program ({type(fault).__name__}: {fault}); report it."
            return self._ledger.keep(base | {"error": sentence, "lasting": False})

    def _made(self, job: Job, request: Request, video: Path) -> dict:
        out = self._setting.out
        refuse_to_overwrite(request, out / f"{job.name}.mp4", out / f"{job.name}.json")
        facts = self._pipeline(request, video, measure=self._senses.begin)
        found = {name: facts[name] for name in KEPT if name in facts}
        scores = self._score(video) if self._score else {}
        return {"out": f"{job.name}.mp4", "recipe": f"{job.name}.json", **found, **scores, "worker": self._worker}


def _scorer() -> Callable[[Path], dict]:
    """Scores a video by the recipe beside it, or says why it cannot; what videos share is watched once."""
    from actalker.evaluate.evaluation import NO_NETWORKS, Known, Measuring
    from actalker.evaluate.identity import find_arcface

    measuring = Measuring(find_arcface(), NO_NETWORKS)

    def score(video: Path) -> dict:
        try:
            return {"scores": measuring(video, Known()).as_dict()["sections"]}
        except InputError as fault:
            return {"unscored": str(fault)}

    return score


def _take_one_core() -> None:
    """A worker for each core is quicker than a core's work on all of them."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def content(path: Path) -> object:
    """What tells a file from others: the SHA-256 of its bytes, or its path where there are none to read."""
    return _content(*stamp(path))


@lru_cache(2**16)
def _content(path: Path, *state: int) -> object:
    try:
        return sha256(path) if state else path
    except OSError:
        return path


def key_of(request: Request, tier: str, running: Running, weights: str) -> str:
    """The SHA-256 of all that decides a video: settings, the content of the files, and the model."""
    fields = {name: getattr(request, name) for name in request.__dataclass_fields__}
    for name in ("photo", "speech", "driving", "painted"):
        if isinstance(fields[name], Path):
            fields[name] = content(fields[name])
    whole = repr((sorted(fields.items()), tier, running if tier == "full" else None, weights))
    return hashlib.sha256(whole.encode()).hexdigest()
