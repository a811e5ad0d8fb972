"""Watches a process and everything it starts: wall time, CPU time of the machine, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants used.

    Attributes:
        wall: Seconds from start to end.
        cpu: Busy seconds of all cores of the machine meanwhile (it should be otherwise idle).
        peak_pss: Most bytes at one time; memory that several processes share counts once.
    """

    wall: float
    cpu: float
    peak_pss: int


def run(command: Sequence[str]) -> Usage:
    """Run a command and measure it.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    busy, began = _busy_seconds(), time.monotonic()
    process = subprocess.Popen(command)
    over, peak = threading.Event(), [0]

    def watch() -> None:
        while not over.wait(SAMPLE_S):
            peak[0] = max(peak[0], sum(_pss(pid) for pid in family(process.pid)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    code = process.wait()
    wall = time.monotonic() - began
    over.set()
    thread.join()
    if code:
        raise subprocess.CalledProcessError(code, command)
    return Usage(wall=wall, cpu=_busy_seconds() - busy, peak_pss=peak[0])


def _busy_seconds() -> float:
    user, nice, system, _idle, _wait, irq, soft = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def family(root: int | None = None) -> set[int]:
    """A process, this one unless given, and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:  # it ended meanwhile
            continue
        parent = int(stat.rpartition(")")[2].split()[1])
        children.setdefault(parent, []).append(int(entry.name))
    actual, waiting = set(), [root or os.getpid()]
    while waiting:
        pid = waiting.pop()
        actual.add(pid)
        waiting += children.get(pid, [])
    return actual


def _pss(pid: int) -> int:
    try:
        return memory(pid)["Pss"]
    except OSError:  # it ended meanwhile
        return 0


def memory(pid: int | str = "self") -> dict[str, int]:
    """Bytes of a process by kind, as Linux adds them up (``Pss``, ``Rss``, ``Private_Dirty`` ...).

    Raises:
        OSError: There is no such process.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def private_bytes(pid: int | str = "self") -> int:
    """Bytes that no other process shares."""
    actual = memory(pid)
    return actual["Private_Clean"] + actual["Private_Dirty"]
