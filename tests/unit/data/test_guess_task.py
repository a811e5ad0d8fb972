"""What a table of the user's seems to be."""

from __future__ import annotations

import json

import pytest

from raykd.data.guess_task import guess_task
from raykd.data.guesses import class_names
from raykd.data.table import Table
from raykd.errors import DataError

LONG = [f"a rather long text with number {k} in it" for k in range(12)]
IDS = [f"id{k}" for k in range(12)]


def guess(label: str = "", /, **columns):
    return guess_task({"train": Table(columns=columns, origin="rows")}, label)


def test_a_text_and_few_values_are_classes():
    actual = guess(id=IDS, body=LONG, verdict=["b", "a"] * 6)
    assert actual.kind == "classification"
    assert actual.keys == {"texts": ["body"], "label": "verdict", "labels": ["a", "b"]}
    assert actual.why == [
        "column 'verdict' holds 2 classes", "column 'body' holds the longest texts; not read: id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([3, 1, 2, 10], ["1", "2", "3", "10"]),
        (["0", "4"], ["0", "4"]),
        ([1.0, 0.0, 1], ["0", "1"]),
        ([-1, 1], ["-1", "1"]),
        ([True, False], ["False", "True"]),
        (["true", "FALSE"], ["False", "True"]),
        (["b", "a", "b "], ["a", "b", "b "]),
    ],
)
def test_class_names_are_in_an_order_that_a_reader_expects(values, names):
    assert class_names(values) == names


def test_many_numbers_or_fractions_are_a_score():
    actual = guess(text=LONG, score=[k / 10 for k in range(12)])
    assert (actual.kind, actual.keys["span"]) == ("regression", [0.0, 1.1])
    assert guess(text=LONG, score=[*range(6)] * 2).kind == "classification"


def test_classes_of_a_column_that_is_named_so_may_have_long_names():
    long = ["the long name of a class that has many words", "another one of them, as long as it is"]
    actual = guess(question=LONG, topic=long * 6)
    assert (actual.kind, actual.keys["label"]) == ("classification", "topic")
    with pytest.raises(DataError, match="no column of rows seems to be a label"):
        guess(body=LONG, remark=long * 6)


@pytest.mark.parametrize(
    ("column", "values", "kind"),
    [
        ("intent", range(1, 151), "classification"),
        ("label", range(150), "classification"),
        ("label", [str(k) for k in range(77)], "classification"),
        ("score", range(1, 151), "regression"),  # by its name
        ("label", [*range(1, 100), 101], "regression"),  # with a gap
        ("label", range(5, 105), "regression"),  # classes begin at 0 or 1
        ("label", [k / 2 for k in range(60)], "regression"),
    ],
)
def test_many_whole_numbers_without_a_gap_are_classes_where_the_column_is_called_so(
    column, values, kind
):
    rows = [*values, *values]
    actual = guess(**{"text": [f"text {k}" for k in range(len(rows))], column: rows})
    assert actual.kind == kind


def test_names_of_pairs_and_of_labels_decide():
    actual = guess(premise=LONG, hypothesis=LONG, other=[0, 1] * 6, label=["x", "y"] * 6)
    assert actual.keys["texts"] == ["premise", "hypothesis"]
    assert actual.keys["label"] == "label"
    assert guess("other", premise=LONG, label=["x", "y"] * 6, other=[0, 1] * 6).keys["labels"] == [
        "0", "1",
    ]  # fmt: skip


def test_prompts_and_messages_are_texts():
    actual = guess(Question=LONG, context=LONG, answer=[f"{k} of them" for k in range(12)])
    assert (actual.kind, actual.keys) == (
        "text", {"prompt": "Question", "response": "answer", "context": "context"},
    )  # fmt: skip
    chat = [{"role": "user", "content": "hi"}]
    for column in ([chat] * 12, [str(chat).replace("'", '"')] * 12):
        assert guess(chats=column, n=[1, 2] * 6).keys == {"messages": "chats"}


def test_classes_and_scores_are_those_of_every_split_that_has_labels():
    def splits(train, test, last):
        columns = {"train": train, "test": test, "hidden": last}
        return {
            k: Table(columns={"text": LONG[: len(of)], "y": of}, origin=k)
            for k, of in columns.items()
        }

    found = guess_task(splits(["b", "a"] * 6, ["c", "a"], ["", None]))
    assert found.keys["labels"] == ["a", "b", "c"]
    assert "'c' occurs in test only" in found.why
    scores = guess_task(splits([1.5, 2.0] * 6, [1, 5], [-1, -1]))
    assert scores.keys["span"] == [1.0, 5.0]


WORDS = [["Ann", "saw", f"Oslo{k}"] for k in range(12)]
NER = [["B-PER", "O", "B-LOC"], ["B-PER", "O", "I-PER"]] * 6


@pytest.mark.parametrize("form", [list, json.dumps])
def test_lists_of_equal_length_are_words_and_their_tags(form):
    columns = {"ner_tags": [*map(form, NER)], "id": IDS, "tokens": [*map(form, WORDS)]}
    for label in ("", "ner_tags"):
        found = guess(label, **columns)
        assert found.kind == "token_classification"
        assert found.keys == {
            "texts": ["tokens"], "label": "ner_tags", "labels": ["O", "B-LOC", "B-PER", "I-PER"],
        }  # fmt: skip


def test_numbers_of_tags_are_the_places_of_the_outputs_of_a_teacher():
    tags = [[k, 12 - k] for k in range(13)]
    found = guess(words=[["a", f"b{k}"] for k in range(13)], ner_tags=tags)
    assert found.kind == "token_classification"
    outputs = 13  # those of a teacher: its place k is the tag k
    assert found.keys["labels"] == [str(k) for k in range(outputs)]


@pytest.mark.parametrize("form", [list, json.dumps])
def test_lists_of_values_that_occur_again_are_sets_of_classes(form):
    topics = [form(of) for of in [["art", "sport"], ["art"], []] * 4]
    found = guess(text=LONG, topics=topics, id=[*range(12)])
    assert found.kind == "multi_label"
    assert found.keys == {"texts": ["text"], "label": "topics", "labels": ["art", "sport"]}
    assert guess("topics", text=LONG, topics=topics) == found
    # Words of a text are many, and each of them in few rows.
    assert guess(
        text=LONG, words=[[f"w{k}", f"v{k}"] for k in range(12)], a=["x", "y"] * 6
    ).kind == ("classification")


@pytest.mark.parametrize(
    ("columns", "named", "share"),
    [
        ({"p_a": [0.9, 0.2] * 6, "p_b": [0.1, 0.8] * 6}, ["p_a", "p_b"], "100%"),
        ({"p_b": [0.1, 0.8] * 6, "p_a": [0.9, 0.2] * 6}, ["p_a", "p_b"], "100%"),
        ({"p": [[0.9, 0.1], [0.8, 0.2]] * 6}, "p", "50%"),
        ({"p": ['{"b": 0.9, "a": 0.1}', '{"b": 0.2, "a": 0.8}'] * 6}, "p", "0%"),
    ],
)
def test_probabilities_next_to_a_label_are_a_teacher(columns, named, share):
    found = guess(text=LONG, label=["a", "b"] * 6, **columns)
    assert (found.kind, found.keys["texts"]) == ("classification", ["text"])
    assert found.outputs == {"probabilities": named}
    assert f"that of the label in {share} of the rows" in found.why[-1]
    assert ("CHECK the order" in found.why[-1]) == (share == "0%")


def test_what_is_no_distribution_over_the_classes_is_no_teacher():
    for columns in ({"p_a": [0.9] * 12, "p_b": [0.3] * 12}, {"u": [0.9] * 12, "v": [0.1] * 12}):
        assert guess(text=LONG, label=["a", "b"] * 6, **columns).outputs == {}


def test_pairs_with_a_score_may_be_wanted_as_vectors():
    columns = {"sentence1": LONG, "sentence2": LONG, "score": [k / 10 for k in range(12)]}
    found = guess(**columns)
    assert found.kind == "regression"
    assert any("kind: embedding" in why for why in found.why)


@pytest.mark.parametrize(
    ("label", "columns", "words"),
    [
        ("", {"text": LONG, "p": [[0.5, 0.5]] * 12}, "no class of each row"),
        ("", {"text": LONG, "a": [0.3] * 12, "b": [0.7] * 12}, r"classes \(a, b\)"),
        ("", {"text": LONG}, "no column of rows seems to be a label"),
        ("", {"label": [0, 1] * 6}, "rows has no column of texts"),
        ("mood", {"text": LONG}, "has no column 'mood'"),
        (
            "id",
            {"id": [*IDS, *[f"x{k}" for k in range(300)]], "text": ["a"] * 312},
            "312 different",
        ),
    ],
)
def test_what_seems_to_be_no_task_is_reported_with_the_columns(label, columns, words):
    with pytest.raises(DataError, match=words) as caught:
        guess(label, **columns)
    assert caught.value.hint
