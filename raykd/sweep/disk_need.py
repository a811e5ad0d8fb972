"""The disk that a sweep takes in its run folder: reported and checked before anything starts."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from raykd.errors import SetupError
from raykd.models.model_factory import ModelFactory
from raykd.spec.schema import SweepSpec
from raykd.spec.size_section import is_sized
from raykd.task_setup.set_up import TaskSetup

FLOAT_BYTES = 4

STATE_COPIES = 3
"""A state holds the weights and two moments of each."""

EVALUATION_BYTES, TRIAL_BYTES = 700, 4_000
"""Of the log and the studies, for an evaluation and for a trial besides it."""

REPORT_BYTES = 4 * 2**20

WORTH_SAYING = 0.1
"""The need is reported from this share of the free disk on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskNeed:
    """What a run folder will hold, in bytes.

    Attributes:
        students: The saved student of every arm of every task.
        states: Of the trainings that are under way.
        records: Log, studies, tables and report.
        is_most: Whether it may be far less: of students that are cut, or adapted, the whole model
            was counted.
    """

    students: int
    states: int
    records: int
    is_most: bool = False

    @property
    def total(self) -> int:
        """All of it."""
        return self.students + self.states + self.records

    def __str__(self) -> str:
        most = "at most " if self.is_most else "about "
        return (
            f"{most}{size_text(self.total)} of disk for the run folder: "
            f"{size_text(self.students)} for students, "
            f"{size_text(self.states)} for states of trainings, "
            f"{size_text(self.records)} for records"
        )


def disk_need(spec: SweepSpec, setups: Iterable[TaskSetup]) -> DiskNeed:
    """What a sweep will write to its run folder.

    Args:
        spec: The sweep.
        setups: Its tasks; of one with several teachers, any of them.
    """
    students = {setup.task.name: FLOAT_BYTES * _parameters(setup) for setup in setups}
    slots = spec.search.max_concurrent
    at_a_time = slots if isinstance(slots, int) else 1  # more where the cluster has room
    confirmed = spec.search.repeats if spec.confirm_runs else 0
    if spec.confirm.keep == "all":
        confirmed *= len(spec.confirm.all_seeds)
    known = spec.student.lora is None and not is_sized(spec.train)
    trials = len(spec.tasks) * len(spec.methods) * (spec.search_trials + spec.confirm_runs)
    return DiskNeed(
        students=sum(students.values()) * len(spec.methods) * confirmed,
        states=STATE_COPIES * at_a_time * max(students.values(), default=0),
        records=REPORT_BYTES + trials * (TRIAL_BYTES + EVALUATION_BYTES * _evaluations(spec)),
        is_most=not known or spec.student.from_teacher is not None,
    )


def look_for_room(out: Path, need: DiskNeed) -> str:
    """Look whether there is room for a run folder; returns what to say of it, mostly nothing.

    Args:
        out: Where it will be; need not be there yet.
        need: What it will hold.

    Raises:
        SetupError: There is no room.
    """
    free = shutil.disk_usage(next(p for p in (out, *out.absolute().parents) if p.exists())).free
    if need.total > free and not need.is_most:
        raise SetupError(
            f"the sweep needs {need}; {size_text(free)} are free in {out}",
            hint="free some space, choose another place with --out DIR, or take fewer arms",
        )
    if need.total < WORTH_SAYING * free:
        return ""
    return f"it needs {need}; {size_text(free)} are free"


def size_text(count: int) -> str:
    """Bytes in words."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def _parameters(setup: TaskSetup) -> int:
    """Weights of a student; of one that is derived from the teacher, at most those of it."""
    known = setup.student if isinstance(setup.student, ModelFactory) else setup.teacher
    return known.parameters()


def _evaluations(spec: SweepSpec) -> int:
    """Evaluations of a training, as far as they are known; those that are searched count as one."""
    given: Mapping[str, object] = spec.train.fixed
    epochs, each = given.get("epochs", 3), given.get("evals_per_epoch", 1)
    known = [value for value in (epochs, each) if isinstance(value, int | float)]
    product = 1.0
    for value in known:
        product *= value
    return max(1, round(product))
