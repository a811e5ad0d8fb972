"""What every registered task lets a sweep record: units, constant answers, rows by content."""

from __future__ import annotations

import math

from raykd import registry
from raykd.data.chance_level import constant_scores
from raykd.data.shared_rows import digests, shared
from raykd.results.scales import scale_named, unit_of
from tests.contracts.matrix import over
from tests.contracts.test_tasks import TASKS, each_task, encoded, rows, task  # noqa: F401  # fixtures


@over(TASKS, each_task, together=True)
def test_every_metric_has_a_unit(name):
    of = registry.load("tasks", name)
    for metric in of.metrics:
        assert unit_of(metric, of.units) or unit_of(metric)


def test_constant_answers_have_scores_that_the_metric_can_have(task, encoded):  # noqa: F811
    for metric in task.metrics:
        scale = scale_named(unit_of(metric), metric)
        actual = constant_scores(task, encoded, metric)
        assert all(math.isfinite(v) and scale.low <= v <= scale.high for v in actual)
        if task.kind == "classification" and scale.per_row:
            assert len(actual) == task.num_labels
        if task.kind == "regression" or scale.unit == "nats":
            assert actual == ()


def test_every_row_is_found_again_and_only_itself(task, rows):  # noqa: F811
    own = digests(task, rows)
    assert len(set(own)) == len(own) == len(rows)
    half = rows.take(list(range(0, len(rows), 2)))
    splits = {"train": rows, "validation": half, "test": half}
    actual = shared(task, splits, ("train",))
    assert actual["validation in train"] == (len(half), len(half))
