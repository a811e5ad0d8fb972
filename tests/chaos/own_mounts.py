"""File systems of a process's own, which it and what it starts see, and which go with it.

As root, or as any user where the system allows user namespaces (`unshare -rm`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

MOUNTS, ROOT, TMP = "mounts", "root", "tmp"
"""What a process may be able to do: mount file systems; have files that belong to others; do
without what is in `/tmp`, as neither this checkout nor its interpreter is there."""

OTHER_USER = 1234
"""A user id that is nobody's here."""

PLACE = Path("/mnt")
"""Where a process with mounts of its own has its files, with a short name: sockets are there."""

SHARED_MEMORY = Path("/dev/shm")

_BEGUN = "RAYKD_TESTS_OWN_MOUNTS"
_WAYS = (("--mount",), ("--mount", "--map-root-user"))


def begin() -> frozenset[str]:
    """Begin this process again with mounts of its own, where the system allows it.

    Returns:
        What it is able to do: a subset of `MOUNTS`, `ROOT` and `TMP`.
    """
    if os.environ.pop(_BEGUN, None) is None:
        for how in filter(_allowed, _WAYS):
            os.environ[_BEGUN] = "1"
            os.execvp("unshare", ["unshare", *how, sys.executable, *sys.orig_argv[1:]])
        return frozenset()
    mount_tmpfs(PLACE)
    mount_tmpfs(SHARED_MEMORY)  # what others have there is not of the sweeps here
    needed = (os.getcwd(), sys.prefix, sys.base_prefix)
    is_elsewhere = not any(Path(path).is_relative_to("/tmp") for path in needed)
    able = {MOUNTS: True, ROOT: _has_other_users(), TMP: is_elsewhere}
    return frozenset(what for what, is_so in able.items() if is_so)


def _allowed(how: tuple[str, ...]) -> bool:
    command = ["unshare", *how, "mount", "-t", "tmpfs", "tmpfs", str(PLACE)]
    try:
        return not subprocess.run(command, capture_output=True, check=False).returncode
    except FileNotFoundError:
        return False


def _has_other_users() -> bool:
    """Whether a file can be given to another user; in a user namespace, there may be one alone."""
    file = PLACE / "of-another"
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
    """
    with path.open("ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass


def _run(*command: str) -> None:
    subprocess.run(command, check=True)
