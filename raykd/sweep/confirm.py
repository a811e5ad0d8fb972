"""The confirm stage: the best configurations of every arm again, on fresh seeds and unseen rows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.trial import TrialState

from raykd.models import weights
from raykd.params import Scalar
from raykd.results.records import Status
from raykd.results.student_mark import mark
from raykd.search.arms import Arm
from raykd.search.study_view import is_feasible
from raykd.spec.schema import SweepSpec
from raykd.sweep.arm_studies import ArmStudy, confirm_trial
from raykd.sweep.trial_recorder import TrialRecorder
from raykd.trial import drafts
from raykd.trial.coordinator import answer
from raykd.trial.follow import follow
from raykd.trial.run import TrialConfig


def best(study: optuna.Study, count: int) -> list[Mapping[str, Scalar]]:
    """Searched parameters of the best completed trials by the first objective, best first.

    A trial that does not keep to a constraint is none of them, however good it is.
    """
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    completed = [trial for trial in ended if is_feasible(trial)]
    upward = study.directions[0] == optuna.study.StudyDirection.MAXIMIZE
    ranked = sorted(completed, key=lambda t: t.values[0], reverse=upward)
    return [t.params for t in ranked[:count]]


Job = tuple[TrialConfig, tuple[str, ...]]
"""A confirm trial with its searched names."""


def to_confirm(
    spec: SweepSpec,
    run: Path,
    arm_studies: Sequence[ArmStudy],
    arms: Mapping[str, Arm],
    seeds: Sequence[int],
) -> list[Job]:
    """Every confirm trial of a task on some seeds; the arms take turns, seed by seed."""
    jobs = []
    for seed in seeds:
        for arm_study in arm_studies:
            for rank, chosen in enumerate(
                best(arms[arm_study.name].study.study, spec.confirm.top_k)
            ):
                config = confirm_trial(spec, run, arm_study, rank, seed, chosen)
                jobs.append((config, tuple(chosen)))
    return jobs


def confirm(
    jobs: Sequence[Job],
    recorder: TrialRecorder,
    coordinator: Any,
    *,
    key: Callable[[TrialConfig], str],
    metric: str,
    on_saved: Callable[[str], None],
) -> None:
    """Run confirm trials; one that fails is run once more before it counts as lost.

    Args:
        jobs: What to run.
        recorder: Launches and records trials.
        coordinator: Handle of the coordinator actor.
        key: Fingerprint under which workers find the teacher of a trial.
        metric: The objective.
        on_saved: Called with the folder of a student that was saved.
    """
    run = _ConfirmRuns(recorder, coordinator, key, metric, on_saved)
    failed = run.all(jobs, again=False)
    if failed:
        run.all(failed, again=True)


@dataclass(frozen=True, slots=True)
class _ConfirmRuns:
    """Runs confirm trials; see `confirm`."""

    recorder: TrialRecorder
    coordinator: Any
    key: Callable[[TrialConfig], str]
    metric: str
    on_saved: Callable[[str], None]

    def all(self, jobs: Sequence[Job], *, again: bool) -> list[Job]:
        """Run some; returns those that failed."""
        for config, searched in jobs:
            self.recorder.launch(config, searched, self.key(config), again=again)
        by_id = {config.trial_id: (config, searched) for config, searched in jobs}
        failed: list[Job] = []

        def on_event(job: str, event: Mapping[str, Any]) -> None:
            self._on_event(by_id[job][0], event)
            if event["kind"] == "failed":
                failed.append(by_id[job])

        follow(self.coordinator, by_id, on_event)
        return failed

    def _on_event(self, config: TrialConfig, event: Mapping[str, Any]) -> None:
        job, kind, metric = config.trial_id, event["kind"], self.metric
        if kind in ("evaluation", "done"):
            self.recorder.evaluated(job, event, metric)
        if kind == "done":
            # The student first: a trial on record as finished is not run again for it.
            folder = config.save_path
            if folder is not None:
                _save(event["student"], config, Path(folder))
                self.on_saved(folder)
            self.recorder.finished(job, Status.COMPLETED, event, metric)
            if folder is not None:
                answer(self.coordinator.delete.remote(f"{job}/student"))
        elif kind == "failed":
            self.recorder.finished(job, Status.FAILED, event, metric)
        elif kind == "cancelled":
            self.recorder.finished(job, Status.INTERRUPTED, event, metric)


def _save(student: str | tuple[Any, ...], config: TrialConfig, folder: Path) -> None:
    """Keep a student, which a slot wrote next to its folder, or that is in the object store."""
    draft = Path(student) if isinstance(student, str) else drafts.draft_of(folder)
    if not isinstance(student, str):
        weights.save(ray.get(student[0]), draft)
    with contextlib.suppress(OSError):  # `accept` says what is wrong
        mark(draft, config.trial_id, {**config.coefficients, **config.train})
    drafts.accept(draft, folder)
