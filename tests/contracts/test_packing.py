"""Texts that share a row teach what they teach in rows of their own, by every method on text."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from raykd import registry
from raykd.methods.base import Method
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from raykd.training.terms import LossTracker
from tests.contracts.test_ranks import NEEDED, OTHERS
from tests.gpu.steps import can_be_recorded, recorded_outputs
from tests.ranks import on_ranks
from tests.small_pairs import LENGTHS, SmallPair

KIND = "causal_lm"
METHODS = tuple(
    name for name in registry.names("methods") if KIND in registry.load("methods", name).kinds
)
WRITES = ("gkd", "minillm", "minillm_sbs")
"""Methods that let the student write, which takes most of the time."""
VALUES: Mapping[str, tuple[dict[str, Any], ...]] = {
    **{name: ({}, *OTHERS.get(name, ())) for name in METHODS},
    **{name: ({},) for name in WRITES},
    "gkd": ({"lmbda": 1.0, "max_new_tokens": 3},),
    "sinkd": ({"view": "tokens"},),
}
UNEVEN = np.arange(len(LENGTHS))
GRID = ((1, 1), (1, 2), (2, 1))
"""Ranks and passes."""


@functools.cache
def pair() -> SmallPair:
    """Nothing changes it."""
    actual = SmallPair.of(KIND)
    return SmallPair(
        kind=KIND, task=actual.task,
        teacher=actual.teacher.double(), student=actual.student.double(),
        rows=actual.rows,
    )  # fmt: skip


def rows_read(model: nn.Module) -> list[int]:
    """How many rows each pass with gradient reads from now on."""
    actual: list[int] = []

    def note(module: nn.Module, args: Any, given: dict[str, Any]) -> None:
        if torch.is_grad_enabled():
            actual.append(len(given["input_ids"]))

    model.register_forward_pre_hook(note, with_kwargs=True)
    return actual


def method_of(of: SmallPair, name: str, values: dict[str, Any]) -> Method[Any]:
    method = of.method(name, **{**NEEDED.get(name, {}), **values})
    if (extra := method.modules()) is not None:
        extra.double()
    return method


def one_step(name: str, values: dict[str, Any], ranks: int, passes: int, *, packing: bool):
    """The gradient, what is logged, and how many rows were read."""
    of = pair()

    def run(world: DistributedContext) -> tuple[Tensor, dict[str, float], list[int]]:
        method = method_of(of, name, values)
        method.at_epoch(0, 1)
        model = copy.deepcopy(of.student)
        read = rows_read(model)
        step = of.step(method, world, model, copy.deepcopy(of.teacher), packing=packing)
        actual = step.run(of.parts(method, UNEVEN, world, passes), UNEVEN)
        tracker = LossTracker(world)
        tracker.add(actual.terms, actual.totals, actual.values, 1)
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in step.parameters()]
        return torch.cat([g.flatten() for g in grads]), tracker.means(1), read

    torch.manual_seed(0)
    actual = on_ranks(ranks, run)
    return actual[0][0], actual[0][1], sum(sum(read) for _, _, read in actual)


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_and_what_is_logged_are_the_same(name):
    """On any number of ranks, in any number of passes; the running teacher packs, too."""
    for values in VALUES[name]:
        first = values == VALUES[name][0] and name not in WRITES
        for ranks, passes in GRID if first else GRID[:1]:
            plain, packed = (
                one_step(name, values, ranks, passes, packing=packing) for packing in (False, True)
            )
            # Those of several passes are sorted by length.
            assert packed[2] < plain[2] or passes > 1, (values, ranks, passes)
            off = (packed[0] - plain[0]).abs().max()
            # Products over a vocabulary are summed up in float32.
            assert off <= 1e-5 * plain[0].abs().max(), (values, ranks, passes, float(off))
            assert packed[1] == pytest.approx(plain[1], rel=1e-5, abs=1e-7), (values, ranks, passes)


@pytest.mark.parametrize("name", METHODS)
def test_a_training_ends_with_the_same_weights(name):
    of = pair()
    recorded = can_be_recorded(method_of(of, name, {}))
    for served in ("running", "recorded") if recorded else ("running",):
        (plain, first, many), (packed, second, few) = (
            trained(of, name, served, packing) for packing in (False, True)
        )
        assert few < many
        for a, b in zip(plain.parameters(), packed.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-6)
        assert second == pytest.approx(first, rel=1e-4, abs=1e-6)


def trained(of: SmallPair, name: str, served: str, packing: bool):
    """The student, the terms, and how many rows were read."""
    method = method_of(of, name, {})
    model = copy.deepcopy(of.student)
    read = rows_read(model)
    device = torch.device("cpu")
    teacher = (
        recorded_outputs(of, method, copy.deepcopy(of.teacher), device)
        if served == "recorded"
        else of.outputs_fn(method, packing=packing)
    )
    job = of.job(
        method, model, DistributedContext(device=device), teacher=teacher, packing=packing,
        length_grouping=False, lr=1e-3, batch_size=10, epochs=2, optimizer="sgd",
    )  # fmt: skip
    return model, train_model(job).history[-1].terms, sum(read)
