"""What a sweep could have found, and what a smaller difference would take."""

import dataclasses

import numpy as np
import pytest

from raykd.results import sentences
from raykd.results.differences import paired_difference
from raykd.results.power import rows_needed, seeds_needed, smallest_difference
from raykd.results.summary import arm_summaries, task_metric
from tests.cases.planted_records import TASK, sweep


def drawn(rng: np.random.Generator, seeds: int, shift: float):
    values = rng.normal(shift, 1.0, seeds)
    return paired_difference(dict(enumerate(values)), dict.fromkeys(range(seeds), 0.0), "max")


def test_a_difference_of_that_size_is_found_in_four_of_five_sweeps():
    """With the spread known: 8 seeds, sd 1."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=8)
    values = (values - values.mean()) / values.std(ddof=1)
    known = paired_difference(dict(enumerate(values)), dict.fromkeys(range(8), 0.0), "max")
    size = smallest_difference(known)
    actual = np.mean([drawn(rng, 8, size).better for _ in range(2000)])
    assert 0.75 < actual < 0.85


def test_the_seeds_that_are_needed_are_enough_and_one_less_is_not():
    d = drawn(np.random.default_rng(1), 5, 0.0)
    seeds = seeds_needed(d, 0.5)
    assert smallest_difference(d, seeds=seeds) <= 0.5 < smallest_difference(d, seeds=seeds - 1)
    assert seeds_needed(d, 1e-6) is None
    assert rows_needed(d, 0.5) is None  # rows were not counted


def test_where_rows_are_the_limit_rows_are_what_is_needed():
    rng = np.random.default_rng(2)
    item = rng.normal(0, 1.0, 100)
    a = {s: (item + rng.normal(0, 0.1, 100)).astype(np.float32) for s in range(8)}
    b = {s: rng.normal(0, 0.1, 100).astype(np.float32) for s in range(8)}
    d = paired_difference(
        {s: float(v.mean()) for s, v in a.items()}, {s: float(v.mean()) for s, v in b.items()},
        "max", outcomes=(a, b),
    )  # fmt: skip
    assert seeds_needed(d, 0.1) is None
    rows = rows_needed(d, 0.1)
    assert smallest_difference(d, rows=rows) == pytest.approx(0.1, rel=0.01)


def test_seeds_and_rows_are_both_named_where_either_would_do():
    rng = np.random.default_rng(4)
    a, b = ({s: rng.normal(0, 1.0, 400).astype(np.float32) for s in range(5)} for _ in range(2))
    d = paired_difference(
        {s: float(v.mean()) for s, v in a.items()}, {s: float(v.mean()) for s, v in b.items()},
        "max", outcomes=(a, b),
    )  # fmt: skip
    d = dataclasses.replace(d, mean=0.7 * smallest_difference(d))
    result = sweep(none=[0.7, 0.71, 0.69], kd=[0.7, 0.71, 0.70])
    leader, rival = arm_summaries(result, TASK)
    (said,) = sentences.of_size(
        task_metric(result, TASK), leader, rival, d, decided=False, equal=False, trials=2
    )
    seeds, rows = seeds_needed(d, d.mean), rows_needed(d, d.mean)
    assert f"about {seeds} seeds an arm ({2 * seeds} confirm runs in all), or about" in said
    assert said.endswith(f"or about {rows:,} test rows with as many seeds.")
