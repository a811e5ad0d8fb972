from __future__ import annotations

from dataclasses import replace

from raykd.report.sections.metrics import record, render
from raykd.results.records import SweepResult
from tests.synthetic_run import METRIC, SEEDS


def with_metrics(result: SweepResult, **values: float) -> SweepResult:
    """The same run with further metrics on the test split in the confirm stage."""
    trials = tuple(
        replace(t, metrics={**t.metrics, **{f"test/{k}": v for k, v in values.items()}})
        if t.stage == "confirm" and t.task == "glue/rte"
        else t
        for t in result.trials
    )
    return replace(result, trials=trials)


def test_a_single_metric_is_no_section(result: SweepResult):
    assert record(result) is None


def test_every_metric_is_named_for_every_arm(result: SweepResult):
    actual = record(with_metrics(result, f1=0.5, accuracy_mismatched=0.25))
    (task, columns, rows), *others = actual.tables
    assert not others
    assert task == "glue/rte"
    assert columns == ("arm", f"{METRIC} (decides)", "f1", "accuracy_mismatched")
    assert [row[0] for row in rows] == ["teacher", *result.arms]
    assert rows[0][1:] == ("72.6", "n/a", "n/a")
    assert all(row[2:] == ("50.0 ± 0.0", "25.0 ± 0.0") for row in rows[1:])
    assert "accuracy_mismatched" in render(actual)
    assert len(SEEDS) > 1


def test_parts_of_students_stand_elsewhere(result: SweepResult):
    assert record(with_metrics(result, **{"accuracy@w0.5d1": 0.5})) is None


def test_spreads_of_plain_numbers_keep_their_digits(result: SweepResult):
    """Likelihoods are no shares: 0.0124 is a spread that may decide."""
    values = iter((0.01, 0.02, 0.04) * 50)
    trials = tuple(
        replace(
            t,
            objective=-5.0,
            metrics={f"test/{METRIC}": -6.0 - next(values), "test/teacher_kl": 1.0},
        )
        if t.task == "glue/rte"
        else t
        for t in result.trials
    )
    (_, _, rows), *_ = record(replace(result, trials=trials)).tables
    shown = [cell for row in rows[1:] for cell in row[1:2]]
    assert all("±" in cell for cell in shown)
    assert not any(cell.endswith("± 0.0") for cell in shown)
