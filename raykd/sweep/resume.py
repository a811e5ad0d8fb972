"""Resuming a run: reconciles what an earlier driver left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from optuna.trial import TrialState

from raykd.params import Scalar
from raykd.results.records import Status, TrialResult
from raykd.results.store import load_results
from raykd.search.arms import Arm
from raykd.search.study import reopen
from raykd.sweep.arm_studies import ArmStudy

_STATES = {Status.PRUNED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}


def settle(run: Path, arm_studies: Sequence[ArmStudy], arms: Mapping[str, Arm]) -> int:
    """Bring the studies up to date with the event log, and requeue interrupted trials.

    Returns:
        Trials that run again.
    """
    results = load_results(run)
    again = 0
    for arm_study in arm_studies:
        settled: dict[int, Sequence[float] | TrialState] = {}
        for trial in results.of(arm_study.task, arm_study.arm.name, "search"):
            end = _end(trial, arm_study.metrics)
            if end is not None:
                settled[trial.number] = end
        again += len(reopen(arms[arm_study.arm.name].study.study, settled))
    return again


def _end(trial: TrialResult, metrics: tuple[str, ...]) -> Sequence[float] | TrialState | None:
    if trial.status is Status.COMPLETED:
        return [trial.metrics[name] for name in metrics]
    return _STATES.get(trial.status)


def cut_short(run: Path) -> frozenset[str]:
    """Ids of the trials that started and have no recorded end; their reruns have the same ids."""
    trials = load_results(run).trials
    return frozenset(t.trial_id for t in trials if t.status is Status.INTERRUPTED)


def finished_confirmations(run: Path) -> Mapping[str, Mapping[str, Scalar]]:
    """Parameters of the completed confirm trials, by trial id.

    After a search that went on, another configuration may be the best: its trials bear the same
    ids, and have to run. So has one whose student was to be kept and is not there.
    """
    return {
        t.trial_id: t.params
        for t in load_results(run).trials
        if t.stage == "confirm" and t.status is Status.COMPLETED
        if not t.checkpoint or (run / t.checkpoint / "config.json").is_file()
    }
