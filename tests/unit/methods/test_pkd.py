from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raykd.methods.base import OutputSpec
from raykd.methods.pkd import METHOD, Params
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups

EQUAL = replace(setups.STUDENT, hidden=setups.TEACHER.hidden)


def run(**values):
    of = setups.context(student=EQUAL)
    everything = OutputSpec(Logits(), *hidden_states("all"))
    student = setups.Side(of, of.student, seed=0).outputs(everything, task_loss=True)
    teacher = setups.Side(of, of.teacher, seed=1).outputs(everything, task_loss=False)
    return METHOD(Params(**values), of).loss(setups.batch(), student, teacher), student, teacher


def test_the_first_token_of_matched_layers_by_hand():
    terms, student, teacher = run(beta=3.0)
    gaps = []
    for student_layer, teacher_layer in ((1, 2), (2, 4)):
        a, b = student.hidden(student_layer)[:, 0], teacher.hidden(teacher_layer)[:, 0]
        gaps.append((a / a.norm(dim=-1, keepdim=True) - b / b.norm(dim=-1, keepdim=True)) ** 2)
    assert terms["patient"].item() == pytest.approx(3.0 * torch.stack(gaps).mean().item())


def test_all_positions_are_those_of_tokens():
    terms, student, teacher = run(beta=1.0, positions="all", layers="final")
    mask = setups.batch().attention_mask.bool()
    a, b = student.hidden(2)[mask], teacher.hidden(4)[mask]
    gap = (a / a.norm(dim=-1, keepdim=True) - b / b.norm(dim=-1, keepdim=True)) ** 2
    assert terms["patient"].item() == pytest.approx(gap.mean().item(), rel=1e-5)


def test_unequal_widths_are_refused():
    assert "8 wide" in METHOD(Params(), setups.context()).refusal()
    assert METHOD(Params(beta=0), setups.context()).refusal() == ""
