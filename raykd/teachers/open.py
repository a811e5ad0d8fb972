"""Opens the teachers of a prepared task in the process of a trial."""

from __future__ import annotations

from torch import nn

from raykd.data.collate import Collator
from raykd.methods.base import OutputSpec, Variant
from raykd.teachers.derive import make, record_variant
from raykd.teachers.prepared import Prepared
from raykd.teachers.recorded import RecordedOutputs
from raykd.teachers.serve import LiveTeacher, OwnRows, RecordedTeacher, Teacher
from raykd.training.device import DistributedContext


def open_teacher(prepared: Prepared, world: DistributedContext) -> Teacher:
    """The teacher of a prepared task on this process's device."""
    if prepared.recorded is not None:
        return open_recorded(prepared, prepared.recorded, world)
    assert prepared.teacher is not None
    return _live(prepared, prepared.teacher.frozen().to(world.device), world)


def open_recorded(
    prepared: Prepared, recorded: RecordedOutputs, world: DistributedContext
) -> RecordedTeacher:
    """What was recorded of a teacher of a prepared task, or of one derived from it."""
    return RecordedTeacher(
        recorded,
        world.device,
        prepared.output_matrix,
        prepared.output_bias,
        prepared.context().compared_vocabulary,
    )


def _live(prepared: Prepared, model: nn.Module, world: DistributedContext) -> LiveTeacher:
    own = None
    if prepared.teacher_train is not None:
        collate = Collator(prepared.teacher_pad, max_length=prepared.max_length)
        own = OwnRows(prepared.teacher_train, collate, world.device)
    return LiveTeacher(model, own, prepared.context().compared_vocabulary)


def recorded_variant(
    prepared: Prepared, variant: Variant, output_spec: OutputSpec, world: DistributedContext
) -> RecordedOutputs:
    """The outputs of a derived teacher on the train rows, made here."""
    assert prepared.teacher is not None
    own = prepared.teacher_train
    return record_variant(
        prepared.teacher,
        variant,
        output_spec,
        prepared.splits["train"] if own is None else own,
        pad_id=prepared.teacher_pad,
        max_length=prepared.max_length,
        dtype=prepared.recorded.dtype if prepared.recorded is not None else "fp32",
        world=world,
    )


def open_variant(
    prepared: Prepared, variant: Variant, output_spec: OutputSpec, world: DistributedContext
) -> Teacher:
    """A derived teacher, made here: recorded as the teacher is, or live."""
    if prepared.recorded is None:
        assert prepared.teacher is not None
        return _live(prepared, make(prepared.teacher, variant, world), world)
    return open_recorded(prepared, recorded_variant(prepared, variant, output_spec, world), world)
