"""Student initialisation: given, or derived from the teacher."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from raykd.data.collate import Collator
from raykd.errors import TeacherError
from raykd.models.layer_selection import select_layers
from raykd.models.model_factory import ModelFactory
from raykd.models.weights import ModelState
from raykd.teachers.inputs import TaskInputs
from raykd.teachers.pruned import prune, sort_units


def student_init(
    inputs: TaskInputs, finetuned: ModelState, teacher: nn.Module, device: torch.device
) -> ModelFactory:
    """The initial student of every trial.

    Args:
        inputs: What is prepared.
        finetuned: The teacher's weights.
        teacher: The teacher, on `device`; what is pruned is measured on it.
        device: Where it is.

    Raises:
        TeacherError: The weights from before fine-tuning are requested, and they are random.
    """
    if isinstance(inputs.student, ModelFactory):
        return inputs.student
    derived = inputs.student
    dims = derived.dims(inputs.teacher.dims)
    if derived.sparsity is not None:
        state = prune(
            teacher,
            inputs.teacher_splits["validation"],
            inputs.task,
            sparsity=derived.sparsity,
            collator=Collator(inputs.teacher_pad, max_length=inputs.max_length),
            device=device,
        )
        return replace(inputs.teacher, state=state, random_init=None, dims=dims)
    if derived.weights == "finetuned":
        base = finetuned
    elif inputs.teacher.state is not None:
        base = inputs.teacher.state
    else:
        raise TeacherError(
            "student.from_teacher.weights: pretrained, but the teacher begins with random weights",
            hint="use weights: finetuned",
        )
    state = select_layers(base, derived.layers, keep_head=derived.weights == "finetuned")
    if derived.sort_by_importance:
        state = sort_units(
            state,
            inputs.teacher_splits["validation"],
            inputs.task,
            collator=Collator(inputs.teacher_pad, max_length=inputs.max_length),
            device=device,
        )
    return replace(inputs.teacher, state=state, random_init=None, dims=dims)
