"""Turns a search space into the plain settings of other rooms."""

from __future__ import annotations

from typing import Literal

from raykd.data.balance import Balance
from raykd.data.base import DataSettings, Examples, Task
from raykd.data.keys import at_key
from raykd.data.route_column import RouteColumn
from raykd.data.row_roles import RoleSettings, SplitPart
from raykd.data.teacher_columns import TeacherColumns
from raykd.errors import Problem, SpecError
from raykd.models.base import RandomInitConfig
from raykd.models.lora import LoraPlan
from raykd.models.model_pair import PairSettings
from raykd.models.resolve import hub_commit, is_adapter, resolve
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.spec.descriptions import describe_model, describe_teacher
from raykd.spec.schema import (
    AugmentSpec,
    DataSpec,
    FromTeacher,
    RandomInitSpec,
    SplitRef,
    SweepSpec,
    TeacherSpec,
)
from raykd.spec.size_section import is_sized, size_paths
from raykd.spec.splits import split_problems
from raykd.task_setup.given_teacher import teacher_columns
from raykd.teachers.augmented_rows import AugmentSettings, augmented
from raykd.teachers.user_cache import open_cache


def role_settings(spec: SweepSpec, task: Task) -> RoleSettings:
    """How the rows of a task are read and split into roles.

    Raises:
        SpecError: A role would have the rows that are trained on.
    """
    data = spec.data
    if problems := split_problems(data):
        raise SpecError(problems=problems)
    finetune_rows = spec.teacher.finetune.get("rows")
    assert finetune_rows is None or isinstance(finetune_rows, int)
    how = None if data.augment is None else augment_settings(data.augment)

    def augment(train: Examples) -> Examples:
        assert how is not None
        with at_key("data.augment.vectors" if how.model is None else "data.augment"):
            return augmented(task, train, how, open_cache()[0].folder)

    return RoleSettings(
        source=DataSettings(
            root=data.root,
            limit=data.limit,
            seed=data.seed,
            teacher=_row_columns(spec.teacher),
        ),
        validation=_split_part(data, "select_on"),
        test=_split_part(data, "report_on"),
        finetune_rows=finetune_rows,
        student_rows=data.student_rows,
        rationale_file=data.rationales.file,
        rationales_in_prompts=data.rationales.as_input,
        llm_labels=data.label_type == "llm",
        unlabelled=unlabelled_files(data),
        searches=spec.search.repeats,
        augment=augment if how is not None else None,
        balance=Balance(
            class_weights=data.class_weights == "balanced",
            oversample=data.oversample == "balanced",
            seed=data.seed,
        ),
    )


def _row_columns(teacher: TeacherSpec) -> TeacherColumns | RouteColumn | None:
    """What is read next to the rows for a teacher: what it said, or which teacher a row has."""
    if teacher.by is None or teacher.routes is None:
        return teacher_columns(teacher.outputs)
    return RouteColumn(column=teacher.by, values=tuple(teacher.routes))


def unlabelled_files(data: DataSpec) -> tuple[str, ...]:
    """Files or patterns of train rows without labels."""
    given = data.unlabelled or ()
    return (given,) if isinstance(given, str) else given


def augment_settings(augment: AugmentSpec) -> AugmentSettings:
    """How rows are augmented."""
    return AugmentSettings(
        model=augment.model,
        vectors=augment.vectors,
        copies=augment.copies,
        probability=float(augment.probability),
        candidates=augment.candidates,
        seed=augment.seed,
    )


def _split_part(data: DataSpec, key: Literal["select_on", "report_on"]) -> SplitPart:
    ref: SplitRef = getattr(data, key)
    return SplitPart(
        split=ref.split,
        fraction=None if ref.fraction is None else float(ref.fraction),
        key=f"data.{key}" if key in data.model_fields_set else "",
    )


def pair_settings(spec: SweepSpec) -> PairSettings:
    """Which models are paired."""
    checkpoint, student = spec.teacher.checkpoint, spec.student
    teacher = _model_here(spec.teacher)
    if student.from_teacher is not None:
        derived: str | RandomInitConfig | StudentFromTeacher = _derived(student.from_teacher)
    else:
        assert student.model is not None
        derived = _model(student.model)
    return PairSettings(
        teacher=teacher,
        teacher_key="teacher.model" if checkpoint is None else "teacher.checkpoint",
        teacher_name=describe_teacher(spec.teacher),
        finetuned=checkpoint is not None,
        student=derived,
        student_name=describe_model(student.model),
        max_length=spec.data.max_length,
        tokens=next((m for m in map(_model_here, spec.teachers.values()) if m is not None), None),
    )


def _model_here(teacher: TeacherSpec) -> str | RandomInitConfig | None:
    """The teacher's model, None for one that is behind an address, given, or a combination."""
    named = teacher.checkpoint or teacher.model
    return _model(named) if named is not None and teacher.runs_here else None


def _model(named: str | RandomInitSpec) -> str | RandomInitConfig:
    if isinstance(named, str):
        return named
    return RandomInitConfig(**{**named.model_dump(), "dropout": float(named.dropout)})


def _derived(student: FromTeacher) -> StudentFromTeacher:
    if student.sparsity is not None:
        return StudentFromTeacher(sparsity=float(student.sparsity), weights="finetuned")
    assert student.layers is not None
    return StudentFromTeacher(
        layers=student.layers,
        weights=student.weights,
        sort_by_importance=student.sort_by_importance,
    )


def lora_plan(spec: SweepSpec) -> LoraPlan | None:
    """Where the students of a sweep have adapters, None without any.

    Raises:
        SpecError: They are to be saved alone, next to a model that is made here, or that has other
            blocks than the one of its name.
    """
    lora, model = spec.student.lora, spec.student.model
    if lora is None:
        return None
    is_cut = is_sized(spec.train)
    is_made = is_cut or not isinstance(model, str) or is_adapter(model)
    if is_made and lora.save == "adapter":
        why = f"{size_paths(spec.train)} cuts it" if is_cut else f"'{model}' is an adapter itself"
        problem = Problem(
            path="student.lora.save",
            message="an adapter is saved for a model that can be named, and this student is made "
            f"here: {why}",
            hint="set save: merged, or leave it out",
        )
        raise SpecError(problems=[problem])
    if is_made or lora.save == "merged":
        return LoraPlan(targets=lora.targets, base="")
    assert isinstance(model, str)
    folder = resolve(model)
    commit = hub_commit(model)
    base = str(folder.resolve()) if commit is None else model.partition("@")[0]
    return LoraPlan(targets=lora.targets, base=base, revision=commit)
