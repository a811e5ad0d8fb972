"""The verdict in worlds whose truth is known; tests/benchmarks/planted_worlds.py has large ones.

Bounds are the promised rates and what so few worlds add by chance (three standard errors).
"""

import dataclasses

import numpy as np
import pytest

from tests.benchmarks.planted_worlds import (
    World,
    agreement,
    by_plan,
    draw,
    judge,
    over_tasks,
    own_intervals,
)
from tests.benchmarks.time_to_verdict import replayed
from tests.cases.planted_records import TASK, sweep

WORLDS = 250


def most(promised: float, worlds: int = WORLDS) -> float:
    """Percent that a rate of this size hardly exceeds."""
    return promised + 300 * (promised / 100 * (1 - promised / 100) / worlds) ** 0.5


def test_what_is_counted_is_what_the_verdict_says():
    assert agreement(60, 1) == 1.0


@pytest.mark.parametrize(
    "world",
    [
        World(arms=3, seeds=3),
        World(arms=8, seeds=5),
        World(arms=5, seeds=5, noise="t3"),
        World(arms=5, seeds=5, noise="collapse"),
        World(arms=5, seeds=5, effect=3.0, best=2),
        World(arms=3, seeds=3, effect=3.0, best=2),
        World(arms=4, seeds=5, lost=0.15),
        World(arms=2, seeds=10, rows=277, share=0.2),
        World(arms=4, seeds=5, rows=56, share=0.1),
        World(arms=2, seeds=1, searches=5, apart=1.0),
        World(arms=5, seeds=2, searches=3, apart=1.5),
    ],
    ids=str,
)
def test_claims_without_a_difference_are_rare(world: World):
    actual = judge(world, WORLDS, 2)
    assert actual["false"] <= most(5.0)
    assert actual["marks"] <= most(5.0)
    assert actual["beats"] <= most(5.0)
    assert actual["worse"] <= most(0.5)
    assert actual["interval"] >= 93.0 - 3.0


def test_one_search_says_of_configurations_what_is_not_so_of_methods():
    one = judge(World(arms=2, seeds=5, apart=1.0), WORLDS, 2)
    assert one["false"] > 20.0


def test_a_difference_of_two_deviations_is_found():
    actual = judge(World(effect=2.0), WORLDS, 3)
    assert actual["right"] >= 75.0 - 8.0
    assert actual["worse"] <= most(0.5)


def test_a_difference_of_a_deviation_is_found_by_a_plan_that_keeps_its_level():
    one = by_plan(World(arms=2, effect=1.0), (5, 10, 20), WORLDS, 4)
    assert one["right"] >= 90.0 - 6.0
    assert one["seeds"] < 18
    none = by_plan(World(arms=2), (5, 10, 20), WORLDS, 4)
    assert none["false"] <= most(5.0)
    assert none["marks"] <= most(5.0)


def test_many_tasks_name_no_winner_by_chance():
    tied = World(arms=3, effect=3.0, best=2)
    assert over_tasks(tied, 6, 120, 5)["false heading"] <= most(5.0, 120)


def test_many_tasks_with_plans_of_seeds_name_no_winner_by_chance():
    tied, looks = World(arms=3, effect=3.0, best=2), (5, 10, 20)
    assert over_tasks(tied, 9, 60, 5, looks)["false heading"] <= most(5.0, 60)
    assert over_tasks(World(arms=3, effect=2.0), 9, 5, 5, looks)["right"] == 100.0


@pytest.mark.parametrize(("lead", "least", "most_seeds"), [(0.05, 5, 5), (0.006, 10, 20)])
def test_a_plan_replayed_from_records_takes_the_seeds_that_its_looks_need(
    lead: float, least: int, most_seeds: int
):
    rng = np.random.default_rng(5)
    level = rng.normal(0.7, 0.01, 20)
    result = sweep(
        rows=100_000,
        none=(level - 0.2).tolist(),
        kd=(level + rng.normal(0, 0.006, 20)).tolist(),
        a=(level + lead + rng.normal(0, 0.006, 20)).tolist(),
    )
    result = dataclasses.replace(result, spec={**result.spec, "confirm": {"seeds": [11]}})
    order = list(range(11, 31))
    outcome, seeds, seconds = replayed(result, TASK, order, (5, 10, 20))
    assert (outcome.leader, outcome.decided) == ("a", True)
    assert least <= seeds <= most_seeds
    assert seconds == 3 * seeds * 300.0  # three arms, and what a planted confirm run takes
    fixed, all_seeds, _ = replayed(result, TASK, order, (20,))
    assert (fixed.decided, all_seeds) == (True, 20)


@pytest.mark.parametrize(("arms", "least"), [(2, 80.0), (5, 93.0)])
def test_intervals_of_arms_allow_for_collapses_as_soon_as_one_was_seen(arms: int, least: float):
    """Of two arms with five seeds, a third sees none, and half of these are too narrow."""
    rng, of = np.random.default_rng(7), World(arms=arms, noise="collapse")
    hits, seen = [], []
    for _ in range(300):
        drawn = draw(of, rng)
        fell = bool((drawn.scores < 0.58).any())
        for interval, truth in zip(own_intervals(of, drawn), drawn.truth, strict=True):
            hits.append(interval is not None and interval.low <= truth <= interval.high)
            seen.append(fell)
    assert 100 * np.mean(hits) > least - 3.0
    assert np.mean(np.array(hits)[seen]) > 0.97
