"""The teachers of a task: which of them an arm learnt from, and how these score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.records import SweepResult, TeacherRecord, TrialResult


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherScore:
    """What the gap to the teachers of an arm is measured by.

    Attributes:
        names: Those that were scored; one without a name is the only one.
        score: Their value of the task's metric on the test split, in the mean over the runs of an
            arm that learnt from one or another.
        others: Scores of trainings of the same teacher with other seeds; empty where there are
            several teachers, or none was trained.
    """

    names: tuple[str, ...]
    score: float
    others: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """``teacher``; ``teacher large``; ``teachers large and small in the mean``."""
        if len(self.names) > 1:
            return f"teachers {' and '.join(self.names)} in the mean"
        return label(self.names[0])


def label(name: str) -> str:
    """A teacher in a sentence: ``teacher`` where it is the only one, ``teacher large``."""
    return f"teacher {name}" if name else "teacher"


def teachers_of_task(result: SweepResult, task: str) -> tuple[TeacherRecord, ...]:
    """Every teacher of a task that was prepared."""
    return tuple(t for t in result.teachers if t.task == task)


def own_score(result: SweepResult, teacher: TeacherRecord, split: str = "test") -> float | None:
    """The metric of the task on the ``test`` or ``validation`` split; None where it has none."""
    record = next((t for t in result.tasks if t.name == teacher.task), None)
    value = teacher.metrics.get(f"{split}/{record.metric}") if record is not None else None
    return value if value is not None and math.isfinite(value) else None


def teacher_scores(result: SweepResult, task: str, split: str = "test") -> dict[str, float]:
    """The score of each teacher of a task that has one, by its name."""
    scores = {t.name: own_score(result, t, split) for t in teachers_of_task(result, task)}
    return {name: score for name, score in scores.items() if score is not None}


def all_scored(result: SweepResult, task: str) -> bool:
    """Whether every teacher of a task has a score, combinations included."""
    return all(own_score(result, t) is not None for t in teachers_of_task(result, task))


def best_teacher(result: SweepResult, task: str, among: Sequence[str] = ()) -> TeacherScore | None:
    """The teacher of a task with the best score on the test split.

    Args:
        result: The sweep.
        task: Task name.
        among: Some of its teachers; empty for all.
    """
    scores = teacher_scores(result, task)
    scores = {name: s for name, s in scores.items() if not among or name in among}
    if not scores:
        return None
    best = min if result.task(task).mode == "min" else max
    name = best(scores, key=lambda n: scores[n])
    record = next(t for t in teachers_of_task(result, task) if t.name == name)
    others = tuple(record.seed_scores.values())
    return TeacherScore(names=(name,), score=scores[name], others=others)


def learnt_from(result: SweepResult, trial: TrialResult) -> TeacherRecord | None:
    """The teacher of a trial, the only one where no trial names any; None where it is not known."""
    named = str(trial.params.get("teacher", ""))
    known = teachers_of_task(result, trial.task)
    return next((t for t in known if t.name == named), None)


def score_learnt_from(result: SweepResult, trials: Sequence[TrialResult]) -> TeacherScore | None:
    """The score of what trials of one arm learnt from.

    Of a combination without a score, the best of the teachers that it is made of stands for it.
    Trials that learnt from different teachers have the mean over trials.

    Args:
        result: The sweep.
        trials: Of one arm on one task.

    Returns:
        None without trials, without a teacher, or where one of them has no score.
    """
    scores = []
    for trial in trials:
        record = learnt_from(result, trial)
        if record is None or trial.method in METHODS_WITHOUT_TEACHER:
            return None
        has_own = own_score(result, record) is not None
        among = (record.name,) if has_own else members(result, record.name)
        scores.append(best_teacher(result, trial.task, among))
    scored = [one for one in scores if one is not None]
    if not scored or len(scored) < len(scores):
        return None
    names = tuple(dict.fromkeys(name for one in scored for name in one.names))
    if len(names) == 1:
        return scored[0]
    return TeacherScore(names=names, score=math.fsum(s.score for s in scored) / len(scored))


def members(result: SweepResult, name: str) -> tuple[str, ...]:
    """The teachers that one is a combination of; itself where it is none."""
    described: Mapping[str, Any] = (result.spec.get("teachers") or {}).get(name) or {}
    names = (*(described.get("mean") or ()), *(described.get("routes") or {}).values())
    return names or (name,)


def may_read(result: SweepResult, arm: str, teacher: str) -> bool:
    """Whether an arm learns from a teacher, by itself or in a combination.

    One without a name is the only one.
    """
    spec = result.spec["methods"].get(arm, {})
    if str(spec.get("method", arm)) in METHODS_WITHOUT_TEACHER:
        return False
    domain = (spec.get("domains") or {}).get("teacher") or {}
    named = [(spec.get("fixed") or {}).get("teacher"), *(domain.get("choices") or ())]
    read = {one for name in named if name for one in (name, *members(result, str(name)))}
    return not teacher or teacher in read
