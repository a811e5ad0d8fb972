"""Derived teachers in a slot: the first trial that needs one builds it, all others read it."""

from __future__ import annotations

import time
from typing import Any

import ray

from raykd.methods.base import OutputSpec, TeacherVariant
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.open_teacher import open_offline, open_variant, record_outputs_of_variant
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.teacher import Teacher
from raykd.teachers.teacher_variants import variant_key
from raykd.training.device import DistributedContext
from raykd.trial.coordinator import MINE, READY, answer

WAIT_S = 2.0


class DerivedTeachers:
    """Opens derived teachers for one trial; call it with the variant and the outputs it reads.

    Args:
        coordinator: Handle of the coordinator actor.
        slot: Number of the slot that runs the trial.
        world: The rank among those of the slot.
        trial: Id of the trial.
        prepared: The task.
    """

    def __init__(
        self,
        coordinator: Any,
        slot: int,
        world: DistributedContext,
        trial: str,
        prepared: PreparedTask,
    ) -> None:
        self._coordinator = coordinator
        self._slot = slot
        self._world = world
        self._trial = trial
        self._prepared = prepared

    def __call__(self, variant: TeacherVariant, output_spec: OutputSpec) -> Teacher:
        """The derived teacher, recorded by this slot or another one."""
        prepared, world = self._prepared, self._world
        if prepared.cached_outputs is None:
            return open_variant(prepared, variant, output_spec, world)
        key = variant_key(prepared.fingerprint, variant, output_spec)
        made, seconds = 0, 0.0
        while True:
            state, kept = self._claim(key)
            if state == READY:
                cached_outputs = self._read(key, kept)
                if cached_outputs is not None:
                    rows = made * len(prepared.splits["train"])
                    self._notify(variant, made=made, rows=rows, seconds=seconds)
                    return open_offline(prepared, cached_outputs, world)
            elif state == MINE:
                seconds += self._make(key, variant, output_spec)
                made += 1

    def _claim(self, key: str) -> tuple[str, Any]:
        """Rank 0 claims; every rank reads published outputs from the coordinator."""
        coordinator, slot = self._coordinator, self._slot
        state, kept = "", None
        if self._world.rank == 0:
            state, kept = answer(coordinator.claim.remote(key, slot, WAIT_S))
        state = self._world.broadcast(state)
        if state == READY and self._world.rank != 0:
            kept = answer(coordinator.read.remote(key))
        return state, kept

    def _read(self, key: str, kept: tuple[Any, ...]) -> CachedOutputs | None:
        """The published outputs, None if they were lost with their node."""
        try:
            cached_outputs: CachedOutputs = ray.get(kept[0])
        except (ray.exceptions.ObjectLostError, ray.exceptions.OwnerDiedError):
            self._invalidate(key)
            return None
        return cached_outputs

    def _make(self, key: str, variant: TeacherVariant, output_spec: OutputSpec) -> float:
        """Rank 0 builds and publishes it; the others learn of it with their next claim."""
        began = time.monotonic()
        if self._world.rank == 0:
            try:
                made = record_outputs_of_variant(self._prepared, variant, output_spec, self._world)
                answer(self._coordinator.put.remote(key, made))
            except BaseException:
                self._invalidate(key)
                raise
        return time.monotonic() - began

    def _invalidate(self, key: str) -> None:
        if self._world.rank == 0:
            answer(self._coordinator.invalidate.remote(key, self._slot))

    def _notify(self, variant: TeacherVariant, **facts: Any) -> None:
        if self._world.rank == 0:
            what = {
                "task": self._prepared.task, "trial_id": self._trial,
                "key": variant.key, "about": variant.about, "by": variant.by, **facts,
            }  # fmt: skip
            answer(self._coordinator.notify.remote("derived_teacher", what))
