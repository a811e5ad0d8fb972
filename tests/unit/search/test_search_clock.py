"""Time budgets are fair between tasks."""

from __future__ import annotations

import pytest

from raykd.search.search_clock import SearchClock


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def shares(budget: float, spent: list[float]) -> list[float]:
    """What each task is given, where it takes so many seconds, and its confirm stage 500 more."""
    clock = Clock()
    of_tasks, given = SearchClock(budget, len(spent), clock), []
    for seconds in spent:
        with of_tasks.running() as deadline:
            given.append(deadline - clock.time)
            clock.time += seconds
        clock.time += 500
    return given


def test_every_task_has_the_same_share():
    assert shares(90, [30, 30, 30]) == pytest.approx([30, 30, 30])


def test_what_one_leaves_goes_to_the_next_ones():
    assert shares(90, [10, 40, 40]) == pytest.approx([30, 40, 40])


def test_a_task_that_overran_is_paid_for_by_those_after_it_evenly():
    assert shares(90, [50, 20, 20]) == pytest.approx([30, 20, 20])
    assert shares(60, [70, 0]) == pytest.approx([30, 0])


def test_without_a_budget_there_is_no_end():
    with SearchClock(None, 2).running() as deadline:
        assert deadline is None
