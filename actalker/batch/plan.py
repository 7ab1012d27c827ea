"""What a batch has to do: which rows are at fault, the same as others or settled, and what the rest will take."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from actalker import checkpoints
from actalker.batch.ledger import Ledger
from actalker.batch.manifest import Row, read_manifest, request_from
from actalker.batch.renderer import Job, Setting, content, key_of
from actalker.errors import InputError
from actalker.pipelines.stages import Senses

LOOKED_AT = 24  # rows of which an estimate is made
DAY = 24 * 3600


@dataclass
class Plan:
    """The rows by name, in order: the jobs of those that can be tried, and the records of those that are known."""

    jobs: dict[str, Job] = field(default_factory=dict)
    records: dict[str, dict] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    settled: int = 0  # rows that an earlier run made, or found impossible

    @property
    def faults(self) -> dict[str, str]:
        """Rows that need not be tried, and why."""
        return {name: record["error"] for name, record in self.records.items() if record["key"] is None}

    @property
    def left(self) -> list[Job]:
        """One job of each kind that has no record, so that rows with the same files are neighbours."""
        first: dict[str, Job] = {}
        for name, job in self.jobs.items():
            if name not in self.records:
                first.setdefault(job.key, job)
        return sorted(first.values(), key=lambda job: sorted(job.words))

    def copies(self) -> list[tuple[dict, str]]:
        """Rows whose video another row has: its record, and their name."""
        made = {record["key"]: record for record in self.records.values() if "out" in record}
        waiting = [job for name, job in self.jobs.items() if name not in self.records]
        return [(made[job.key], job.name) for job in waiting if job.key in made]

    def in_order(self) -> list[dict]:
        """Every record that there is."""
        return [self.records[name] for name in self.order if name in self.records]


def make_plan(manifest: Path, setting: Setting) -> Plan:
    """Read the manifest and look at what the folder holds. InputError: there is no manifest, or no model."""
    plan, ledger, weights = Plan(), Ledger(setting.out), _weights(setting.tier)
    for row in read_manifest(manifest):
        plan.order.append(row.name)
        try:
            job = _job(row, setting, weights)
        except InputError as fault:
            plan.records[row.name] = {"name": row.name, "key": None, "error": str(fault), "lasting": True}
            continue
        plan.jobs[row.name] = job
        if record := ledger.settled(job.name, job.key):
            plan.records[row.name] = record
            plan.settled += 1
    return plan


def _job(row: Row, setting: Setting, weights: str) -> Job:
    if row.fault:
        raise InputError(row.fault)
    request = request_from(row.words, setting.tier)
    return Job(row.name, row.words, key_of(request, setting.tier, setting.running, weights))


def _weights(tier: str) -> str:
    path = checkpoints.folder() / (checkpoints.DENOISER if tier == "full" else checkpoints.EMBEDDED)
    checkpoints.read_metadata(path)
    return checkpoints.sha256(path)


@dataclass(frozen=True)
class Forecast:
    """What rows that were looked at will take on this machine when it has nothing else to do."""

    looked_at: int
    seconds: tuple[float, float, float]  # of one core for a clip: median, least and most
    clip_seconds: float  # how long a clip is, mean
    memory_mb: int  # of a worker

    def text(self, count: int, workers: int) -> str:
        """In sentences, with what more clips would take."""
        median, least, most = self.seconds
        return (
            f"{self.looked_at} of them were looked at: about {median:.1f} s of one core each ({least:.1f} to "
            f"{most:.1f}) for {self.clip_seconds:.1f} s of video, {self.memory_mb} MB of memory a worker.\n"
            f"In all about {spoken(median * count / workers)} with {workers} workers. 1,000 such clips take "
            f"{spoken(1000 * median)} of one core, 1,000,000 {spoken(1_000_000 * median)}."
        )


def forecast(jobs: list[Job], tier: str, progress: Callable[[str, float], None]) -> Forecast | None:
    """From some of the rows, evenly chosen; None for the full tier, and where none of them can be made."""
    from actalker.pipelines.check import look

    if tier == "full" or not jobs:
        return None
    chosen, senses, found = jobs[:: -(-len(jobs) // LOOKED_AT)], Senses(identify=content), []
    for number, job in enumerate(chosen):
        progress("looking at rows", number / len(chosen))
        found.append(look(replace(request_from(job.words, tier)), senses))
    found = [one for one in found if one.estimate]
    if not found:
        return None
    seconds = sorted(one.estimate.seconds for one in found)
    length = statistics.mean(one.seconds for one in found)
    memory = max(one.estimate.memory_mb for one in found)
    return Forecast(len(chosen), (statistics.median(seconds), seconds[0], seconds[-1]), round(length, 2), memory)


def spoken(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("days", DAY), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
