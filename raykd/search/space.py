"""Domains as an Optuna define-by-run function."""

from __future__ import annotations

from collections.abc import Mapping

import optuna

from raykd.params import Scalar
from raykd.spec.domains import Domain
from raykd.spec.schema import ArmSpec, ParameterSpec


def domains_of(method: ArmSpec, train: ParameterSpec) -> dict[str, Domain]:
    """Everything an arm searches: its own coefficients, then those of training."""
    return {**method.domains, **train.domains}


def ordered(domains: Mapping[str, Domain]) -> list[str]:
    """Names so that a conditional parameter comes after those it depends on."""
    placed: list[str] = []
    waiting = list(domains)
    while waiting:
        ready = [n for n in waiting if not set(domains[n].when) & (set(waiting) - {n})]
        if not ready:
            raise ValueError(f"conditions of {', '.join(sorted(waiting))} depend on each other")
        placed += ready
        waiting = [n for n in waiting if n not in ready]
    return placed


def suggest(
    trial: optuna.trial.BaseTrial, domains: Mapping[str, Domain], fixed: Mapping[str, Scalar]
) -> dict[str, Scalar]:
    """Draw the searched parameters whose conditions hold.

    Args:
        trial: An Optuna trial that was requested.
        domains: What to search.
        fixed: Constants of the arm, which conditions may refer to.

    Returns:
        Searched names and values only.
    """
    chosen: dict[str, Scalar] = {}
    for name in ordered(domains):
        domain = domains[name]
        if domain.active({**fixed, **chosen}):
            chosen[name] = _draw(trial, name, domain)
    return chosen


def redraw(trial: optuna.Trial, study: optuna.Study) -> None:
    """Draw once more what a trial holds whose suggestion was cut short, and let it be.

    So the sampler's generators stand where they would, and what is missing can be drawn.

    Args:
        trial: The trial, requested again.
        study: Its study.
    """
    frozen = study.get_trials(deepcopy=False)[trial.number]
    given = frozen.system_attrs.get("fixed_params", {})
    drawn = [name for name in frozen.params if name not in given]
    relative = trial.relative_params if drawn else {}
    for name in drawn:
        distribution = frozen.distributions[name]
        if name not in relative and not distribution.single():
            study.sampler.sample_independent(study, frozen, name, distribution)


def _draw(trial: optuna.trial.BaseTrial, name: str, domain: Domain) -> Scalar:
    if domain.kind == "choice":
        value: Scalar = trial.suggest_categorical(name, list(domain.choices))
        return value
    assert domain.low is not None
    assert domain.high is not None
    if domain.kind in ("int", "logint"):
        is_log = domain.kind == "logint"
        return trial.suggest_int(name, int(domain.low), int(domain.high), log=is_log)
    is_log = domain.kind == "loguniform"
    return trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=is_log)
