"""Several teachers of a sweep: the sweep as each of them sees it, and what they say together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from raykd.data.route_column import ROUTE
from raykd.errors import DataError, Problem, RaykdError, SpecError
from raykd.models.signals.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.spec.schema import ArmSpec, SweepSpec, TeacherSpec
from raykd.spec.teachers_section import TEACHER, WHERE, renamed, teachers_of
from raykd.task_setup.given_teacher import held
from raykd.task_setup.set_up import TaskSetup, set_up_task
from raykd.task_setup.tasks import task_of
from raykd.teachers.combined import Combination, combined_outputs
from raykd.teachers.digest import digest
from raykd.teachers.prepared_task import PreparedTask

if TYPE_CHECKING:
    from raykd.data.base import Task


def teacher_names(spec: SweepSpec) -> tuple[str, ...]:
    """The teachers by name, combinations last; one without a name where the file has one alone."""
    return tuple(sorted(spec.teachers, key=lambda n: bool(spec.teachers[n].members))) or ("",)


def members_of(spec: SweepSpec) -> frozenset[str]:
    """Teachers that others are combinations of."""
    return frozenset(member for one in spec.teachers.values() for member in one.members)


def teacher_key(task: str, name: str) -> str:
    """What a teacher of a task is called among those of the sweep."""
    return f"{task} ({name})" if name else task


def for_teacher(spec: SweepSpec, name: str) -> SweepSpec:
    """The sweep with one teacher: itself where it has one, else with the arms that may learn of it.

    Arms without a teacher go with the first one.

    Args:
        spec: The whole sweep.
        name: The teacher; empty where there is one alone.
    """
    if not name:
        return spec
    is_first = name == teacher_names(spec)[0]
    arms = {
        arm_name: _with_teacher(arm, name)
        for arm_name, arm in spec.methods.items()
        if name in teachers_of(arm) or (is_first and arm.method in METHODS_WITHOUT_TEACHER)
    }
    teacher = spec.teachers[name]
    if name in members_of(spec):  # its logits are recorded, whatever its own arms need
        teacher = teacher.model_copy(update={"serve": "outputs"})
    return spec.model_copy(update={"teacher": teacher, "methods": arms})


def _with_teacher(arm: ArmSpec, name: str) -> ArmSpec:
    """An arm that learns from one of its teachers."""
    if arm.method in METHODS_WITHOUT_TEACHER:
        return arm
    domains = {n: domain for n, domain in arm.domains.items() if n != TEACHER}
    return arm.model_copy(update={"fixed": {**arm.fixed, TEACHER: name}, "domains": domains})


def set_up_named(spec: SweepSpec, task: str, name: str) -> TaskSetup:
    """A task with one of the teachers, see `raykd.task_setup.set_up.set_up_task`.

    Raises:
        RaykdError: As there; what stands under ``teacher`` there has its place among the teachers.
    """
    with _placed(name):
        own = for_teacher(spec, name)
        is_member = name in members_of(spec)
        if own.teacher.members:
            _check_combination(task_of(own, task), name)
        elif is_member:
            _check_member(own.teacher, task_of(own, task), name)
        also = OutputSpec(Logits()) if is_member else None
        setup = replace(set_up_task(own, task, also), named=name, is_member=is_member)
        if own.teacher.routes is not None:
            _check_routes(setup)
        return setup


def set_up_all(spec: SweepSpec) -> dict[str, TaskSetup]:
    """Every task with every teacher, by `teacher_key`.

    Raises:
        RaykdError: See `set_up_named`; or students of two teachers would not be the same.
    """
    by_key: dict[str, TaskSetup] = {}
    for task in spec.tasks:
        setups = [set_up_named(spec, task, name) for name in teacher_names(spec)]
        check_same_students(task, setups)
        by_key |= {teacher_key(task, setup.named): setup for setup in setups}
    return by_key


def combined(setup: TaskSetup, members: Mapping[str, PreparedTask]) -> TaskSetup:
    """The task with what a combination of teachers says.

    It has a score of each split that all of them have said something of.

    Args:
        setup: Of the combination.
        members: Those that are combined, by name.

    Raises:
        DataError: One of them has no outputs on the train rows.
    """
    teacher = setup.spec.teacher
    combination = Combination(name=setup.named, weights=teacher.weights, routes=teacher.routes)
    given = combined_outputs(combination, setup.task, setup.rows, setup.teacher_splits, members)
    return replace(setup, given=given)


def _check_combination(task: Task, name: str) -> None:
    """Refuse tasks whose rows do not have one target each.

    Raises:
        DataError: With the reason.
    """
    if task.task_kind.labels_of != "row":
        raise DataError(
            f"teachers are combined by the logits of whole rows, and {task.name} is a {task.kind} "
            "task",
            hint="let arms name one teacher each, or search it: teacher: {choice: [a, b]}",
        ).at(f"{WHERE}.{name}")


def _check_member(teacher: TeacherSpec, task: Task, name: str) -> None:
    """Refuse a teacher to combine that says nothing of whole rows, before it is queried.

    Raises:
        DataError: With the reason.
    """
    known = held(teacher, task)
    if known is None or Logits().kind in known:
        return
    if teacher.endpoint is not None:
        why = f"a server says nothing of the rows of {task.name}, a {task.kind} task, that could be"
        key = "endpoint"
    else:
        why, key = "its outputs hold no scores of rows, which are what is", "outputs"
    raise DataError(
        f"teacher '{name}' is to be combined with others, and {why} combined",
        hint="combine teachers that are models, or that have probabilities or logits of every row",
    ).at(f"{WHERE}.{name}.{key}")


def _check_routes(setup: TaskSetup) -> None:
    """Refuse rows that do not say which teacher they go to.

    Raises:
        DataError: With the reason.
    """
    if ROUTE not in setup.rows["train"].fields:
        why = "words of its rows are replaced" if setup.spec.data.augment else "it is made here"
        raise DataError(
            f"rows of {setup.task.name} have no column '{setup.spec.teacher.by}' to go by: {why}",
            hint="combine teachers by their mean, or route a task of files without data.augment",
        ).at(f"{WHERE}.{setup.named}.by")


def check_same_students(task: str, setups: Sequence[TaskSetup]) -> None:
    """Refuse teachers whose students would read other rows or tokens, or begin otherwise.

    Args:
        task: Task name.
        setups: The task with each of the teachers.

    Raises:
        SpecError: Names the first such teacher.
    """
    wanted = _what_students_are(setups[0]) if len(setups) > 1 else ""
    for setup in setups[1:]:
        if _what_students_are(setup) != wanted:
            message = (
                f"on {task}, students of teacher '{setup.named}' would not be those of "
                f"'{setups[0].named}': they read other rows or tokens, or begin with other weights"
            )
            hint = "name a student that has a tokenizer of its own, which sizes alone do not"
            problem = Problem(path=f"{WHERE}.{setup.named}", message=message, hint=hint)
            raise SpecError(problems=[problem])


def _what_students_are(setup: TaskSetup) -> str:
    """A name for rows, tokens and beginnings of the students of a task."""
    splits = {
        role: [e.input_ids, e.offsets, e.labels] for role, e in sorted(setup.student_splits.items())
    }
    return digest(splits, setup.student.dims, setup.tokenizers.student.backend_tokenizer.to_str())


@contextmanager
def _placed(name: str) -> Iterator[None]:
    """Give problems of a named teacher their place in the file."""
    try:
        yield
    except RaykdError as exc:
        if not name:
            raise
        place = f"{WHERE}.{name}"
        problems = [replace(p, path=renamed(p.path, place)) for p in exc.problems()]
        raise exc.with_problems(problems) from exc
