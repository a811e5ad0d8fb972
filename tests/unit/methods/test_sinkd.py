from __future__ import annotations

import pytest

from raykd.losses.logits import soft_cross_entropy
from raykd.losses.sinkhorn import sinkhorn_distance
from raykd.methods.base import OutputSpec
from raykd.methods.sinkd import METHOD, Params, annealed
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups


def sides():
    of = setups.context()
    student = setups.Side(of, of.student, seed=0).outputs(OutputSpec(Logits()), task_loss=True)
    teacher = setups.Side(of, of.teacher, seed=1).outputs(OutputSpec(Logits()), task_loss=False)
    return of, student, teacher


def test_terms_have_their_weights():
    of, student, teacher = sides()
    params = Params(alpha=0.9, temperature=3.5, beta=2.0, sinkhorn_scale=0.1)
    terms = METHOD(params, of).loss(setups.batch(), student, teacher)
    soft = soft_cross_entropy(student.logits, teacher.logits, temperature=3.5).mean().item()
    distance = sinkhorn_distance(student.logits, teacher.logits).item()
    assert terms["task"].item() == pytest.approx(0.1 * student.task_loss.item(), rel=1e-5)
    assert terms["distil"].item() == pytest.approx(0.9 * soft)
    assert terms["sinkhorn"].item() == pytest.approx(0.2 * distance)


def test_its_own_temperature_softens_what_is_transported():
    of, student, teacher = sides()
    params = Params(sinkhorn_temperature=5.0, beta=1.0, sinkhorn_scale=1.0)
    terms = METHOD(params, of).loss(setups.batch(), student, teacher)
    distance = sinkhorn_distance(student.logits, teacher.logits, temperature=5.0)
    assert terms["sinkhorn"].item() == pytest.approx(distance.item())


def test_the_temperature_falls_to_1():
    assert [annealed(4.0, epoch, 4) for epoch in range(4)] == [4.0, 3.0, 2.0, 1.0]
    assert annealed(4.0, 0, 1) == 4.0
    of, student, teacher = sides()
    method = METHOD(Params(alpha=1.0, beta=0.0, temperature=4.0, anneal=True), of)
    method.at_epoch(2, 3)
    last = method.loss(setups.batch(), student, teacher).total().item()
    assert last == pytest.approx(soft_cross_entropy(student.logits, teacher.logits).mean().item())


def test_regression_is_refused_with_the_reason():
    refusal = METHOD(Params(), setups.context("regression")).refusal()
    assert "single score" in refusal
    assert "would be 0" in refusal
    assert METHOD(Params(), setups.context()).refusal() == ""
