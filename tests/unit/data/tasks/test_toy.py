from __future__ import annotations

import numpy as np
import pytest

from raykd.data.base import DataSettings
from raykd.data.tasks import toy

POLARITY = {word: value - 1 for value, words in enumerate(toy.ADJECTIVES) for word in words}
SENTIMENT = toy.TASK["sentiment"]


def clause_value(clause: str) -> int:
    _, _, _, adverb, adjective = clause.split()
    return -POLARITY[adjective] if adverb in toy.NEGATIONS else POLARITY[adjective]


def meaning(sentence: str) -> int:
    """The label by reading the sentence, apart from the generator."""
    for joiner in toy.JOINERS:
        first, actual, second = sentence.partition(f" {joiner} ")
        if actual:
            one, two = clause_value(first), clause_value(second)
            value = {"but": two, "although": one, "and": (one + two > 0) - (one + two < 0)}[joiner]
            return value + 1
    return clause_value(sentence) + 1


@pytest.mark.parametrize("split", ["validation", "test"])
def test_validation_and_test_labels_follow_the_grammar(split):
    rows = SENTIMENT.load(split, DataSettings())
    assert len(rows) == 2000
    assert [meaning(text) for text in rows.texts[0]] == rows.labels.tolist()


def test_a_quarter_of_the_train_labels_is_wrong():
    rows = SENTIMENT.load("train", DataSettings())
    pairs = zip(*rows.texts, rows.labels, strict=True)
    wrong = np.mean([meaning(text) != label for text, label in pairs])
    assert len(rows) == 10_000
    assert wrong == pytest.approx(0.25, abs=0.02)


def test_no_sentence_occurs_twice():
    texts = [t for s in toy.SIZES for t in SENTIMENT.load(s, DataSettings()).texts[0]]
    assert len(set(texts)) == len(texts) == 14_000


def test_classes_are_about_equally_frequent():
    counts = np.bincount(SENTIMENT.load("test", DataSettings()).labels)
    assert counts.min() > 0.3 * counts.sum()


def test_splits_hold_sentences_of_the_same_kind():
    shares = [
        np.mean([len(text.split()) > 5 for text in SENTIMENT.load(split, DataSettings()).texts[0]])
        for split in toy.SIZES
    ]
    assert max(shares) - min(shares) < 0.04


def test_the_seed_decides_the_sentences():
    first = SENTIMENT.load("test", DataSettings(seed=1))
    toy.generate.cache_clear()
    again = SENTIMENT.load("test", DataSettings(seed=1))
    assert first.texts == again.texts
    assert np.array_equal(first.labels, again.labels)
    assert SENTIMENT.load("test", DataSettings(seed=2)).texts != first.texts


def test_the_documented_example():
    assert meaning("the soup was never bland although the waiter seemed very rude") == 2
