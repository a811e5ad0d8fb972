from __future__ import annotations

import numpy as np
import pytest

from raykd.data.augment import Augmentation, augment, is_eligible, words_of
from raykd.data.base import Examples
from raykd.data.vectors import WordVectors
from raykd.errors import DataError

HOW = Augmentation(copies=20, probability=0.5, seed=1)


class Thesaurus:
    """The same words for a word wherever it stands."""

    def __init__(self, **words: list[str]) -> None:
        self._words = words

    def candidates(self, places):
        return [self._words.get(of[k], []) for of, k in places]


ROWS = Examples(
    texts=(("A fine film.", "the soup was bad"), ("Good!", "no")), labels=np.array([1, 0])
)
SOURCE = Thesaurus(fine=["great", "nice"], film=["movie"], bad=["poor"], good=["swell"])


def test_originals_come_first_and_labels_are_kept():
    actual = augment(ROWS, [SOURCE], HOW)
    assert actual.texts[0][:2] == ROWS.texts[0]
    assert len(actual) > 2
    by_label = {label: set() for label in (0, 1)}
    for first, label in zip(actual.texts[0], actual.labels, strict=True):
        by_label[int(label)].add("film" in first.lower() or "movie" in first)
    assert by_label == {0: {False}, 1: {True}}


def test_each_side_of_a_pair_is_varied_next_to_the_original_of_the_other():
    actual = augment(ROWS, [SOURCE], HOW)
    for one, two in zip(*(column[2:] for column in actual.texts), strict=True):
        assert (one in ROWS.texts[0]) != (two in ROWS.texts[1])


def test_copies_differ_from_the_original_and_from_each_other():
    actual = augment(Examples(texts=(("a fine film",),), labels=np.array([0])), [SOURCE], HOW)
    texts = list(actual.texts[0])
    assert len(set(texts)) == len(texts)
    assert set(texts) <= {
        f"a {x} {y}" for x in ("fine", "great", "nice") for y in ("film", "movie")
    }


def test_words_without_candidates_and_stop_words_stay():
    assert not any(map(is_eligible, ("the", "not", "3d", "!", "it's")))
    assert is_eligible("soup")
    actual = augment(Examples(texts=(("the soup",),), labels=np.array([0])), [SOURCE], HOW)
    assert len(actual) == 1


def test_the_first_source_that_knows_a_word_is_used():
    first, second = Thesaurus(fine=["great"]), Thesaurus(fine=["poor"], film=["movie"])
    actual = augment(Examples(texts=(("fine film",),), labels=np.array([0])), [first, second], HOW)
    assert not any("poor" in text for text in actual.texts[0])
    assert any("movie" in text for text in actual.texts[0])


def test_the_same_seed_gives_the_same_rows():
    one, two = (augment(ROWS, [SOURCE], HOW) for _ in range(2))
    assert one.texts == two.texts
    other = augment(ROWS, [SOURCE], Augmentation(copies=20, probability=0.5, seed=2))
    assert other.texts != one.texts


def test_punctuation_is_a_word_of_its_own():
    assert words_of("It's fine, really!") == ("it", "'", "s", "fine", ",", "really", "!")


def test_near_words_come_in_order(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("king 1 0\nqueen 0.9 0.1\nbread 0 1\ncake 0.1 0.9\n")
    source = WordVectors(str(path), 2)
    actual = source.candidates([(("the", "king"), 1), (("bread",), 0), (("unknown",), 0)])
    assert actual == [["queen", "cake"], ["cake", "queen"], []]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a 1 2\nb 1\n", "line 2: has 1 numbers, the first one has 2"),
     ("a x\n", "line 1: no word and its numbers"), ("", "holds no word vectors")],
)  # fmt: skip
def test_a_file_that_holds_none_is_reported(tmp_path, text, message):
    path = tmp_path / "glove.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        WordVectors(str(path), 2)
    with pytest.raises(DataError, match="not a file of word vectors"):
        WordVectors(str(tmp_path / "absent"), 2)
