"""Step metrics: what they say, and that they change nothing."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from raykd.training.loop import train_model
from tests.ranks import on_ranks
from tests.unit.training.toys import job, numbers


def points_of(**changes):
    actual = []
    made = dataclasses.replace(job(rows=70, **changes), log_every=2, on_steps=actual.append)
    return actual, train_model(made), made


def test_a_point_every_so_many_steps_has_means_rate_norm_speed_and_memory():
    points, result, _ = points_of(epochs=2)
    assert [point.step for point in points] == [2, 4, 6, 8, 10]
    for point in points:
        assert set(point.terms) == {"loss", "task", "soft", "hidden"}
        assert set(point.values) == {"lr", "gradient_norm", "tokens_per_s", "memory_gib"}
        assert all(math.isfinite(v) and v > 0 for v in point.values.values())
    # One epoch has five steps: the means of two points and of the fifth step make its mean.
    evaluation = result.history[0]
    assert evaluation.step == 5
    of_both = result.history[0].terms["loss"] * 5 + result.history[1].terms["loss"] * 5
    assert sum(2 * point.terms["loss"] for point in points) == pytest.approx(of_both)
    assert points[0].values["lr"] > points[-1].values["lr"]


def test_training_is_the_same_bit_by_bit():
    plain = train_model(job(rows=70))
    _, watched, _ = points_of()
    assert [e.metrics for e in watched.history] == [e.metrics for e in plain.history]
    assert [e.step for e in watched.history] == [e.step for e in plain.history]


def test_the_norm_is_that_of_the_gradients_before_clipping():
    never, none, always = (
        points_of(max_grad_norm=norm)[0][0].values["gradient_norm"] for norm in (1e9, None, 1e-3)
    )
    assert never == none
    assert always > 1e-3


class Reads(TorchDispatchMode):
    """Counts how often the host reads a number of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_numbers_are_read_from_the_device_once_a_point_and_not_once_a_step():
    with Reads() as plain:
        train_model(job(rows=70, epochs=2))
    with Reads() as watched:
        points, result, _ = points_of(epochs=2)
    assert result.steps == 2 * len(points)
    assert watched.count - plain.count <= 2 * len(points)  # the norm, and the sum of the losses


def test_without_an_interval_nothing_is_reported():
    actual = []
    train_model(dataclasses.replace(job(rows=70), on_steps=actual.append))
    assert actual == []
    assert numbers(train_model(job(rows=70)).history)


def test_ranks_say_together_what_one_says_of_the_same_batches():
    exact = {"rows": 31, "dropout": 0.0, "precision": "fp32", "batch_size": 5, "epochs": 1}

    def on_rank(world):
        actual = []
        made = job(world=world, max_grad_norm=None, **exact)
        train_model(dataclasses.replace(made, log_every=2, on_steps=actual.append))
        return actual

    (alone,) = on_ranks(1, on_rank)
    first, second = on_ranks(2, on_rank)
    assert second == []
    assert [point.step for point in first] == [point.step for point in alone] == [2, 4, 6]
    for computed, expected in zip(first, alone, strict=True):
        assert computed.terms == pytest.approx(expected.terms, rel=1e-4)
        norms = [point.values["gradient_norm"] for point in (computed, expected)]
        assert norms[0] == pytest.approx(norms[1], rel=1e-4)
