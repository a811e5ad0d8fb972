"""How students begin: as they are given, or made of the teacher."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from raykd.data.collate import Collator
from raykd.errors import TeacherError
from raykd.models.cut import take_layers
from raykd.models.source import ModelSource
from raykd.models.weights import ModelState
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.pruned import prune, rewire


def beginning(
    inputs: TaskInputs, finetuned: ModelState, teacher: nn.Module, device: torch.device
) -> ModelSource:
    """How students begin.

    Args:
        inputs: What is prepared.
        finetuned: The teacher's weights.
        teacher: The teacher, on `device`; what is pruned is measured on it.
        device: Where it is.

    Raises:
        TeacherError: The weights from before fine-tuning are asked for, and they are random.
    """
    if isinstance(inputs.student, ModelSource):
        return inputs.student
    cut = inputs.student
    dims = cut.dims(inputs.teacher.dims)
    if cut.sparsity is not None:
        state = prune(
            teacher,
            inputs.teacher_splits["select"],
            inputs.task,
            sparsity=cut.sparsity,
            collator=Collator(inputs.teacher_pad, max_length=inputs.max_length),
            device=device,
        )
        return replace(inputs.teacher, state=state, random_init=None, dims=dims)
    if cut.weights == "finetuned":
        base = finetuned
    elif inputs.teacher.state is not None:
        base = inputs.teacher.state
    else:
        raise TeacherError(
            "student.from_teacher.weights: pretrained, but the teacher begins with random weights",
            hint="use weights: finetuned",
        )
    state = take_layers(base, cut.layers, keep_head=cut.weights == "finetuned")
    if cut.rewired:
        state = rewire(
            state,
            inputs.teacher_splits["select"],
            inputs.task,
            collator=Collator(inputs.teacher_pad, max_length=inputs.max_length),
            device=device,
        )
    return replace(inputs.teacher, state=state, random_init=None, dims=dims)
