"""Parameters of arms that change nothing: searched in vain on every task, or noted where given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from raykd.errors import Problem, SpecError
from raykd.methods.base import DistillationContext
from raykd.params import show
from raykd.spec.arms import unused
from raykd.spec.schema import ArmSpec, SweepSpec
from raykd.task_setup.tasks import task_of


def note_unused(spec: SweepSpec, task: str, contexts: Sequence[DistillationContext]) -> list[str]:
    """What to say of parameters that change nothing on a task.

    Tasks of a sweep share their arms, so what is searched need only have an effect on one of them.

    Args:
        spec: The sweep.
        task: The task.
        contexts: Teacher, task, and the student in each of its sizes.

    Raises:
        SpecError: One is searched, and changes nothing on any task of the file.
    """
    notes, problems = [], []
    for arm in spec.methods.values():
        reasons = _unused(arm, contexts)
        elsewhere = _everywhere(spec, task, contexts, arm) if reasons else {}
        for name, why in reasons.items():
            given = f"methods.{arm.name}.{name}"
            if name in arm.domains and name in elsewhere:
                problems.append(_searched_in_vain(spec, arm, name, task, why))
            elif name in arm.domains:
                notes.append(f"{given} is searched, but has no effect on {task}: {why}")
            else:
                value = show(arm.fixed[name])
                notes.append(f"{given}: {value} has no effect on {task}: {why}")
    if problems:
        raise SpecError(problems=problems)
    return notes


def _unused(arm: ArmSpec, contexts: Sequence[DistillationContext]) -> Mapping[str, str]:
    """What changes nothing in any context."""
    first, *others = (unused(arm, context) for context in contexts)
    return {name: why for name, why in first.items() if all(name in other for other in others)}


def _everywhere(
    spec: SweepSpec, task: str, contexts: Sequence[DistillationContext], arm: ArmSpec
) -> Mapping[str, str]:
    """What changes nothing on any task of a sweep, as far as their kinds decide it."""
    first, writes = task_of(spec, task), contexts[0].task_kind.generates
    reasons = dict(_unused(arm, contexts))
    for other in (task_of(spec, name) for name in spec.tasks if name != task):
        of = other.read_by(contexts[0].kind) if writes else other
        if of.kind != first.kind and reasons:
            there = [replace(c, kind=of.kind, num_labels=of.num_labels) for c in contexts]
            also_unused = _unused(arm, there)
            reasons = {name: why for name, why in reasons.items() if name in also_unused}
    return reasons


def _searched_in_vain(spec: SweepSpec, arm: ArmSpec, name: str, task: str, why: str) -> Problem:
    where = task if len(spec.tasks) == 1 else "any task of this file"
    return Problem(
        path=f"methods.{arm.name}.{name}",
        message=f"'{name}' is searched, but has no effect on {where}: {why}",
        hint=f"leave it out: every trial of {arm.name} would be the same whatever it is",
    )
