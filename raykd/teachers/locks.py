"""Locks of the cache: nothing is made twice at the same time, and nothing in use is deleted.

They are file locks below ``.locks``; one that a process held ends with the process. Entries and
parts of entries appear under their names whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

DRAFT = ".new-"
"""What names of folders begin with that are being written."""
GONE = ".gone-"
"""What names of folders begin with that are being deleted."""

_LOCKS = ".locks"


GATE_S = 60.0
"""Locks are taken and let go of under one more lock, which is held for moments."""


class HeldLock:
    """A lock that is held until it is released, or the process ends.

    Args:
        lock: It, acquired.
        gate: Makes the lock under which it is let go of.
    """

    def __init__(self, lock: FileLock, gate: Callable[[], FileLock]) -> None:
        self._lock = lock
        self._gate = gate

    def release(self) -> None:
        """Let go of it; once is enough."""
        if not self._lock.is_locked:
            return
        # Where the cache cannot be reached any more, the end of the process has to do.
        with contextlib.suppress(OSError), self._gate():
            _let_go(self._lock)


class CacheLocks:
    """The locks of one cache.

    Args:
        folder: The cache; it must be writable.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / _LOCKS

    def use(self, key: str) -> HeldLock:
        """Mark an entry as read by this process, so that it is not deleted.

        Raises:
            OSError: The cache cannot be written.
        """
        with self._gate():
            return self._mark(f"{key}.use-{uuid.uuid4().hex[:12]}")

    def is_used(self, key: str) -> bool:
        """Whether some process reads or makes an entry; call it within `deleting`."""
        return any(self._is_held(path) for path in self._folder.glob(f"{key}.*lock"))

    def claim(self, key: str) -> HeldLock | None:
        """Claim the right to make an entry or a part of it; None if another process holds it.

        Raises:
            OSError: The cache cannot be written.
        """
        path = self._path(key)
        with self._gate():
            lock = _lock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return None
            who = f"process {os.getpid()} on {socket.gethostname()}"
            path.with_suffix(".by").write_text(who, encoding="utf-8")
            return HeldLock(lock, self._gate)

    def holder(self, key: str) -> str:
        """Who makes an entry, in words."""
        try:
            return self._path(key).with_suffix(".by").read_text(encoding="utf-8")
        except OSError:
            return "another process"

    @contextlib.contextmanager
    def deleting(self) -> Iterator[None]:
        """Block new readers and makers of entries for the duration of the context."""
        with self._gate():
            yield

    @contextlib.contextmanager
    def atomic_write(self, target: Path, *, is_file: bool = False) -> Iterator[Path]:
        """Write a folder or file atomically: it appears complete under its name, or not at all.

        When something fails in between, nothing is left.

        Args:
            target: The name; its parent is made.
            is_file: Whether it is a file, which the caller makes.

        Raises:
            OSError: It cannot be written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        name = f"{DRAFT}{uuid.uuid4().hex[:12]}"
        with self._gate():
            mark = self._mark(name)
        draft = target.parent / name
        try:
            if not is_file:
                draft.mkdir()
            yield draft
            if not is_file and target.exists():
                shutil.rmtree(rename_away(target), ignore_errors=True)
            draft.rename(target)
        finally:
            if draft.is_file():
                draft.unlink(missing_ok=True)
            shutil.rmtree(draft, ignore_errors=True)
            mark.release()

    def is_left_over(self, path: Path) -> bool:
        """Whether a draft was abandoned by its writer; call it within `deleting`."""
        return path.name.startswith(GONE) or not self._is_held(self._path(path.name))

    def _gate(self) -> FileLock:
        self._folder.mkdir(parents=True, exist_ok=True)
        return _lock(self._folder / "gate", GATE_S)

    def _mark(self, name: str) -> HeldLock:
        lock = _lock(self._path(name))
        lock.acquire()
        return HeldLock(lock, self._gate)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def _is_held(self, path: Path) -> bool:
        if not path.exists():
            return False
        lock = _lock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        _let_go(lock)  # left by a process that ended
        return False


def rename_away(path: Path) -> Path:
    """Rename a folder out of the way; returns the path that is left to be deleted.

    Raises:
        OSError: It cannot be renamed.
    """
    return path.rename(path.with_name(f"{GONE}{uuid.uuid4().hex[:12]}"))


def _let_go(lock: FileLock) -> None:
    """Release a lock without leaving its file; call it under the gate."""
    path = Path(lock.lock_file)
    path.with_suffix(".by").unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    lock.release()


def _lock(path: Path, timeout: float = -1) -> FileLock:
    # A lock may be released by another thread than that which took it.
    return FileLock(path, timeout=timeout, thread_local=False)
