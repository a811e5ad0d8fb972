from __future__ import annotations

import pytest
import torch

from raykd.methods.base import OutputSpec
from raykd.methods.jsd import METHOD, Params
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import Model, by_name, check_gradient, labels_of, likelihood

CONTEXT = setups.context("seq2seq")
OF = text_setups.batch([2, 5, 1])


@pytest.mark.parametrize(
    "values",
    [{"beta": 0.5}, {"beta": 0.1, "kd_ratio": 0.8}, {"beta": 0.9, "temperature": 2.0},
     {"beta": 0.2, "normalised": True, "kd_ratio": 1.0, "temperature": 0.5},
     {"beta": 0.0, "normalised": True}, {"beta": 1.0, "normalised": True}],
)  # fmt: skip
def test_it_is_the_formula(values):
    student, teacher = Model(1), Model(2, trained=False)
    params = Params(**values)
    terms = METHOD(params, CONTEXT).step(OF, student, teacher)
    student_logits, teacher_logits = student.logits(OF), teacher.logits(OF)
    apart = by_name("jsd", student_logits, teacher_logits, beta=params.beta,
                    temperature=params.temperature,
                    normalised=params.normalised and 0 < params.beta < 1)  # fmt: skip
    hard, ratio = likelihood(student_logits, labels_of(OF)), params.kd_ratio
    distil = ratio * params.temperature**2 * apart
    assert terms.metrics["distil"].item() == pytest.approx(distil, rel=1e-5)
    assert terms.total().item() == pytest.approx(distil + (1 - ratio) * hard, rel=1e-5)


def test_its_gradient_is_that_of_the_mixture():
    student, teacher = Model(1), Model(2, trained=False)
    terms = METHOD(Params(beta=0.3, kd_ratio=1.0), CONTEXT).step(OF, student, teacher)
    q, p = student.logits(OF).softmax(-1), teacher.logits(OF).softmax(-1)
    mixed = 0.3 * p + 0.7 * q
    rows = 0.3 * (p * (p / mixed).log()).sum(-1) + 0.7 * (q * (q / mixed).log()).sum(-1)
    check_gradient(terms, student, rows.mean())


def test_equal_models_are_no_distance_apart():
    student = Model(1)
    teacher = Model(1, trained=False)
    terms = METHOD(Params(kd_ratio=1.0), CONTEXT).step(OF, student, teacher)
    assert terms.total().item() == pytest.approx(0.0, abs=1e-12)
    assert METHOD(Params(), CONTEXT).teacher_outputs() == OutputSpec(Logits())


def test_its_declared_divergence_has_all_its_coefficients():
    given = Params(beta=0.2, normalised=True, temperature=3.0)
    [of] = METHOD(given, CONTEXT).divergences()
    assert (of.kind, of.beta, of.normalised, of.temperature) == ("jsd", 0.2, True, 3.0)
    assert torch.equal(of.of(torch.zeros(1, 3), torch.zeros(1, 3)), torch.zeros(1))
