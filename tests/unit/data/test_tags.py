"""Tags of words: entities as seqeval counts them, labels for the first token of each word."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raykd.data.base import NO_LABEL
from raykd.data.entities import entities, score_entities
from raykd.data.own_tags import OwnTags
from raykd.data.table import Table
from raykd.errors import DataError
from raykd.models.tokenizers import train_tokenizer

NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
WORDS = [["Ann", "Lee", "lives", "in", "Rome"], ["Rome", "calls"]]
TAGS = [["B-PER", "I-PER", "O", "O", "B-LOC"], ["B-LOC", "O"]]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["Ann lives in Rome calls Le ##e"] * 5, 80)


def task(**changes) -> OwnTags:
    values = {
        "name": "mine", "about": "", "hub": ("", ""), "labels": NAMES, "metric": "entity_f1",
        "metrics": ("entity_f1", "entity_precision", "entity_recall", "word_accuracy"),
        "words": "tokens", "tags": "tags", "path": "x",
    }  # fmt: skip
    return OwnTags(**(values | changes))


def rows_of(words, tags, **changes):
    return task(**changes).read_table(Table(columns={"tokens": words, "tags": tags}, origin="rows"))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-A I-A O B-A", {("A", 0, 1), ("A", 3, 3)}),
        ("I-A I-A O", {("A", 0, 1)}),  # IOB1
        ("B-A B-A", {("A", 0, 0), ("A", 1, 1)}),
        ("B-A I-B", {("A", 0, 0), ("B", 1, 1)}),
        ("O O", set()),
        ("S-A B-A E-A", {("A", 0, 0), ("A", 1, 2)}),  # IOBES
        ("A A O B", {("A", 0, 1), ("B", 3, 3)}),  # no prefixes
    ],
)
def test_entities_by_hand(tags, expected):
    assert entities(tags.split()) == expected


@pytest.mark.parametrize("seed", range(8))
def test_entities_are_those_of_seqeval(seed):
    seqeval = pytest.importorskip("seqeval.metrics")
    random = np.random.default_rng(seed)
    prefixes = "BI" if seed % 2 else "BIES"
    known = ["O", *(f"{p}-{k}" for p in prefixes for k in "AB")]
    given, wanted = (
        [list(random.choice(known, n)) for n in random.integers(1, 9, 40)] for _ in range(2)
    )
    given = [
        (g * 9)[: len(w)] if random.random() < 0.5 else w
        for g, w in zip(given, wanted, strict=True)
    ]
    actual = score_entities(given, wanted)
    assert actual["entity_f1"] == pytest.approx(seqeval.f1_score(wanted, given))
    assert actual["entity_precision"] == pytest.approx(seqeval.precision_score(wanted, given))
    assert actual["entity_recall"] == pytest.approx(seqeval.recall_score(wanted, given))


@pytest.mark.parametrize(
    ("words", "tags"),
    [
        (WORDS, TAGS),
        ([" ".join(of) for of in WORDS], [" ".join(of) for of in TAGS]),
        ([json.dumps(of) for of in WORDS], [json.dumps(of) for of in TAGS]),
        (WORDS, [[NAMES.index(tag) for tag in of] for of in TAGS]),
    ],
)
def test_rows_are_the_same_in_every_spelling(words, tags):
    rows = rows_of(words, tags)
    assert rows.texts == (("Ann Lee lives in Rome", "Rome calls"),)
    assert rows.fields["tags"] == ((1, 2, 0, 0, 3), (3, 0))


def test_the_first_token_of_a_word_has_its_label(tokenizer):
    encoded = task().encode(rows_of(WORDS, TAGS), tokenizer, 40)
    for row, words in enumerate(WORDS):
        at = slice(encoded.offsets[row], encoded.offsets[row + 1])
        labels, tokens = encoded.labels[at], tokenizer.convert_ids_to_tokens(encoded.input_ids[at])
        assert tokens[0] == "[CLS]"
        assert labels[0] == labels[-1] == NO_LABEL
        assert [NAMES[k] for k in labels[labels != NO_LABEL]] == TAGS[row]
        for token, label in zip(tokens[1:-1], labels[1:-1], strict=True):
            assert token.startswith("##") == (label == NO_LABEL)
        assert sum(label != NO_LABEL for label in labels) == len(words)
    assert len(encoded.input_ids) > 4 + 7  # some words are split: the premise of the test


def test_words_beyond_the_length_are_cut_and_counted(tokenizer):
    encoded = task().encode(rows_of(WORDS, TAGS), tokenizer, 6)
    assert encoded.truncated >= 1
    assert np.diff(encoded.offsets).max() == 6


def test_scores_are_of_entities_row_by_row(tokenizer):
    encoded = task().encode(rows_of(WORDS, TAGS), tokenizer, 40)
    wanted = encoded.labels[encoded.labels != NO_LABEL]
    logits = np.eye(5)[wanted]
    assert task().score(logits, encoded)["entity_f1"] == 1.0
    logits[0] = np.eye(5)[0]  # the first word of a person is missed
    actual = task().score(logits, encoded)
    assert actual == {
        "entity_f1": pytest.approx(2 / 3), "entity_precision": pytest.approx(2 / 3),
        "entity_recall": pytest.approx(2 / 3), "word_accuracy": pytest.approx(6 / 7),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "tags", "message"),
    [
        (WORDS, [TAGS[0], ["O"]], "row 2: has 2 words and 1 tags"),
        (WORDS, [TAGS[0], ["O", "B-ORG"]], r"row 2: column 'tags' holds 'B-ORG', expected one of"),
        (WORDS, [TAGS[0], 5], "row 2: column 'tags' holds 5, expected a list of words"),
        ([WORDS[0], []], [TAGS[0], []], "row 2: has no word"),
        ([WORDS[0], [["a"]]], [TAGS[0], ["O"]], "expected a list of words"),
    ],
)
def test_tags_that_do_not_match_are_reported(words, tags, message):
    with pytest.raises(DataError, match=message) as caught:
        rows_of(words, tags)
    assert caught.value.hint
