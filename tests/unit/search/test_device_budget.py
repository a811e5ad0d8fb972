"""Arms that search for the same device time."""

from __future__ import annotations

import math

import pytest
from optuna.storages import InMemoryStorage

from raykd.search.device_budget import DeviceBudget
from tests.simulated_search import search
from tests.unit.search.test_same_list import ARMS, EPOCHS, TRIALS, arms, train

NEVER = ("none", {})


def used(actual, of_ends: int) -> dict[str, float]:
    trained = train(of_ends)
    return {
        arm: sum(
            trained(name, number, trial.params).epoch_s * len(trial.scores)
            for (name, number), trial in actual.trials.items()
            if name == arm
        )
        for arm in ARMS
    }


@pytest.mark.parametrize("slots", [1, 3])
def test_arms_search_until_their_device_time_is_used_up(slots):
    made = arms(InMemoryStorage(), algorithm="random", scheduler=NEVER)
    actual = search(made, train(0), slots, DeviceBudget(60.0))
    longest = max(
        train(0)(arm, number, trial.params).epoch_s * EPOCHS
        for (arm, number), trial in actual.trials.items()
    )
    for seconds in used(actual, 0).values():
        # What was open when it was used up ran on.
        assert 60.0 <= seconds <= 60.0 + slots * longest
    counts = {arm: sum(name == arm for name, _ in actual.trials) for arm in ARMS}
    assert counts["none"] > 1.5 * counts["ckd"]


def test_what_was_used_before_is_charged():
    made = arms(InMemoryStorage(), algorithm="random", scheduler=NEVER)
    actual = search(made, train(0), 1, DeviceBudget(60.0, {"kd": 40.0, "ckd": 70.0}))
    counts = {arm: sum(name == arm for name, _ in actual.trials) for arm in ARMS}
    assert counts["none"] > 2 * counts["kd"] > counts["ckd"] == 0


def test_trials_are_the_most_there_are():
    made = arms(InMemoryStorage(), algorithm="random", scheduler=NEVER)
    assert len(search(made, train(0), 2, DeviceBudget(1e9)).trials) == TRIALS * len(ARMS)


def test_without_a_limit_nothing_is_used_up():
    budget = DeviceBudget()
    budget.add("kd", 1e12)
    assert budget.allows("kd")
    assert budget.share("kd") == 0.0
    assert not DeviceBudget(5.0, {"kd": 5.0}).allows("kd")
    assert math.isclose(DeviceBudget(8.0, {"kd": 2.0}).share("kd"), 0.25)


def test_arms_whose_time_is_used_up_before_they_begin_are_reported():
    budget = DeviceBudget(10.0, {"kd": 12.0, "none": 3.0})
    assert budget.used_up(["none"]) == DeviceBudget().used_up(["kd"]) == ""
    assert budget.used_up(["none", "kd"]).startswith(
        "no trial of 'kd' begins: search.device_budget"
    )
