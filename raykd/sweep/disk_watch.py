"""The disks of a sweep: what its teachers take is said first, and that little is left, in time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from raykd.clusters.cluster_process import usual_folder
from raykd.sweep.disk_need import FLOAT_BYTES, WORTH_SAYING, size_text
from raykd.teachers.cache_keys import RECORDED
from raykd.teachers.cache_lookup import WEIGHTS
from raykd.teachers.teacher_cache import TeacherCache
from raykd.teachers.teacher_work import TeacherWork

LOOK_S = 60.0
"""How often the disks are looked at."""

LOW_BYTES, LOW_SHARE = 2 * 2**30, 0.05
"""A disk is nearly full that has less than both of them: bytes, and a share of all it holds."""


class DiskWatch:
    """Looks after the disks that a sweep writes to.

    Args:
        run: The run folder.
        cache: The cache of teachers.
        store_bytes: Capacity of Ray's object store; what exceeds it is spilled to a disk.
        note: Called with what there is to say.
    """

    def __init__(
        self, run: Path, cache: TeacherCache, store_bytes: int, note: Callable[[str], None]
    ) -> None:
        self._places = {"the run folder": run, "what Ray spills, and its logs": usual_folder()}
        self._cache = cache.folder if cache.writable else None
        if self._cache is not None:
            self._places["the cache of teachers"] = self._cache
        self._store_bytes = store_bytes
        self._note = note
        self._cached: dict[object, int] = {}
        self._outputs: dict[str, dict[str, int]] = {}
        self._next = time.monotonic() + LOOK_S
        self._has_more = False
        self._declared: set[str] = set()
        self._warned: set[str] = set()

    def count(self, works: Iterable[TeacherWork]) -> None:
        """Count what teachers take: in the cache what it lacks of them, in Ray's store all of it.

        What several of them share is counted once.
        """
        for work in works:
            inputs, keys, missing = work.plan.inputs, work.plan.keys, work.lookup.missing
            if WEIGHTS in missing:
                self._cached[keys.teacher] = FLOAT_BYTES * inputs.teacher.parameters()
            if any(name.startswith(RECORDED) for name in missing):
                named = frozenset(k for name, k in keys.parts.items() if name.startswith(RECORDED))
                self._cached[keys.teacher, named] = work.plan.nbytes
            of_task = self._outputs.setdefault(inputs.task.name, {})
            of_task[inputs.fingerprint] = work.plan.nbytes
        self._has_more = True

    def _declare(self) -> None:
        """Say what the teachers take on disk, where that is much of what is free; each once."""
        most = max((sum(of_task.values()) for of_task in self._outputs.values()), default=0)
        for what, place, needed in (
            ("the cache of teachers", self._cache, sum(self._cached.values())),
            ("outputs that Ray spills", self._places["what Ray spills, and its logs"],
             most - self._store_bytes),
        ):  # fmt: skip
            free = None if place is None or what in self._declared else _free(place)
            if free is None or needed < WORTH_SAYING * free[0]:
                continue
            self._declared.add(what)
            self._note(
                f"it needs at most {size_text(needed)} of disk for {what}; {size_text(free[0])} "
                f"are free in {place}"
            )

    def look(self) -> None:
        """Say what teachers take, once that is known; now and then, which disks are nearly full.

        That is said of each once.
        """
        if self._has_more:
            self._has_more = False
            self._declare()
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_S
        for what, place in self._places.items():
            free = None if what in self._warned else _free(place)
            if free is not None and free[0] < min(LOW_BYTES, LOW_SHARE * free[1]):
                self._warned.add(what)
                self._note(
                    f"the disk of {what} is nearly full: {size_text(free[0])} are free in {place}; "
                    "free some space. A sweep that a full disk ends goes on with "
                    "raykd sweep --resume"
                )


def _free(place: Path) -> tuple[int, int] | None:
    """Bytes that are free on the disk of a place, and all it holds; None if nobody can tell."""
    try:
        there = next(p for p in (place, *place.absolute().parents) if p.exists())
        usage = shutil.disk_usage(there)
    except OSError:
        return None
    return usage.free, usage.total
