"""Pairs of texts that are read one by one."""

from __future__ import annotations

import numpy as np
import pytest

from raykd.data.base import Examples
from raykd.data.collate import Collator
from raykd.data.table import Table
from raykd.data.text_pairs import OwnPairs
from raykd.errors import DataError
from raykd.models.tokenizers import train_tokenizer

FIRST = ("the cat sat on the mat", "a dog", "cats and dogs and a mat")
SECOND = ("a cat on a mat", "the dog sat on the cat", "dogs")
TASK = OwnPairs(
    name="own", about="", hub=("", ""), texts=("a", "b"), label="score", span=(0.0, 5.0),
    metric="spearman", metrics=("spearman", "pearson"),
)  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([*FIRST, *SECOND], 80)


def rows() -> Examples:
    columns = {"a": list(FIRST), "b": list(SECOND), "score": [5.0, 0.0, 2.5]}
    return TASK.read_table(Table(columns=columns, origin="made up"))


def test_similarities_are_put_on_the_scale_of_cosines():
    actual = rows()
    assert actual.labels.tolist() == [1.0, 0.0, 0.5]
    assert actual.labels.dtype == np.float32
    wrong = {"a": ["x"], "b": ["y"], "score": [6.0]}
    with pytest.raises(DataError, match="score"):
        TASK.read_table(Table(columns=wrong, origin="made up"))


@pytest.mark.parametrize("max_length", [32, 5])
def test_each_text_has_the_tokens_that_it_has_alone(tokenizer, max_length):
    encoded = TASK.encode(rows(), tokenizer, max_length)
    batch = Collator(tokenizer.pad_token_id, max_length=max_length)(encoded, np.array([2, 0]))
    apart = batch.texts_apart(tokenizer.pad_token_id)
    wanted = tokenizer(
        [FIRST[2], SECOND[2], FIRST[0], SECOND[0]], truncation=True, max_length=max_length,
        padding=True, return_tensors="pt",
    )  # fmt: skip
    assert apart.input_ids.tolist() == wanted["input_ids"].tolist()
    assert apart.attention_mask.tolist() == wanted["attention_mask"].tolist()
    pairs = zip(FIRST, SECOND, strict=True)
    long = [[len(tokenizer(t)["input_ids"]) > max_length for t in pair] for pair in pairs]
    assert encoded.truncated == sum(map(any, long))  # rows, not texts


def test_right_similarities_score_best(tokenizer):
    encoded = TASK.encode(rows(), tokenizer, 32)
    assert TASK.score(encoded.labels[:, None], encoded)["spearman"] == pytest.approx(1.0)
    assert TASK.score(-encoded.labels[:, None], encoded)["spearman"] == pytest.approx(-1.0)
