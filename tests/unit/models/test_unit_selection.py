from __future__ import annotations

import numpy as np
import pytest

from raykd.models.base import ModelDims
from raykd.models.unit_selection import (
    KeptUnits,
    UnitScores,
    choose,
    order,
    refusal,
    removals,
    rounded,
)

SIZES = ModelDims(layers=2, hidden=16, heads=2, vocabulary=9, intermediate=32)


def scores(heads, neurons) -> UnitScores:
    return UnitScores(heads=np.array(heads, np.float32), neurons=np.array(neurons, np.float32))


def random_scores(seed: int, blocks: int = 3, heads: int = 4, neurons: int = 64) -> UnitScores:
    rng = np.random.default_rng(seed)
    return scores(rng.random((blocks, heads)), rng.random((blocks, neurons)))


def test_each_block_is_divided_by_its_own_norm():
    actual = scores([[3, 4], [0, 2]], [[1, 0, 0], [0, 0, 0]]).normalised()
    assert actual.heads == pytest.approx(np.array([[0.6, 0.8], [0, 1]]), abs=1e-6)
    assert actual.neurons == pytest.approx(np.array([[1, 0, 0], [0, 0, 0]]), abs=1e-6)


@pytest.mark.parametrize(("share", "expected"), [(1.0, 4.0), (0.0, 8.0), (0.25, 7.0)])
def test_the_share_is_that_of_the_first(share, expected):
    mixed = scores([[4]], [[4]]).mixed(scores([[8]], [[8]]), share)
    assert mixed.heads.item() == mixed.neurons.item() == expected


def test_the_lowest_of_the_whole_model_go():
    ranked = np.array([[1.0, 2.0, 9.0, 8.0], [3.0, 7.0, 6.0, 5.0]])
    assert removals(ranked, 25).tolist() == [2, 0]
    assert removals(ranked, 50).tolist() == [2, 2]
    assert removals(ranked, 0).tolist() == [0, 0]


@pytest.mark.parametrize(("size", "expected"), [(10, 2), (30, 8)])
def test_half_a_unit_is_rounded_to_even(size, expected):
    assert removals(np.arange(float(size)).reshape(1, -1), 25).sum() == expected


def test_the_published_counts_of_bert_base():
    rng = np.random.default_rng(0)
    assert removals(rng.random((12, 12)), 30).sum() == 43
    assert removals(rng.random((12, 3072)), 30).sum() == 11_059


@pytest.mark.parametrize(
    ("removed", "width", "expected"),
    [
        ([4, 12, 20, 3, 5], 1, [0, 16, 16, 0, 8]),
        ([0, 1, 2, 3], 8, [0, 1, 2, 3]),
        ([1, 2, 5], 64, [1, 2, 5]),
    ],
)
def test_widths_are_rounded_to_eights_and_halves_to_even(removed, width, expected):
    assert rounded(np.array(removed), width).tolist() == expected


def test_of_equal_scores_the_lower_number_stays():
    assert order(np.array([[1.0, 3.0, 1.0, 3.0]])).tolist() == [[1, 3, 0, 2]]
    kept = choose(scores([[1, 1, 1, 1]], np.ones((1, 16))), 50, 8)
    assert kept.heads.tolist() == [[True, True, False, False]]
    assert np.flatnonzero(kept.neurons).tolist() == list(range(8))


def test_heads_and_neurons_are_ranked_apart():
    kept = choose(scores([[1, 2], [3, 4]], 100 + np.arange(32.0).reshape(2, 16)), 50, 8)
    assert kept.heads.tolist() == [[False, False], [True, True]]
    assert kept.neurons.sum(axis=1).tolist() == [0, 16]


@pytest.mark.parametrize("sparsity", range(0, 100, 10))
def test_what_goes_in_a_block_is_its_lowest(sparsity):
    given = random_scores(sparsity)
    kept = choose(given, sparsity, 8)
    for ranked, mask in ((given.heads, kept.heads), (given.neurons, kept.neurons)):
        for row, stays in zip(ranked, mask, strict=True):
            assert row[stays].min(initial=2.0) > row[~stays].max(initial=-1.0)
    assert not (kept.neurons.sum(axis=1) % 8).any()
    assert (~kept.heads).sum() == round(sparsity / 100 * 12)
    assert abs((~kept.neurons).sum() - round(sparsity / 100 * 192)) <= 4 * 3


def test_a_name_is_that_of_the_choice():
    one, two = choose(random_scores(1), 50, 8), choose(random_scores(2), 50, 8)
    again = KeptUnits(heads=one.heads.copy(), neurons=one.neurons.copy())
    assert one.key() == again.key() != two.key()
    wide = KeptUnits(heads=one.heads.reshape(1, -1), neurons=one.neurons)
    assert wide.key() != one.key()


def test_it_says_how_many_are_kept():
    assert choose(random_scores(1), 50, 8).about().startswith("6 of 12 heads and ")


def test_indices_are_ascending_per_block():
    kept = KeptUnits(
        heads=np.array([[True, False, True], [False, False, False]]),
        neurons=np.array([[False, True], [True, True]]),
    )
    assert kept.indices() == ([[0, 2], []], [[1], [0, 1]])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"intermediate": None}, "family whose heads and neurons cannot be told apart"),
        ({"uneven": True}, "has lost heads or neurons before"),
        ({"heads": 4}, "heads of width 4, which is not a multiple of 8"),
        ({"intermediate": 20}, "20 feed-forward neurons per block"),
    ],
)
def test_models_that_cannot_be_pruned_are_told_why(change, reason):
    sizes = {f: getattr(SIZES, f) for f in SIZES.__slots__} | change
    assert refusal(SIZES) == ""
    assert reason in refusal(ModelDims(**sizes))
