"""Constraints in the search: results beyond them are kept, learnt from, and chosen by nobody."""

from __future__ import annotations

from collections.abc import Mapping

import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage

from raykd import params, registry
from raykd.search.arms import Arm
from raykd.search.study import Result, StudySearch, StudySpace, reopen
from raykd.search.study_view import is_feasible
from raykd.spec.domains import Domain
from raykd.spec.schema_stages import Constraint
from raykd.sweep.confirm import best
from tests.simulated_search import METRIC, Training, search
from tests.unit.search.studies import JournalInMemory

optuna.logging.set_verbosity(optuna.logging.WARNING)

DOMAINS = {
    "size": Domain(kind="uniform", low=0.0, high=10.0),
    "other": Domain(kind="uniform", low=0.0, high=1.0),
}
SMALL = Constraint(metric="parameters", relation="<=", bound=2.5)


def trained(arm: str, number: int, chosen: Mapping[str, object]) -> Training:
    """The larger the better; a trial takes the longer, the earlier it was."""
    size = float(chosen["size"])
    return Training(scores=[size / 10], epoch_s=1 + number % 3, costs={"parameters": size})


def arm(
    storage: optuna.storages.BaseStorage,
    algorithm: str = "tpe",
    constraints: tuple[Constraint, ...] = (SMALL,),
    budget: int = 30,
) -> Arm:
    early = {"startup_trials": 5} if algorithm == "tpe" else {}
    settings = params.build(registry.params_of("algorithms", algorithm), early)
    space = StudySpace(
        study_name="task kd", domains=DOMAINS, fixed={}, directions=("maximize",), start=(),
        budget=budget,
    )  # fmt: skip

    def sampler(existing: int) -> optuna.samplers.BaseSampler:
        return registry.load("algorithms", algorithm)(settings, DOMAINS, 7 + existing)

    study = StudySearch(space, storage, sampler, lag=2)
    return Arm(study=study, metrics=(METRIC,), constraints=constraints)


def kept(made: Arm) -> int:
    return sum(map(is_feasible, made.study.study.get_trials()))


@pytest.mark.parametrize("algorithm", ["tpe", "nsga2"])
def test_the_search_goes_where_results_keep_to_the_bound(algorithm):
    bounded = arm(InMemoryStorage(), algorithm, budget=40)
    actual = search({"kd": bounded}, trained, 2).trials
    free = arm(InMemoryStorage(), algorithm, constraints=(), budget=40)
    search({"kd": free}, trained, 2)
    # A quarter of what is searched lies within the bound, and the best of it at its edge.
    small = [t for t in free.study.study.get_trials() if t.params["size"] <= SMALL.bound]
    assert kept(bounded) > 2 * len(small)
    assert all(
        (trial.violated == (str(SMALL),)) == (float(trial.params["size"]) > SMALL.bound)
        for trial in actual.values()
    )
    (chosen,) = best(bounded.study.study, 1)
    assert 1.0 < chosen["size"] <= SMALL.bound


def test_an_arm_whose_trials_are_all_beyond_the_bound_has_nothing_to_confirm():
    made = arm(InMemoryStorage(), constraints=(SMALL.model_copy(update={"bound": -1}),), budget=3)
    search({"kd": made}, trained, 1)
    assert best(made.study.study, 1) == []


def test_slots_and_the_order_of_ends_change_nothing():
    lists = [search({"kd": arm(InMemoryStorage())}, trained, slots).trials for slots in (1, 4)]
    assert lists[0] == lists[1]


def test_a_result_that_a_dead_driver_did_not_tell_is_reported_with_its_constraints():
    storage = JournalStorage(JournalInMemory())
    first = arm(storage)
    for name in "abc":
        first.study.suggest(name)
    settled = {
        0: Result(values=[0.9], excess={str(SMALL): 1.5}),
        1: Result(values=[0.2], excess={str(SMALL): -0.5}),
    }
    second = arm(storage)
    assert reopen(second.study.study, settled) == (2,)
    trials = second.study.study.get_trials()
    assert [is_feasible(t) for t in trials[:2]] == [False, True]
    assert best(second.study.study, 3) == [trials[1].params]


def test_a_trial_that_lacks_what_is_bounded_has_failed():
    made = arm(InMemoryStorage(), budget=1)
    search({"kd": made}, lambda *of: Training(scores=[0.5]), 1)
    (trial,) = made.study.study.get_trials()
    assert trial.state is optuna.trial.TrialState.FAIL
