"""What the report says of running a sweep again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raykd.report.sections.reproduce import record
from raykd.results.records import SweepResult

TASK = "glue/rte"
SAME = "give the same students"


def swept(result: SweepResult, used: int | None, **search: object) -> SweepResult:
    spec = {**result.spec, "search": {**result.spec["search"], **search}}
    return replace(result, spec=spec, lags={TASK: used})


def test_a_search_with_a_lag_is_one_of_its_file(result: SweepResult):
    actual = record(swept(result, 16, lag=16))
    assert actual.heading.endswith(SAME)
    assert dict(actual.facts)["search lag"].startswith("16 (as search.lag,")


def test_a_lag_that_was_chosen_for_the_slots_is_reported(result: SweepResult):
    actual = record(swept(result, 16, lag="auto"))
    assert actual.heading.endswith(f"{SAME} on as many slots; on any number with search.lag: 16")


@pytest.mark.parametrize("key", ["time_budget", "device_budget"])
def test_a_budget_of_time_is_one_of_its_machine(result: SweepResult, key: str):
    actual = record(swept(result, 2, lag=2, **{f"{key}_s": 60.0}))
    assert SAME not in actual.heading
    assert f"how many of them search.{key} allows depends on the machine" in actual.heading


def test_one_without_depends_on_the_order_of_ends(result: SweepResult):
    for lags in ({}, {TASK: None}):
        actual = record(replace(result, lags=lags))
        assert SAME not in actual.heading
        assert "search lag" not in dict(actual.facts)


@pytest.mark.parametrize(("scheduler", "is_same"), [("none", True), ("asha", False)])
def test_random_draws_are_the_same_unless_some_are_stopped(
    result: SweepResult, scheduler: str, is_same: bool
):
    search = {"algorithm": {"name": "random"}, "scheduler": {"name": scheduler}}
    actual = record(swept(result, None, lag="none", **search))
    assert (SAME in actual.heading) == is_same
