"""Temporary folders of this process, which go when it ends; those of one that was killed go next.

What is in them is locked while the process runs: who makes folders of its own deletes what nobody
holds any more.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

_PREFIX = "raykd-own-"
_IN_USE = "in-use"

_made: dict[int, tuple[Path, IO[bytes]]] = {}
"""The folder of all of them and the file that is locked in it, by process: a copy has none yet."""


def own_folder(what: str) -> Path:
    """A new folder that is deleted when the process ends.

    Args:
        what: What is put there, in a word.

    Raises:
        OSError: It cannot be made.
    """
    place, _ = _made.get(os.getpid()) or _make()
    return Path(tempfile.mkdtemp(prefix=f"{what}-", dir=place))


def delete_own_folders() -> None:
    """Delete them now: a process that ends at once calls nothing at its end."""
    place, lock = _made.pop(os.getpid(), (None, None))
    if place is not None and lock is not None:
        shutil.rmtree(place, ignore_errors=True)
        lock.close()


def _make() -> tuple[Path, IO[bytes]]:
    """Make the folder of all of them; of threads that do so at once, one makes that of all.

    Without a lock: a signal, or a copy of the process, may come while it is held.
    """
    _delete_unused(Path(tempfile.gettempdir()))
    place = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = (place / f"{_IN_USE}.new").open("wb")
    with contextlib.suppress(OSError):  # a file system without locks: nobody deletes it for us
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.replace(lock.name, place / _IN_USE)  # nobody sees it before it is locked
    made = _made.setdefault(os.getpid(), (place, lock))
    if made[0] == place:
        atexit.register(delete_own_folders)
    else:
        shutil.rmtree(place, ignore_errors=True)
        lock.close()
    return made


def _delete_unused(folder: Path) -> None:
    for file in folder.glob(f"{_PREFIX}*/{_IN_USE}"):
        with contextlib.suppress(OSError), file.open("rb") as opened:  # in use, or of somebody else
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(file.parent, ignore_errors=True)
