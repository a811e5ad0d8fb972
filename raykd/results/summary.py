"""Summarises a sweep: one summary per arm and task, for the report and the console."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from raykd.params import Scalar
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.confirmed import confirm_seed, confirmed
from raykd.results.records import Status, SweepResult, TaskRecord, TrialResult
from raykd.results.scales import KNOWN, Scale, scale_named, unit_of
from raykd.results.stats import (
    ConfidenceInterval,
    PairedDifference,
    confidence_interval,
    gap_recovered,
    holm_correction,
    paired_difference,
)

__all__ = [
    "ArmSummary", "Scale", "arm_summaries", "best_trial", "confirm_seed", "metric_of", "named",
    "no_teacher_arm", "rank_arms", "scale_of", "teacher_score",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """One arm on one task.

    Attributes:
        task: Task name.
        name: Name of the arm.
        method: Method name.
        confirmed: Mean over confirm seeds of the chosen configuration on the test split.
        seeds: Confirm seed to value.
        lost: Confirm seed to the reason why its run left no value.
        missing: Planned confirm seeds that were not run to their end.
        other_runs: Completed confirm runs of other configurations, which are left out.
        versus: Better than the baseline by, paired by seed; None for the baseline itself.
        p_holm: Sign-flip p value of `versus`, corrected over the arms of the task.
        gap: Share of the gap between no teacher and teacher that it recovers; None also where it
            lost a confirm run.
        best: The best completed search trial.
        chosen: Parameters of the confirmed configuration, else of the best search trial.
        counts: Search trials per status.
        device_seconds: Device time of its search trials.
        confirm_seconds: Device time of its confirm runs.
        trial_seconds: Median wall time of completed search trials, NaN without one.
    """

    task: str
    name: str
    method: str
    confirmed: ConfidenceInterval | None
    seeds: Mapping[int, float]
    versus: PairedDifference | None
    p_holm: float | None
    gap: float | None
    best: TrialResult | None
    chosen: Mapping[str, Scalar]
    counts: Mapping[Status, int]
    device_seconds: float
    trial_seconds: float
    confirm_seconds: float = 0.0
    lost: Mapping[int, str] = dataclasses.field(default_factory=dict)
    missing: tuple[int, ...] = ()
    other_runs: int = 0

    @property
    def num_search(self) -> int:
        """Search trials that were started."""
        return sum(self.counts.values())

    @property
    def score(self) -> float | None:
        """Confirmed mean, None without a confirm stage."""
        return self.confirmed.mean if self.confirmed else None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskMetric:
    """The deciding metric of a task, looked up once for all of its arms.

    Attributes:
        metric: Its name.
        mode: ``max`` or ``min``.
        scale: How its values are written, and what they can be.
        min_sd: The least spread over seeds that the test split can tell from none.
    """

    metric: str
    mode: str
    scale: Scale
    min_sd: float


def task_metric(result: SweepResult, task: str) -> TaskMetric:
    """The deciding metric of a task."""
    metric, mode = metric_of(result, task)
    scale = scale_of(result, task)
    least = scale.min_sd(rows_of(result, task))
    return TaskMetric(metric=metric, mode=mode, scale=scale, min_sd=least)


def metric_of(result: SweepResult, task: str) -> tuple[str, str]:
    """Metric and mode of a task; ``objective`` and ``max`` before its teacher was ready."""
    record = next((t for t in result.tasks if t.name == task), None)
    return (record.metric, record.mode) if record else ("objective", "max")


def scale_of(result: SweepResult, task: str, metric: str = "") -> Scale:
    """How values of a metric of a task are written; of the one that decides when none is named.

    What it is was recorded with the task. Older records say nothing: the names of the package's
    metrics are known, and of others those to be maximised with all values in [-1, 1] are shares.
    """
    decisive, mode = metric_of(result, task)
    metric = metric.removeprefix("test/").removeprefix("validation/") or decisive
    record = next((t for t in result.tasks if t.name == task), None)
    said = record.units if isinstance(record, TaskRecord) else {}
    scale = scale_named(unit_of(metric, said) or unit_of(metric, KNOWN), metric)
    if metric != decisive:
        return scale
    values = [t.objective for t in result.trials if t.task == task and t.objective is not None]
    teacher = teacher_score(result, task)
    values += [] if teacher is None else [teacher]
    values = [v for v in values if math.isfinite(v)]
    if not all(scale.low <= v <= scale.high for v in values):
        return scale_named("number", metric)  # whoever named the unit meant something else
    if scale.unit == metric and mode == "max" and all(abs(v) <= 1 for v in values):
        return Scale(factor=100.0, unit="points")
    return scale


def _gap(arm: ArmSummary, none: ArmSummary, teacher: float, mode: str) -> float | None:
    """The share of the gap that an arm recovers on the seeds that it has with no teacher.

    None for an arm that lost a run: its mean is that of the seeds it survived.
    """
    shared = [s for s in arm.seeds if s in none.seeds]
    own = confidence_interval([arm.seeds[s] for s in shared])
    alone = confidence_interval([none.seeds[s] for s in shared])
    if own is None or alone is None or arm.lost:
        return None
    return gap_recovered(own.mean, alone, teacher, mode)


def rows_of(result: SweepResult, task: str, split: str = "test") -> int | None:
    """Rows of a split of a task, None where that was not recorded."""
    record = next((t for t in result.tasks if t.name == task), None)
    return record.rows.get(split) if record else None


def teacher_score(result: SweepResult, task: str, split: str = "test") -> float | None:
    """The teacher's value of the task's metric on the ``test`` or ``validation`` split."""
    teacher = result.teacher(task)
    metric, _ = metric_of(result, task)
    value = teacher.metrics.get(f"{split}/{metric}") if teacher else None
    return value if value is not None and math.isfinite(value) else None


def best_trial(trials: tuple[TrialResult, ...], mode: str) -> TrialResult | None:
    """The completed trial with the best objective, the earlier one of equals; None without any."""
    usable = [
        t
        for t in trials
        if t.status is Status.COMPLETED and t.objective is not None and math.isfinite(t.objective)
    ]
    sign = 1.0 if mode == "min" else -1.0
    return min(usable, key=lambda t: (sign * (t.objective or 0.0), t.number), default=None)


def arm_summaries(result: SweepResult, task: str) -> tuple[ArmSummary, ...]:
    """Every arm of a task, in the order of the file."""
    measure = task_metric(result, task)
    arms = {name: _alone(result, task, name, measure) for name in _arms_of(result, task)}
    none = no_teacher_arm(tuple(arms.values()))
    base = arms.get(result.baseline)
    teacher = teacher_score(result, task)
    for name, arm in arms.items():
        versus = None
        if base is not None and arm is not base:
            versus = compare_arms(measure, arm, base)
        gap = _gap(arm, none, teacher, measure.mode) if none and teacher is not None else None
        arms[name] = dataclasses.replace(arm, versus=versus, gap=gap)
    adjusted = holm_correction([a.versus.p if a.versus else None for a in arms.values()])
    return tuple(
        dataclasses.replace(arm, p_holm=p) for arm, p in zip(arms.values(), adjusted, strict=True)
    )


def compare_arms(
    measure: TaskMetric, arm: ArmSummary, other: ArmSummary
) -> PairedDifference | None:
    """How much better one arm is than another, over the seeds that both have."""
    difference = paired_difference(arm.seeds, other.seeds, measure.mode, measure.min_sd)
    if difference is None:
        return None
    return PairedDifference(
        interval=measure.scale.clip_difference(difference.interval), p=difference.p
    )


def no_teacher_arm(arms: tuple[ArmSummary, ...]) -> ArmSummary | None:
    """The arm without a teacher, the floor that gains are measured from."""
    return next((arm for arm in arms if arm.method in METHODS_WITHOUT_TEACHER), None)


def named(arm: str, *, first: bool = False) -> str:
    """An arm in a sentence, where ``none`` would be read as nobody.

    Args:
        arm: The arm.
        first: Whether the sentence begins with it.
    """
    if arm != METHODS_WITHOUT_TEACHER[0]:
        return arm
    return "The student without a teacher" if first else "no teacher"


def rank_arms(arms: tuple[ArmSummary, ...], mode: str) -> tuple[ArmSummary, ...]:
    """The confirmed arms, best first, by their means over the seeds that all of them have.

    An arm that lost the run of a hard seed would otherwise stand above one that did not. Arms with
    less than half of the seeds of the fullest one come last: they would leave too few to rank by.
    """
    sign = 1.0 if mode == "min" else -1.0
    scored = [a for a in arms if a.confirmed]
    if not scored:
        return ()
    most = max(len(a.seeds) for a in scored)
    thin = {a.name for a in scored if 2 * len(a.seeds) < most}
    shared = set.intersection(*(set(a.seeds) for a in scored if a.name not in thin))

    def place(arm: ArmSummary) -> tuple[bool, float]:
        seeds = [s for s in arm.seeds if s in shared] or list(arm.seeds)
        return arm.name in thin, sign * math.fsum(arm.seeds[s] for s in seeds) / len(seeds)

    return tuple(sorted(scored, key=place))


def _arms_of(result: SweepResult, task: str) -> tuple[str, ...]:
    """Arms of a task; in a comparison of several runs not every arm ran on every task."""
    ran = {t.arm for t in result.trials if t.task == task}
    return tuple(name for name in result.arms if name in ran) or result.arms


def _alone(result: SweepResult, task: str, name: str, measure: TaskMetric) -> ArmSummary:
    """The summary of one arm by itself, without comparisons."""
    search, confirm = result.of(task, name, "search"), result.of(task, name, "confirm")
    best = best_trial(search, measure.mode)
    found = confirmed(result, confirm, measure.metric, measure.mode)
    finished = [t.seconds for t in search if t.status is Status.COMPLETED]
    shown = found.runs[0] if found.runs else best
    mean = confidence_interval(list(found.seeds.values()), min_sd=measure.min_sd)
    return ArmSummary(
        task=task,
        name=name,
        method=str(result.spec["methods"].get(name, {}).get("method", name)),
        confirmed=measure.scale.clip(mean) if mean else None,
        seeds=found.seeds,
        lost=found.lost,
        missing=found.missing if confirm else (),
        other_runs=found.others,
        versus=None,
        p_holm=None,
        gap=None,
        best=best,
        chosen=dict(shown.params) if shown else {},
        counts=Counter(t.status for t in search),
        device_seconds=math.fsum(t.device_seconds for t in search),
        confirm_seconds=math.fsum(t.device_seconds for t in confirm),
        trial_seconds=median(finished) if finished else math.nan,
    )
