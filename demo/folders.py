"""The folder of a running page: it goes with the process, and that of a process that was killed goes with the next."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows a folder that was left behind stays
    fcntl = None

PREFIX, LOCK = "actalker-", "lock"


@contextmanager
def own_folder() -> Iterator[Path]:
    """A temporary folder that is this process's own, after those of processes that are no more were deleted."""
    clear_left()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name, open(Path(name, f"{LOCK}.new"), "w") as lock:
        if fcntl:  # the lock is taken before it can be seen: the system frees it however the process ends
            fcntl.flock(lock, fcntl.LOCK_EX)
        Path(lock.name).rename(Path(name, LOCK))
        yield Path(name)


def clear_left() -> None:
    """Delete the folders of pages that were killed: those whose lock nobody holds."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        if fcntl and _is_mine(lock) and _is_free(lock):
            shutil.rmtree(lock.parent, ignore_errors=True)


def _is_mine(lock: Path) -> bool:
    """No link, and of this user: in a folder for everybody others may plant what they like."""
    try:
        return not lock.is_symlink() and not lock.parent.is_symlink() and lock.parent.stat().st_uid == os.getuid()
    except OSError:
        return False


def _is_free(lock: Path) -> bool:
    try:
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
