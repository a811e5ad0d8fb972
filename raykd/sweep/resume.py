"""Resuming a run: reconciles what an earlier driver left open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from raykd.models.weight_files import is_whole_model
from raykd.params import Scalar
from raykd.results.records import Status, TrialResult
from raykd.results.store import load_results
from raykd.results.student_mark import is_student_of
from raykd.search.arms import Arm
from raykd.search.rebuild import Recorded, rebuild
from raykd.search.study import Result, reopen
from raykd.spec.schema import SweepSpec
from raykd.sweep.arm_studies import ArmStudy, study_space
from raykd.sweep.search import trials_of

_STATES = {Status.PRUNED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}


def rebuild_studies(
    spec: SweepSpec,
    run: Path,
    arm_studies: Sequence[ArmStudy],
    storage: BaseStorage,
    note: Callable[[str], None],
) -> None:
    """Make again from the event log whatever study does not fit it.

    A journal or a log that lost its end no longer knows what the other one does.

    Args:
        spec: The sweep.
        run: Its run folder.
        arm_studies: Those to look at.
        storage: Where the studies are.
        note: Hears of studies that were made again.
    """
    results = load_results(run)
    for arm_study in arm_studies:
        trials = trials_of(results, arm_study)
        recorded = Recorded(
            trials={trial.number: trial for trial in trials},
            metrics=arm_study.metrics,
            lag=results.lags.get(arm_study.task),
            constraints=arm_study.constraints,
        )
        wrong = rebuild(study_space(spec, arm_study), storage, recorded)
        if wrong:
            numbers = ", ".join(f"s{number:03d}" for number in wrong)
            note(
                f"studies.journal and events.jsonl did not agree on {numbers} of "
                f"{arm_study.study_name}; the study was made again from events.jsonl"
            )


def settle(run: Path, arm_studies: Sequence[ArmStudy], arms: Mapping[str, Arm]) -> int:
    """Bring the studies up to date with the event log, and requeue interrupted trials.

    Returns:
        Trials that run again.
    """
    results = load_results(run)
    again = 0
    for arm_study in arm_studies:
        settled: dict[int, Result | TrialState] = {}
        for trial in trials_of(results, arm_study):
            end = _end(trial, arm_study)
            if end is not None:
                settled[trial.number] = end
        again += len(reopen(arms[arm_study.name].study.study, settled))
    return again


def _end(trial: TrialResult, arm_study: ArmStudy) -> Result | TrialState | None:
    if trial.status is Status.COMPLETED:
        return Result(
            values=[trial.metrics[name] for name in arm_study.metrics],
            excess={str(c): c.excess(trial.metrics) for c in arm_study.constraints},
        )
    return _STATES.get(trial.status)


def cut_short(run: Path) -> frozenset[str]:
    """Ids of the trials that started and have no recorded end; their reruns have the same ids."""
    trials = load_results(run).trials
    return frozenset(t.trial_id for t in trials if t.status is Status.INTERRUPTED)


def finished_confirmations(run: Path) -> Mapping[str, Mapping[str, Scalar]]:
    """Parameters of the completed confirm trials, by trial id.

    After a resumed search, another configuration may be the best: its trials have the same
    ids, and have to run. So has one whose student was to be kept and is not there, or is that of
    another configuration, whose own end was not recorded.
    """
    return {
        t.trial_id: t.params
        for t in load_results(run).trials
        if t.stage == "confirm" and t.status is Status.COMPLETED
        if not t.checkpoint or _is_kept(run / t.checkpoint, t)
    }


def _is_kept(folder: Path, trial: TrialResult) -> bool:
    return is_whole_model(folder) and is_student_of(folder, trial)
