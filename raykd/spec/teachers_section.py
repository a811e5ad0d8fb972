"""Reads ``teachers``: several by name, combinations of them, and which arm learns from which."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from raykd.params import Scalar
from raykd.registry import METHODS_WITHOUT_TEACHER, suggestion
from raykd.spec.domains import Domain
from raykd.spec.model_section import read_teacher
from raykd.spec.name_rules import name_problem
from raykd.spec.schema import ArmSpec, StudentSpec, TeacherSpec
from raykd.spec.sections import is_section
from raykd.spec.yaml_nodes import Findings, YamlEntry, join

WHERE = "teachers"
TEACHER = "teacher"
"""The parameter of an arm that names its teacher."""


def read_teachers(entry: YamlEntry, findings: Findings) -> dict[str, TeacherSpec]:
    """Read the ``teachers`` section; problems have their places in it."""
    teachers: dict[str, TeacherSpec] = {}
    if not is_section(entry, WHERE, findings):
        return teachers
    if not entry.node.entries:
        findings.add(entry.mark, WHERE, "'teachers' names no teacher", "teachers: {a: {...}}")
    for name, one in entry.node.entries.items():
        place = join(WHERE, name)
        if wrong := name_problem(name):
            findings.add(one.mark, place, f"the name of a teacher {wrong}")
            continue
        before = len(findings.problems)
        made = read_teacher(one, findings)
        findings.problems[before:] = [
            replace(p, path=renamed(p.path, place)) for p in findings.problems[before:]
        ]
        if made is not None:
            teachers[name] = made
    for name, made in teachers.items():
        _check_members(name, made, entry, teachers, findings)
    return teachers


def renamed(path: str, place: str) -> str:
    """The place of what stands under ``teacher`` where the teacher has a name."""
    head, dot, rest = path.partition(".")
    return f"{place}{dot}{rest}" if head == TEACHER else path


def _check_members(
    name: str,
    made: TeacherSpec,
    entry: YamlEntry,
    teachers: Mapping[str, TeacherSpec],
    findings: Findings,
) -> None:
    """Refuse combinations of what is not there, or of other combinations."""
    own = entry.node.entries[name]
    shares = made.mean.values() if isinstance(made.mean, Mapping) else ()
    wrong = [share for share in shares if not 0 < share < math.inf]
    if wrong:
        message = f"a share of a mean must be > 0, got {wrong[0]:g}"
        findings.add(own.node.entries["mean"].mark, f"{WHERE}.{name}.mean", message)
        return
    if made.mean is not None and not made.members:
        findings.add(own.node.entries["mean"].mark, f"{WHERE}.{name}.mean", "names no teacher")
        return
    for member in made.members:
        key = "mean" if made.mean is not None else "routes"
        place, mark = join(join(WHERE, name), key), own.node.entries[key].mark
        if member not in entry.node.entries:
            hint = suggestion(member, list(entry.node.entries))
            findings.add(mark, place, f"there is no teacher '{member}'", hint)
        elif member in teachers and (teachers[member].members or member == name):
            message = f"'{member}' is a combination itself, and teachers that are combined are not"
            findings.add(mark, place, message, "name its teachers")
        elif member in teachers and teachers[member].serve == "weights":
            message = f"'{member}' is served by its weights, and what is combined are its outputs"
            findings.add(mark, place, message, f"remove {WHERE}.{member}.serve")


def arms_with_teachers(
    arms: Mapping[str, ArmSpec],
    teachers: Mapping[str, TeacherSpec],
    entries: Mapping[str, YamlEntry],
    findings: Findings,
) -> dict[str, ArmSpec]:
    """The arms with the name of their teacher, which is the first one where they name none.

    Args:
        arms: As they were read.
        teachers: By name; none where the file has one teacher.
        entries: The sections of the file.
        findings: Receives the problems.
    """
    arms_by_name = {}
    for name, arm in arms.items():
        named = (*([arm.fixed[TEACHER]] if TEACHER in arm.fixed else []), *choices_of(arm))
        if named and (wrong := _unfit(arm, named, teachers)):
            entry = entries["methods"].node.entries[name].node.entries[TEACHER]
            findings.add(entry.node.mark, f"methods.{name}.{TEACHER}", *wrong)
        elif teachers and not named and arm.method not in METHODS_WITHOUT_TEACHER:
            arm = arm.model_copy(update={"fixed": {**arm.fixed, TEACHER: next(iter(teachers))}})
        arms_by_name[name] = arm
    used = {teacher for arm in arms_by_name.values() for teacher in teachers_of(arm)}
    used |= {member for name in used & teachers.keys() for member in teachers[name].members}
    for name in teachers.keys() - used if not findings.count else ():
        message = f"no arm learns from teacher '{name}'"
        hint = f"methods: {{kd: {{teacher: {name}}}}}, or remove it"
        findings.add(entries[WHERE].node.entries[name].mark, join(WHERE, name), message, hint)
    return arms_by_name


def choices_of(arm: ArmSpec) -> tuple[Scalar, ...]:
    """The teachers that an arm chooses from."""
    domain: Domain | None = arm.domains.get(TEACHER)
    return () if domain is None else domain.choices


def teachers_of(arm: ArmSpec) -> tuple[str, ...]:
    """The teachers that trials of an arm may learn from, by name."""
    fixed = arm.fixed.get(TEACHER)
    return tuple(map(str, choices_of(arm))) if fixed is None else (str(fixed),)


def _unfit(
    arm: ArmSpec, named: tuple[Scalar, ...], teachers: Mapping[str, TeacherSpec]
) -> tuple[str, str] | None:
    """Why an arm cannot learn from the teachers that it names, and what to do."""
    if not teachers:
        return "'teacher' names one of teachers, and the file has one alone", "remove it"
    if arm.method in METHODS_WITHOUT_TEACHER:
        return f"method '{arm.method}' learns from no teacher", "remove teacher"
    other = next((one for one in named if str(one) not in teachers), None)
    if other is None:
        return None
    hint = suggestion(str(other), list(teachers)) or f"teachers: {', '.join(teachers)}"
    return f"there is no teacher '{other}'", hint


def check_students(
    student: StudentSpec | None, teachers: Mapping[str, TeacherSpec], findings: Findings,
    entries: Mapping[str, YamlEntry],
) -> None:  # fmt: skip
    """Refuse students that are made of a teacher where there are several."""
    if teachers and student is not None and student.from_teacher is not None:
        entry = entries["student"].node.entries["from_teacher"]
        message = "a student is made of one teacher, and there are several: arms would begin apart"
        findings.add(entry.mark, "student.from_teacher", message, "name it with student.model")
