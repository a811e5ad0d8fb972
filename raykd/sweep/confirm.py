"""The confirm stage: the best configurations of every arm again, on fresh seeds and unseen rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.trial import TrialState

from raykd.models import weights
from raykd.params import Scalar
from raykd.results.records import Status
from raykd.search.arms import Arm
from raykd.spec.schema import SweepSpec
from raykd.sweep.arm_studies import ArmStudy, confirm_trial
from raykd.sweep.trial_recorder import TrialRecorder
from raykd.trial import drafts
from raykd.trial.coordinator import answer
from raykd.trial.follow import follow
from raykd.trial.run import TrialConfig


def best(study: optuna.Study, count: int) -> list[Mapping[str, Scalar]]:
    """Searched parameters of the best completed trials by the first objective, best first."""
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    upward = study.directions[0] == optuna.study.StudyDirection.MAXIMIZE
    ranked = sorted(completed, key=lambda t: t.values[0], reverse=upward)
    return [t.params for t in ranked[:count]]


def to_confirm(
    spec: SweepSpec, run: Path, arm_studies: Sequence[ArmStudy], arms: Mapping[str, Arm]
) -> list[tuple[TrialConfig, tuple[str, ...]]]:
    """Every confirm trial of a task with its searched names; the arms take turns, seed by seed."""
    jobs = []
    for seed in spec.confirm.seeds:
        for arm_study in arm_studies:
            for rank, chosen in enumerate(
                best(arms[arm_study.arm.name].study.study, spec.confirm.top_k)
            ):
                config = confirm_trial(spec, run, arm_study, rank, seed, chosen)
                jobs.append((config, tuple(chosen)))
    return jobs


def confirm(
    jobs: Sequence[tuple[TrialConfig, tuple[str, ...]]],
    recorder: TrialRecorder,
    coordinator: Any,
    *,
    key: str,
    metric: str,
    on_saved: Callable[[str], None],
) -> None:
    """Run confirm trials.

    Args:
        jobs: What to run.
        recorder: Launches and records trials.
        coordinator: Handle of the coordinator actor.
        key: Fingerprint under which workers find the teacher.
        metric: The objective.
        on_saved: Called with the folder of a student that was saved.
    """
    for config, searched in jobs:
        recorder.launch(config, searched, key)
    configs = {config.trial_id: config for config, _ in jobs}

    def on_event(job: str, event: Mapping[str, Any]) -> None:
        kind = event["kind"]
        if kind in ("evaluation", "done"):
            recorder.evaluated(job, event, metric)
        if kind == "done":
            # The student first: a trial on record as finished is not run again for it.
            folder = configs[job].save_path
            if folder is not None:
                _save(event["student"], Path(folder))
                on_saved(folder)
            recorder.finished(job, Status.COMPLETED, event, metric)
            if folder is not None:
                answer(coordinator.delete.remote(f"{job}/student"))
        elif kind == "failed":
            recorder.finished(job, Status.FAILED, event, metric)
        elif kind == "cancelled":
            recorder.finished(job, Status.INTERRUPTED, event, metric)

    follow(coordinator, configs, on_event)


def _save(student: str | tuple[Any, ...], folder: Path) -> None:
    """Keep a student, which a slot wrote beside its folder, or that is in the object store."""
    if isinstance(student, str):
        drafts.accept(Path(student), folder)
    else:
        weights.save(ray.get(student[0]), folder)
