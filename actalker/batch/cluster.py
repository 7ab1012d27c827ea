"""Rows on Ray Data: actors that keep their models take blocks of rows, on this machine's cores or on a cluster's.

A worker that dies takes its block's rows with it; they are not retried here but come back as rows without a record, and
`run` hands them out again. So it does not matter whether a worker, a machine or all of them went.
"""

import contextlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import ray
import ray.data
from ray.exceptions import RayError

from actalker.batch.renderer import Job, Renderer, Setting
from actalker.errors import InputError

ROOT = Path(__file__).parents[2]
BLOCKS = 10_000  # at most: Ray keeps account of every block
STORE = 100 * 2**20  # bytes for objects; rows and records are small
AHEAD = 2  # blocks that a worker has at hand


class Worker:
    """An actor: one renderer, for as many rows as come."""

    def __init__(self, setting: Setting) -> None:
        self._render = Renderer(setting)

    def __call__(self, rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rows, each a job in JSON, become their records in JSON."""
        jobs = [Job(**json.loads(row)) for row in rows["row"]]
        return {"row": np.array([json.dumps(self._render(job)) for job in jobs], object)}


@contextlib.contextmanager
def connected(address: str | None, workers: int | None) -> Iterator[int]:
    """A cluster: that at `address`, or one of this machine's own that ends with the block. Gives how many workers."""
    surroundings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    where = {"address": address, "runtime_env": {"env_vars": surroundings}}
    if not address:  # processes inherit the surroundings and can start before they are asked for
        where = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE}
    try:
        with _surrounded_by({} if address else surroundings):
            ray.init(**where, log_to_driver=False, logging_level=logging.CRITICAL)
    except (RayError, ConnectionError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise InputError(
            f"There is no Ray at {address or 'hand'} ({said}); start it with 'ray start --head'."
        ) from error
    _be_quiet()
    with contextlib.redirect_stdout(sys.stderr):  # where Ray says that a worker died, or at its end a machine
        try:
            yield workers or int(ray.cluster_resources().get("CPU", 1))
        finally:
            ray.shutdown()


@contextlib.contextmanager
def _surrounded_by(variables: dict[str, str]) -> Iterator[None]:
    """With these environment variables, for processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def render(setting: Setting, jobs: list[Job], workers: int) -> Iterator[dict]:
    """The jobs' records as they come, in any order; those of workers that died are missing.

    InputError: the cluster is gone, or no worker can start.
    """
    rows = [{"row": json.dumps(vars(job))} for job in jobs]
    blocks = ray.data.from_items(rows, override_num_blocks=min(len(rows), BLOCKS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # no other way yet to say how workers restart
        records = blocks.map_batches(
            Worker,
            fn_constructor_args=(setting,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(jobs)), max_tasks_in_flight_per_actor=AHEAD),
            num_cpus=1,
            num_gpus=_gpus(setting),
            max_restarts=-1,
            max_task_retries=0,
        )
    try:
        for row in records.iter_rows():
            yield json.loads(row["row"])
    except RayError as error:
        said = str(error.cause if getattr(error, "cause", None) else error).strip().splitlines()[-1]
        raise InputError(f"Ray stopped ({said}); run the same command again to go on.") from error


def _gpus(setting: Setting) -> float:
    """The full tier takes a GPU for each worker, where the cluster has any."""
    return float(setting.tier == "full" and setting.running.device != "cpu" and "GPU" in ray.cluster_resources())


def _be_quiet() -> None:
    """Rows that fail with their worker are no news: they come again."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.max_errored_blocks = False, -1
