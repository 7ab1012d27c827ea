"""Files appear whole or not at all: each is written beside its place under another name, then renamed."""

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actalker.errors import InputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A name beside `path` to write to. At the end the file takes its place; where something fails it is deleted.

    InputError where the disk is full or the place cannot be written to.
    """
    path = Path(path)
    part = part_of(path)
    try:
        with writing(path):
            yield part
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_of(path: Path) -> Path:
    """A name beside `path` that nobody else uses and that does not look finished."""
    return path.with_name(f"{path.name[:200]}.{uuid.uuid4().hex[:8]}.part")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system says against writing `path`, as one sentence that names no folder. Raises InputError."""
    try:
        yield
    except OSError as fault:
        if fault.errno in _FULL:
            raise InputError(
                f"The disk is full, so {path.name} was not written; free some space, then repeat."
            ) from fault
        raise InputError(f"{path.name} cannot be written ({_reason(fault)}); choose another place for it.") from fault


def _reason(fault: OSError) -> str:
    return os.strerror(fault.errno).lower() if fault.errno and fault.errno > 0 else "unknown reason"
