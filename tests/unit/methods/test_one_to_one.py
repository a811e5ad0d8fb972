from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd.losses.correlation import correlation_loss
from raykd.methods.base import OutputSpec
from raykd.methods.one_to_one import METHOD, Params
from raykd.models.base import Outputs
from raykd.models.signals.hidden_states import HiddenState, hidden_states
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups

EQUAL = replace(setups.STUDENT, hidden=setups.TEACHER.hidden)
ALONE = {"alpha_task": 0.0, "alpha_corr": 1.0, "mask_mode": "none"}


def sides(of):
    student = setups.Side(of, of.student, seed=0).outputs(
        OutputSpec(Logits(), *hidden_states("all")), task_loss=True
    )
    teacher = setups.Side(of, of.teacher, seed=1).outputs(
        OutputSpec(Logits(), *hidden_states("all")), task_loss=False
    )
    return student, teacher


def tokens_of(batch, states):
    return states[batch.attention_mask.bool()]


def run(of=None, batch=None, **values):
    of = of or setups.context(student=EQUAL)
    method = METHOD(Params(**values), of)
    return method.loss(batch or setups.batch(), *sides(of))


@pytest.mark.parametrize(("norm", "factor"), [("official", 12), ("tokens", 1)])
def test_the_divisor(norm, factor):
    of, batch = setups.context(student=EQUAL), setups.batch()
    student, teacher = sides(of)
    student_hidden, teacher_hidden = (
        tokens_of(batch, student.hidden(2)),
        tokens_of(batch, teacher.hidden(4)),
    )
    expected, similar = correlation_loss(
        student_hidden, teacher_hidden, divisor=len(student_hidden) * factor
    )
    terms = run(**ALONE, corr_norm=norm)
    assert terms["corr"].item() == pytest.approx(expected.item())
    assert terms.metrics["correlation"].item() == pytest.approx(similar.item())


def test_the_masked_part_is_added_or_replaces():
    whole = run(**ALONE)["corr"].item()
    part = run(**{**ALONE, "mask_mode": "replace"})["corr"].item()
    both = run(**{**ALONE, "mask_mode": "add"})["corr"].item()
    assert 0 < part < whole
    assert both == pytest.approx(whole + part)


def test_neurons_are_drawn_by_the_rows_of_the_batch():
    masked = {**ALONE, "mask_mode": "replace", "corr_norm": "tokens"}
    first = setups.batch()
    other = replace(first, index=first.index + 10)
    same = run(batch=first, **masked)["corr"].item()
    assert run(batch=first, **masked)["corr"].item() == same
    assert run(batch=other, **masked)["corr"].item() != same


def test_widths_need_an_assignment_and_a_narrower_student():
    unequal = setups.context()
    refusal = METHOD(Params(), unequal).refusal()
    assert "has 8 and" in refusal
    assert "width_map: assign" in refusal
    assert METHOD(Params(width_map="assign"), unequal).refusal() == ""
    wider = setups.context(student=replace(setups.STUDENT, hidden=20))
    assert "only 12" in METHOD(Params(width_map="assign"), wider).refusal()
    assert METHOD(Params(alpha_corr=0), unequal).refusal() == ""


def test_soft_targets_alone_are_nothing_in_regression():
    of = setups.context("regression", student=EQUAL)
    params = Params(alpha_task=0, alpha_ce=1, alpha_corr=0)
    assert "nothing to minimise" in METHOD(params, of).refusal()
    assert Logits() not in METHOD(Params(alpha_ce=1), of).teacher_outputs()


def test_calibration_finds_the_teachers_neurons():
    of = setups.context()
    method = METHOD(Params(width_map="assign", **ALONE), of)
    order = torch.tensor([3, 11, 0, 7, 5, 1, 9, 4])

    def seen():
        for seed in range(30):
            teacher = torch.randn(3, 14, 12, generator=torch.Generator().manual_seed(seed))
            student = teacher[..., order] * 2 + 1
            yield (
                setups.batch((14, 9, 5)),
                Outputs(values={**{HiddenState(k): v for k, v in ({2: student}).items()}}),
                Outputs(values={**{HiddenState(k): v for k, v in ({4: teacher}).items()}}),
            )

    assert method.calibration_rows() == 256
    method.calibrate(seen())
    assert method.modules().assignment.tolist() == order.tolist()
    batch, student, teacher = next(iter(seen()))
    student_hidden, teacher_hidden = (
        tokens_of(batch, student.hidden(2)),
        tokens_of(batch, teacher.hidden(4)),
    )
    expected, _ = correlation_loss(
        student_hidden, teacher_hidden[:, order], divisor=student_hidden.numel()
    )
    assert method.loss(batch, student, teacher)["corr"].item() == pytest.approx(expected.item())


def test_pairs_by_number_are_not_calibrated():
    method = METHOD(Params(), setups.context(student=EQUAL))
    assert method.calibration_rows() == 0
    assert method.modules() is None


def test_wide_official_correlations_spare_the_matrix():
    rng = np.random.default_rng(0)
    wide = replace(setups.STUDENT, hidden=300)
    of = setups.context(student=wide, teacher=replace(setups.TEACHER, hidden=300))
    student_hidden = torch.tensor(
        rng.normal(size=(3, 14, 300)), dtype=torch.float32, requires_grad=True
    )
    teacher_hidden = torch.tensor(rng.normal(size=(3, 14, 300)), dtype=torch.float32)
    batch = setups.batch()
    terms = METHOD(Params(**ALONE), of).loss(
        batch,
        Outputs(values={**{HiddenState(k): v for k, v in ({2: student_hidden}).items()}}),
        Outputs(values={**{HiddenState(k): v for k, v in ({4: teacher_hidden}).items()}}),
    )
    (fast,) = torch.autograd.grad(terms["corr"], student_hidden)
    mask = batch.attention_mask.bool()
    exact, _ = correlation_loss(
        student_hidden[mask], teacher_hidden[mask], divisor=student_hidden[mask].numel()
    )
    (full,) = torch.autograd.grad(exact, student_hidden)
    assert (fast - full).norm() < 1e-4 * full.norm()
