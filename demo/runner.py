"""The one stateful thing of the page: the loaded pipeline, its worker, cancelling, and the visitors' work folders."""

import hashlib
import hmac
import json
import logging
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from actalker import pipelines
from actalker.errors import InputError

LONGEST_JOB = 1800.0  # seconds of work that one request may take
KEPT = 3600  # seconds that a result stays on disk
SWEEP_EVERY = 300  # seconds between two looks for old results
TICK = 0.25  # seconds between two updates of the page
STOPPING = "stopping"  # the stage of a request that was cancelled and has not noticed yet
FILES_REMEMBERED = 24

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Update:
    """Where a running request is: its stage, the share of the stage that is done, and how many requests are ahead."""

    stage: str
    done: float
    ahead: int


@dataclass(frozen=True)
class Result:
    """A finished video, its recipe, and the facts about it."""

    video: Path
    recipe: Path
    info: dict


@dataclass(eq=False)
class _Job:
    request: pipelines.Request
    folder: Path
    stop: threading.Event = field(default_factory=threading.Event)
    stage: str = ""
    done: float = 0.0
    deadline: float = float("inf")

    def report(self, stage: str, done: float) -> None:
        """Take note of the pipeline's progress, and stop it when the visitor left or its time is over."""
        if self.stop.is_set():
            raise pipelines.Cancelled
        if time.monotonic() > self.deadline:
            minutes = LONGEST_JOB / 60
            raise InputError(
                f"The work took longer than {minutes:.0f} minutes and was stopped; use a shorter recording."
            )
        self.stage, self.done = stage, done


class Runner:
    """Runs one request at a time on pipelines that are loaded once. `work` is where the visitors' folders are made."""

    def __init__(self, work: Path | None = None, load: Callable[[str], Callable] | None = None) -> None:
        self._work = work
        self._load = load or pipelines.load
        self._pipeline: Callable | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="pipeline")
        self._line: list[_Job] = []
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

    def run(self, request: pipelines.Request, visitor: str) -> Iterator[Update | Result]:
        """Yield updates, then the result. Closing the iterator stops the work. Raises InputError and Cancelled.

        Of a request that was cancelled, what was rendered is the result, if it is long enough for one: its info says
        "cancelled". Else Cancelled is raised.
        """
        job = _Job(request, self.folder(visitor) / secrets.token_hex(16))
        with self._lock:
            self._line.append(job)
        future = self._worker.submit(self._do, job)
        try:
            while not future.done():
                if job.stop.is_set() and future.cancel():
                    raise pipelines.Cancelled
                stage = STOPPING if job.stop.is_set() else job.stage
                yield Update(stage, job.done, self._ahead(job))
                wait([future], timeout=TICK)
            yield future.result()
        finally:
            job.stop.set()
            if future.cancel() or future.cancelled():
                self._leave_line(job)

    def folder(self, visitor: str) -> Path:
        """The private folder of a visitor. Its name cannot be guessed from the visitor's own name."""
        return self.work / hmac.new(self._secret, visitor.encode(), hashlib.sha256).hexdigest()[:32]

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
        shutil.rmtree(self.folder(visitor), ignore_errors=True)

    def sweep(self, older_than: float = KEPT) -> None:
        """Delete results that are older than so many seconds, and folders that they leave empty."""
        with self._lock:
            busy = {job.folder for job in self._line}
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
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _sweep_for_ever(self) -> None:
        while True:
            time.sleep(SWEEP_EVERY)
            try:
                self.sweep()
            except Exception:
                log.exception("Old results could not be deleted; the next look follows.")

    def _loaded(self) -> Callable:
        """The pipeline. Only the worker's thread calls this, so it is loaded once."""
        if self._pipeline is None:
            self._pipeline = self._load("embedded")
        return self._pipeline

    def _do(self, job: _Job) -> Result:
        try:
            if job.stop.is_set():
                raise pipelines.Cancelled
            job.deadline = time.monotonic() + LONGEST_JOB
            return _made(self._loaded(), job)
        except BaseException:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise
        finally:
            self._leave_line(job)

    def _ahead(self, job: _Job) -> int:
        with self._lock:
            return self._line.index(job) if job in self._line else 0

    def _leave_line(self, job: _Job) -> None:
        with self._lock:
            if job in self._line:
                self._line.remove(job)


def _made(pipeline: Callable, job: _Job) -> Result:
    """Run the pipeline in the job's folder, on links to the visitor's files, so that nobody deletes them meanwhile."""
    job.folder.mkdir(parents=True, mode=0o700)
    files = {role: getattr(job.request, role) for role in ("photo", "speech", "driving")}
    files = {role: file for role, file in files.items() if file is not None}
    names = _names(files.values())
    links = {role: _linked(file, job.folder / role / names[file]) for role, file in files.items()}
    request = replace(job.request, **links)
    out = job.folder / "talking.mp4"
    info = pipeline(request, out, job.report)
    recipe = out.with_suffix(".json")
    _name_files_only(recipe)
    return Result(out, recipe, info)


def _names(files: Iterable[Path]) -> dict[Path, str]:
    """Each file's own name; a file whose name another one has taken gets a number, so that both fit in one folder."""
    names: dict[Path, str] = {}
    for file in dict.fromkeys(files):
        name, number = file.name, 1
        while name.casefold() in map(str.casefold, names.values()):
            number += 1
            name = f"{file.stem}-{number}{file.suffix}"
        names[file] = name
    return names


def _linked(source: Path, target: Path) -> Path:
    """`target`, now the visitor's file `source`: a link where the disk can, else a copy."""
    target.parent.mkdir()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _name_files_only(recipe: Path) -> None:
    """Leave the folders of this machine out of a recipe that is taken home: it works beside the visitor's own files."""
    content = json.loads(recipe.read_text())
    for entry in content["media"].values():
        entry["path"] = Path(entry["path"]).name
    recipe.write_text(json.dumps(content, indent=2) + "\n")


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:  # deleted by someone else meanwhile
        return 0.0
