"""Optuna studies rebuilt from trial records, so that `optuna.visualization` can draw them."""

from __future__ import annotations

import copy
import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from raykd.params import show
from raykd.report.charts import plain
from raykd.results.diagnose import domains_of
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.summary import metric_of, scale_of

MIN_TRIALS_FOR_IMPORTANCE = 20
"""Completed trials of an arm; from fewer, importances are those of the draw."""

_STATES = {
    Status.COMPLETED: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.FAILED: TrialState.FAIL,
}


class _Trial(FrozenTrial):
    """A trial that is copied cheaply: charts copy all of them often, and change none."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return copy.copy(self)


def studies_of(result: SweepResult, task: str) -> dict[str, optuna.Study]:
    """The searches of the arms that completed a trial, by name."""
    studies = {arm: study_of(result, task, arm) for arm in result.arms}
    return {arm: study for arm, study in studies.items() if num_completed(study)}


def study_of(result: SweepResult, task: str, arm: str) -> optuna.Study:
    """The search of one arm as an in-memory study; objectives are in the units of the report.

    Pruned trials are in it as such, with their intermediate values. Interrupted ones are left out.
    """
    metric, mode = metric_of(result, task)
    factor = scale_of(result, task).factor
    distributions = {
        name: distribution_of(domain) for name, domain in domains_of(result, arm).items()
    }
    study = quiet_study(plain(arm), [mode])
    for trial in sorted(result.of(task, arm, "search"), key=result.place):
        if trial.status in _STATES:
            study.add_trial(
                _frozen(trial, result.place(trial), distributions, metric=metric, factor=factor)
            )
    return study


def distribution_of(domain: Mapping[str, Any]) -> BaseDistribution:
    """Optuna's distribution for a domain of the resolved search space."""
    kind, low, high = domain["kind"], domain["low"], domain["high"]
    if kind == "choice":
        return CategoricalDistribution([_choice(c) for c in domain["choices"]])
    if kind in ("int", "logint"):
        return IntDistribution(int(low), int(high), log=kind == "logint")
    return FloatDistribution(
        float(low), float(high), log=kind == "loguniform", step=domain.get("step")
    )


def num_completed(study: optuna.Study) -> int:
    """Completed trials of a study."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def importances(study: optuna.Study) -> dict[str, float]:
    """Importance by Optuna's default evaluator, largest first; empty when it cannot be estimated.

    That is with fewer than `MIN_TRIALS_FOR_IMPORTANCE` completed trials, with equal objectives, or
    when no parameter took two values.
    """
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(trials) < MIN_TRIALS_FOR_IMPORTANCE or len({t.value for t in trials}) < 2:
        return {}
    names = dict.fromkeys(name for t in trials for name in t.params)
    if not any(len({t.params[n] for t in trials if n in t.params}) > 1 for n in names):
        return {}
    return dict(optuna.importance.get_param_importances(study))


def quiet_study(name: str, modes: Sequence[str]) -> optuna.Study:
    """An empty in-memory study with one direction per mode; creating it logs nothing."""
    directions = [
        StudyDirection.MINIMIZE if mode == "min" else StudyDirection.MAXIMIZE for mode in modes
    ]
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        return optuna.create_study(study_name=name, directions=directions)
    finally:
        optuna.logging.set_verbosity(level)


def _frozen(
    trial: TrialResult,
    number: int,
    distributions: Mapping[str, BaseDistribution],
    *,
    metric: str,
    factor: float,
) -> FrozenTrial:
    usable = trial.objective is not None and math.isfinite(trial.objective)
    state = _STATES[trial.status] if usable else TrialState.FAIL
    params = {
        name: _choice(value) if isinstance(dist, CategoricalDistribution) else value
        for name, dist in distributions.items()
        if (value := trial.params.get(name)) is not None or name in trial.params
    }
    # A starting point given by the user may lie outside the domain; Optuna refuses such a value.
    params = {name: value for name, value in params.items() if _fits(distributions[name], value)}
    started = datetime.datetime.fromtimestamp(trial.started, tz=datetime.UTC)
    return _Trial(
        number=number,
        trial_id=number,
        state=state,
        value=None if state is TrialState.FAIL else (trial.objective or 0.0) * factor,
        params=params,
        distributions={name: distributions[name] for name in params},
        intermediate_values={
            e.step: e.metrics[metric] * factor
            for e in trial.history
            if math.isfinite(e.metrics.get(metric, math.nan))
        },
        datetime_start=started,
        datetime_complete=started,  # Optuna wants one; no chart shows it
        user_attrs={},
        system_attrs={},
    )


def _choice(value: Any) -> Any:
    """A choice as Optuna may hold it; text is escaped because plotly reads HTML in it."""
    return plain(value) if isinstance(value, str) else value


def _fits(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return any(type(c) is type(value) and c == value for c in distribution.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        create_trial(value=0.0, params={"it": value}, distributions={"it": distribution})
    except ValueError:
        return False
    return True


def shown_params(trial: TrialResult) -> tuple[tuple[str, str], ...]:
    """Searched parameters of a trial as text, in the order they were set."""
    return tuple((n, _rounded(trial.params[n])) for n in trial.searched if n in trial.params)


def _rounded(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else show(value)
