"""Slots share the recording of a teacher: each free slot takes the next block of rows.

The slot that prepared the teacher submits a job to the coordinator for every block and works on the
blocks itself; each is claimed, so that nobody does it twice, and held by the coordinator, so that
it outlives the process that made it. Without other slots, the preparing one does it all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch
from torch import nn

from raykd.data.base import Array
from raykd.models.model_factory import ModelFactory
from raykd.teachers.cached_outputs import CachedOutputs, joined
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.object_store import StoredBlock
from raykd.teachers.precision import frozen
from raykd.teachers.recording import Recording
from raykd.teachers.row_counter import missing_outputs
from raykd.training.device import DistributedContext
from raykd.training.lead import led
from raykd.trial.coordinator import MINE, READY, answer
from raykd.trial.unread import unread

WAIT_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordJob:
    """Record one block of the train rows of a task.

    Attributes:
        key: Identity of the preparation.
        number: Of the block.
        inputs: A reference to the `TaskInputs`.
        teacher: A reference to the `ModelFactory` of the teacher.
        sharded: Whether all ranks of a slot hold a part of it.
    """

    key: str
    number: int
    inputs: tuple[Any, ...]
    teacher: tuple[Any, ...]
    sharded: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRecording:
    """A teacher in this process, ready to record blocks of a task.

    Attributes:
        key: Identity of the preparation.
        model: The teacher, on `device`.
        recording: What is recorded.
        rows: Row numbers of every block.
        device: Where the teacher is.
    """

    key: str
    model: nn.Module
    recording: Recording
    rows: tuple[Array, ...]
    device: torch.device

    def record_block(self, coordinator: Any, slot: int, number: int, wait_s: float = 0.0) -> bool:
        """Record a block unless another slot does; True once it exists."""
        state, _ = answer(coordinator.claim.remote(self._name(number), slot, wait_s))
        if state != MINE:
            return bool(state == READY)
        try:
            outputs = self.recording.run(self.model, self.rows[number], self.device)
            (block,) = outputs.chunks()
            about = (outputs.with_chunks(()), StoredBlock.of(None, block))
            answer(coordinator.put.remote(f"{self._name(number)}/about", about))
            answer(coordinator.put.remote(self._name(number), block))
        except BaseException:
            answer(coordinator.invalidate.remote(self._name(number), slot))
            raise
        return True

    def job_done(
        self, world: DistributedContext, coordinator: Any, slot: int, number: int
    ) -> dict[str, Any] | None:
        """`record_block` on all ranks of a slot; the first one gets the event that says so."""
        done = led(world, lambda: self.record_block(coordinator, slot, number), self.model)
        return None if done is None else {"kind": "done"}

    def read_block(self, coordinator: Any, number: int) -> tuple[StoredBlock, CachedOutputs]:
        """An existing block in the store, and its values."""
        (about,) = answer(coordinator.read.remote(f"{self._name(number)}/about"))
        (ref,) = answer(coordinator.read.remote(self._name(number)))
        empty, stored = ray.get(about)
        return replace(stored, ref=ref), empty.with_chunks([ray.get(ref)])

    def _name(self, number: int) -> str:
        return f"{self.key}/block-{number}"


def open_recording(job: RecordJob, world: DistributedContext) -> OpenRecording:
    """Build the teacher that another slot prepared; on every rank, if it is sharded."""
    inputs: TaskInputs = ray.get(job.inputs[0])
    factory: ModelFactory = ray.get(job.teacher[0])
    output_spec = missing_outputs(inputs)
    assert output_spec is not None
    recording = inputs.recording("train", output_spec, inputs.train_output_spec())
    return OpenRecording(
        key=job.key,
        model=frozen(factory, inputs.frozen_precision, world, sharded=job.sharded),
        recording=recording,
        rows=recording.blocks(),
        device=world.device,
    )


class SharedRecorder:
    """The `raykd.teachers.prepare.Recorder` of a slot.

    Args:
        coordinator: Handle of the coordinator actor.
        slot: Number of this slot.
        inputs: What is prepared.
        where: A reference to it.
        alone: Whether no other slot can help.

    Attributes:
        blocks: The blocks that were recorded, in order.
    """

    def __init__(
        self,
        coordinator: Any,
        slot: int,
        inputs: TaskInputs,
        where: tuple[Any, ...],
        *,
        alone: bool,
    ) -> None:
        self._coordinator = coordinator
        self._slot = slot
        self._key = inputs.fingerprint
        self._where = where
        self._alone = alone
        self._sharded = inputs.sharded
        self.blocks: tuple[StoredBlock, ...] = ()

    def __call__(
        self,
        model: nn.Module,
        factory: ModelFactory,
        recording: Recording,
        progress: Callable[[int], None],
    ) -> CachedOutputs:
        """Record every block, together with the slots that are free."""
        here = OpenRecording(
            key=self._key, model=model, recording=recording, rows=recording.blocks(),
            device=next(model.parameters()).device,
        )  # fmt: skip
        left = dict.fromkeys(range(len(here.rows)))
        self._ask_for_help(factory, len(left))
        done, wait_s = 0, 0.0
        while left:
            for number in list(left):
                if here.record_block(self._coordinator, self._slot, number, wait_s):
                    del left[number]
                    done += len(here.rows[number])
                    progress(done)
            wait_s = WAIT_S  # what is left is being made by others
        pairs = [here.read_block(self._coordinator, number) for number in range(len(here.rows))]
        self.blocks = tuple(stored for stored, _ in pairs)
        return joined([piece for _, piece in pairs])

    def _ask_for_help(self, factory: ModelFactory, count: int) -> None:
        """Submit a job for each block but the first; late jobs find their block done."""
        if self._alone or count == 1:
            return
        teacher = (ray.put(factory),)
        for number in range(1, count):
            job = RecordJob(
                key=self._key, number=number, inputs=self._where, teacher=teacher,
                sharded=self._sharded,
            )  # fmt: skip
            name = f"record.{self._key}.{number}"
            answer(self._coordinator.submit.remote(name, unread(job), 0))
