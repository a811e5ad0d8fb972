"""What a sweep found: one summary per arm of each task, for the report and the console."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from raykd.params import Scalar
from raykd.registry import NO_TEACHER
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.stats import Difference, Estimate, estimate, gap_recovered, holm, paired


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How values of a metric are shown: shares as points (x 100), others as they are.

    Attributes:
        factor: 100 for shares, else 1.
        unit: ``points`` for shares, else the name of the metric.
    """

    factor: float
    unit: str

    def show(self, value: float | None) -> str:
        """A value of the metric."""
        if value is None or not math.isfinite(value):
            return "n/a"
        return f"{value * 100:.1f}" if self.factor == 100 else f"{value:.4g}"

    def signed(self, value: float | None) -> str:
        """A difference, always with its sign."""
        if value is None or not math.isfinite(value):
            return "n/a"
        return f"{value * 100:+.1f}" if self.factor == 100 else f"{value:+.3g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """One arm on one task.

    Attributes:
        task: Task name.
        label: Arm.
        method: Method name.
        confirmed: Mean over confirm seeds of the chosen configuration on the report split.
        seeds: Confirm seed to value.
        versus: Better than the baseline by, paired by seed; None for the baseline itself.
        p_holm: Sign-flip p value of `versus`, corrected over the arms of the task.
        gap: Share of the gap between no teacher and teacher that it recovers.
        best: The best completed search trial.
        chosen: Parameters of the confirmed configuration, else of the best search trial.
        counts: Search trials per status.
        device_seconds: Device time of all its trials.
        trial_seconds: Median wall time of completed trials, NaN without one.
    """

    task: str
    label: str
    method: str
    confirmed: Estimate | None
    seeds: Mapping[int, float]
    versus: Difference | None
    p_holm: float | None
    gap: float | None
    best: TrialResult | None
    chosen: Mapping[str, Scalar]
    counts: Mapping[Status, int]
    device_seconds: float
    trial_seconds: float

    @property
    def num_search(self) -> int:
        """Search trials that were started."""
        return sum(self.counts.values())

    @property
    def score(self) -> float | None:
        """Confirmed mean, None without a confirm stage."""
        return self.confirmed.mean if self.confirmed else None


def metric_of(result: SweepResult, task: str) -> tuple[str, str]:
    """Metric and mode of a task; ``objective`` and ``max`` before its teacher was ready."""
    record = next((t for t in result.tasks if t.name == task), None)
    return (record.metric, record.mode) if record else ("objective", "max")


def scale_of(result: SweepResult, task: str) -> Scale:
    """Points where every value of a metric to be maximised lies in [-1, 1], else plain numbers."""
    metric, mode = metric_of(result, task)
    values = [t.objective for t in result.trials if t.task == task and t.objective is not None]
    teacher = teacher_score(result, task)
    values += [] if teacher is None else [teacher]
    is_share = mode == "max" and all(abs(v) <= 1 for v in values if math.isfinite(v))
    return Scale(factor=100.0, unit="points") if is_share else Scale(factor=1.0, unit=metric)


def teacher_score(result: SweepResult, task: str, split: str = "report") -> float | None:
    """The teacher's value of the task's metric on the ``report`` or ``select`` split."""
    teacher = result.teacher(task)
    metric, _ = metric_of(result, task)
    value = teacher.metrics.get(f"{split}/{metric}") if teacher else None
    return value if value is not None and math.isfinite(value) else None


def confirm_seed(trial: TrialResult) -> int:
    """The seed the user listed, which pairs arms.

    It is the last part of the trial id (``glue-rte.ckd.c0.11``); `TrialResult.seed` may be a hash
    of it with the label, which would pair nothing.
    """
    tail = trial.trial_id.rpartition(".")[2]
    return int(tail) if tail.lstrip("-").isdigit() else trial.seed


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
    labels = _labels_of(result, task)
    arms = {label: _alone(result, task, label) for label in labels}
    none = without_teacher(tuple(arms.values()))
    base = arms.get(result.baseline)
    _, mode = metric_of(result, task)
    teacher = teacher_score(result, task)
    for label, arm in arms.items():
        versus = None if base is None or arm is base else paired(arm.seeds, base.seeds, mode)
        gap = None
        if arm.confirmed and none and none.confirmed and teacher is not None:
            gap = gap_recovered(arm.confirmed.mean, none.confirmed, teacher, mode)
        arms[label] = dataclasses.replace(arm, versus=versus, gap=gap)
    adjusted = holm([a.versus.p if a.versus else None for a in arms.values()])
    return tuple(
        dataclasses.replace(arm, p_holm=p) for arm, p in zip(arms.values(), adjusted, strict=True)
    )


def without_teacher(arms: tuple[ArmSummary, ...]) -> ArmSummary | None:
    """The arm that reads no teacher, which gains are measured from."""
    return next((arm for arm in arms if arm.method in NO_TEACHER), None)


def ranked(arms: tuple[ArmSummary, ...], mode: str) -> tuple[ArmSummary, ...]:
    """The confirmed arms, best first."""
    sign = 1.0 if mode == "min" else -1.0
    scored = [a for a in arms if a.confirmed]
    return tuple(sorted(scored, key=lambda a: sign * a.confirmed.mean if a.confirmed else 0.0))


def _labels_of(result: SweepResult, task: str) -> tuple[str, ...]:
    """Arms of a task; in a comparison of several runs not every arm ran on every task."""
    ran = {t.label for t in result.trials if t.task == task}
    return tuple(name for name in result.labels if name in ran) or result.labels


def _alone(result: SweepResult, task: str, label: str) -> ArmSummary:
    """The summary of an arm before it is compared with others."""
    search, confirm = result.of(task, label, "search"), result.of(task, label, "confirm")
    metric, mode = metric_of(result, task)
    best = best_trial(search, mode)
    rank = _chosen_rank(confirm, mode)
    chosen = tuple(t for t in confirm if t.number == rank and t.status is Status.COMPLETED)
    seeds = {confirm_seed(t): t.metrics.get(f"report/{metric}", math.nan) for t in chosen}
    seeds = {s: v for s, v in seeds.items() if math.isfinite(v)}
    finished = [t.seconds for t in search + confirm if t.status is Status.COMPLETED]
    shown = chosen[0] if chosen else best
    return ArmSummary(
        task=task,
        label=label,
        method=str(result.spec["methods"].get(label, {}).get("method", label)),
        confirmed=estimate(list(seeds.values())),
        seeds=dict(sorted(seeds.items())),
        versus=None,
        p_holm=None,
        gap=None,
        best=best,
        chosen=dict(shown.params) if shown else {},
        counts=Counter(t.status for t in search),
        device_seconds=math.fsum(t.device_seconds for t in search + confirm),
        trial_seconds=median(finished) if finished else math.nan,
    )


def _chosen_rank(confirm: tuple[TrialResult, ...], mode: str) -> int | None:
    """Which confirmed configuration speaks for the arm: the best mean on the *select* split.

    Choosing by the report split would make the reported number a maximum, and so too good.
    """
    done = [t for t in confirm if t.status is Status.COMPLETED]
    sign = 1.0 if mode == "min" else -1.0
    means: list[tuple[float, int]] = []
    for rank in {t.number for t in done}:
        values = estimate(
            [t.objective for t in done if t.number == rank and t.objective is not None]
        )
        means.append((sign * values.mean if values else math.inf, rank))
    return min(means)[1] if means else None
