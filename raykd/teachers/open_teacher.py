"""Opens the teacher of a prepared task, or a variant of it, in the process of a trial."""

from __future__ import annotations

import torch
from torch import nn

from raykd.data.collate import Collator
from raykd.methods.base import OutputSpec, TeacherVariant
from raykd.models import weights
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.precision import frozen
from raykd.teachers.prepared_task import PreparedTask
from raykd.teachers.teacher import OfflineTeacher, OnlineTeacher, Teacher, TeacherRows
from raykd.teachers.teacher_variants import build_variant, record_variant
from raykd.training.device import DistributedContext


def open_teacher(prepared: PreparedTask, world: DistributedContext) -> Teacher:
    """The teacher of a prepared task on this process's device."""
    if prepared.cached_outputs is not None:
        return open_offline(prepared, prepared.cached_outputs, world)
    assert prepared.teacher is not None
    model = frozen(prepared.teacher, prepared.precision, world, sharded=prepared.sharded)
    return _online(prepared, model, world)


def open_offline(
    prepared: PreparedTask, cached_outputs: CachedOutputs, world: DistributedContext
) -> OfflineTeacher:
    """The cached outputs of the teacher of a prepared task, or of a variant of it."""
    layer = prepared.output_layer
    matrix, bias = (
        None if layer is None else weights.read_tensor(layer, name, torch.float32)
        for name in ("weight", "bias")
    )
    return OfflineTeacher(
        cached_outputs,
        world.device,
        matrix,
        bias,
        prepared.teacher_vocabulary,
        prepared.logit_transform,
    )


def _online(prepared: PreparedTask, model: nn.Module, world: DistributedContext) -> OnlineTeacher:
    own = None
    if prepared.teacher_train is not None:
        collate = Collator(prepared.teacher_pad, max_length=prepared.max_length)
        own = TeacherRows(prepared.teacher_train, collate, world.device)
    context = prepared.context()
    return OnlineTeacher(
        model, own, prepared.teacher_vocabulary, can_pack=not context.no_packing(context.teacher)
    )


def record_outputs_of_variant(
    prepared: PreparedTask,
    variant: TeacherVariant,
    output_spec: OutputSpec,
    world: DistributedContext,
) -> CachedOutputs:
    """The outputs of a derived teacher on the train rows, made here."""
    assert prepared.teacher is not None
    own = prepared.teacher_train
    return record_variant(
        prepared.teacher,
        build_variant(prepared.teacher, variant, world, prepared.precision),
        output_spec,
        prepared.splits["train"] if own is None else own,
        pad_id=prepared.teacher_pad,
        max_length=prepared.max_length,
        dtype=prepared.cached_outputs.dtype if prepared.cached_outputs is not None else "fp32",
        device=world.device,
    )


def open_variant(
    prepared: PreparedTask,
    variant: TeacherVariant,
    output_spec: OutputSpec,
    world: DistributedContext,
) -> Teacher:
    """A derived teacher, made here: offline or online, as the teacher is."""
    if prepared.cached_outputs is None:
        assert prepared.teacher is not None
        return _online(
            prepared, build_variant(prepared.teacher, variant, world, prepared.precision), world
        )
    return open_offline(
        prepared, record_outputs_of_variant(prepared, variant, output_spec, world), world
    )
