"""File systems of a process's own, which it and what it starts see, and which go with it.

As root, or as any user where the system allows user namespaces (`unshare -rm`).
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MOUNTS, ROOT, TMP = "mounts", "root", "tmp"
"""What a process may be able to do: mount file systems; have files that belong to others; do
without what is in `/tmp`, as nothing that its sweeps need is there."""

OTHER_USER = 1234
"""A user id that is nobody's here."""

PLACE = Path("/mnt")
"""Where a process with mounts of its own has its files, with a short name, as sockets are there;
unless it needs something there."""

SHARED_MEMORY = Path("/dev/shm")
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))

_NAMESPACE = Path("/proc/self/ns/mnt")
_STARTER = "RAYKD_TESTS_MOUNTS_OF_STARTER"
"""Names this process, and the mounts that it had before it began again."""

_WAYS = (
    ("--mount", "--propagation", "private"),
    ("--mount", "--propagation", "private", "--map-root-user"),
)
_TRIES = 5
_confirmed: list[str] = []
"""The mounts of this process, once it is known that they are its own."""


@dataclass(frozen=True, kw_only=True)
class Own:
    """What a process has of its own.

    Attributes:
        able: What it is able to do: a subset of `MOUNTS`, `ROOT` and `TMP`.
        place: An empty folder in memory with a short name; None for the usual one.
    """

    able: frozenset[str] = frozenset()
    place: Path | None = None


def begin(needed: Sequence[Path], written: Sequence[Path] = ()) -> Own:
    """Begin this process again with mounts of its own, where the system allows it.

    Args:
        needed: Files and folders that the sweeps read, besides this checkout and its interpreter.
        written: Those that this process alone writes, when no sweep runs.

    Raises:
        SystemExit: One of them is where the mounts go.
    """
    starter = os.environ.pop(_STARTER, None)
    if starter is None:
        for how in filter(_allowed, _WAYS):
            os.environ[_STARTER] = _mounts_of_process()
            os.execvp("unshare", ["unshare", *how, sys.executable, *sys.orig_argv[1:]])
        return Own()
    if not confirm(starter):
        return Own()
    own = map(Path, (os.getcwd(), sys.prefix, sys.base_prefix, *filter(None, sys.path)))
    read = [*own, *needed]
    if lost := inside(SHARED_MEMORY, [*read, *written]):
        sys.exit(f"{lost[0]} would not be seen, as {SHARED_MEMORY} is another one here: move it")
    place = _place([*read, *written])
    mount_tmpfs(place)
    mount_tmpfs(SHARED_MEMORY)  # what others have there is not of the sweeps here
    is_elsewhere = not any(inside(folder, [*read, place]) for folder in TEMPORARY)
    able = {MOUNTS: True, ROOT: _has_other_users(place), TMP: is_elsewhere}
    return Own(able=frozenset(what for what, is_so in able.items() if is_so), place=place)


def confirm(starter: str) -> bool:
    """Whether the mounts of this process are others than before it began again.

    Args:
        starter: What the process that began it was: its number and its mounts.
    """
    number, mounts = _mounts_of_process().split()
    if not re.fullmatch(rf"{number} mnt:\[\d+\]", starter) or starter.split()[1] == mounts:
        return False
    _confirmed[:] = [mounts]
    return True


def _mounts_of_process() -> str:
    return f"{os.getpid()} {os.readlink(_NAMESPACE)}"


def inside(folder: Path, paths: Sequence[Path]) -> list[Path]:
    """Those paths that are in a folder, or lead there."""
    return [
        path
        for path in paths
        if Path(os.path.abspath(path)).is_relative_to(folder)
        or path.resolve().is_relative_to(folder.resolve())
    ]


def _place(hidden: Sequence[Path]) -> Path:
    """A folder that holds nothing that is needed."""
    if PLACE.is_dir() and not inside(PLACE, hidden):
        return PLACE
    place = Path(tempfile.mkdtemp(prefix="r", dir=TEMPORARY[0]))

    def leave() -> None:
        unmount(place)
        place.rmdir()

    atexit.register(leave)
    return place


def _allowed(how: tuple[str, ...]) -> bool:
    command = ["unshare", *how, "mount", "-t", "tmpfs", "tmpfs", str(SHARED_MEMORY)]
    try:
        return not subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def _has_other_users(place: Path) -> bool:
    """Whether a file can be given to another user; in a user namespace, there may be one alone."""
    file = place / "of-another"
    file.touch()
    try:
        os.chown(file, OTHER_USER, OTHER_USER)
    except OSError:
        return False
    finally:
        file.unlink()
    return shutil.which("setpriv") is not None


def mount_tmpfs(path: Path, size: str = "50%", *options: str) -> None:
    """Mount an empty file system in memory.

    Args:
        path: A folder.
        size: Most that it holds, as ``mount`` takes it.
        options: More of them.
    """
    how = ",".join([f"size={size}", "mode=1777", *options])
    _run("mount", "-t", "tmpfs", "-o", how, "tmpfs", str(path))


def resize(path: Path, size: str) -> None:
    """Let a file system in memory hold more, or less."""
    _run("mount", "-o", f"remount,size={size}", str(path))


def mount_read_only(path: Path) -> None:
    """Let a folder be one that cannot be written, with what is in it."""
    _run("mount", "--bind", str(path), str(path))
    _run("mount", "-o", "remount,bind,ro", str(path))


def mount_over(path: Path, other: Path) -> None:
    """Let a file be another one."""
    _run("mount", "--bind", str(other), str(path))


def unmount(path: Path) -> None:
    """Let a path be again what it was; what is open there stays open."""
    _run("umount", "--lazy", str(path))


def fill(path: Path) -> None:
    """Write a file until the disk holds no byte more.

    Args:
        path: The file.

    Raises:
        OSError: The disk is not full all the same.
    """
    for _ in range(_TRIES):  # others may delete files meanwhile
        with _until_full(), path.open("ab", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                with _until_full():
                    while file.write(b"\0" * size) == size:
                        pass
        if not shutil.disk_usage(path.parent).free:
            return
    raise OSError(f"{path.parent} has been filled, and is not full")


@contextlib.contextmanager
def _until_full() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno != errno.ENOSPC:
            raise


def _run(*command: str) -> None:
    """Change the mounts of this process.

    Raises:
        RuntimeError: They are not known to be its own.
    """
    if _confirmed != [os.readlink(_NAMESPACE)]:
        raise RuntimeError(f"not with mounts of this process's own: {' '.join(command)}")
    subprocess.run(command, check=True)
