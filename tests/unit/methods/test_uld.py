from __future__ import annotations

import numpy as np
import pytest
import torch

from raykd.losses.sorted_distance import sorted_distance
from raykd.methods.base import OutputSpec
from raykd.methods.uld import METHOD, Params
from raykd.models.signals.logits import Logits
from raykd.models.signals.token_pairs import TokenPairs
from tests.unit.methods import setups, text_setups
from tests.unit.methods.sorted_setups import CONTEXT, OTHER, OWN, WIDER, batches, distance
from tests.unit.methods.text_setups import Model, check_gradient, labels_of, likelihood

PAIRS = [[(k, k) for k in range(min(pair))] for pair in zip(OWN, OTHER, strict=True)]


@pytest.mark.parametrize("weight", [1.5, 0.3])
def test_it_is_the_formula_of_the_paper_over_two_vocabularies(weight):
    own, other = batches("place", PAIRS)
    student, teacher = Model(1), Model(2, WIDER, trained=False)
    terms = METHOD(Params(weight=weight), CONTEXT).step(own, student, lambda _: teacher(other))
    expected = distance(
        student.logits(own).detach().numpy(), teacher.logits(other).numpy(), PAIRS
    )  # fmt: skip
    assert terms["distil"].item() == pytest.approx(weight * expected, rel=1e-6)
    hard = likelihood(student.logits(own), labels_of(own))
    assert terms["task"].item() == pytest.approx(hard, rel=1e-5)


def test_its_gradient_is_that_of_all_scores_at_once():
    own, other = batches("place", PAIRS)
    student, teacher = Model(1), Model(2, WIDER, trained=False)
    terms = METHOD(Params(), CONTEXT).step(own, student, lambda _: teacher(other))
    mine, reference = TokenPairs("place").of(own)
    reported = teacher.logits(other)[reference]
    expected = 1.5 * sorted_distance(student.logits(own)[mine], reported).mean()
    check_gradient(terms, student, expected)


def test_equal_tokens_need_no_pairs_and_equal_models_are_no_distance_apart():
    method = METHOD(Params(), setups.context("causal_lm"))
    assert method.teacher_outputs() == OutputSpec(Logits())
    of = text_setups.batch([2, 5, 1])
    assert method.counts(of) == {"distil": 8}
    terms = method.step(of, Model(1), Model(1, trained=False))
    assert terms["distil"].item() == pytest.approx(0.0, abs=1e-12)


def test_a_weight_of_zero_reads_nothing_of_the_teacher():
    method = METHOD(Params(weight=0.0), CONTEXT)
    assert method.teacher_outputs() == OutputSpec()
    own, _ = batches("place", PAIRS)
    assert list(method.step(own, Model(1), lambda _: None)) == ["task"]
    assert method.counts(own) == {}


def test_the_distance_is_of_sorted_probabilities_with_zeros_for_the_shorter():
    one, two = torch.log(torch.tensor([[0.2, 0.8]])), torch.log(torch.tensor([[0.5, 0.1, 0.4]]))
    assert sorted_distance(one, two).item() == pytest.approx(0.3 + 0.2 + 0.1)
    assert sorted_distance(two, one).item() == pytest.approx(0.3 + 0.2 + 0.1)
    shuffled = torch.log(torch.tensor([[0.8, 0.2]]))
    assert sorted_distance(one, shuffled).item() == 0
    far = sorted_distance(torch.tensor([[100.0, 0, 0, 0]]), torch.zeros(1, 50))
    assert 0 < far.item() <= 2
    assert np.isfinite(far.item())
