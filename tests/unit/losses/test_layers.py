from __future__ import annotations

import pytest

from raykd.errors import SpecError
from raykd.losses.layers import ATTENTION_STRATEGIES, HIDDEN_STRATEGIES, match_layers


@pytest.mark.parametrize(
    ("strategy", "teacher", "student", "expected"),
    [
        ("emb+skip", 12, 6, [(0, 2, 4, 6, 8, 10, 12), (0, 1, 2, 3, 4, 5, 6)]),
        ("emb+skip", 12, 8, [(0, 3, 6, 9, 12), (0, 2, 4, 6, 8)]),
        ("emb+skip", 12, 5, [(0, 12), (0, 5)]),
        ("skip", 6, 3, [(2, 4, 6), (1, 2, 3)]),
        ("last", 12, 4, [(9, 10, 11, 12), (1, 2, 3, 4)]),
        ("final", 12, 4, [(12,), (4,)]),
        ("emb", 12, 4, [(0,), (0,)]),
        ("emb+final", 12, 4, [(0, 12), (0, 4)]),
        ("triple", 12, 3, [(0, 6, 12), (0, 1, 3)]),
        ("att_skip", 12, 4, [(0, 3, 6, 9), (0, 1, 2, 3)]),
    ],
)
def test_pairs(strategy, teacher, student, expected):
    pairs = match_layers(strategy, teacher, student)
    assert [pairs.teacher, pairs.student] == expected
    assert all(type(k) is int for k in pairs.teacher + pairs.student)


@pytest.mark.parametrize("strategy", HIDDEN_STRATEGIES + ATTENTION_STRATEGIES)
@pytest.mark.parametrize("depth", [1, 2, 6])
def test_equal_depths_match_equal_layers(strategy, depth):
    pairs = match_layers(strategy, depth, depth)
    assert pairs.teacher == pairs.student


def test_depths_that_cannot_be_matched_are_refused():
    with pytest.raises(SpecError, match=r"'last' needs .* got 3 and 6 blocks"):
        match_layers("last", 3, 6)
    with pytest.raises(SpecError, match=r"multiple of the blocks .* got 12 and 5 blocks"):
        match_layers("att_skip", 12, 5)
    with pytest.raises(SpecError, match="unknown layer strategy 'skipp'"):
        match_layers("skipp", 12, 6)
