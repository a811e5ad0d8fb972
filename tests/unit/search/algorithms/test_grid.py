from __future__ import annotations

import itertools
import warnings

import pytest
from optuna.trial import TrialState

from raykd.search.algorithms.grid import Params, build, grid_of
from raykd.search.study import StudySearch, reopen
from raykd.spec.domains import Domain
from tests.unit.search.studies import space, storage

DOMAINS = {
    "alpha": Domain(kind="uniform", low=0.0, high=1.0),
    "kind": Domain(kind="choice", choices=("cos", "l2")),
}
EVERYTHING = set(itertools.product([0.0, 0.5, 1.0], ["cos", "l2"]))


def search(folder, budget=6, **changes):
    made = space(domains=DOMAINS, budget=budget, **changes)
    return StudySearch(
        made, storage(folder), lambda existing: build(Params(points=3), DOMAINS, seed=existing)
    )


def trial(search, name):
    chosen = search.suggest(name)["params"]
    search.complete(name, [chosen["alpha"]])
    return chosen["alpha"], chosen["kind"]


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Domain(kind="choice", choices=("a", None)), ["a", None]),
        (Domain(kind="uniform", low=0.0, high=1.0), [0.0, 0.25, 0.5, 0.75, 1.0]),
        (Domain(kind="loguniform", low=1e-4, high=1.0), [1e-4, 1e-3, 1e-2, 0.1, 1.0]),
        (Domain(kind="quniform", low=0.1, high=0.3, step=0.1), [0.1, 0.2, 0.3]),
        (Domain(kind="quniform", low=0.0, high=1.0, step=0.4), [0.0, 0.4, 0.8]),
        (Domain(kind="int", low=1, high=3), [1, 2, 3]),
        (Domain(kind="int", low=0, high=100), [0, 25, 50, 75, 100]),
        (Domain(kind="logint", low=1, high=16), [1, 2, 4, 8, 16]),
    ],
    ids=lambda d: d.describe() if isinstance(d, Domain) else "",
)
def test_points_are_spread_over_the_domain(domain, values):
    actual = grid_of(domain, 5)
    assert actual == [v if isinstance(v, str | None) else pytest.approx(v) for v in values]
    assert all(domain.contains(v) for v in actual)


def test_every_combination_is_tried_once(tmp_path):
    one = search(tmp_path)
    assert {trial(one, str(k)) for k in range(6)} == EVERYTHING
    assert one.counted() == 6


def test_a_budget_beyond_the_grid_continues(tmp_path):
    one = search(tmp_path, budget=8)
    assert {trial(one, str(k)) for k in range(8)} == EVERYTHING


def test_a_start_point_comes_first_and_what_it_lacks_is_drawn(tmp_path):
    one = search(tmp_path, start=({"kind": "l2"},))
    alpha, kind = trial(one, "first")
    assert kind == "l2"
    assert 0 <= alpha <= 1
    assert {trial(one, str(k)) for k in range(6)} == EVERYTHING


def test_a_resumed_search_tries_what_is_left(tmp_path):
    first = search(tmp_path)
    tried = [trial(first, str(k)) for k in range(3)]
    cut_short = first.suggest("cut short")["params"]
    second = search(tmp_path)
    assert reopen(second.study, {}) == (3,)
    tried += [trial(second, str(k)) for k in range(3)]
    assert tried[3] == (cut_short["alpha"], cut_short["kind"])
    assert set(tried) == EVERYTHING
    assert second.counted() == 6
    states = [t.state for t in second.study.get_trials()]
    assert states.count(TrialState.COMPLETE) == 6


def test_no_value_is_reported_outside_its_domain(tmp_path):
    domains = {"share": Domain(kind="quniform", low=0.1, high=0.3, step=0.1)}
    made = StudySearch(
        space(domains=domains), storage(tmp_path), lambda existing: build(Params(), domains, 0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        actual = [made.suggest(str(k))["params"]["share"] for k in range(3)]
    assert sorted(actual) == pytest.approx([0.1, 0.2, 0.3])
