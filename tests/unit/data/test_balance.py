from __future__ import annotations

import numpy as np
import pytest
import torch

from raykd.data.balance import Balance, inverse_frequency, repeated, resampled, weighted
from raykd.data.base import Batch, Examples
from raykd.data.batch import ROW_WEIGHT
from raykd.data.kinds.classification import KIND
from raykd.data.user_rows import WEIGHT

LABELS = np.array([0] * 6 + [2] * 2)


def rows(**fields) -> Examples:
    return Examples(texts=(tuple("abcdefgh"),), labels=LABELS, fields=fields)


def test_rows_of_small_classes_are_repeated_until_all_are_as_large():
    actual = resampled(rows(), Balance(oversample=True), "mine")
    assert np.bincount(actual.labels).tolist() == [6, 0, 6]
    assert set(actual.texts[0]) == set("abcdefgh")  # none is lost


def test_rows_of_a_source_count_as_often_as_its_weight_says():
    weights = (2.0,) * 2 + (0.5,) * 4 + (1.5,) * 2
    actual = resampled(rows(**{WEIGHT: weights}), Balance(seed=3), "mine")
    counts = [actual.texts[0].count(letter) for letter in "abcdefgh"]
    assert counts[:2] == [2, 2]
    assert sorted(counts[2:6]) == [0, 0, 1, 1]
    assert sorted(counts[6:]) == [1, 2]
    assert WEIGHT not in actual.fields
    again = resampled(rows(**{WEIGHT: weights}), Balance(seed=3), "mine")
    assert again.texts == actual.texts


@pytest.mark.parametrize(("share", "count"), [(0.1, 10), (0.25, 25), (0.999, 100), (0.004, 0)])
def test_as_many_rows_as_the_share_says(share, count):
    assert len(repeated(np.full(100, share), 0)) == count


def test_weights_are_those_of_balanced_classes_in_scikit_learn():
    from sklearn.utils.class_weight import compute_sample_weight

    expected = compute_sample_weight("balanced", LABELS)
    assert inverse_frequency(LABELS) == pytest.approx(expected, abs=1e-12)
    assert inverse_frequency(LABELS).mean() == pytest.approx(1)


def test_the_loss_is_the_weighted_mean_over_rows():
    kept = weighted(rows(), Balance(class_weights=True))
    weights = torch.tensor(kept.fields[ROW_WEIGHT])
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(8, 1, dtype=torch.int64)
    batch = Batch(
        input_ids=nothing, attention_mask=nothing, token_type_ids=nothing,
        labels=torch.from_numpy(LABELS), index=torch.arange(8), columns={ROW_WEIGHT: weights},
    )  # fmt: skip
    by_hand = sum(
        w * -torch.log_softmax(row, 0)[k] for w, row, k in zip(weights, logits, LABELS, strict=True)
    )
    assert KIND.loss(logits, batch).item() == pytest.approx(by_hand.item() / 8, abs=1e-6)
    assert weighted(rows(), Balance()).fields == {}
