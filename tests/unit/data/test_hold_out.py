from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raykd.data.base import Examples
from raykd.data.hold_out import choose, fingerprint, hold_out
from raykd.errors import DataError

ROWS = Examples(texts=(("ab", "c"), ("d", "")), labels=np.array([0, 1]))


def test_rest_and_held_out_part_are_all_rows_once():
    rest, held_out = hold_out(1000, 0.1, seed=3)
    assert len(held_out) == 100
    assert sorted([*rest, *held_out]) == list(range(1000))


def test_carving_depends_on_the_seed_only():
    assert np.array_equal(hold_out(100, 0.2, seed=1)[1], hold_out(100, 0.2, seed=1)[1])
    assert not np.array_equal(hold_out(100, 0.2, seed=1)[1], hold_out(100, 0.2, seed=2)[1])


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_each_side_gets_at_least_one_row(fraction):
    assert all(len(side) for side in hold_out(10, fraction, seed=0))


def test_a_single_row_cannot_be_held_out():
    with pytest.raises(DataError, match="cannot be taken of 1 row"):
        hold_out(1, 0.5, seed=0)


def test_a_smaller_choice_lies_within_a_larger_one():
    rows = np.arange(100, 200)
    small, large = choose(rows, 10, seed=0), choose(rows, 50, seed=0)
    assert len(small) == 10
    assert set(small) < set(large) < set(rows)


@pytest.mark.parametrize("count", [None, 5, 9])
def test_choosing_everything_keeps_the_rows(count):
    assert choose(np.arange(5), count, seed=0).tolist() == [0, 1, 2, 3, 4]


def test_the_fingerprint_is_the_same_for_the_same_rows():
    again = Examples(texts=(("ab", "c"), ("d", "")), labels=np.array([0, 1]))
    assert fingerprint({"train": ROWS}) == fingerprint({"train": again})
    assert len(fingerprint({"train": ROWS})) == 16


@pytest.mark.parametrize(
    "other",
    [
        replace(ROWS, labels=np.array([1, 0])),
        replace(ROWS, labels=np.array([0.0, 1.0], np.float32)),
        replace(ROWS, texts=(("a", "bc"), ("d", ""))),
        replace(ROWS, texts=(("d", ""), ("ab", "c"))),
        replace(ROWS, texts=(("ab", "c"),)),
    ],
    ids=["labels", "kind of labels", "cut of the texts", "order of the texts", "fewer texts"],
)
def test_the_fingerprint_changes_with_the_rows(other):
    assert fingerprint({"train": ROWS}) != fingerprint({"train": other})


def test_the_fingerprint_knows_which_split_is_which():
    assert fingerprint({"train": ROWS}) != fingerprint({"validation": ROWS})
