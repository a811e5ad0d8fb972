"""What the report says of running a sweep again."""

from __future__ import annotations

from dataclasses import replace

from raykd.report.sections.reproduce import record
from raykd.results.records import SweepResult

TASK = "glue/rte"
SAME = "give the same students"


def test_a_search_with_a_lag_is_one_of_its_file(result: SweepResult):
    found = record(replace(result, lags={TASK: 16}))
    assert SAME in found.heading
    assert dict(found.facts)["search lag"].startswith("16 (as search.lag,")


def test_one_without_depends_on_the_order_of_ends(result: SweepResult):
    for lags in ({}, {TASK: None}):
        found = record(replace(result, lags=lags))
        assert SAME not in found.heading
        assert "search lag" not in dict(found.facts)
