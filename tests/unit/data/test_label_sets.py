from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from raykd.data.label_sets import label_sets, score_sets
from raykd.data.notes import listening
from raykd.data.table import Table
from raykd.errors import DataError

NAMES = ("sport", "news, local", "art")


def read(*values, labels=NAMES):
    table = Table(columns={"topics": values}, origin="rows")
    return label_sets(table, "topics", labels, own="mine").astype(int).tolist()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["sport", "art"], [1, 0, 1]),
        ('["sport", "art"]', [1, 0, 1]),
        ("sport;art", [1, 0, 1]),
        ("sport | art", [1, 0, 1]),
        ("sport", [1, 0, 0]),
        ("news, local", [0, 1, 0]),  # the name of a class, though it has a comma
        ([], [0, 0, 0]),
        ("", [0, 0, 0]),
        (None, [0, 0, 0]),
        ("[]", [0, 0, 0]),
    ],
)
def test_a_set_is_the_same_in_every_spelling(value, expected):
    assert read(value) == [expected]


def test_ids_count_where_no_value_is_a_name():
    assert read([0, 2], [1]) == [[1, 0, 1], [0, 1, 0]]
    assert read(["1"], ["5"], labels=("1", "5")) == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "rows",
    [
        ([1, 1, 0], [0, 0, 1], [0, 0, 0]),
        ([1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
        ([True, True, False], [False, False, True], [False, False, False]),
        ("[1, 1, 0]", "[0, 0, 1]", "[0, 0, 0]"),
    ],
)
def test_lists_of_a_number_for_each_class_are_no_lists_of_ids(rows):
    with listening() as heard:
        assert read(*rows) == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert heard == ["rows: column 'topics' holds a 0 or 1 for each class, in the order of labels"]


@pytest.mark.parametrize(
    ("rows", "labels", "expected", "words"),
    [
        (([0, 1], [1, 1]), "ab", [[0, 1], [1, 1]], "a 0 or 1 for each class"),
        (([0, 0], [1, 0]), "ab", [[0, 0], [1, 0]], "a 0 or 1 for each class"),
        (([0, 1], [0, 1]), "ab", [[1, 1], [1, 1]], "ids of classes: every row has both"),
        (("[0, 1]", "1;0"), "ab", [[1, 1], [1, 1]], "ids of classes: every row has both"),
        (([False, True], [False, True]), "ab", [[0, 1], [0, 1]], "a 0 or 1 for each class"),
        (([0, 1], [1, 0]), "01", [[1, 1], [1, 1]], "names of classes"),
        (("0;1", "1;0"), "10", [[1, 1], [1, 1]], "names of classes"),
        (([0, 1], [0, 1]), "12", [[0, 1], [0, 1]], "a 0 or 1 for each class"),
    ],
)
def test_what_lists_of_0_and_1_are_where_there_are_two_classes(rows, labels, expected, words):
    with listening() as heard:
        assert read(*rows, labels=tuple(labels)) == expected
    assert words in heard[0]


def test_a_task_of_two_classes_is_read_alike_in_all_splits_that_leave_no_doubt():
    with listening() as heard:
        assert read([0, 1], [1], [0], labels=("a", "b")) == [[1, 1], [0, 1], [1, 0]]
        assert read("0", "1", ["1"], labels=("0", "1")) == [[1, 0], [0, 1], [0, 1]]
    assert heard == []
    assert read([0, 1], [0, 1], labels=("a", "b")) == [[1, 1], [1, 1]]
    with pytest.raises(DataError, match="holds the list") as caught:
        read([0, 1], [1, 1], labels=("0", "1"))
    assert "name each class once" in caught.value.hint


def test_a_table_without_rows_has_no_sets():
    for labels in (("a", "b"), NAMES):
        table = Table(columns={"topics": []}, origin="rows")
        assert label_sets(table, "topics", labels, own="mine").shape == (0, len(labels))


def test_lists_of_numbers_for_more_or_fewer_classes_are_refused():
    for row in ([1, 1, 0, 0], [1, 1]):
        with pytest.raises(DataError, match="row 1: column 'topics' holds the list") as caught:
            read(row, row)
        assert "one of them for each of the 3 classes" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (["sport", "musik"], "holds the class 'musik', expected some of sport"),
        ("sport;musik", "holds the class 'musik'"),
        ({"sport": 1}, "expected a list"),
        ([["sport"]], "expected a list"),
        ([0, "art"], "holds the class 0"),
        ("[sport", "expected a list"),
    ],
)
def test_what_is_no_set_is_reported(value, words):
    with pytest.raises(DataError, match=words) as caught:
        read(["art"], value)
    assert "row 2" in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    logits = random.normal(size=(30, 6)).astype(np.float32)
    labels = (random.random((30, 6)) < 0.3).astype(np.float32)
    labels[:, 5], logits[:, 5] = 0, -1  # a class that is neither there nor predicted
    actual = score_sets(("f1_micro", "f1_macro", "accuracy"), logits, labels)
    predicted = logits > 0
    assert actual["f1_micro"] == pytest.approx(f1_score(labels, predicted, average="micro"))
    macro = f1_score(labels, predicted, average="macro", labels=range(5))
    assert actual["f1_macro"] == pytest.approx(macro)
    assert actual["accuracy"] == pytest.approx(accuracy_score(labels, predicted))


def test_a_diverged_model_has_no_score():
    logits = np.full((2, 3), np.nan, np.float32)
    assert np.isnan(score_sets(("f1_micro",), logits, np.zeros((2, 3)))["f1_micro"])
    with pytest.raises(DataError, match="are not sets of 3 classes"):
        score_sets(("f1_micro",), np.zeros((2, 3)), np.array([0, 1]))
