"""From a manifest to a folder of results: what is not there is made, in rounds, until every row has its record."""

import importlib.util
import logging
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from actalker import checkpoints
from actalker.batch.ledger import FAILURES, RESULTS, Ledger
from actalker.batch.plan import Plan, forecast, make_plan, spoken
from actalker.batch.renderer import Renderer, Setting
from actalker.errors import InputError
from actalker.pipelines import Progress
from actalker.pipelines.request import silent

WORKER_MEMORY = 1.2e9  # bytes of an embedded worker
TOLD_EVERY = 5.0  # seconds

log = logging.getLogger(__name__)


@dataclass
class Tally:
    """How far a run is, and how fast."""

    total: int
    done: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)
    told: float = 0.0

    def count(self, record: dict) -> None:
        """One more row, told of every few seconds."""
        self.done += 1
        self.failed += "error" in record
        if time.monotonic() - self.told > TOLD_EVERY or self.done == self.total:
            self.told = time.monotonic()
            log.info("%s", self)

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.done / max(time.monotonic() - self.started, 1e-9)

    def __str__(self) -> str:
        left = spoken((self.total - self.done) / self.rate)
        return f"{self.done} of {self.total}, {self.failed} failed, {self.rate:.2f} a second, {left} left"


def look(manifest: Path, setting: Setting, workers: int | None, progress: Progress = silent) -> tuple[dict, str]:
    """What a run would do, and about how long it would take: for JSON, and as text."""
    plan = make_plan(manifest, setting)
    faults, left, workers = plan.faults, plan.left, workers or _cores(setting.tier)
    report = {
        "rows": len(plan.order),
        "settled": plan.settled,
        "cannot_be_made": faults,
        "to_render": len(left),
        "workers": workers,
    }
    lines = [f"{name}: {said}" for name, said in faults.items()]
    lines += [f"{len(plan.order)} rows: {plan.settled} settled, {len(faults)} at fault, {len(left)} videos to render."]
    if expected := forecast(left, setting.tier, progress):
        report["estimate"] = vars(expected) | {"seconds_in_all": round(expected.seconds[0] * len(left) / workers, 1)}
        lines.append(expected.text(len(left), workers))
    return report, "\n".join(lines)


def run(manifest: Path, setting: Setting, workers: int | None, address: str | None, resume: bool = False) -> dict:
    """Make every row of the manifest in the setting's folder, and return the facts. It may be killed and called again.

    InputError: manifest, folder, model or cluster cannot be used. What is wrong with a row is in its record.
    """
    ledger, setting = Ledger(setting.out), replace(setting, run=uuid.uuid4().hex)
    _check(ledger, workers, address, resume)
    setting.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with ledger.held(setting.run):
        plan = make_plan(manifest, setting)
        ledger.write_lists(plan.in_order())
        new = _render_all(plan, ledger, setting, workers, address)
        ledger.write_lists(plan.in_order())
    return _facts(plan, new, setting, time.monotonic() - started)


def _check(ledger: Ledger, workers: int | None, address: str | None, resume: bool) -> None:
    if resume and not ledger.begun:
        raise InputError(f"{ledger.out} holds no batch to go on with; choose its folder, or leave --resume out.")
    if ledger.out.exists() and not ledger.out.is_dir():
        raise InputError(f"{ledger.out} is a file; name a folder for the results.")
    if not has_ray() and (address or (workers or 1) > 1):
        raise InputError("Several workers need Ray; install it with 'pip install -r requirements-batch.txt'.")


def has_ray() -> bool:
    """Whether rows can be shared out."""
    return importlib.util.find_spec("ray") is not None


def _render_all(plan: Plan, ledger: Ledger, setting: Setting, workers: int | None, address: str | None) -> list[dict]:
    """Fill the plan's records, and return the new ones. A round hands out what has no record; the next what is left."""
    new: list[dict] = []
    tally, idle = Tally(len(plan.left), failed=len(plan.faults)), 0
    if not plan.left:
        _copy(plan, ledger)
        return new
    with _hands(setting, workers, address) as render:
        while jobs := plan.left:
            before = len(new)
            for record in render(jobs):
                if record["name"] not in plan.records:
                    plan.records[record["name"]] = record
                    ledger.add_to_list(record)
                    new.append(record)
                    tally.count(record)
            _copy(plan, ledger)
            idle = idle + 1 if len(new) == before else 0
            if idle == 3:
                raise InputError("Workers die before they finish a row; look at their memory, then run this again.")
    return new


def _copy(plan: Plan, ledger: Ledger) -> None:
    for record, name in plan.copies():
        plan.records[name] = ledger.copied(record, name)


@contextmanager
def _hands(setting: Setting, workers: int | None, address: str | None) -> Iterator:
    """What renders jobs: this process, or workers on Ray."""
    if not address and (workers == 1 or not has_ray()):
        renderer = Renderer(setting)
        yield lambda jobs: map(renderer, jobs)
        return
    from actalker.batch import cluster

    with cluster.connected(address, workers or (None if address else _cores(setting.tier))) as count:
        yield lambda jobs: cluster.render(setting, jobs, count)


def _cores(tier: str) -> int:
    """As many workers as this machine has cores and memory for."""
    if not has_ray():
        return 1
    cores, free = os.cpu_count() or 1, checkpoints.free_memory()
    return cores if free is None or tier == "full" else max(1, min(cores, int(free // WORKER_MEMORY)))


def _facts(plan: Plan, new: list[dict], setting: Setting, seconds: float) -> dict:
    made = [record for record in new if "out" in record]
    facts = {
        "out": str(setting.out),
        "rows": len(plan.order),
        "rendered": len(made),
        "settled": plan.settled,
        "failed": sum("error" in record for record in plan.records.values()),
        "seconds": round(seconds, 2),
        "clips_per_second": round(len(made) / seconds, 3),
        "results": str(setting.out / RESULTS),
        "failures": str(setting.out / FAILURES),
    }
    if made:
        spent = sorted(record["timings"]["total"] for record in made)
        tenth = len(spent) // 10
        spread = {"median": statistics.median(spent), "low": spent[tenth], "high": spent[-1 - tenth]}
        facts["seconds_per_clip"] = {name: round(value, 3) for name, value in spread.items()}
        facts["worker_memory_mb"] = max((record["peak_memory_mb"] or 0 for record in made), default=0)
    return facts


def as_text(facts: dict) -> str:
    """A run's facts for reading."""
    lines = [f"{facts['rows']} rows: {facts['rendered']} rendered, {facts['settled']} settled before."]
    if "seconds_per_clip" in facts:
        spread = facts["seconds_per_clip"]
        lines.append(
            f"{facts['seconds']:.0f} s, {facts['clips_per_second']} clips a second; a clip took {spread['median']} s "
            f"({spread['low']} to {spread['high']}), a worker {facts['worker_memory_mb']} MB."
        )
    if facts["failed"]:
        lines.append(f"{facts['failed']} rows failed; {facts['failures']} says why.")
    return "\n".join([*lines, facts["results"]])
