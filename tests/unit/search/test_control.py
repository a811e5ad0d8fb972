"""The control group of a search."""

from __future__ import annotations

import itertools

import pytest

from raykd.results.records import Status
from raykd.search.control import NOBODY, ControlGroup
from raykd.search.schedulers import asha
from tests.unit.search.test_arms import HALVING, Tune, arm


@pytest.mark.parametrize(
    ("share", "rows"),
    [(0.1, [10]), (0.25, [4]), (0.5, [2]), (0.4, [2, 3]), (0.3, [3, 3, 4]), (1 / 3, [3])],
)
def test_of_each_so_many_trials_in_a_row_one_is_in_it(share, rows):
    group = ControlGroup(share=share, seed=3, first=4)
    lengths = itertools.islice(itertools.cycle(rows), 300)
    begins = list(itertools.accumulate(lengths, initial=4))
    ends = begins[1:]
    members = [n for n in range(ends[-1]) if n in group]
    assert len(members) == 300
    assert members == sorted(members)
    assert all(a <= n < b for a, n, b in zip(begins, members, ends, strict=False))
    assert len(members) == pytest.approx(share * (ends[-1] - 4), abs=1)
    places = {n - a for a, n in zip(begins, members, strict=False)}
    assert places == set(range(max(rows)))
    other = ControlGroup(share=share, seed=4, first=4)
    assert members != [n for n in range(ends[-1]) if n in other]


def test_a_share_that_is_one_over_a_whole_number_keeps_its_members():
    group = ControlGroup(share=0.1, seed=3, first=2)
    assert [n for n in range(60) if n in group] == [11, 19, 25, 41, 42, 55]


def test_nobody_is_in_none():
    assert not any(n in NOBODY for n in range(1000))


def test_a_trial_of_it_runs_on_where_others_are_stopped(tmp_path):
    group = ControlGroup(share=0.5, seed=0, first=1)
    made = arm(tmp_path, budget=9, pruner=asha.build(HALVING, max_epochs=4), control=group)
    tune = Tune({"one": made})
    ends = {}
    for number in range(9):
        tune.suggest(str(number))
        ends[number] = tune.train(str(number), [0.9 if not number else 0.5 - number / 100] * 4)
    members = {n for n in range(9) if n in group}
    assert members
    assert {n for n, end in ends.items() if end == Status.COMPLETED} == {0, *members}
    for number, end in ends.items():
        event = tune.notebook.events["one", number]
        wanted = (number in members, 1.0 if number in members else 0.0)
        assert (event["control"], event["spared"]) == wanted, end
