"""What a metric is decides how it is written, not the values that came out."""

from __future__ import annotations

import dataclasses

import pytest

from raykd import registry
from raykd.results.differences import PairedDifference, paired_difference
from raykd.results.scales import KNOWN, UNITS, scale_named, unit_of
from raykd.results.stats import confidence_interval


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("accuracy", "share"), ("test/accuracy", "share"), ("accuracy_mismatched", "share"),
        ("test/f1_macro@w0.5d1", "share"), ("f1_a", "share"), ("token_accuracy", "token_share"),
        ("matthews", "correlation"), ("test/teacher_kl", "divergence"),
        ("masked_log_likelihood", "log_likelihood"), ("latency_ms", "milliseconds"),
        ("ter", ""), ("f", ""),
    ],
)  # fmt: skip
def test_metrics_keep_their_unit_in_other_splits_and_parts(metric: str, unit: str):
    assert unit_of(metric) == unit


def test_every_metric_of_every_task_is_known():
    tasks = [registry.load("tasks", name) for name in registry.variants("tasks")]
    unknown = {m for t in tasks for m in t.metrics if not unit_of(m, t.units) and not unit_of(m)}
    assert not unknown
    assert set(KNOWN.values()) <= set(UNITS)


def test_a_task_says_what_metrics_of_its_own_are():
    own = dataclasses.replace(registry.load("tasks", "glue/rte"), units={"bits": "number"})
    assert unit_of("bits", own.units) == "number"
    assert scale_named("number", "bits").axis("bits") == "bits"


def test_nats_are_not_percent_and_zero_has_no_sign():
    nats, share = scale_named("log_likelihood", "x"), scale_named("share", "x")
    assert (nats.show(-0.55), nats.signed(0.07), nats.unit) == ("-0.55", "+0.07", "nats")
    assert (share.show(-0.0004), share.show(-0.004)) == ("0.0", "-0.4")
    assert share.show(float("nan")) == "n/a"


def test_intervals_end_where_the_metric_does():
    actual = scale_named("share", "x").clip(confidence_interval([0.9, 0.99, 0.6]))
    assert (actual.mean, actual.high) == (pytest.approx(0.83), 1.0)
    assert 0.3 < actual.low < 0.4
    assert scale_named("share", "x").clip(confidence_interval([0.5])).mean == 0.5


def test_one_row_in_one_seed_is_the_least_spread():
    flat = paired_difference({1: 0.5, 2: 0.6, 3: 0.7}, {1: 0.4, 2: 0.5, 3: 0.6}, "max", min_sd=0.1)
    # t(0.975, 2) = 4.302653: half width 0.1 * 4.302653 / sqrt(3) = 0.2484
    assert flat.interval.low == pytest.approx(0.1 - 0.24841, abs=1e-4)
    assert flat.undecided


def test_too_few_or_equal_differences_decide_nothing():
    two = paired_difference({1: 0.5, 2: 0.61}, {1: 0.4, 2: 0.5}, "max")
    assert two.undecided
    equal = {seed: 0.5 for seed in range(5)}
    assert paired_difference(equal, {s: 0.4 for s in equal}, "max").undecided
    six = {seed: 0.5 for seed in range(6)}
    assert paired_difference(six, {s: 0.4 for s in six}, "max").better


def test_better_is_a_direction():
    worse = paired_difference({1: 0.1, 2: 0.12, 3: 0.11}, {1: 0.5, 2: 0.5, 3: 0.5}, "max")
    assert not worse.undecided
    assert not worse.better
    assert isinstance(worse, PairedDifference)
