"""The confirm runs that arms are reported by, and what is kept of them and of no other run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from raykd.errors import SpecError
from raykd.results.arm_runs import arm_runs
from raykd.results.confirmed import configuration_key
from raykd.results.outside_score import OutsideScore
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.sentences import listed
from raykd.results.summary import metric_of


def reported_runs(result: SweepResult, task: str, arm: str) -> tuple[TrialResult, ...]:
    """The completed confirm runs that an arm is reported by on a task, search by search."""
    metric, mode = metric_of(result, task)
    return arm_runs(result, result.of(task, arm, "confirm"), metric, mode).trials


def all_reported_runs(result: SweepResult) -> tuple[TrialResult, ...]:
    """Those of every arm on every task."""
    return tuple(
        trial
        for task in result.tasks
        for arm in result.arms
        for trial in reported_runs(result, task.name, arm)
    )


def runs_with_student(result: SweepResult, task: str, arm: str) -> tuple[TrialResult, ...]:
    """The reported runs of an arm whose student was kept and not replaced by a later one.

    A resumption may confirm another configuration under the same id; its student goes into the same
    folder, and the record of the earlier one stays.
    """
    last = {
        (t.sweep, t.arm, t.checkpoint): t
        for t in sorted(result.trials, key=lambda t: t.started)
        if t.stage == "confirm" and t.status is Status.COMPLETED
    }
    runs = reported_runs(result, task, arm)
    return tuple(t for t in runs if t.checkpoint and last[t.sweep, t.arm, t.checkpoint] is t)


def no_student(result: SweepResult, task: str, arm: str) -> SpecError:
    """Why no student is kept that an arm could be handed out by, as an error to raise."""
    ran = result.of(task, arm, "confirm")
    runs = reported_runs(result, task, arm)
    if not ran:
        return SpecError(
            f"'{arm}' was not confirmed on {task}, and only students of confirm runs are kept",
            hint="resume the run to its end, or run the search space with confirm.seeds",
        )
    if any(t.checkpoint for t in runs):
        return SpecError(
            f"the student of '{arm}' on {task} was replaced by that of another configuration, "
            "which is not the one that is reported",
            hint="raykd sweep --resume RUN confirms the new one to its end",
        )
    if runs and all(t.number for t in runs):
        return SpecError(
            f"'{arm}' is reported on {task} by its configuration c{runs[0].number}, and with "
            "confirm.top_k only the student of c0 is kept",
            hint="sweep the configuration that the report shows by itself, with its parameters "
            "fixed and confirm.top_k: 1",
        )
    return SpecError(
        f"no confirm run of '{arm}' on {task} left a student: "
        f"{listed(sorted({t.error or t.status.value for t in ran}))}",
        hint="the arm's confirm runs in the report say more",
    )


def current_scores(result: SweepResult, scores: Iterable[OutsideScore]) -> tuple[OutsideScore, ...]:
    """Those of students that arms are reported by; a resumption may have replaced others.

    A score that does not say its configuration counts where only one bore its id.
    """
    scores = tuple(scores)
    if not scores:
        return ()
    keys = {t.trial_id: configuration_key(t.params) for t in all_reported_runs(result)}
    records = Counter(t.trial_id for t in result.trials)
    return tuple(
        s for s in scores
        if s.trial_id in keys
        and (s.params == keys[s.trial_id] or (not s.params and records[s.trial_id] == 1))
    )  # fmt: skip
