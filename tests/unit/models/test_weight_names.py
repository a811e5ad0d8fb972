from __future__ import annotations

import pytest
import torch

from raykd import registry
from raykd.errors import DataError
from raykd.models.weight_names import check_unused, named
from raykd.models.weight_ties import declared_ties
from tests.unit.models.checkpoints import tiny

FAMILY = registry.load("families", "bert")


def parts(kind: str = "classification"):
    model = tiny(kind=kind, num_labels=2)
    given = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    return given, declared_ties(model)


def test_every_tensor_is_used_or_named():
    given, ties = parts()
    more = {
        "bert.embeddings.position_ids": torch.arange(3)[None],
        "cls.predictions.bias": torch.ones(3),
        "cls.seq_relationship.weight": torch.ones(2, 3),
        "qa_outputs.weight": torch.ones(2, 3),
        "loss.weight": torch.ones(2),
    }
    actual = named(given | more, given, ties, FAMILY)
    assert actual.tensors.keys() == given.keys()
    assert set(actual.ignored) == more.keys() - {"loss.weight"}
    assert actual.unused == ("loss.weight",)
    check_unused("m", actual, given, FAMILY)


@pytest.mark.parametrize("prefix", ["module.", "model.", "student.model.", "net._orig_mod."])
@pytest.mark.parametrize("bare", [False, True])
def test_what_was_put_before_names_is_taken_off(prefix, bare):
    given, ties = parts()
    wrapped = {
        prefix + (name.removeprefix("bert.") if bare else name): tensor
        for name, tensor in given.items()
        if not bare or name.startswith("bert.")
    }
    actual = named(wrapped, given, ties, FAMILY)
    expected = {n for n in given if not bare or n.startswith("bert.")}
    assert set(actual.tensors) == expected
    assert all(torch.equal(actual.tensors[n], given[n]) for n in expected)
    assert actual.unused == ()


def test_two_models_in_one_file_are_not_chosen_from():
    given, ties = parts()
    both = {f"{side}.{n}": t for side in ("student", "teacher") for n, t in given.items()}
    with pytest.raises(DataError, match=r"several models: names begin with '\w+\.' and '\w+\.'"):
        named(both, given, ties, FAMILY)


def test_a_copy_next_to_the_model_is_named_and_not_used():
    given, ties = parts()
    actual = named(given | {f"ema.{n}": t + 1 for n, t in given.items()}, given, ties, FAMILY)
    assert all(torch.equal(actual.tensors[n], given[n]) for n in given)
    assert len(actual.unused) == len(given)


def test_a_matrix_under_its_second_name_only_is_found():
    given, ties = parts("masked_lm")
    name, source = next((n, s) for n, s in ties.items() if n.endswith("decoder.weight"))
    second = {k: t for k, t in given.items() if k != source}
    actual = named(second, given, ties, FAMILY)
    assert torch.equal(actual.tensors[source], given[name])


def test_both_names_of_a_matrix_are_kept_only_if_they_differ():
    given, ties = parts("masked_lm")
    name = next(n for n in ties if n.endswith("decoder.weight"))
    assert name not in named(given, given, ties, FAMILY).tensors
    other = given | {name: given[name] + 1}
    assert torch.equal(named(other, given, ties, FAMILY).tensors[name], given[name] + 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bert.encoder.layer.7.output.dense.weight", "has no place for"),
        ("bert.encoder.layer.0.output.dense.SCB", "is quantised"),
        ("bert.encoder.layer.0.output.dense.weight_scale_inv", "is quantised"),
        ("bert.encoder.layer.0.output.dense.lora_A.weight", "weights of an adapter"),
    ],
)
def test_tensors_that_belong_to_the_model_and_have_no_place_are_refused(name, message):
    given, ties = parts()
    actual = named(given | {name: torch.ones(2)}, given, ties, FAMILY)
    with pytest.raises(DataError, match=message):
        check_unused("m", actual, given, FAMILY)
