"""The processes that this one started, and those that they did."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path


def descendants(root: int) -> list[int]:
    """Processes that a process started, and those that they did; parents before children.

    Empty where there is no /proc.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # The name of the program, in brackets, may hold spaces and brackets.
        parent = int(text.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.parent.name))
    processes = [root]
    for process in processes:
        processes += children.get(process, [])
    return processes[1:]


def in_own_session(processes: Sequence[int]) -> list[int]:
    """Those of the session of this process; others look after themselves."""
    own, same_session = os.getsid(0), []
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            same_session += [process] if os.getsid(process) == own else []
    return same_session


def kill(processes: Sequence[int]) -> None:
    """End processes at once, children before their parents; those that are gone are gone."""
    for process in reversed(processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
