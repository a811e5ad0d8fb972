"""Preparing teachers and running one trial in this process, without Ray: for debugging."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from raykd import params, registry
from raykd.data.base import Task
from raykd.errors import SpecError
from raykd.models.tokenizers import save_tokenizer
from raykd.params import Scalar
from raykd.registry import suggestion
from raykd.results.records import Evaluation
from raykd.search.space import domains_of, ordered
from raykd.spec.domains import Domain
from raykd.spec.schema import SweepSpec
from raykd.sweep.gather import Gathered, gather
from raykd.sweep.plan import cells, search_trial
from raykd.sweep.serving import inputs_of
from raykd.teachers import cache
from raykd.teachers.inputs import Progress
from raykd.teachers.prepare import prepare
from raykd.teachers.prepared import Prepared
from raykd.training.device import World
from raykd.training.settings import TrainSettings
from raykd.trial.run import TrialConfig, TrialOutcome, run_trial


def prepare_task(
    spec: SweepSpec,
    task: str,
    folder: Path,
    progress: Progress,
    note: Callable[[str], None] = lambda message: None,
) -> tuple[Gathered, Prepared, bool]:
    """Take the teacher of a task from the cache, or prepare it here.

    Args:
        spec: The search space.
        task: Task name.
        folder: The cache.
        progress: Told how far it is.
        note: Told what a user should know of the models.

    Returns:
        The gathered task, the prepared task, and whether it was in the cache.
    """
    gathered = gather(spec, task)
    for message in gathered.notes:
        note(message)
    planned = inputs_of(spec, gathered, _memory())
    prepared = cache.load(folder, planned.inputs.fingerprint)
    if prepared is not None:
        return gathered, prepared, True
    made = prepare(planned.inputs, World(), progress)
    assert made is not None
    prepared, state = made
    teacher = cache.store(folder, prepared, state, identity=planned.identity)
    save_tokenizer(gathered.tokens.teacher, teacher)
    return gathered, prepared, False


def _memory() -> int:
    """Free memory, which recorded outputs may use as they may use an object store."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def trial_of(
    spec: SweepSpec, run: Path, task: str, label: str, given: Mapping[str, Scalar]
) -> TrialConfig:
    """The configuration of one trial of an arm.

    A searched parameter that is not given takes the middle of its domain (the geometric middle of
    a logarithmic one, the first choice).

    Args:
        spec: The search space.
        run: Folder for what the trial keeps.
        task: Task name.
        label: Arm.
        given: Parameters of the method or of training, searched or not.

    Raises:
        SpecError: No such task or arm, or a parameter that neither method nor training has.
    """
    cell = next((c for c in cells(spec) if (c.task, c.arm.label) == (task, label)), None)
    if cell is None:
        raise SpecError(
            f"the file has no arm '{label}' on task '{task}'",
            hint=suggestion(label, tuple(spec.methods)) or f"arms: {', '.join(spec.methods)}",
        )
    in_training = {i.name for i in params.describe(TrainSettings)}
    coefficients = registry.params_of("methods", cell.arm.method)
    known = {i.name: i for i in (*params.describe(TrainSettings), *params.describe(coefficients))}
    for name, value in given.items():
        if name in known and (wrong := known[name].problem(value)):
            raise SpecError(wrong)
        if name not in known:
            raise SpecError(
                f"neither method '{cell.arm.method}' nor training has a parameter '{name}'",
                hint=suggestion(name, tuple(known)),
            )
    domains = domains_of(cell.arm, spec.train)
    fixed = {**cell.arm.fixed, **spec.train.fixed, **given}
    chosen: dict[str, Scalar] = {}
    for name in ordered(domains):
        if name not in given and domains[name].active({**fixed, **chosen}):
            chosen[name] = middle(domains[name])
    config = search_trial(spec, run, cell, 0, chosen)
    own = {k: v for k, v in given.items() if k not in in_training}
    training = {k: v for k, v in given.items() if k in in_training}
    return replace(
        config,
        coefficients={**config.coefficients, **own},
        train={**config.train, **training},
        report=True,
        state_path=None,
    )


def middle(domain: Domain) -> Scalar:
    """A value in the middle of a domain."""
    if domain.kind == "choice":
        return domain.choices[0]
    assert domain.low is not None
    assert domain.high is not None
    if domain.kind in ("loguniform", "logint"):
        value = math.sqrt(domain.low * domain.high)
    else:
        value = (domain.low + domain.high) / 2
    if domain.kind == "quniform":
        assert domain.step is not None
        return domain.low + domain.step * round((value - domain.low) / domain.step)
    return round(value) if domain.kind in ("int", "logint") else value


def run_here(
    config: TrialConfig, prepared: Prepared, task: Task, report: Callable[[Evaluation], None]
) -> TrialOutcome:
    """Run a trial in this process."""

    def go_on(evaluation: Evaluation) -> bool:
        report(evaluation)
        return False

    return run_trial(config, prepared, task, World(), go_on)
