from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd import registry
from raykd.data.base import DataSettings
from raykd.data.table import Table
from raykd.errors import DataError
from raykd.models.tokenizers import train_tokenizer
from tests.outside_data import outside_data


def task(name: str):
    return registry.load("tasks", f"super_glue/{name}")


def table(**columns) -> Table:
    return Table(columns=columns, origin="made up")


def encode(of, rows):
    texts = list(dict.fromkeys(t for column in rows.texts for t in column))
    return of.encode(rows, train_tokenizer(texts, 300), 64)


def test_wic_names_the_word_first():
    rows = task("wic").read_table(
        table(word=["bank"], sentence1=["One."], sentence2=["Two."], label=[1])
    )
    assert rows.texts == (("bank: One.",), ("Two.",))


def test_wsc_marks_the_pronoun():
    rows = task("wsc").read_table(
        table(
            text=["Ann saw Bea as she left"],
            span1_text=["Bea"],
            span2_text=["she"],
            span2_index=[4],
            label=[1],
        )
    )
    assert rows.texts == (("Ann saw Bea as * she * left",), ("Bea",))


def test_wsc_with_a_pronoun_outside_of_the_text_is_reported():
    with pytest.raises(DataError, match="row 1: span2_index is 9, but the text has 2 words"):
        task("wsc").read_table(
            table(
                text=["Ann left"],
                span1_text=["Ann"],
                span2_text=["she"],
                span2_index=[9],
                label=[1],
            )
        )


def test_copa_has_a_row_per_question_and_an_encoded_row_per_choice():
    of = task("copa")
    rows = of.read_table(
        table(
            premise=["It rained."] * 3,
            choice1=["a"] * 3,
            choice2=["b"] * 3,
            question=["effect"] * 3,
            label=[0, 1, 1],
        )
    )
    assert rows.labels.tolist() == [0, 1, 1]
    actual = encode(of, rows.take(np.array([2, 0])))
    assert len(actual) == 4
    assert actual.labels.tolist() == [0, 1, 1, 0]
    assert actual.references.groups.tolist() == [0, 0, 1, 1]


def test_multirc_brings_the_answers_of_a_question_together():
    rows = task("multirc").read_table(
        table(
            paragraph=["p"] * 4,
            question=["one?", "one?", "two?", "two?"],
            answer=["a", "b", "c", "d"],
            label=[0, 1, 1, 1],
        )
    )
    assert len(rows) == 2
    assert rows.fields["choices"] == (("one? a", "one? b"), ("two? c", "two? d"))
    assert rows.fields["right"] == ((False, True), (True, True))


def test_record_fills_the_gap_with_each_entity_once():
    of = task("record")
    rows = of.read_table(
        table(
            passage=["News."],
            query=["@placeholder won."],
            entities=[["Ann", "Bea", "Ann"]],
            answers=[["Bea", "Beatrix"]],
        )
    )
    assert rows.fields["choices"] == (("Ann won.", "Bea won."),)
    actual = encode(of, rows)
    right = np.array([[0.0, 1.0], [0.0, 2.0]])
    assert of.score(right, actual) == {"f1": 1.0, "exact_match": 1.0}


@pytest.mark.parametrize(
    ("change", "lacks"),
    [
        ({"entities": [[]]}, "an entity"),
        ({"answers": [[]]}, "an answer"),
        ({"query": ["Nobody won."]}, "'@placeholder'"),
    ],
)
def test_record_without_something_is_reported(change, lacks):
    raw = {"passage": ["x"], "query": ["@placeholder"], "entities": [["a"]], "answers": [["a"]]}
    with pytest.raises(DataError, match=f"row 1: lacks {lacks}"):
        task("record").read_table(table(**{**raw, **change}))


def test_a_task_whose_rows_are_not_here_reads_the_same_layout(tmp_path):
    folder = tmp_path / "super_glue" / "boolq"
    folder.mkdir(parents=True)
    rows = {
        "question": ["is it"] * 4,
        "passage": ["It is."] * 4,
        "idx": [0, 1, 2, 3],
        "label": [0, 1, 1, 0],
    }
    for split in ("train", "validation"):
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    of, settings = task("boolq"), DataSettings(root=str(tmp_path))
    assert of.splits(settings) == ("train", "validation")
    actual = encode(of, of.load("validation", settings))
    assert of.score(np.eye(2)[actual.labels], actual) == {"accuracy": 1.0}


@pytest.mark.parametrize(
    ("name", "split", "count", "encoded"),
    [
        ("cb", "train", 250, 250),
        ("cb", "validation", 56, 56),
        ("rte", "validation", 277, 277),
        ("wic", "validation", 638, 638),
        ("wsc", "train", 554, 554),
        ("wsc", "validation", 104, 104),
        ("copa", "train", 400, 800),
        ("copa", "validation", 100, 200),
        pytest.param("multirc", "validation", 953, 4848, marks=pytest.mark.slow),
        ("record", "dev_32", 32, None),
    ],
)
def test_real_rows(name, split, count, encoded):
    root = outside_data(f"super_glue/{name}")
    of = task(name)
    rows = of.load(split, DataSettings(root=str(root)))
    assert len(rows) == count
    # More than the 64 tokens that are read of a text, which may have thousands.
    begun = tuple(tuple(text[:400] for text in column) for column in rows.texts)
    actual = encode(of, dataclasses.replace(rows, texts=begun))
    assert encoded is None or len(actual) == encoded
    perfect = of.score(np.eye(of.num_labels)[actual.labels], actual)
    assert all(value == 1.0 for value in perfect.values())
    assert set(perfect) == set(of.metrics)


@pytest.mark.parametrize("entities", [["Ann"], [{"name": "Ann"}], [[1]]])
def test_record_reads_lists_of_texts_and_nothing_like_them(entities):
    raw = {"passage": ["x"], "query": ["@placeholder"], "entities": entities, "answers": [["a"]]}
    with pytest.raises(DataError, match=r"column 'entities' holds .*, expected a list of texts"):
        task("record").read_table(table(**raw))


@pytest.mark.parametrize("at", [5, "5", 5.0])
def test_wsc_counts_words_by_numbers_of_every_type(at):
    raw = {
        "text": ["Ann told Bea that now she won"], "span1_text": ["Ann"], "span2_text": ["she"],
        "span2_index": [at], "label": [1],
    }  # fmt: skip
    rows = task("wsc").read_table(table(**raw))
    assert rows.texts[0] == ("Ann told Bea that now * she * won",)
