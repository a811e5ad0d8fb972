"""Studies that do not fit the event log, made again from it: the log is the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from raykd.params import Scalar
from raykd.results.records import Evaluation, Status, TrialResult
from raykd.search.optuna_private import without_constraints
from raykd.search.rungs import STEPS
from raykd.search.space import suggest
from raykd.search.study import (
    FINISHED,
    LAG,
    RETRY_OF,
    StudySpace,
    create_study,
    existing,
)
from raykd.spec.schema_stages import Constraint

_STATES = {Status.PRUNED: TrialState.PRUNED, Status.FAILED: TrialState.FAIL}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What the log says of the search of one arm.

    Attributes:
        trials: By number.
        metrics: Objectives; the first one is what evaluations are compared by.
        lag: That of the search, None for none.
        constraints: Bounds that results have to keep to.
    """

    trials: Mapping[int, TrialResult]
    metrics: tuple[str, ...]
    lag: int | None
    constraints: tuple[Constraint, ...] = ()


def rebuild(
    space: StudySpace, storage: optuna.storages.BaseStorage, recorded: Recorded
) -> tuple[int, ...]:
    """Make a study again whose trials are not those of the log; one that fits stays as it is.

    A trial with an end on record gets that end. One without is put into the queue, with what it had
    drawn and reported, so that it becomes what it would have become.

    Args:
        space: What the study searches.
        storage: Where it is.
        recorded: What the log says of it.

    Returns:
        Numbers of the trials that did not fit.
    """
    before, attributes = existing(space, storage)
    if any(RETRY_OF in trial.user_attrs for trial in before):
        return ()  # of an earlier raykd, whose trials ran again under other numbers
    count = max(len(before), max(recorded.trials, default=-1) + 1)
    held = [before[n] if n < len(before) else None for n in range(count)]
    wrong = [n for n in range(count) if not _fits(space, held[n], recorded.trials.get(n), recorded)]
    if not wrong:
        return ()
    trials = [
        _trial(space, n, held[n], recorded.trials.get(n), recorded)
        if n in wrong
        else _kept(held[n])
        for n in range(count)
    ]
    if space.study_name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=space.study_name, storage=storage)
    study = create_study(space, storage)
    lag = attributes.get(LAG, recorded.lag)
    if lag is not None:
        study.set_user_attr(LAG, lag)
    study.add_trials(trials)
    return tuple(wrong)


def _kept(trial: FrozenTrial | None) -> FrozenTrial:
    assert trial is not None  # what fits is there
    return trial


def _end(record: TrialResult, recorded: Recorded) -> tuple[TrialState, list[float]] | None:
    """State and values of a trial with an end on record; None for one that runs again."""
    if record.status is Status.COMPLETED:
        values = [record.metrics.get(name, math.nan) for name in recorded.metrics]
        finite = all(math.isfinite(value) for value in values)
        return (TrialState.COMPLETE, values) if finite else (TrialState.FAIL, [])
    state = _STATES.get(record.status)
    return None if state is None else (state, [])


def _fits(
    space: StudySpace,
    trial: FrozenTrial | None,
    record: TrialResult | None,
    recorded: Recorded,
) -> bool:
    """Whether a trial of the study is what the log says of it, or will be settled to it."""
    if trial is None:
        return False
    if record is None:
        return trial.state not in FINISHED
    if dict(trial.params) != _searched(space, record):
        return False
    end = _end(record, recorded)
    if end is None:
        return trial.state not in FINISHED
    state, values = end
    if trial.state is TrialState.RUNNING:
        return True
    return trial.state is state and (state is not TrialState.COMPLETE or trial.values == values)


def _searched(space: StudySpace, record: TrialResult) -> dict[str, Scalar]:
    return {name: record.params[name] for name in space.domains if name in record.params}


def _trial(
    space: StudySpace,
    number: int,
    before: FrozenTrial | None,
    record: TrialResult | None,
    recorded: Recorded,
) -> FrozenTrial:
    """A trial as the log has it; what the log does not know is taken from the study as it was."""
    if record is None and before is None:
        return create_trial(state=TrialState.WAITING, system_attrs=_given(space, number))
    known = without_constraints(before.system_attrs) if before is not None else None
    system = _given(space, number) if known is None else known
    if record is None:
        assert before is not None
        chosen, reported = dict(before.params), dict(before.intermediate_values)
    else:
        chosen, reported = _searched(space, record), _reported(record.history, recorded.metrics)
    if before is not None and dict(before.params) == chosen:
        distributions = dict(before.distributions)
    else:
        drawn = FixedTrial(chosen)
        suggest(drawn, space.domains, space.fixed)
        distributions = drawn.distributions
    end = None if record is None else _end(record, recorded)
    state, values = end or (TrialState.WAITING, [])
    if state is TrialState.PRUNED and reported:
        values = [reported[max(reported)]]
    constraints = {}
    if record is not None and state is TrialState.COMPLETE:
        constraints = {str(c): c.excess(record.metrics) for c in recorded.constraints}
    return create_trial(
        state=state,
        values=values or None,
        params=chosen,
        distributions=distributions,
        system_attrs=system,
        constraints=constraints,
        intermediate_values=reported,
    )


def _given(space: StudySpace, number: int) -> dict[str, Any]:
    """What Optuna notes of the trials that begin a search with points of the user."""
    return {"fixed_params": dict(space.start[number])} if number < len(space.start) else {}


def _reported(history: Sequence[Evaluation], metrics: tuple[str, ...]) -> dict[int, float]:
    """Intermediate values as `StudySearch.report` leaves them."""
    if len(metrics) > 1:
        return {}
    values = {round(e.epoch * STEPS): e.metrics.get(metrics[0], math.nan) for e in history}
    return {step: value for step, value in values.items() if math.isfinite(value)}
