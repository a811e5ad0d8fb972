"""Summarises a sweep: one summary per arm and task, for the report and the console."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from raykd.params import Scalar
from raykd.registry import METHODS_WITHOUT_TEACHER
from raykd.results.alpha_spending import Look
from raykd.results.arm_runs import RunKey, RunOutcomes, arm_runs
from raykd.results.arm_teachers import TeacherScore, score_learnt_from, teacher_scores
from raykd.results.collapse import allow_for_collapses, collapsed_runs
from raykd.results.confirmed import confirm_seed
from raykd.results.constraints import beyond
from raykd.results.differences import (
    Comparison,
    ConfirmScores,
    Outcomes,
    PairedDifference,
    all_against,
    mean_of,
)
from raykd.results.gap import GapRecovered, gap_recovered
from raykd.results.records import Status, SweepResult, TaskRecord, TrialResult
from raykd.results.scales import KNOWN, Scale, scale_named, unit_of
from raykd.results.seed_plan import look_of
from raykd.results.stats import ConfidenceInterval

__all__ = [
    "ArmSummary", "Scale", "arm_summaries", "best_trial", "compare", "confirm_seed", "metric_of",
    "named", "no_teacher_arm", "rank_arms", "scale_of",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmSummary:
    """One arm on one task.

    Attributes:
        task: Task name.
        name: Name of the arm.
        method: Method name.
        confirmed: Mean over confirm seeds of the chosen configuration on the test split, with its
            interval over seeds and, where outcomes were kept, over rows. With several searches,
            over them.
        seeds: Confirm seed to value; with several searches, number of the search to the mean of its
            configuration.
        outcomes: By the same, the outcome on each test row; empty where they were not kept.
        run_outcomes: That of each run; without several searches the same as `outcomes`.
        runs: Each confirm run to its value; without several searches the same as `seeds`.
        collapsed: Runs that fell to the level of one answer, or far below the others.
        lost: Confirm runs to the reason why they left no value.
        missing: Planned confirm runs that have not ended.
        other_runs: Completed confirm runs of other configurations, which are left out.
        teacher: The score of what its confirm runs learnt from; None where there is none.
        infeasible: Completed search trials that do not keep to a constraint.
        beyond: Constraints that its confirm runs do not keep to on average, with that average.
        versus: Better than the baseline by, paired by seed, corrected over the arms of the task;
            None for the baseline itself.
        p_holm: The p value of `versus` after Holm's correction over the arms of the task.
        gap: Share of the gap between no teacher and its teacher that it recovers; None also where
            it lost a confirm run.
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
    gap: GapRecovered | None
    best: TrialResult | None
    chosen: Mapping[str, Scalar]
    counts: Mapping[Status, int]
    device_seconds: float
    trial_seconds: float
    confirm_seconds: float = 0.0
    outcomes: Outcomes = dataclasses.field(default_factory=dict)
    run_outcomes: RunOutcomes = dataclasses.field(default_factory=dict)
    runs: Mapping[RunKey, float] = dataclasses.field(default_factory=dict)
    collapsed: tuple[RunKey, ...] = ()
    lost: Mapping[RunKey, str] = dataclasses.field(default_factory=dict)
    missing: tuple[RunKey, ...] = ()
    other_runs: int = 0
    teacher: TeacherScore | None = None
    infeasible: int = 0
    beyond: tuple[str, ...] = ()

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
        look: The look at the confirm seeds, whose level is less than usual in a plan of several.
        margin: The least difference that matters to the reader, 0 where none was given.
        counted: What arms are compared over: ``seed`` of one configuration each, or ``search``.
    """

    metric: str
    mode: str
    scale: Scale
    min_sd: float
    look: Look
    margin: float
    counted: str = "seed"


def task_metric(result: SweepResult, task: str) -> TaskMetric:
    """The deciding metric of a task."""
    metric, mode = metric_of(result, task)
    scale = scale_of(result, task)
    least = scale.min_sd(rows_of(result, task))
    margin = (result.spec.get("report") or {}).get("margin") or 0.0
    return TaskMetric(
        metric=metric, mode=mode, scale=scale, min_sd=least,
        look=look_of(result, task), margin=float(margin) / scale.factor,
        counted="seed" if result.searches == 1 else "search",
    )  # fmt: skip


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
    units = record.units if isinstance(record, TaskRecord) else {}
    scale = scale_named(unit_of(metric, units) or unit_of(metric, KNOWN), metric)
    if metric != decisive:
        return scale
    values = [t.objective for t in result.trials if t.task == task and t.objective is not None]
    values += teacher_scores(result, task).values()
    values = [v for v in values if math.isfinite(v)]
    if not all(scale.low <= v <= scale.high for v in values):
        return scale_named("number", metric)  # whoever named the unit meant something else
    if scale.unit == metric and mode == "max" and all(abs(v) <= 1 for v in values):
        return Scale(factor=100.0, unit="points")
    return scale


def rows_of(result: SweepResult, task: str, split: str = "test") -> int | None:
    """Rows of a split of a task, None where that was not recorded."""
    record = next((t for t in result.tasks if t.name == task), None)
    return record.rows.get(split) if record else None


def best_trial(trials: tuple[TrialResult, ...], mode: str) -> TrialResult | None:
    """The completed trial with the best objective, the earlier one of equals; None without any.

    One that does not keep to a constraint is not looked at.
    """
    usable = [(t.result, t) for t in trials]
    sign = 1.0 if mode == "min" else -1.0
    ranked = [(sign * result, t.number, t) for result, t in usable if result is not None]
    return min(ranked, key=lambda r: r[:2])[2] if ranked else None


def arm_summaries(result: SweepResult, task: str) -> tuple[ArmSummary, ...]:
    """Every arm of a task, in the order of the file."""
    measure = task_metric(result, task)
    alone = tuple(_alone(result, task, name, measure) for name in _arms_of(result, task))
    together = compare(measure, alone)
    none = no_teacher_arm(alone)
    collapsed = collapsed_runs(
        {a.name: a.runs for a in alone}, measure.mode, min_sd=measure.min_sd,
        **_of_one_answer(result, task),
    )  # fmt: skip
    fallen = [a.runs[run] for a in alone for run in collapsed.get(a.name, ())]
    runs = sum(len(a.runs) for a in alone)
    versus = all_against(together, result.baseline, [a.name for a in alone])
    return tuple(
        dataclasses.replace(
            arm,
            versus=versus[arm.name][0],
            p_holm=versus[arm.name][1],
            gap=_gap(arm, none, measure.mode),
            collapsed=collapsed.get(arm.name, ()),
            confirmed=arm.confirmed
            if arm.confirmed is None or collapsed.get(arm.name)
            else allow_for_collapses(arm.confirmed, fallen, runs, measure.mode),
        )
        for arm in alone
    )


def compare(measure: TaskMetric, arms: tuple[ArmSummary, ...]) -> Comparison:
    """The confirmed arms of a task, to be compared with each other."""
    scale = measure.scale
    return Comparison(
        [ConfirmScores(name=a.name, seeds=a.seeds, outcomes=a.outcomes) for a in arms],
        measure.mode,
        measure.min_sd,
        (scale.low - scale.high, scale.high - scale.low),
        measure.look,
    )


def _of_one_answer(result: SweepResult, task: str) -> dict[str, Any]:
    """What the same answer for every test row scores, and how far such a score is by chance."""
    record = next((t for t in result.tasks if t.name == task), None)
    constant = tuple(record.constant.get("test", ())) if record else ()
    rows = rows_of(result, task)
    if not constant or not rows or not scale_of(result, task).per_row:
        return {"constant": constant}
    share = min(max(max(constant), 0.0), 1.0)
    spread = math.sqrt(share * (1 - share)) if scale_of(result, task).low == 0.0 else 1.0
    return {"constant": constant, "error": spread / math.sqrt(rows)}


def _gap(arm: ArmSummary, none: ArmSummary | None, mode: str) -> GapRecovered | None:
    """The share of the gap to its teacher that an arm recovers on the seeds it has with no teacher.

    None for an arm that lost a run: its mean is that of the seeds it survived.
    """
    if none is None or arm.teacher is None or arm.lost or arm is none:
        return None
    return gap_recovered(arm.seeds, none.seeds, arm.teacher.score, mode, arm.teacher.others)


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
    by_name = {a.name: a for a in arms}
    scores = [ConfirmScores(name=a.name, seeds=a.seeds) for a in arms]
    return tuple(by_name[name] for name in Comparison(scores, mode).order())


def _arms_of(result: SweepResult, task: str) -> tuple[str, ...]:
    """Arms of a task; in a comparison of several runs not every arm ran on every task."""
    ran = {t.arm for t in result.trials if t.task == task}
    return tuple(name for name in result.arms if name in ran) or result.arms


def _alone(result: SweepResult, task: str, name: str, measure: TaskMetric) -> ArmSummary:
    """The summary of one arm by itself, without comparisons."""
    search, confirm = result.of(task, name, "search"), result.of(task, name, "confirm")
    best = best_trial(search, measure.mode)
    own = arm_runs(result, confirm, measure.metric, measure.mode)
    finished = [t.seconds for t in search if t.status is Status.COMPLETED]
    shown = own.trials[0] if own.trials else best
    scores = ConfirmScores(name=name, seeds=own.seeds, outcomes=own.outcomes)
    mean = mean_of(scores, measure.min_sd)
    return ArmSummary(
        task=task,
        name=name,
        method=str(result.spec["methods"].get(name, {}).get("method", name)),
        confirmed=measure.scale.clip(mean) if mean else None,
        seeds=own.seeds,
        outcomes=own.outcomes,
        run_outcomes=own.run_outcomes,
        runs=own.runs,
        lost=own.lost,
        missing=own.missing,
        other_runs=own.others,
        teacher=score_learnt_from(result, own.trials),
        infeasible=sum(bool(t.violated) for t in search if t.status is Status.COMPLETED),
        beyond=beyond(result, own.trials),
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
