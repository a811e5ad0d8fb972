"""Which student of a run is exported: of one task and one arm, saved by a confirm run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raykd.errors import RaykdError, SpecError, UnknownName
from raykd.registry import suggestion
from raykd.results.confirmed import BEST
from raykd.results.records import SweepResult, TrialResult
from raykd.results.reported_runs import no_student, runs_with_student
from raykd.results.store import load_results
from raykd.results.student_mark import is_student_of
from raykd.results.summary import arm_summaries
from raykd.results.verdict import Verdict, listed, verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenStudent:
    """A confirmed student of a run.

    Attributes:
        result: The records of its run.
        trial: The confirm run that saved it.
        folder: Where its files are.
        verdict: What was found on its task.
    """

    result: SweepResult
    trial: TrialResult
    folder: Path
    verdict: Verdict


def choose(run: str | Path, task: str | None = None, arm: str | None = None) -> ChosenStudent:
    """The student of an arm; without one named, that of the arm that the verdict says to take.

    Args:
        run: The run folder.
        task: The task; needed where the run has several.
        arm: The arm.

    Raises:
        SpecError: There is no such task or arm, the verdict is open and no arm is named, or no
            student was kept of the configuration that the arm is reported by.
    """
    result = load_results(run)
    of = _task(result, task)
    outcome = verdict(result, of)
    name = _arm(result, outcome, arm)
    saved = runs_with_student(result, of, name)
    if not saved:
        raise no_student(result, of, name)
    # With confirm.keep: all, there are several; the first seed stands for the arm.
    trial = min(saved, key=lambda t: (not t.checkpoint.endswith(f"/{BEST}"), t.number, t.trial_id))
    folder = Path(run) / trial.checkpoint
    _check(folder, trial, f"the student of '{name}' on {of}")
    return ChosenStudent(result=result, trial=trial, folder=folder, verdict=outcome)


def _check(folder: Path, trial: TrialResult, what: str) -> None:
    """Refuse what would not be loaded: the criterion is that of a resumption."""
    from raykd.models.weight_files import check_whole_model

    again = "raykd sweep --resume RUN trains it again"
    if not folder.is_dir():
        raise SpecError(
            f"{what} was saved in {folder}, where there is nothing now",
            hint=f"was it moved or deleted? {again}",
        )
    try:
        check_whole_model(folder)
    except RaykdError as exc:
        raise SpecError(f"{what} is not whole: {exc}", hint=again) from exc
    if not is_student_of(folder, trial):
        raise SpecError(
            f"{what} was replaced in {folder} by that of another configuration, whose run has no "
            "end on record",
            hint="raykd sweep --resume RUN confirms the one that is best",
        )


def _task(result: SweepResult, task: str | None) -> str:
    names = [record.name for record in result.tasks]
    if task is None and len(names) == 1:
        return names[0]
    if task is None:
        message = f"the run has {len(names)} tasks: {', '.join(names) or 'none is ready yet'}"
        raise SpecError(message, hint="name one with --task")
    if task not in names:
        hint = suggestion(task, names) or f"tasks: {', '.join(names)}"
        raise UnknownName(f"the run has no task '{task}'", hint=hint)
    return task


def _arm(result: SweepResult, outcome: Verdict, arm: str | None) -> str:
    names = [summary.name for summary in arm_summaries(result, outcome.task)]
    if arm is not None and arm not in names:
        hint = suggestion(arm, names) or f"arms: {', '.join(names)}"
        raise UnknownName(f"the run has no arm '{arm}'", hint=hint)
    if arm is not None:
        return arm
    if outcome.decided or len(outcome.leading) == 1:
        return outcome.leader
    leading = outcome.leading or tuple(names)
    raise SpecError(
        f"no arm is better than all others on {outcome.task}: {listed(leading)} lead"
        if outcome.leading
        else f"nothing was confirmed on {outcome.task} that an arm could be chosen by",
        hint=f"name the arm whose student you want, e.g. --arm {leading[0]}",
    )
