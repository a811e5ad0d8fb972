"""Opens the teachers of a prepared task in the process of a trial."""

from __future__ import annotations

from raykd.methods.base import Signals, Variant
from raykd.teachers.derive import make, record_variant
from raykd.teachers.prepared import Prepared
from raykd.teachers.recorded import RecordedOutputs
from raykd.teachers.serve import LiveTeacher, RecordedTeacher, Teacher
from raykd.training.device import World


def open_teacher(prepared: Prepared, world: World) -> Teacher:
    """The teacher of a prepared task on this process's device."""
    if prepared.recorded is not None:
        return RecordedTeacher(prepared.recorded, world.device, prepared.output_matrix)
    assert prepared.teacher is not None
    return LiveTeacher(prepared.teacher.frozen().to(world.device))


def recorded_variant(
    prepared: Prepared, variant: Variant, signals: Signals, world: World
) -> RecordedOutputs:
    """The outputs of a derived teacher on the train rows, made here."""
    assert prepared.teacher is not None
    return record_variant(
        prepared.teacher,
        variant,
        signals,
        prepared.splits["train"],
        pad_id=prepared.pad_id,
        max_length=prepared.max_length,
        dtype=prepared.recorded.dtype if prepared.recorded is not None else "fp32",
        world=world,
    )


def open_variant(prepared: Prepared, variant: Variant, signals: Signals, world: World) -> Teacher:
    """A derived teacher, made here: recorded as the teacher is, or live."""
    if prepared.recorded is None:
        assert prepared.teacher is not None
        return LiveTeacher(make(prepared.teacher, variant, world))
    recorded = recorded_variant(prepared, variant, signals, world)
    return RecordedTeacher(recorded, world.device)
