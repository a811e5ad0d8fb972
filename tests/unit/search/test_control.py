"""The control group of a search."""

from __future__ import annotations

import pytest

from raykd.results.records import Status
from raykd.search.control import NOBODY, ControlGroup
from raykd.search.schedulers import asha
from tests.unit.search.test_arms import HALVING, Tune, arm


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_of_each_so_many_trials_in_a_row_one_is_in_it(share):
    group, row = ControlGroup(share=share, seed=3, first=4), round(1 / share)
    members = [n for n in range(4 + 99 * row) if n in group]
    assert [(n - 4) // row for n in members] == list(range(99))
    assert len({(n - 4) % row for n in members}) == row
    assert members != [n for n in range(4 + 99 * row) if n in ControlGroup(share=share, seed=4)]


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
