"""The one stateful thing of the page: the loaded pipeline, its worker, cancelling, and the visitors' work folders."""

import hashlib
import hmac
import logging
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from actalker import pipelines
from actalker.errors import InputError
from actalker.memory import give_back
from actalker.pipelines.ahead import Errands
from actalker.pipelines.check import Findings, look
from actalker.pipelines.stages import Measured, Senses
from demo.cards import lent

LONGEST_JOB = 1800.0  # seconds of work that one request may take
LONGEST_STILL = 120.0  # the same for a single frame
LONGEST_LINE = 32  # requests of all visitors that run or wait
LABELS = {"on": True, "off": False, "ask": None}  # whether videos show that they are made; None: the visitor decides
KEPT = 3600  # seconds that a result stays on disk
SWEEP_EVERY = 300  # seconds between two looks for old results
TICK = 0.25  # seconds between two updates of the page
AHEAD = "ahead"  # what is kept of a visitor while files are measured ahead
STOPPING = "stopping"  # the stage of a request that was cancelled and has not noticed yet
FILES_REMEMBERED = 24
MEASURED = 12  # things that were measured: pictures, voices, clips
LEAST_SHARE, LEAST_SPENT = 0.05, 0.5  # of a stage, and seconds of it, before its end is foretold

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """Where a running job is: its stage, the share of it that is done, and how many jobs are ahead.

    `left` is how many seconds its stage will take still, once that can be told; `pieces` is what can be played already.
    """

    stage: str
    done: float
    ahead: int
    left: float | None = None
    pieces: tuple[Path, ...] = ()


class Ears:
    """What measures every file once, for all visitors.

    Files may be measured ahead, before their visitor asks for a video. That gives way to what others are waiting for; a
    video of the same files follows it.
    """

    def __init__(self) -> None:
        self._senses = Senses(MEASURED)
        self._ahead: tuple[str, threading.Event] = "", threading.Event()

    def measure(self, request: pipelines.Request, errands: Errands, visitor: str) -> Measured:
        """Begin to measure a request's files, see `Senses.begin`."""
        self._give_way(visitor)
        return self._senses.begin(request, errands)

    def look(self, request: pipelines.Request, visitor: str) -> Findings:
        """What is in a request's files and what a run will take, as far as can be told at once."""
        self._give_way(visitor)
        return look(request, self._senses)

    def measure_ahead(self, request: pipelines.Request, visitor: str, left: threading.Event) -> None:
        """Measure a request's files now, unless the visitor has `left` or somebody else waits for theirs."""

        def wanted(_stage: str, _done: float) -> None:
            if left.is_set():
                raise pipelines.Cancelled

        self._ahead = visitor, left
        with suppress(InputError, pipelines.Cancelled):
            self._senses(request.checked(), wanted)
        self._ahead = "", threading.Event()

    def _give_way(self, visitor: str) -> None:
        """Leave what is measured ahead for somebody else."""
        whose, left = self._ahead
        if whose != visitor:
            left.set()


@dataclass(eq=False)
class Job:
    """One piece of work for a visitor, in a folder of its own. `measure` measures files that may be known already.

    `label` is whether its videos show that they are made, None where its request says so.
    """

    work: "Work"
    folder: Path
    measure: Callable[[pipelines.Request, Errands], Measured]
    label: bool | None = True
    stop: threading.Event = field(default_factory=threading.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)
    stage: str = ""
    done: float = 0.0
    since: float = 0.0  # when the stage began
    seconds: float = LONGEST_JOB  # that it may take
    deadline: float = float("inf")
    pieces: tuple[Path, ...] = ()
    news: threading.Event = field(default_factory=threading.Event)  # something that cannot wait for the next tick

    def report(self, stage: str, done: float) -> None:
        """Take note of the pipeline's progress, and stop it when the visitor left or its time is over."""
        if self.stop.is_set():
            raise pipelines.Cancelled
        if time.monotonic() > self.deadline:
            minutes = self.seconds / 60
            raise InputError(
                f"The work took longer than {minutes:.0f} minutes and was stopped; use a shorter recording."
            )
        if stage != self.stage:
            self.since = time.monotonic()
        self.stage, self.done = stage, done

    def start(self) -> None:
        """Its time begins."""
        self.deadline = time.monotonic() + self.seconds

    def play(self, piece: Path) -> None:
        """Take note of a piece that can be played while the rest is made."""
        self.pieces = (*self.pieces, piece)
        self.news.set()

    @property
    def left(self) -> float | None:
        """Seconds until the stage ends, at the pace it has had so far; None before a pace is known."""
        spent = time.monotonic() - self.since
        return None if self.done < LEAST_SHARE or spent < LEAST_SPENT else spent * (1 - self.done) / self.done


Work = Callable[[Callable, Job], T]  # pipeline, job -> what the visitor gets


class Runner:
    """Runs one request at a time on pipelines that are loaded once. `work` is where the visitors' folders are made.

    `label` is one of LABELS: what the host says about the label of videos.
    """

    def __init__(
        self, work: Path | None = None, load: Callable[[str], Callable] | None = None, label: str = "on"
    ) -> None:
        self.label = label
        self._work = work
        self._load = load or pipelines.load
        self._pipeline: Callable | None = None
        self._loading = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="pipeline")
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="stills")
        self._on_card = lent(_run)
        self._ears = Ears()
        self._line: list[Job] = []
        self._kept: dict[tuple[str, str], tuple[float, object]] = {}
        self._lock = threading.Lock()
        self._secret = secrets.token_bytes(16)
        self._remember = lru_cache(FILES_REMEMBERED)(lambda look, file, _changed: look(file))

    @property
    def work(self) -> Path:
        """The folder that holds the visitors' folders; made when it is first needed."""
        with self._lock:
            if self._work is None:
                self._work = Path(tempfile.mkdtemp(prefix="actalker-"))
            self._work.mkdir(parents=True, exist_ok=True)
            return self._work

    def warm(self) -> None:
        """Load the pipeline in the background, so that the first visitor need not wait for it."""
        self._worker.submit(self._loaded)

    def remember(self, look: Callable[[Path], T], file: Path) -> T:
        """What `look` finds in a file, remembered for the files that were looked at last."""
        return self._remember(look, file, file.stat().st_mtime_ns if file.exists() else 0)

    def run(self, work: Work, visitor: str) -> Iterator[Update | T]:
        """Yield updates, then what the work returns. Closing the iterator stops it. Raises InputError and Cancelled.

        InputError, too, where too many requests wait already.

        Of a video that was cancelled, what was rendered is returned if it is long enough; else Cancelled is raised.
        """
        job = self._job(work, visitor)
        with self._lock:
            if len(self._line) >= LONGEST_LINE:
                raise InputError(f"{len(self._line)} requests are waiting already; try again in a few minutes.")
            self._line.append(job)
        future = self._worker.submit(self._do, job)
        future.add_done_callback(lambda _: job.news.set())
        try:
            while not future.done():
                if job.stop.is_set() and future.cancel():
                    raise pipelines.Cancelled
                stage = STOPPING if job.stop.is_set() else job.stage
                yield Update(stage, job.done, self._ahead(job), job.left, job.pieces)
                job.news.wait(TICK)
                job.news.clear()
            yield future.result()
        finally:
            if not future.done():
                job.abandoned.set()
            job.stop.set()
            if future.cancel() or future.cancelled():
                self._leave_line(job)

    def aside(self, work: Work, visitor: str) -> T:
        """What a small piece of work returns, which need not wait for the videos of others."""
        job = self._job(work, visitor, LONGEST_STILL)

        def timed() -> T:
            job.start()
            return work(self._loaded(), job)

        return self._aside.submit(timed).result()

    def look(self, request: pipelines.Request, visitor: str) -> Findings:
        """What a request's files hold and what its run will take; its files are then measured ahead."""
        found, left = self._ears.look(request, visitor), threading.Event()
        self._leave_ahead(visitor)
        if not found.faults:
            self.keep(visitor, AHEAD, left)
            self._aside.submit(self._ears.measure_ahead, request, visitor, left)
        return found

    def keep(self, visitor: str, what: str, thing: T) -> T:
        """Hold on to a visitor's last thing of a kind, for as long as files are kept; returns it."""
        with self._lock:
            self._kept[what, self.folder_name(visitor)] = time.time(), thing
        return thing

    def last(self, visitor: str, what: str) -> object | None:
        """A visitor's last thing of a kind."""
        with self._lock:
            return self._kept.get((what, self.folder_name(visitor)), (0.0, None))[1]

    def folder_name(self, visitor: str) -> str:
        """A name for the visitor that cannot be guessed from the visitor's own."""
        return hmac.new(self._secret, visitor.encode(), hashlib.sha256).hexdigest()[:32]

    def folder(self, visitor: str) -> Path:
        """The private folder of a visitor. Its name cannot be guessed from the visitor's own name."""
        return self.work / self.folder_name(visitor)

    def files(self, visitor: str) -> list[Path]:
        """The visitor's own files that jobs have kept, newest first."""
        found = [file for file in self.folder(visitor).rglob("*") if file.is_file()]
        return sorted(found, key=lambda file: -file.stat().st_mtime)

    def cancel(self, visitor: str) -> None:
        """Stop what a visitor has running or waiting; nobody else's work is touched."""
        folder = self.folder(visitor)
        with self._lock:
            for job in self._line:
                if job.folder.parent == folder:
                    job.stop.set()

    def forget(self, visitor: str) -> None:
        """Stop what a visitor has running and delete the visitor's files."""
        self.cancel(visitor)
        self._leave_ahead(visitor)
        name = self.folder_name(visitor)
        with self._lock:
            self._kept = {key: kept for key, kept in self._kept.items() if key[1] != name}
        shutil.rmtree(self.folder(visitor), ignore_errors=True)

    def sweep(self, older_than: float = KEPT) -> None:
        """Delete results that are older than so many seconds, and folders that they leave empty."""
        with self._lock:
            busy = {job.folder for job in self._line}
            self._kept = {key: kept for key, kept in self._kept.items() if time.time() - kept[0] <= older_than}
        for visitor in self.work.iterdir():
            with suppress(OSError):  # the visitor was forgotten meanwhile, or something new lies in the folder
                for folder in visitor.iterdir():
                    if folder not in busy and _age(folder) > older_than:
                        shutil.rmtree(folder, ignore_errors=True)
                if _age(visitor) > older_than:
                    visitor.rmdir()

    def keep_clean(self) -> threading.Thread:
        """Sweep every few minutes, for as long as the process lives."""
        sweeper = threading.Thread(target=self._sweep_for_ever, name="sweeper", daemon=True)
        sweeper.start()
        return sweeper

    def close(self) -> None:
        """Stop everything that runs or waits."""
        with self._lock:
            for job in self._line:
                job.stop.set()
        for pool in (self._worker, self._aside):
            pool.shutdown(wait=False, cancel_futures=True)

    def _job(self, work: Work, visitor: str, seconds: float | None = None) -> Job:
        folder = self.folder(visitor) / secrets.token_hex(16)

        def measure(request: pipelines.Request, errands: Errands) -> Measured:
            return self._ears.measure(request, errands, visitor)

        return Job(work, folder, measure, LABELS[self.label], seconds=seconds or LONGEST_JOB)

    def _leave_ahead(self, visitor: str) -> None:
        """Give up what is measured ahead for a visitor."""
        left = self.last(visitor, AHEAD)
        if left is not None:
            left.set()

    def _sweep_for_ever(self) -> None:
        while True:
            time.sleep(SWEEP_EVERY)
            try:
                self.sweep()
            except Exception:
                log.exception("Old results could not be deleted; the next look follows.")

    def _loaded(self) -> Callable:
        """The pipeline, loaded once."""
        with self._loading:
            if self._pipeline is None:
                self._pipeline = self._load("embedded")
            return self._pipeline

    def _do(self, job: Job) -> object:
        try:
            if job.stop.is_set():
                raise pipelines.Cancelled
            job.start()
            job.folder.mkdir(parents=True, mode=0o700)
            pipeline = self._loaded()
            run = self._on_card if getattr(pipeline, "needs_gpu", False) else _run
            return run(job.work, pipeline, job)
        except BaseException:
            job.abandoned.set()
            raise
        finally:
            if job.abandoned.is_set():
                shutil.rmtree(job.folder, ignore_errors=True)
            self._leave_line(job)
            give_back()

    def _ahead(self, job: Job) -> int:
        with self._lock:
            return self._line.index(job) if job in self._line else 0

    def _leave_line(self, job: Job) -> None:
        with self._lock:
            if job in self._line:
                self._line.remove(job)


def _run(work: Work, pipeline: Callable, job: Job) -> object:
    return work(pipeline, job)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:  # deleted by someone else meanwhile
        return 0.0
