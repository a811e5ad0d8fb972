"""What holds for every method on rows without a label: nothing is read in place of one."""

from __future__ import annotations

import copy
import dataclasses
import functools

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.cli.show import page_of
from raykd.data.base import TokenizedDataset
from raykd.data.batch import LABELLED
from raykd.data.task_kinds import ROW_KINDS
from raykd.data.unlabelled import labelled_rows
from raykd.training.device import DistributedContext
from tests.contracts.matrix import Case, over
from tests.small_pairs import SmallPair

METHODS = registry.names("methods")
KINDS = tuple(kind for kind in ROW_KINDS if kind in ("classification", "regression", "multi_label"))
LABELLED_ROWS, ROWS = 4, 8


def on_rows(names: tuple[str, ...]) -> list[Case]:
    kinds = {name: registry.load("methods", name).kinds for name in names}
    return [{"name": n, "kind": kind} for n in names for kind in KINDS if kind in kinds[n]]


pair_of = functools.cache(SmallPair.of)


def with_labelled(
    rows: TokenizedDataset, fill: int, count: int = LABELLED_ROWS
) -> TokenizedDataset:
    """The first rows with their labels; something else in place of those of the others."""
    marks = np.zeros(len(rows), np.float32)
    marks[:count] = 1
    labels = rows.labels.copy()
    labels[count:] = fill
    return dataclasses.replace(rows, labels=labels, columns={LABELLED: marks})


def step(pair: SmallPair, name: str, rows: TokenizedDataset, passes: int = 1):
    """Terms by name, and the gradient of the student."""
    torch.manual_seed(5)
    model = copy.deepcopy(pair.student)
    method = pair.method(name)
    method.at_epoch(0, 1)
    own = dataclasses.replace(pair, rows=rows)
    world, numbers = DistributedContext(), np.arange(ROWS)
    actual = own.step(method, world, model).run(own.parts(method, numbers, world, passes), numbers)
    gradient = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    names = (*actual.terms.names,)
    return method, dict(zip(names, actual.values.tolist(), strict=False)), torch.cat(gradient)


@over(METHODS, on_rows)
def test_what_stands_in_place_of_a_label_changes_nothing(name, kind):
    pair = pair_of(kind)
    method, terms, gradient = step(pair, name, with_labelled(pair.rows, 0))
    _, other_terms, other = step(pair, name, with_labelled(pair.rows, 1))
    assert terms == other_terms
    assert torch.equal(gradient, other)
    if not method.learns_without_labels():
        assert not method.teacher_outputs().cacheable
        return
    if kind == "classification" and not method.batch_wide:
        _, apart_terms, apart = step(pair, name, with_labelled(pair.rows, 1), passes=3)
        assert apart_terms == pytest.approx(terms, rel=1e-4, abs=1e-6)
        assert torch.allclose(apart, gradient, rtol=1e-3, atol=1e-5)


@over(METHODS, on_rows)
def test_what_is_documented_of_such_rows_is_what_is_done(name, kind):
    facts = page_of("methods", name)["facts"]["rows without a label"]
    learns = pair_of(kind).method(name).learns_without_labels()
    assert facts.startswith("learns the teacher's outputs" if learns else "leaves them out")


@over(METHODS, on_rows)
def test_the_teacher_alone_teaches_where_no_row_has_a_label(name, kind):
    pair = pair_of(kind)
    method, terms, gradient = step(pair, name, with_labelled(pair.rows, 0, count=0))
    assert terms.get("task", 0.0) == 0
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().max() > 0) == method.learns_without_labels()


def test_rows_that_are_left_out_leave_no_trace():
    rows = pair_of("classification").rows
    left = labelled_rows(with_labelled(rows, 1))
    assert (len(left), left.columns) == (LABELLED_ROWS, {})
    assert np.array_equal(left.labels, rows.labels[:LABELLED_ROWS])
