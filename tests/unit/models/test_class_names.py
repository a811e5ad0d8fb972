from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raykd.models.class_names import compared, format_names, reordered

MNLI = ("entailment", "neutral", "contradiction")


def config(*names: str) -> dict:
    return {"id2label": {str(k): name for k, name in enumerate(names)}}


@pytest.mark.parametrize("published", list(itertools.permutations(MNLI)))
def test_every_order_of_the_same_names_is_mapped(published):
    actual = compared("m", config(*(n.upper() for n in published)), MNLI)
    assert [published[k] for k in actual.order] == list(MNLI)
    assert actual.certain
    assert bool(actual.note) == (published != MNLI)
    if actual.note:
        assert ", ".join(MNLI) in actual.note
        assert ", ".join(published).upper() in actual.note


@pytest.mark.parametrize(
    ("given_names", "labels", "order"),
    [
        (("Not Entailment", "Entailment"), ("entailment", "not_entailment"), (1, 0)),
        (("not-duplicate", " duplicate "), ("duplicate", "not_duplicate"), (1, 0)),
        (("POSITIVE", "NEGATIVE"), ("neg", "pos"), (1, 0)),
        (("5 stars", "4 stars", "1 star"), ("1", "4", "5"), (2, 1, 0)),
        (("True", "False"), ("false", "true"), (1, 0)),
        (("1", "0"), ("0", "1"), (1, 0)),
        (("LABEL_0", "LABEL_1"), ("LABEL_1", "LABEL_0"), (1, 0)),
        (("a", "A"), ("A", "a"), (1, 0)),  # only their case tells them apart
        (("x", "a_b", "a b"), ("a b", "a_b", "x"), (2, 1, 0)),
    ],
)
def test_spelling_does_not_hide_which_class_is_meant(given_names, labels, order):
    actual = compared("m", config(*given_names), labels)
    assert actual.order == order
    assert actual.certain
    assert actual.note


@pytest.mark.parametrize(
    "stated",
    [
        {},
        config("LABEL_0", "LABEL_1"),
        config("label 0", "label 1"),
        config("0", "1"),
        config("a", "b", "c"),
        {"id2label": None},
        {"id2label": ["pos", "neg"]},
    ],
)
def test_names_that_are_numbers_say_nothing(stated):
    actual = compared("m", stated, ("neg", "pos"))
    assert (actual.order, actual.given, actual.note) == ((0, 1), (), "")
    assert not actual.certain


def test_other_names_are_reported_and_not_guessed():
    actual = compared("m", config("toxic", "clean"), ("neg", "pos"))
    assert actual.order == (0, 1)
    assert "toxic, clean" in actual.note
    assert "neg, pos" in actual.note
    assert not actual.certain
    assert not actual.clash


@pytest.mark.parametrize(
    ("names", "clash"),
    [
        (("entailment", "neutral", "refuted"), False),
        (("refuted", "neutral", "entailment"), True),
        (("neutral", "entailment", "x"), True),
    ],
)
def test_shared_names_at_other_places_clash(names, clash):
    assert compared("m", config(*names), MNLI).clash == clash


def test_names_that_contradict_each_other_are_not_believed():
    stated = config("pos", "neg")
    assert compared("m", stated | {"label2id": {"pos": 0, "neg": 1}}, ("neg", "pos")).certain
    actual = compared("m", stated | {"label2id": {"neg": 0, "pos": 1}}, ("neg", "pos"))
    assert actual.clash
    assert not actual.certain
    assert "id2label and label2id" in actual.note


def test_an_abbreviation_that_fits_two_names_is_not_guessed():
    actual = compared("m", config("positive", "possible"), ("pos", "neg"))
    assert not actual.certain


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_reordered_outputs_are_those_of_the_named_classes(data):
    count = data.draw(st.integers(2, 6))
    names = data.draw(
        st.lists(
            st.text("abcxyz", min_size=1, max_size=4), min_size=count, max_size=count, unique=True
        )
    )
    published = data.draw(st.permutations(names))
    head = {
        "bert.x": torch.randn(count, 2), "classifier.weight": torch.randn(count, 3),
        "classifier.bias": torch.randn(count),
    }  # fmt: skip
    actual = compared("m", config(*published), tuple(names))
    moved = reordered(head, actual.order, "classifier")
    for k, name in enumerate(names):
        at = published.index(name)
        assert torch.equal(moved["classifier.weight"][k], head["classifier.weight"][at])
        assert torch.equal(moved["classifier.bias"][k], head["classifier.bias"][at])
    assert moved["bert.x"] is head["bert.x"]


def test_many_names_are_shortened():
    assert format_names([str(k) for k in range(150)]) == "0, 1, 2, 3, 4, 5, 6, 7 ... (150 in all)"


@pytest.mark.parametrize(
    ("stated", "order", "clash"),
    [
        ({"label2id": {"pos": 0, "neg": 1}}, (1, 0), False),
        ({"label2id": {"neg": 0, "pos": 1}}, (0, 1), False),
        ({"id2label": {"0": "1", "1": "0"}}, (0, 1), True),
        ({"id2label": {"0": "LABEL_1", "1": "LABEL_0"}}, (0, 1), True),
        ({"id2label": {"0": "LABEL_1", "1": "LABEL_2"}}, (0, 1), False),
        ({"id2label": {"0": "1", "1": "2"}}, (0, 1), False),
    ],
)
def test_label2id_names_outputs_and_numbers_out_of_order_are_no_order(stated, order, clash):
    actual = compared("m", stated, ("neg", "pos"))
    assert (actual.order, actual.clash) == (order, clash)


def test_numbers_name_the_classes_that_begin_with_them():
    actual = compared("m", {"id2label": {"0": "1", "1": "2"}}, ("2 stars", "1 star"))
    assert (actual.order, actual.certain) == ((1, 0), True)
