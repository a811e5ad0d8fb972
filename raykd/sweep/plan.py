"""From a search space to cells and trial configurations: pure bookkeeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raykd.data.base import Task
from raykd.params import Scalar, describe
from raykd.search.space import domains_of
from raykd.search.study import CellSpace
from raykd.spec.schema import MethodSpec, SweepSpec
from raykd.sweep.tasks import task_of
from raykd.training.seeding import derive_seed
from raykd.training.settings import TrainSettings
from raykd.trial.run import TrialConfig

LATENCY = "latency_ms"


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One arm on one task: one Optuna study.

    Attributes:
        task: Task name.
        arm: What the user wrote for the label.
        study_name: Name of its study in the run's storage.
        metrics: Objectives; the first one decides.
        modes: ``max`` or ``min`` for each.
    """

    task: str
    arm: MethodSpec
    study_name: str
    metrics: tuple[str, ...]
    modes: tuple[str, ...]


def cells(spec: SweepSpec) -> tuple[Cell, ...]:
    """Every arm on every task, task by task."""
    return tuple(
        Cell(
            task=task,
            arm=arm,
            study_name=f"{task} {label}",
            metrics=tuple(name for name, _ in objectives(spec, task_of(spec, task))),
            modes=tuple(mode for _, mode in objectives(spec, task_of(spec, task))),
        )
        for task in spec.tasks
        for label, arm in spec.methods.items()
    )


def objectives(spec: SweepSpec, task: Task) -> tuple[tuple[str, str], ...]:
    """Metric and mode of each objective, with ``auto`` resolved for a task."""
    resolved = []
    for objective in spec.search.objective:
        metric = task.metric if objective.metric == "auto" else objective.metric
        mode = objective.mode
        if mode == "auto":
            mode = "min" if metric == LATENCY else "max"
        resolved.append((metric, mode))
    return tuple(resolved)


def cell_space(spec: SweepSpec, cell: Cell) -> CellSpace:
    """What the study of a cell searches."""
    return CellSpace(
        study_name=cell.study_name,
        domains=domains_of(cell.arm, spec.train),
        fixed={**cell.arm.fixed, **spec.train.fixed},
        directions=tuple("maximize" if m == "max" else "minimize" for m in cell.modes),
        start=cell.arm.start,
        budget=spec.search.trials,
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


def trial_id(task: str, label: str, name: str) -> str:
    """Identifier of a trial, usable as a file name."""
    return f"{task.replace('/', '-')}.{label}.{name}"


def search_trial(
    spec: SweepSpec, run: Path, cell: Cell, number: int, chosen: Mapping[str, Scalar]
) -> TrialConfig:
    """The configuration of a search trial."""
    identifier = trial_id(cell.task, cell.arm.label, f"s{number:03d}")
    return _config(
        spec, run, cell, identifier, chosen, number,
        stage="search",
        seed=derive_seed(spec.search.seed, cell.task, cell.arm.label, "search", number),
    )  # fmt: skip


def confirm_trial(
    spec: SweepSpec, run: Path, cell: Cell, rank: int, seed: int, chosen: Mapping[str, Scalar]
) -> TrialConfig:
    """The configuration of a confirm trial.

    Arms share the seeds: with the same seed they begin with the same weights and see the rows in
    the same order, so that differences can be paired.
    """
    identifier = trial_id(cell.task, cell.arm.label, f"c{rank}.{seed}")
    saved = run / "checkpoints" / cell.task.replace("/", "-") / cell.arm.label / "best"
    is_kept = rank == 0 and seed == spec.confirm.seeds[0]
    return _config(
        spec, run, cell, identifier, chosen, rank,
        stage="confirm",
        seed=derive_seed(spec.search.seed, cell.task, "confirm", seed),
        save_path=str(saved.resolve()) if is_kept else None,
    )  # fmt: skip


def _config(
    spec: SweepSpec,
    run: Path,
    cell: Cell,
    identifier: str,
    chosen: Mapping[str, Scalar],
    number: int,
    *,
    stage: str,
    seed: int,
    save_path: str | None = None,
) -> TrialConfig:
    coefficients = {k: v for k, v in chosen.items() if k not in spec.train.domains}
    train = {k: v for k, v in chosen.items() if k in spec.train.domains}
    # A confirm trial whose configuration changed on resume must not go on from the old one's state.
    decisive = derive_seed(repr(sorted(chosen.items())))
    return TrialConfig(
        trial_id=identifier,
        task=cell.task,
        label=cell.arm.label,
        method=cell.arm.method,
        number=number,
        stage=stage,
        coefficients={**cell.arm.fixed, **coefficients},
        train={**spec.train.fixed, **train},
        seed=seed,
        report=stage == "confirm",
        latency=LATENCY in cell.metrics,
        state_path=str((run / "state" / f"{identifier}.{decisive:08x}.safetensors").resolve()),
        save_path=save_path,
    )
