"""Watches the memory of a worker: a job that takes too much of it fails, with the figure.

Without that, the kernel or Ray ends processes when a node has none left: whichever they choose, and
without a word.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

EVERY_S = 0.25

SCARCE = 0.08
"""Share of a node's memory; where less is left, the worker that holds most of it is stopped. Ray
ends processes at 0.05."""

WORKERS = b"ray::RayTrainWorker"
"""How the command lines of workers begin, those of other sweeps included."""

_GIB = 2**30
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of a node, or of the container that this process is in.

    Attributes:
        total: All of it, in bytes.
        free: What processes could still get.
    """

    total: int
    free: int


class MemoryWatch:
    """Looks from another thread how much memory this process has; a context manager.

    What processes share, such as Ray's object store and mapped files, does not count.

    Args:
        most: Bytes that this process may have, None for whatever the node has.
        passed: Called once, with a sentence, when it has more, or when the memory of the node runs
            out and most of it is here.

    Attributes:
        over: Whether that was so.
    """

    def __init__(self, most: int | None, passed: Callable[[str], None]) -> None:
        self.over = False
        self._most = most
        self._passed = passed
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(EVERY_S):
            if why := too_much(self._most):
                self.over = True
                with contextlib.suppress(Exception):  # nobody received it: it is sent again
                    self._passed(why)
                    return


def too_much(most: int | None) -> str:
    """Why this process has too much memory; empty where it has not, or the system does not tell."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        own = own_bytes(os.getpid())
        if most is not None and own > most:
            return f"took {own / _GIB:.1f} GiB of memory, of {most / _GIB:.1f} GiB that it may have"
        node = node_memory()
        if node.free < SCARCE * node.total and own > _share(node):
            return (
                f"took {own / _GIB:.1f} GiB of memory, and {node.free / _GIB:.1f} GiB of "
                f"{node.total / _GIB:.1f} GiB are left on its node"
            )
    return ""


def own_bytes(process: int) -> int:
    """Memory that a process has for itself.

    Raises:
        OSError: The system does not tell.
    """
    resident, shared = (_PROC / str(process) / "statm").read_text(encoding="utf-8").split()[1:3]
    return (int(resident) - int(shared)) * _PAGE


def node_memory() -> Memory:
    """The memory of this node, less where a container has a limit.

    Raises:
        OSError: The system does not tell.
    """
    lines = (line.split() for line in (_PROC / "meminfo").read_text(encoding="utf-8").splitlines())
    known = {name: int(rest[0]) * 1024 for name, *rest in lines}
    total, free = known["MemTotal:"], known["MemAvailable:"]
    with contextlib.suppress(OSError, ValueError):  # not limited
        limit = int((_CGROUP / "memory.max").read_text(encoding="utf-8"))
        if limit < total:
            lines = (
                line.split()
                for line in (_CGROUP / "memory.stat").read_text(encoding="utf-8").splitlines()
            )
            files = {name: int(count) for name, count in lines}["inactive_file"]
            used = int((_CGROUP / "memory.current").read_text(encoding="utf-8")) - files
            total, free = limit, min(free, limit - used)
    return Memory(total, free)


def _share(node: Memory) -> float:
    """What a worker must have to be the one to stop: most of all, and half of a fair share."""
    each = []
    for folder in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            if int(folder.name) != os.getpid() and _is_worker(folder):
                each.append(own_bytes(int(folder.name)))
    return max(*each, 0.5 * node.total / (len(each) + 1)) if each else 0.5 * node.total


def _is_worker(folder: Path) -> bool:
    return (folder / "cmdline").read_bytes().startswith(WORKERS)
