"""What became of each row, on disk. A row is settled when its record is there, and its record is written last.

    OUT/NAME.mp4, NAME.json          a result and its recipe
    OUT/results.jsonl, failures.jsonl    what was made and what was not, in the manifest's order
    OUT/.batch/rows/NAME.json        a row's record
    OUT/.batch/work/                 what is being made; empty when nobody is at work

Every file appears whole, by being renamed. So whatever is killed at whatever moment, a record says the truth.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from actalker.errors import InputError

RESULTS, FAILURES = "results.jsonl", "failures.jsonl"
PATIENCE = 120.0  # seconds for workers of a run that was killed to finish the row that they are at
TRIES = 3  # after as many workers died over a row, it has failed


class Ledger:
    """The records of a batch in the folder `out`, which all machines see under the same path."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._folder = out / ".batch"

    @property
    def begun(self) -> bool:
        """Whether the folder holds a batch."""
        return self._folder.is_dir()

    @contextmanager
    def held(self, run: str) -> Iterator[None]:
        """The folder is this run's alone, and nothing is left over from one that was killed. InputError: it is not."""
        for folder in (self._folder / "rows", self._work):
            folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "run.lock").open("a") as own:
            if not _locked(own, exclusive=True):
                raise InputError(f"Another run is at work in {self.out}; wait for it, or choose another folder.")
            self._note(self._folder / "run", run)  # from here on, workers of another run begin no row
            self._wait_for_workers()
            shutil.rmtree(self._work)
            self._work.mkdir()
            try:
                yield
            finally:
                shutil.rmtree(self._work, ignore_errors=True)

    def _wait_for_workers(self) -> None:
        with self._workers() as others:
            until = time.monotonic() + PATIENCE
            while not _locked(others, exclusive=True):
                if time.monotonic() > until:
                    raise InputError(
                        f"Workers of an earlier run are still at work in {self.out}; end them and try again."
                    )
                time.sleep(0.2)

    @contextmanager
    def working(self, run: str, name: str) -> Iterator[Path]:
        """A folder in which a worker makes one row. Stopped: the run is not the one that holds the folder.

        InputError: as many workers as `TRIES` died over this row.
        """
        with self._workers() as mine:
            _locked(mine, exclusive=False)
            if (self._folder / "run").read_text() != run:
                raise Stopped
            tries = self._beside("work/tries", name)
            tries.parent.mkdir(parents=True, exist_ok=True)
            with tries.open("a") as file:
                if file.tell() >= TRIES:
                    raise InputError(f"{TRIES} workers died over this row; give them more memory, or leave it out.")
                file.write(".")
            with self._place() as place:
                yield place
            tries.unlink()

    def record(self, name: str) -> dict | None:
        """What became of a row, if it is known."""
        try:
            return json.loads(self._beside("rows", name).read_text())
        except FileNotFoundError:
            return None

    def settled(self, name: str, key: str) -> dict | None:
        """The record of a row that need not be made again: the same request, with its result still there."""
        record = self.record(name)
        if record is None or record["key"] != key:
            return None
        if "error" in record:
            return record if record["lasting"] else None
        return record if all((self.out / record[file]).is_file() for file in ("out", "recipe")) else None

    def keep(self, record: dict, made: Path | None = None) -> dict:
        """Settle a row: give its video `made`, and the recipe beside it, their names, then write the record."""
        if made is not None:
            for file, suffix in (("out", ".mp4"), ("recipe", ".json")):
                target = self.out / record[file]
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(made.with_suffix(suffix), target)
        self._note(self._beside("rows", record["name"]), json.dumps(record))
        return record

    def copied(self, record: dict, name: str) -> dict:
        """Settle a row that asks for what another row has: a second name for the same files."""
        copy = record | {"name": name}
        if "error" in record:
            return self.keep(copy)
        with self._place() as place:
            for file, suffix in (("out", ".mp4"), ("recipe", ".json")):
                _same(self.out / record[file], place / f"result{suffix}")
            return self.keep(copy | {"out": f"{name}.mp4", "recipe": f"{name}.json"}, place / "result.mp4")

    def write_lists(self, records: Iterable[dict]) -> None:
        """results.jsonl and failures.jsonl, anew."""
        lines: dict[str, list[str]] = {RESULTS: [], FAILURES: []}
        for record in records:
            lines[_list_of(record)].append(json.dumps(record) + "\n")
        for file, content in lines.items():
            self._note(self.out / file, "".join(content))

    def add_to_list(self, record: dict) -> None:
        """One more line; a run that is killed meanwhile leaves at most half of one, which the next run mends."""
        with (self.out / _list_of(record)).open("a") as file:
            file.write(json.dumps(record) + "\n")

    @property
    def _work(self) -> Path:
        return self._folder / "work"

    @contextmanager
    def _place(self) -> Iterator[Path]:
        place = self._work / uuid.uuid4().hex
        place.mkdir()
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _workers(self) -> IO[str]:
        return (self._folder / "workers.lock").open("a")

    def _beside(self, what: str, name: str) -> Path:
        return self._folder / what / f"{name}.json"

    def _note(self, path: Path, text: str) -> None:
        part = self._work / f"{uuid.uuid4().hex}.part"
        part.write_text(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, path)


class Stopped(Exception):
    """The run to which a worker belongs is over."""


def _list_of(record: dict) -> str:
    return FAILURES if "error" in record else RESULTS


def _same(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _locked(file: IO[str], exclusive: bool) -> bool:
    """Whether the file is now locked, alone or with others: until it is closed, or its process dies.

    Alone it is tried once; with others it is waited for. Where the system has no such locks, nothing is guarded.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    return True
