from __future__ import annotations

import pytest
import torch

from raykd.methods.skew_kl import METHOD, Params
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import Model, by_name, check_gradient, labels_of, likelihood

CONTEXT = setups.context("causal_lm")
OF = text_setups.batch([3, 1, 4])


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(
    "values", [{}, {"lam": 0.4, "kd_ratio": 0.6}, {"lam": 0.2, "temperature": 2.0}, {"lam": 0.0}]
)
def test_it_is_the_formula(direction, values):
    student, teacher = Model(1), Model(2, trained=False)
    params = Params(direction=direction, **values)
    terms = METHOD(params, CONTEXT).step(OF, student, teacher)
    student_logits, teacher_logits = student.logits(OF), teacher.logits(OF)
    apart = by_name(
        f"skew_{direction}_kl",
        student_logits,
        teacher_logits,
        lam=params.lam,
        temperature=params.temperature,
    )
    hard = likelihood(student_logits, labels_of(OF))
    expected = params.kd_ratio * params.temperature**2 * apart + (1 - params.kd_ratio) * hard
    assert terms.total().item() == pytest.approx(expected, rel=1e-5)


def test_lambda_is_the_share_of_the_one_that_is_compared():
    """Forward: of the teacher in the mixture. Reverse: of the student."""
    student, teacher = Model(1), Model(2, trained=False)
    q, p = student.logits(OF).softmax(-1), teacher.logits(OF).softmax(-1)
    forward = (p * (p / (0.3 * p + 0.7 * q)).log()).sum(-1).mean()
    terms = METHOD(Params(lam=0.3), CONTEXT).step(OF, student, teacher)
    check_gradient(terms, student, forward)
    q = student.logits(OF).softmax(-1)
    reverse = (q * (q / (0.3 * q + 0.7 * p)).log()).sum(-1).mean()
    terms = METHOD(Params(lam=0.3, direction="reverse"), CONTEXT).step(OF, student, teacher)
    check_gradient(terms, student, reverse)


def test_the_mixture_bounds_what_a_sure_teacher_can_ask_for():
    """Where the student gives nearly nothing, the skewed divergence stays below -log(lam)."""
    teacher, student = torch.tensor([[50.0, 0.0]]), torch.tensor([[-50.0, 0.0]])
    skewed = METHOD(Params(lam=0.1), CONTEXT).divergence().of(student, teacher)
    plain = METHOD(Params(lam=0.0), CONTEXT).divergence().of(student, teacher)
    assert skewed.item() == pytest.approx(2.302585, rel=1e-5)
    assert plain.item() > 40.0
