"""Prepares a teacher in a slot; what fine-tuning gave is handed over before the rest is made.

So neither another attempt nor the next sweep fine-tunes again, whatever ends this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from raykd.models.file_arrays import in_memory
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.prepare import make
from raykd.teachers.prepared_parts import PreparedParts
from raykd.training.device import DistributedContext
from raykd.trial import drafts
from raykd.trial.coordinator import STOP, answer
from raykd.trial.heartbeat import JobLost
from raykd.trial.shared_objects import READY
from raykd.trial.shared_recording import SharedRecorder


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PrepareJob:
    """Prepare the teacher of a task; `inputs` is a reference to its `TaskInputs`.

    Weights that are made go into the folder `files`, which is on the machine of the driver.
    """

    inputs: tuple[Any, ...]
    files: str


class SlotPreparation:
    """The preparation of one teacher in this slot.

    Args:
        job: What to prepare.
        coordinator: Handle of the coordinator actor.
        slot: Number of this slot.
        world: This rank.
        push: Sends an event of the job; answers `STOP` when nobody waits for it any more.
    """

    def __init__(
        self,
        job: PrepareJob,
        coordinator: Any,
        slot: int,
        world: DistributedContext,
        push: Callable[[dict[str, Any]], str],
    ) -> None:
        self._inputs: TaskInputs = ray.get(job.inputs[0])
        self._where = job.inputs
        self._files = Path(job.files)
        self._coordinator = coordinator
        self._slot = slot
        self._world = world
        self._push = push

    def run(self, *, alone: bool) -> dict[str, Any] | None:
        """The final event of the job; None on ranks that only helped.

        Args:
            alone: Whether no other slot can help to record.
        """
        known = self._finetuned_before()
        inputs = self._inputs
        if known is not None:
            inputs = dataclasses.replace(inputs, known=inputs.known.merged_with(known))
        recorder = SharedRecorder(self._coordinator, self._slot, inputs, self._where, alone=alone)
        made = make(inputs, self._world, self._progress, recorder, self._keep)
        if made is None:
            return None
        made = made if known is None else known.merged_with(made)
        result = self._put("prepared", drafts.in_files(made.bare(), self._files))
        return {"kind": "done", "result": result, "blocks": recorder.blocks}

    def _progress(self, phase: str, done: int, total: int, detail: str) -> None:
        if self._world.rank != 0:
            return
        event = {"kind": "progress", "phase": phase, "done": done, "total": total, "detail": detail}
        if self._push(event) == STOP:
            raise JobLost

    def _keep(self, finetuned: PreparedParts) -> PreparedParts:
        """Hand over a teacher that is fine-tuned; the driver writes it to the cache."""
        finetuned = drafts.in_files(finetuned, self._files)
        event = {"kind": "finetuned", "result": self._put("finetuned", finetuned)}
        if self._push(event) == STOP:
            raise JobLost
        return finetuned

    def _finetuned_before(self) -> PreparedParts | None:
        """The teacher that an earlier attempt fine-tuned, where this slot can read it."""
        key = f"{self._inputs.fingerprint}/finetuned"
        state = ""
        if self._world.rank == 0:
            state, _ = answer(self._coordinator.claim.remote(key, self._slot, 0.0))
        if self._world.broadcast(state) != READY:
            return None
        known: PreparedParts = ray.get(answer(self._coordinator.read.remote(key))[0])
        assert known.state is not None
        is_here = any(True for _ in in_memory(known.state.tensors))
        reads = is_here or self._files.is_dir()
        return known if all(self._world.gather(reads)) else None

    def _put(self, name: str, parts: PreparedParts) -> tuple[Any, ...]:
        """A reference to parts that the coordinator owns."""
        key = f"{self._inputs.fingerprint}/{name}"
        answer(self._coordinator.put.remote(key, parts))
        kept: tuple[Any, ...] = answer(self._coordinator.read.remote(key))
        return kept
