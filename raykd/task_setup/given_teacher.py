"""A teacher that is no model here: what there is of it, and what it cannot be asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raykd.data.base import Examples, Task, TokenizedDataset
from raykd.data.teacher_columns import TeacherColumns
from raykd.errors import Problem, SpecError
from raykd.models.signals.generations import Generations
from raykd.models.signals.logits import Logits
from raykd.spec.schema import OutputsSpec, SweepSpec, TeacherSpec
from raykd.task_setup.endpoint_teacher import ask_spec
from raykd.teachers.endpoint.questions import askable
from raykd.teachers.given_columns import given_outputs
from raykd.teachers.given_outputs import GivenOutputs


def teacher_columns(outputs: OutputsSpec | None) -> TeacherColumns | None:
    """Where the outputs stand, None where the teacher is a model."""
    if outputs is None:
        return None
    return TeacherColumns(
        scores=outputs.scores,
        form="probabilities" if outputs.logits is None else "logits",
        texts=outputs.responses or "",
        logprobs=outputs.logprobs or "",
        path=outputs.path,
        id=outputs.id or "",
    )


def held(teacher: TeacherSpec, task: Task) -> tuple[str, ...] | None:
    """Kinds of signal that there are of a teacher on a task, None where it is a model."""
    outputs = teacher.outputs
    if teacher.endpoint is not None:
        return askable(ask_spec(teacher).interface, task)
    if teacher.members:
        return (Logits().kind,) if task.task_kind.labels_of == "row" else ()
    if outputs is None:
        return None
    kinds = [Logits().kind] if outputs.scores or outputs.logprobs else []
    return (*kinds, *([Generations().kind] if outputs.responses else []))


def check_rows_are_the_data(spec: SweepSpec) -> None:
    """Refuse rows that a teacher would have to read here, where it is no model.

    Raises:
        SpecError: Names the key that asks for them.
    """
    if spec.teacher.outputs is None:
        return
    problems = []
    why = "and teacher.outputs holds those of the rows as they are"
    if spec.data.augment is not None:
        message = f"augmented rows need outputs of their own, {why}"
        hint = "remove augment, or name a teacher with teacher.checkpoint"
        problems.append(Problem(path="data.augment", message=message, hint=hint))
    if spec.data.rationales.by_teacher:
        message = "rationales are to be written by a teacher, and there is no model of it here"
        hint = "source: data, or a file of rationales"
        problems.append(Problem(path="data.rationales.source", message=message, hint=hint))
    if problems:
        raise SpecError(problems=problems)


def outputs_given(
    spec: SweepSpec,
    task: Task,
    rows: Mapping[str, Examples],
    splits: Mapping[str, TokenizedDataset],
    tokenizer: Any,
) -> GivenOutputs | None:
    """What a teacher said that ran elsewhere, None of another one; see `given_outputs`."""
    if spec.teacher.outputs is None:
        return None
    return given_outputs(task, rows, splits, tokenizer, spec.data.max_length)
