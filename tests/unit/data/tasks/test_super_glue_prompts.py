from __future__ import annotations

import numpy as np
import pytest

from raykd import registry
from raykd.data.answer_choices import CHOICE_POSITION, CHOICE_TOKENS
from raykd.data.base import NO_LABEL, TEXT_KINDS, DataSettings
from raykd.data.table import Table
from raykd.models.bpe import train_bpe
from tests.outside_data import outside_data

CHOICES = {
    "cb": ("True", "False", "Neither"),
    "rte": ("True", "False"),
    "boolq": ("No", "Yes"),
    "wic": ("No", "Yes"),
    "wsc": ("No", "Yes"),
}


def task(name: str, kind: str = "seq2seq"):
    return registry.load("tasks", f"super_glue_prompts/{name}").read_by(kind)


def read(name: str, kind: str = "seq2seq", **row):
    columns = {key: [value] for key, value in row.items()}
    return task(name, kind).read_table(Table(columns=columns, origin="made up"))


def encoded(of, rows, length: int = 256):
    texts = [*rows.texts[0], *(text for choices in rows.fields["choices"] for text in choices)]
    tokenizer = train_bpe(texts, 600, ("<pad>", "</s>"))
    return tokenizer, of.encode(rows, tokenizer, length)


@pytest.mark.parametrize(
    ("name", "row", "prompt", "response"),
    [
        (
            "cb",
            {"premise": "I think she left.", "hypothesis": "she left", "label": 2},
            "I think she left.\nQuestion: she left. True, False, or Neither?\nAnswer:",
            "Neither",
        ),
        (
            "rte",
            {"premise": "Ann won.", "hypothesis": "Ann lost.", "label": "not_entailment"},
            "Ann won.\nQuestion: Ann lost. True or False?\nAnswer:",
            "False",
        ),
        (
            "boolq",
            {"question": "is it blue", "passage": "It is blue.", "label": True},
            "It is blue.\nQuestion: is it blue?\nAnswer:",
            "Yes",
        ),
        (
            "wic",
            {"word": "bank", "sentence1": "One.", "sentence2": "Two.", "label": 0},
            "One.\nTwo.\nQuestion: Is the word 'bank' used in the same way in the two sentences "
            "above?\nAnswer:",
            "No",
        ),
        (
            "wsc",
            {
                "text": "Ann saw Bea as she left", "span1_text": "Bea", "span2_text": "she",
                "span2_index": 4, "label": 1,
            },
            "Passage: Ann saw Bea as * she * left\nQuestion: In the passage above, does the "
            "pronoun 'she' between asterisks refer to Bea?\nAnswer:",
            "Yes",
        ),
        (
            "copa",
            {
                "premise": "It rained.", "choice1": "She got wet.", "choice2": "He sang.",
                "question": "effect", "label": 1,
            },
            "It rained.\nQuestion: What happened as a result?\n- She got wet.\n- He sang.\nAnswer:",
            "He sang.",
        ),
    ],
)  # fmt: skip
def test_the_wording(name, row, prompt, response):
    rows = read(name, **row)
    assert rows.texts == ((prompt,), (response,))
    assert read(name, "causal_lm", **row).texts == ((f"{prompt}\n",), (response,))
    assert response in rows.fields["choices"][0]


@pytest.mark.parametrize("name", CHOICES)
def test_a_long_passage_is_cut_and_the_question_stays(name):
    row = {
        "premise": "word " * 200, "hypothesis": "Ann left", "passage": "word " * 200,
        "question": "did ann leave", "text": "she " * 200, "span2_text": "she", "span2_index": 4,
        "span1_text": "Ann", "word": "w", "sentence1": "One.", "sentence2": "Two.", "label": 0,
    }  # fmt: skip
    rows = read(name, **row)
    tokenizer, actual = encoded(task(name), rows)
    message = tokenizer.decode(actual.prompt(0))
    assert message.endswith(rows.texts[0][0][-30:])
    assert len(actual.prompt(0)) <= 128
    assert actual.truncated == (name != "wic")


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_candidates_hold_every_choice_as_it_is_trained_on(kind):
    of = task("cb", kind)
    rows = of.read_table(
        Table(
            columns={"premise": ["A b.", "C d e."], "hypothesis": ["x", "y z"], "label": [0, 2]},
            origin="made up",
        )
    )
    tokenizer, actual = encoded(of, rows)
    candidates = actual.references.candidates
    assert candidates.references.groups.tolist() == [0, 0, 0, 1, 1, 1]
    assert candidates.references.texts == CHOICES["cb"] * 2
    for row, right in ((0, 0), (1, 3 + 2)):
        assert candidates.prompt(right).tolist() == actual.prompt(row).tolist()
        assert responses(candidates)[right] == responses(actual)[row]
        assert responses(actual)[row][-1] == tokenizer.eos_token_id


def responses(encoded) -> list[list[int]]:
    offsets = encoded.offsets if encoded.label_offsets is None else encoded.label_offsets
    return [[k for k in row if k != NO_LABEL] for row in np.split(encoded.labels, offsets[1:-1])]


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_choices_are_told_apart_where_they_differ_first(kind):
    of = task("copa", kind)
    columns = {
        "premise": ["It rained."] * 2, "question": ["effect"] * 2, "label": [0, 1],
        "choice1": ["She got wet.", "She got wet."], "choice2": ["He sang.", "She got home."],
    }  # fmt: skip
    rows = of.read_table(Table(columns=columns, origin="made up"))
    tokenizer, actual = encoded(of, rows)
    assert actual.columns[CHOICE_TOKENS].shape == (2, 2)
    assert actual.columns[CHOICE_POSITION][0] == 0
    assert actual.columns[CHOICE_POSITION][1] > 0
    for row, at in enumerate(actual.columns[CHOICE_POSITION]):
        message = [tokenizer(text)["input_ids"] for text in rows.fields["choices"][row]]
        assert message[0][:at] == message[1][:at]
        assert actual.columns[CHOICE_TOKENS][row].tolist() == [message[0][at], message[1][at]]
        assert (
            responses(actual)[row][at] == actual.columns[CHOICE_TOKENS][row][columns["label"][row]]
        )


def test_choices_that_are_the_same_have_the_same_token():
    rows = read("copa", premise="P.", question="cause", choice1="Same.", choice2="Same.", label=0)
    _, actual = encoded(task("copa"), rows)
    assert actual.columns[CHOICE_TOKENS][0, 0] == actual.columns[CHOICE_TOKENS][0, 1]
    assert actual.columns[CHOICE_POSITION].tolist() == [0]


@pytest.mark.parametrize("kind", TEXT_KINDS)
@pytest.mark.parametrize("name", ["cb", "rte", "wic", "wsc", "copa"])
def test_real_rows(name, kind):
    settings = DataSettings(root=str(outside_data(f"super_glue/{name}")))
    of = task(name, kind)
    assert of.splits(settings) == ("train", "validation")
    rows = of.load("train", settings)
    plain = registry.load("tasks", f"super_glue/{name}").load("train", settings)
    message = zip(rows.fields["choices"], rows.texts[1], strict=True)
    assert [choices.index(response) for choices, response in message] == plain.labels.tolist()
    rows = rows.take(np.arange(100))
    if name != "copa":
        assert set(rows.fields["choices"]) == {CHOICES[name]}
    _, actual = encoded(of, rows, length=1024)
    assert len(actual.references.candidates) == sum(len(c) for c in rows.fields["choices"])
    assert all(len(set(ids)) == len(ids) for ids in actual.columns[CHOICE_TOKENS].tolist())
    if name != "copa":
        assert not actual.columns[CHOICE_POSITION].any()
