"""Records of a sweep: what the run folder stores and the report reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykd.params import Scalar
from raykd.results.derived_teacher import DerivedTeacher as DerivedTeacher
from raykd.results.finetune_trial import FinetuneTrial as FinetuneTrial
from raykd.results.logger_record import LoggerRecord
from raykd.results.outside_score import OutsideScore as OutsideScore
from raykd.results.seed_plan_record import SeedPlanRecord
from raykd.results.speed_record import SpeedRecord as SpeedRecord


class Status(StrEnum):
    """The outcome of a trial."""

    COMPLETED = "completed"
    PRUNED = "pruned"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """One evaluation of a student on the validation split.

    Attributes:
        step: Optimizer steps done.
        epoch: Passes done, may be fractional.
        seconds: Since the trial began.
        metrics: Metric name to value; metrics of the validation split carry no prefix.
        terms: Mean of each loss term (and ``loss``, their sum) since the last evaluation.
        micro_batch: Most rows of a forward and backward pass on a worker; 0 = the whole batch.
        anatomy: What was found of the terms in the step before, see `raykd.training.anatomy`.
    """

    step: int
    epoch: float
    seconds: float
    metrics: Mapping[str, float]
    terms: Mapping[str, float]
    micro_batch: int = 0
    anatomy: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialResult:
    """One student trained once.

    Attributes:
        sweep: Name of the run folder; empty where it is not known.
        task: Task name.
        arm: Arm.
        method: Method name.
        trial_id: Unique in the sweep: ``glue-rte.ckd.s007`` (search), ``glue-rte.ckd.c0.11``.
        number: Number of the trial in its study; the rank of the configuration in confirm.
        repeat: Which of several searches of the arm on the task it belongs to, from 0.
        stage: ``search`` or ``confirm``.
        status: What became of it.
        params: Searched and fixed parameters of method and training that were set or searched.
        searched: Names among `params` that were searched.
        seed: Seed of the trial.
        objective: Value of the first objective on the validation split (last evaluation), or None.
        metrics: Last metrics on the validation split; in confirm also ``test/<metric>`` ones.
        history: Every evaluation.
        started: Wall-clock time, seconds since the epoch.
        seconds: Wall time in the slot.
        device_seconds: `seconds` times the devices (GPUs, else CPUs) it held.
        node: Host it ran on.
        slot: Slot it ran on.
        attempts: 1 unless a worker died under it.
        error: Last line of the error, or empty.
        traceback: The whole error, or empty.
        checkpoint: Folder of the saved student, relative to the run folder, or empty.
        precision: Number format of its matrix products, ``fp32`` or ``bf16``; empty in old runs.
        row_outcomes: File with its outcome on each test row, relative to the run folder, or empty.
        micro_batch: Most rows of a forward and backward pass on a worker; 0 = the whole batch.
        batch_wide: What the method made of each of several micro batches in place of the batch.
        control: Whether it is of the control group, which is not stopped early.
        spared: The epoch at which it would have been, 0 if it would not.
        violated: Constraints that its result does not keep to, as ``latency_ms <= 5``.
        confusion: Rows of the test split by their class, and by the class that was answered; empty
            where rows have none, or it was not recorded.
    """

    sweep: str
    task: str
    arm: str
    method: str
    trial_id: str
    number: int
    stage: str
    status: Status
    params: Mapping[str, Scalar]
    searched: tuple[str, ...] = ()
    seed: int = 0
    objective: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Evaluation, ...] = ()
    started: float = 0.0
    seconds: float = 0.0
    device_seconds: float = 0.0
    node: str = ""
    slot: int = -1
    attempts: int = 1
    error: str = ""
    traceback: str = ""
    checkpoint: str = ""
    precision: str = ""
    row_outcomes: str = ""
    micro_batch: int = 0
    batch_wide: str = ""
    control: bool = False
    spared: float = 0.0
    repeat: int = 0
    violated: tuple[str, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()

    @property
    def result(self) -> float | None:
        """The objective of a trial that was completed and keeps to all constraints, if finite."""
        if self.objective is None or not math.isfinite(self.objective) or self.violated:
            return None
        return self.objective if self.status is Status.COMPLETED else None


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherRecord:
    """How the teacher of one task was prepared.

    Attributes:
        task: Task name.
        name: What the file calls it among several teachers; empty where it has one.
        model: What the user named.
        fingerprint: Identity of teacher, rows, tokenizer, length, precision and outputs.
        rows: Rows it was fine-tuned on (0 for a loaded checkpoint).
        metrics: ``validation/<metric>`` and ``test/<metric>``.
        parameters: Number of weights; 0 where its outputs were made elsewhere.
        forwards: Examples passed through it to record outputs and scores, in all preparations
            that made what is read of it now.
        distinct: Distinct examples among them.
        store_bytes: Size of what students read from the object store.
        stored: Signal name to bytes.
        seconds: Time of the preparation.
        serving: How it is served, and the arithmetic of that decision.
        rounding: Relative error of what is kept against float32 (root mean square), by signal.
        analysed: Seconds of each analysis that other teachers are derived from, by name.
        precision: Number format it was trained in, empty where it was not trained here.
        frozen_precision: Number format it was scored, recorded and run in; empty in old runs.
        precision_error: Relative error of its outputs against float32 (root mean square), by
            signal, on some rows; empty where it ran in float32.
        weights: Name of its weights: equal ones are the same teacher, however it is served.
        cached: Whether everything was read from the cache.
        history: Evaluations during fine-tuning.
        tried: Trainings of the search for its settings; empty without one.
        seed_scores: The deciding metric of teachers of other seeds on the test split, by seed.
        seeds: Teachers that were trained, this one and those that diverged included.
        usage: What its answers from behind an address took, as
            `raykd.teachers.endpoint.asking.Usage` has it; empty for another teacher.
        speed: How fast it is next to the initial student; None where that was not measured.
        untimed: Why it was not, as a clause; empty where it was read from the cache, and in old
            runs.
    """

    task: str
    model: str
    fingerprint: str
    rows: int
    metrics: Mapping[str, float]
    parameters: int
    forwards: int
    distinct: int
    store_bytes: int
    stored: Mapping[str, int]
    seconds: float
    cached: bool
    serving: str = ""
    precision: str = ""
    frozen_precision: str = ""
    precision_error: Mapping[str, float] = field(default_factory=dict)
    weights: str = ""
    rounding: Mapping[str, float] = field(default_factory=dict)
    analysed: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Evaluation, ...] = ()
    tried: tuple[FinetuneTrial, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)
    seed_scores: Mapping[str, float] = field(default_factory=dict)
    seeds: int = 1
    name: str = ""
    speed: SpeedRecord | None = None
    untimed: str = ""


UNLABELLED = "without a label"
"""What train rows are called in `TaskRecord.rows` that students learn of the teacher alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRecord:
    """A task as it was swept.

    Attributes:
        name: Task name.
        metric: The objective.
        mode: ``max`` or ``min``.
        metrics: All metrics.
        rows: Rows per role: ``teacher``, ``train``, ``validation``, ``test``; of train, those
            ``with a rationale``, `UNLABELLED`, and those ``left out without a label``.
        select_on: The validation split in words.
        report_on: The test split in words.
        data_fingerprint: Hash of the rows.
        truncated: Rows of train that were cut to the maximum length.
        student: The student in words.
        student_parameters: Number of weights.
        units: What each metric is: a key of `raykd.results.scales.UNITS`.
        constant: What the metric that decides is for predictions that are the same for every row,
            on ``validation`` and ``test``: one per class, or for the commonest responses, or none.
        shared: How many rows of a split occur elsewhere, and of how many: ``test in train``,
            ``test in validation`` and the like; of train, those that occur ``with another label``.
        unlabelled: Whether the trials of each arm learnt from rows without a label: ``yes``, ``no``
            or ``some``; empty where there are none.
        classes: Names of the classes of its rows, in the order of `TrialResult.confusion`.
    """

    name: str
    metric: str
    mode: str
    metrics: tuple[str, ...]
    rows: Mapping[str, int]
    select_on: str
    report_on: str
    data_fingerprint: str
    truncated: int
    student: str
    student_parameters: int
    units: Mapping[str, str] = field(default_factory=dict)
    constant: Mapping[str, Sequence[float]] = field(default_factory=dict)
    shared: Mapping[str, Sequence[int]] = field(default_factory=dict)
    unlabelled: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


TEACHER_NOTE = "teacher"
"""What a note is about that says where a teacher came from: a matter of cost, not of trust."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepResult:
    """The result of a sweep, read from a run folder: everything the report needs.

    Attributes:
        name: Name of the search space.
        run: Name of the run folder.
        spec: The resolved search space as plain data (`SweepSpec.as_dict`).
        spec_text: The resolved search space as YAML.
        command: The command line that repeats it.
        env: Versions, host, devices, git commit, package versions.
        baseline: Arm that the others are compared with.
        tasks: Tasks in order.
        teachers: One per task, or each of several by its name.
        trials: Search and confirm trials in order of start.
        derived: Teachers that were derived from those of the tasks.
        spans: Timeline entries besides trials: teacher preparation, slot start, node events; each a
            mapping with ``name``, ``kind``, ``start``, ``end`` (seconds since the epoch).
        started: When the sweep began.
        finished: When it ended, 0 when it did not.
        interrupted: Whether it was stopped by the user.
        notes: Things worth telling, e.g. a setting that was ignored.
        teacher_notes: Where teachers came from, and what was made again.
        worked: Seconds in which it was at work, without the time between its end and a resumption.
        row_outcomes: By `TrialResult.row_outcomes`, the outcome of a confirm run on each test row:
            whether it is right, or what the row adds to the metric; their mean is the metric.
        seed_plans: Where seeds were added by a plan, the plan of each task.
        outside: Scores of confirmed students on tasks of an evaluation harness.
        lags: Of each task that was searched, how many of the trials before it a trial did without
            the results of; None where it knew what had ended, or where nothing reads results.
        loggers: What each logger received, by its name; those without an end on record are absent.
    """

    name: str
    run: str
    spec: Mapping[str, Any]
    spec_text: str
    command: str
    env: Mapping[str, Any]
    baseline: str
    tasks: tuple[TaskRecord, ...]
    teachers: tuple[TeacherRecord, ...]
    trials: tuple[TrialResult, ...]
    derived: tuple[DerivedTeacher, ...] = ()
    spans: tuple[Mapping[str, Any], ...] = ()
    started: float = 0.0
    finished: float = 0.0
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    teacher_notes: tuple[str, ...] = ()
    worked: float = 0.0
    row_outcomes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    seed_plans: Mapping[str, SeedPlanRecord] = field(default_factory=dict)
    lags: Mapping[str, int | None] = field(default_factory=dict)
    loggers: Mapping[str, LoggerRecord] = field(default_factory=dict)
    outside: tuple[OutsideScore, ...] = ()

    @property
    def arms(self) -> tuple[str, ...]:
        """Arms in the order of the file."""
        return tuple(self.spec["methods"])

    @property
    def searches(self) -> int:
        """Searches of each arm on each task."""
        return int((self.spec.get("search") or {}).get("repeats", 1))

    def place(self, trial: TrialResult) -> int:
        """The number of a search trial among those of all searches of its arm, which take turns."""
        return trial.number * self.searches + trial.repeat

    def of(self, task: str, arm: str, stage: str) -> tuple[TrialResult, ...]:
        """The trials of one arm in one stage."""
        return tuple(t for t in self.trials if (t.task, t.arm, t.stage) == (task, arm, stage))

    def task(self, name: str) -> TaskRecord:
        """The record of one task."""
        return next(t for t in self.tasks if t.name == name)

    def teacher(self, task: str) -> TeacherRecord | None:
        """The teacher of one task, the first of several; None when it was not prepared."""
        return next((t for t in self.teachers if t.task == task), None)
