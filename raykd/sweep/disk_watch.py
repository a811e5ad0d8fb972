"""The disks of a sweep: what its teachers take is said first, and that little is left, in time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from raykd.clusters.cluster_process import usual_folder
from raykd.sweep.disk_need import FLOAT_BYTES, WORTH_SAYING, size_text
from raykd.sweep.task_setup import TaskSetup
from raykd.sweep.teacher_plan import plan_teacher
from raykd.teachers.serving_plan import ServingPlan
from raykd.training.device import Ability

LOOK_S = 60.0
"""How often the disks are looked at."""

LOW_BYTES, LOW_SHARE = 2 * 2**30, 0.05
"""A disk is nearly full that has less than both of them: bytes, and a share of all it holds."""


class DiskWatch:
    """Looks after the disks that a sweep writes to.

    Args:
        run: The run folder.
        cache: The cache of teachers, None without one.
        store_bytes: Capacity of Ray's object store; what exceeds it is spilled to a disk.
        note: Called with what there is to say.
    """

    def __init__(
        self, run: Path, cache: Path | None, store_bytes: int, note: Callable[[str], None]
    ) -> None:
        self._places = {"the run folder": run, "what Ray spills, and its logs": usual_folder()}
        if cache is not None:
            self._places["the cache of teachers"] = cache
        self._cache = cache
        self._store_bytes = store_bytes
        self._note = note
        self._cached, self._outputs = 0, 0
        self._next = time.monotonic() + LOOK_S
        self._declared = False
        self._warned: set[str] = set()

    def plan(self, setup: TaskSetup, ability: Ability) -> ServingPlan:
        """`plan_teacher`, with what the teacher takes counted."""
        plan = plan_teacher(setup.spec, setup, self._store_bytes, ability)
        self.count(plan)
        return plan

    def count(self, plan: ServingPlan) -> None:
        """Count what the teacher of a plan takes."""
        own = plan.inputs.finetune is not None
        weights = FLOAT_BYTES * plan.inputs.teacher.parameters() if own else 0
        self._cached += weights + plan.nbytes
        self._outputs = max(self._outputs, plan.nbytes)

    def _declare(self) -> None:
        """Say what the teachers take on disk, where that is much of what is free."""
        for place, needed in (
            (self._cache, self._cached),
            (self._places["what Ray spills, and its logs"], self._outputs - self._store_bytes),
        ):
            free = None if place is None else _free(place)
            if free is None or needed < WORTH_SAYING * free[0]:
                continue
            what = "the cache of teachers" if place == self._cache else "outputs that Ray spills"
            self._note(
                f"it needs at most {size_text(needed)} of disk for {what}; {size_text(free[0])} "
                f"are free in {place}"
            )

    def look(self) -> None:
        """Say what teachers take, the first time; then, now and then, which disks are nearly full.

        That is said of each once.
        """
        if not self._declared:
            self._declared = True
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
