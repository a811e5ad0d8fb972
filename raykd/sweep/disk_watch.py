"""The disks of a sweep: reports what its teachers take, and warns when little is left."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
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

_RUN, _SPILL, _CACHE = "the run folder", "outputs that Ray spills", "the cache of teachers"


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
        self._places = {_RUN: run, _SPILL: usual_folder()}
        if cache.folder is not None and cache.writable:
            self._places[_CACHE] = cache.folder
        self._store_bytes = store_bytes
        self._note = note
        self._cached: dict[object, int] = {}
        self._outputs: dict[str, dict[str, int]] = {}
        self._needed: Mapping[str, int] = {}
        self._known: Mapping[str, int] = {}
        self._next = time.monotonic() + LOOK_S
        self._declared: set[object] = set()
        self._warned: set[object] = set()

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
        most = max((sum(of_task.values()) for of_task in self._outputs.values()), default=0)
        self._needed = {_CACHE: sum(self._cached.values()), _SPILL: most - self._store_bytes}

    def _declare(self, needed: Mapping[str, int]) -> None:
        """Say what teachers take on a disk, where that is much of what is free; once of each."""
        for disk, places in _disks(self._places).items():
            own = {what: needed[what] for what in places if needed.get(what, 0) > 0}
            if not own or disk in self._declared:
                continue
            total, place = sum(own.values()), places[next(iter(own))]
            free = _free(place)
            if free is None or total < WORTH_SAYING * free[0]:
                continue
            self._declared.add(disk)
            self._note(
                f"it needs at most {size_text(total)} of disk for {' and '.join(own)}; "
                f"{size_text(free[0])} are free in {place}"
            )

    def look(self) -> None:
        """Say what teachers take, once that is known; now and then, which disks are nearly full.

        Each disk is reported once.
        """
        if self._known is not (needed := self._needed):
            self._known = needed
            self._declare(needed)
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_S
        for disk, places in _disks(self._places).items():
            place = next(iter(places.values()))
            free = None if disk in self._warned else _free(place)
            if free is not None and free[0] < min(LOW_BYTES, LOW_SHARE * free[1]):
                self._warned.add(disk)
                self._note(
                    f"the disk of {' and of '.join(places)} is nearly full: {size_text(free[0])} "
                    f"are free in {place}; free some space. raykd sweep --resume continues a sweep "
                    "that a full disk ended"
                )


def _disks(places: Mapping[str, Path]) -> dict[object, dict[str, Path]]:
    """Places by the disk that they are on, without those of which nobody can tell."""
    disks: dict[object, dict[str, Path]] = {}
    for what, place in places.items():
        with contextlib.suppress(OSError):
            disks.setdefault(_disk_of(place), {})[what] = place
    return disks


def _disk_of(place: Path) -> object:
    return _existing(place).stat().st_dev


def _existing(place: Path) -> Path:
    """A place, or the folder above it that is there."""
    return next(p for p in (place, *place.absolute().parents) if p.exists())


def _free(place: Path) -> tuple[int, int] | None:
    """Bytes that are free on the disk of a place, and all it holds; None if nobody can tell."""
    try:
        usage = shutil.disk_usage(_existing(place))
    except OSError:
        return None
    return usage.free, usage.total
