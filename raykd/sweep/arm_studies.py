"""The study of every arm on every task, and the configurations of its trials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from raykd.data.base import Task
from raykd.data.row_roles import selecting_role
from raykd.errors import SetupError
from raykd.params import Scalar, describe
from raykd.results.confirmed import BEST
from raykd.search.space import domains_of
from raykd.search.study import StudySpace
from raykd.spec.constraints import COSTS, PARAMETERS
from raykd.spec.descriptions import describe_splits
from raykd.spec.schema import ArmSpec, SweepSpec
from raykd.spec.schema_stages import Constraint
from raykd.spec.size_section import is_sized
from raykd.task_setup.settings import lora_plan
from raykd.task_setup.tasks import task_of
from raykd.training.seeding import derive_seed
from raykd.training.settings import STATE_EVERY_S, TrainSettings
from raykd.trial.run import TrialConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmStudy:
    """One arm on one task: one Optuna study.

    Attributes:
        task: Task name.
        arm: What the file says of the arm.
        study_name: Name of its study in the run's storage.
        metrics: Objectives; the first one decides.
        modes: ``max`` or ``min`` for each.
        constraints: Bounds that students have to keep to.
        repeat: Which of several searches of the arm on the task, from 0.
    """

    task: str
    arm: ArmSpec
    study_name: str
    metrics: tuple[str, ...]
    modes: tuple[str, ...]
    constraints: tuple[Constraint, ...] = ()
    repeat: int = 0

    @property
    def name(self) -> str:
        """The arm, with the number of the search after the first one; unique in a task."""
        return self.arm.name + (f" (search {self.repeat + 1})" if self.repeat else "")

    def stage(self, name: str) -> str:
        """What seeds of a stage are derived from: those of two searches have nothing in common."""
        return f"{name} {self.repeat + 1}" if self.repeat else name


def arm_studies(spec: SweepSpec) -> tuple[ArmStudy, ...]:
    """Every arm on every task, task by task, as often as it is searched."""
    return tuple(
        _arm_study(spec, task, arm, repeat)
        for task in spec.tasks
        for repeat in range(spec.search.repeats)
        for arm in spec.methods.values()
    )


def _arm_study(spec: SweepSpec, task: str, arm: ArmSpec, repeat: int) -> ArmStudy:
    wanted = objectives(spec, task_of(spec, task))
    one = ArmStudy(
        task=task,
        arm=arm,
        study_name="",
        metrics=tuple(name for name, _ in wanted),
        modes=tuple(mode for _, mode in wanted),
        constraints=spec.search.constraints,
        repeat=repeat,
    )
    return replace(one, study_name=f"{task} {one.name}")


def objectives(spec: SweepSpec, task: Task) -> tuple[tuple[str, str], ...]:
    """Metric and mode of each objective, with ``auto`` resolved for a task."""
    resolved = []
    for objective in spec.search.objective:
        metric = task.metric if objective.metric == "auto" else objective.metric
        mode = objective.mode
        if mode == "auto":
            mode = "min" if metric in COSTS else "max"
        resolved.append((metric, mode))
    return tuple(resolved)


def study_space(spec: SweepSpec, arm_study: ArmStudy, run: str = "") -> StudySpace:
    """What a study searches.

    Args:
        spec: The sweep.
        arm_study: Which study.
        run: Name of the run folder, for others who open the storage.
    """
    data = spec.data
    select_on, report_on = describe_splits(data.select_on, data.report_on, spec.search.repeats)
    return StudySpace(
        study_name=arm_study.study_name,
        domains=domains_of(arm_study.arm, spec.train),
        fixed={**arm_study.arm.fixed, **spec.train.fixed},
        directions=tuple("maximize" if m == "max" else "minimize" for m in arm_study.modes),
        start=arm_study.arm.start,
        budget=spec.search.trials,
        metrics=tuple(f"{metric}, validation split" for metric in arm_study.metrics),
        about={
            "task": arm_study.task,
            "arm": arm_study.name,
            "method": arm_study.arm.method,
            "split": select_on,
            "reported by": f"confirm runs on {report_on}, which are in the report, not here",
            **({"run": run} if run else {}),
        },
    )


def max_epochs(spec: SweepSpec) -> int:
    """The most epochs that a trial may train for."""
    domain = spec.train.domains.get("epochs")
    if domain is not None:
        ends = domain.choices if domain.kind == "choice" else (domain.high,)
        return max(int(e) for e in ends if isinstance(e, int | float))
    default = next(i.default for i in describe(TrainSettings) if i.name == "epochs")
    epochs = spec.train.fixed.get("epochs", default)
    assert isinstance(epochs, int)
    return epochs


def trial_id(task: str, arm: str, name: str) -> str:
    """Identifier of a trial, usable as a file name."""
    return f"{task.replace('/', '-')}.{arm}.{name}"


def _identifier(arm_study: ArmStudy, name: str) -> str:
    """The id of a trial of a study."""
    of_search = f"r{arm_study.repeat + 1}." if arm_study.repeat else ""
    return trial_id(arm_study.task, arm_study.arm.name, of_search + name)


def search_trial(
    spec: SweepSpec, run: Path, arm_study: ArmStudy, number: int, chosen: Mapping[str, Scalar]
) -> TrialConfig:
    """The configuration of a search trial."""
    identifier = _identifier(arm_study, f"s{number:03d}")
    return _config(
        spec, run, arm_study, identifier, chosen,
        number=number,
        seed=derive_seed(
            spec.search.seed, arm_study.task, arm_study.arm.name, arm_study.stage("search"), number
        ),
    )  # fmt: skip


def confirm_trial(
    spec: SweepSpec,
    run: Path,
    arm_study: ArmStudy,
    rank: int,
    seed: int,
    chosen: Mapping[str, Scalar],
) -> TrialConfig:
    """The configuration of a confirm trial.

    Arms share the seeds: with the same seed they begin with the same weights and see the rows in
    the same order, so that differences can be paired.
    """
    identifier = _identifier(arm_study, f"c{rank}.{seed}")
    is_first = seed == spec.confirm.all_seeds[0]
    folder = BEST if is_first else f"seed-{seed}"
    folder += f"-{arm_study.repeat + 1}" if arm_study.repeat else ""
    saved = run / "checkpoints" / arm_study.task.replace("/", "-") / arm_study.arm.name / folder
    is_kept = rank == 0 and (is_first or spec.confirm.keep == "all")
    config = _config(
        spec, run, arm_study, identifier, chosen,
        number=rank,
        seed=derive_seed(spec.search.seed, arm_study.task, arm_study.stage("confirm"), seed),
    )  # fmt: skip
    save_path = str(saved.resolve()) if is_kept else None
    return replace(
        config, stage="confirm", score_test=True, row_metric=arm_study.metrics[0],
        save_path=save_path,
    )  # fmt: skip


def _costs(spec: SweepSpec, arm_study: ArmStudy) -> tuple[str, ...]:
    """What is measured of a student besides the metrics of its task."""
    metrics = {*arm_study.metrics, *(constraint.metric for constraint in arm_study.constraints)}
    if is_sized(spec.train):
        metrics.add(PARAMETERS)
    return tuple(cost for cost in COSTS if cost in metrics)


def _config(
    spec: SweepSpec,
    run: Path,
    arm_study: ArmStudy,
    identifier: str,
    chosen: Mapping[str, Scalar],
    *,
    number: int,
    seed: int,
) -> TrialConfig:
    """The configuration of a trial, as a search trial."""
    coefficients = {k: v for k, v in chosen.items() if k not in spec.train.domains}
    train = {k: v for k, v in chosen.items() if k in spec.train.domains}
    # A confirm trial whose configuration changed on resume must not load the old one's state.
    decisive = derive_seed(repr(sorted(chosen.items())))
    return TrialConfig(
        trial_id=identifier,
        task=arm_study.task,
        arm=arm_study.arm.name,
        method=arm_study.arm.method,
        number=number,
        repeat=arm_study.repeat,
        select_on=selecting_role(arm_study.repeat) if spec.search.repeats > 1 else "validation",
        stage="search",
        coefficients={**arm_study.arm.fixed, **coefficients},
        train={**spec.train.fixed, **train},
        seed=seed,
        lora=lora_plan(spec),
        costs=_costs(spec, arm_study),
        limit_s=spec.search.trial_time_limit_s,
        log_every=spec.step_interval,
        state_path=str((run / "state" / f"{identifier}.{decisive:08x}.safetensors").resolve()),
        state_every_s=_state_every_s(),
    )


def _state_every_s() -> float:
    """Least time between two states of a training: ``RAYKD_STATE_S``, else a minute.

    Raises:
        SetupError: The variable is not a number.
    """
    own = os.environ.get("RAYKD_STATE_S")
    if own is None:
        return STATE_EVERY_S
    try:
        return max(0.0, float(own))
    except ValueError:
        raise SetupError(
            f"RAYKD_STATE_S must be a number of seconds, got '{own}'", hint="e.g. RAYKD_STATE_S=600"
        ) from None
