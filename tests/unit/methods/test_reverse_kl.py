from __future__ import annotations

import math

import pytest
import torch

from raykd.losses.vocabulary import LazyLogits
from raykd.methods.base import OutputSpec
from raykd.methods.reverse_kl import METHOD, Params
from raykd.models.base import Outputs
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import Model, by_name, check_gradient, labels_of, likelihood

CONTEXT = setups.context("causal_lm")


def test_the_value_by_hand():
    """Two tokens that the student finds 3 : 1 and the teacher 1 : 1; the label is the first."""
    student = LazyLogits(torch.tensor([[math.log(3.0), 0.0]]), torch.eye(2))
    teacher = LazyLogits(torch.zeros(1, 2), torch.eye(2))
    of = text_setups.batch([1])
    of.labels[of.labels != -100] = 0
    method = METHOD(Params(kd_ratio=0.75), CONTEXT)
    terms = method.loss(of, Outputs(lazy_logits=student), Outputs(lazy_logits=teacher))
    apart = {name: term.item() for name, term in terms.metrics.items()}
    expected = 0.75 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert apart["distil"] == pytest.approx(expected, rel=1e-6)
    assert apart["task"] == pytest.approx(0.25 * math.log(4 / 3), rel=1e-6)
    assert terms.total().item() == pytest.approx(sum(apart.values()), rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_it_is_the_formula_and_its_gradient(temperature, ratio):
    of, student, teacher = text_setups.batch([4, 1, 3]), Model(1), Model(2, trained=False)
    method = METHOD(Params(kd_ratio=ratio, temperature=temperature), CONTEXT)
    terms = method.step(of, student, teacher)
    student_logits, teacher_logits, labels = student.logits(of), teacher.logits(of), labels_of(of)
    apart = by_name("reverse_kl", student_logits, teacher_logits, temperature=temperature)
    expected = ratio * temperature**2 * apart + (1 - ratio) * likelihood(student_logits, labels)
    assert terms.total().item() == pytest.approx(expected, rel=1e-5)
    log_q, log_p = ((t / temperature).log_softmax(-1) for t in (student_logits, teacher_logits))
    divergence = (log_q.exp() * (log_q - log_p)).sum(-1).mean()
    hard = torch.nn.functional.cross_entropy(student_logits, labels)
    check_gradient(terms, student, ratio * temperature**2 * divergence + (1 - ratio) * hard)


def test_without_distillation_the_teacher_is_not_read():
    method = METHOD(Params(kd_ratio=0.0), CONTEXT)
    assert method.teacher_outputs() == OutputSpec()
    assert method.divergences() == ()
    terms = method.loss(text_setups.batch([2]), Model(1)(text_setups.batch([2])), Outputs())
    assert set(terms.metrics) == {"task"}


def test_it_draws_to_one_of_the_teachers_modes_rather_than_between_them():
    """Of two students, one at a mode and one spread over both, the reverse divergence takes one."""
    teacher = torch.tensor([[4.0, 4.0, -4.0]])
    at_a_mode, spread = torch.tensor([[4.0, -2.0, -4.0]]), torch.tensor([[1.0, 1.0, 1.0]])
    of = METHOD(Params(), CONTEXT).divergence()
    assert of.of(at_a_mode, teacher) < of.of(spread, teacher)
