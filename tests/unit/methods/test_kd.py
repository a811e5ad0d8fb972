from __future__ import annotations

import pytest
import torch

from raykd.losses.logits import soft_kl
from raykd.methods.base import OutputSpec
from raykd.methods.kd import METHOD, Params
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups


def sides(kind: str = "classification"):
    of = setups.context(kind)
    student = setups.Side(of, of.student, seed=0).outputs(OutputSpec(Logits()), task_loss=True)
    teacher = setups.Side(of, of.teacher, seed=1).outputs(OutputSpec(Logits()), task_loss=False)
    return of, student, teacher


def test_terms_are_weighted_by_alpha():
    of, student, teacher = sides()
    terms = METHOD(Params(alpha=0.3, temperature=4.0), of).loss(setups.batch(), student, teacher)
    kl = soft_kl(student.logits, teacher.logits, temperature=4.0).mean()
    assert terms["task"].item() == pytest.approx(0.7 * student.task_loss.item())
    assert terms["distil"].item() == pytest.approx(0.3 * kl.item())


def test_regression_compares_scores_whatever_the_temperature():
    of, student, teacher = sides("regression")
    error = (student.logits - teacher.logits).square().mean().item()
    for temperature in (1.0, 5.0):
        params = Params(alpha=1.0, temperature=temperature)
        terms = METHOD(params, of).loss(setups.batch(kind="regression"), student, teacher)
        assert terms["distil"].item() == pytest.approx(error)


def test_terms_of_weight_zero_are_not_computed_and_not_requested():
    of, student, teacher = sides()
    alone = METHOD(Params(alpha=0.0), of)
    assert not alone.teacher_outputs()
    assert list(alone.loss(setups.batch(), student, Outputs())) == ["task"]
    soft = METHOD(Params(alpha=1.0), of)
    unlabelled = Outputs(logits=student.logits)
    assert list(soft.loss(setups.batch(), unlabelled, teacher)) == ["distil"]
    assert torch.isfinite(soft.loss(setups.batch(), unlabelled, teacher).total())
