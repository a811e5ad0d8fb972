from __future__ import annotations

from dataclasses import replace

from raykd.report.sections.subnets import record, render
from raykd.results.records import SweepResult
from tests.synthetic_run import METRIC


def with_subnets(result: SweepResult) -> SweepResult:
    trials = tuple(
        replace(t, metrics={**t.metrics, f"test/{METRIC}@w0.5d1": 0.5,
                            f"test/{METRIC}@w0.5d0.5": 0.25, "test/f1@w0.5d1": 0.9})
        if (t.task, t.arm, t.stage) == ("glue/rte", "ckd", "confirm")
        else t
        for t in result.trials
    )  # fmt: skip
    return replace(result, trials=trials)


def test_a_run_without_subnets_has_no_section(result: SweepResult):
    assert record(result) is None


def test_the_deciding_metric_of_every_subnet_next_to_the_whole(result: SweepResult):
    actual = record(with_subnets(result))
    ((title, columns, rows),) = actual.tables
    assert title == f"ckd on glue/rte: {METRIC}"
    assert columns == ("depth", "width 1", "width 0.5")
    assert rows[0][0] == "1"
    assert rows[0][2] == "50.0"
    assert rows[1] == ("0.5", "", "25.0")
    assert 60 < float(rows[0][1]) < 80
    assert "25.0" in render(actual)
