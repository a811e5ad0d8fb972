from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raykd.methods.base import OutputSpec
from raykd.methods.tinybert import METHOD, Params
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups

EVERYTHING = OutputSpec(Logits(), *hidden_states("all"), *attention_maps("all"))
EQUAL = replace(setups.STUDENT, hidden=setups.TEACHER.hidden)


def run(of, **values):
    student = setups.Side(of, of.student, seed=0).outputs(EVERYTHING, task_loss=True)
    teacher = setups.Side(of, of.teacher, seed=1).outputs(EVERYTHING, task_loss=False)
    method = METHOD(Params(**values), of)
    return method, method.loss(setups.batch(), student, teacher), student, teacher


def test_hidden_states_and_embeddings_by_hand():
    _, terms, student, teacher = run(setups.context(student=EQUAL), hidden=2.0, embedding=3.0)
    mask = setups.batch().attention_mask.bool()

    def gap(student_layer: int, teacher_layer: int) -> torch.Tensor:
        return (
            (student.hidden(student_layer)[mask] - teacher.hidden(teacher_layer)[mask])
            .square()
            .mean()
        )

    assert terms["embedding"].item() == pytest.approx(3 * gap(0, 0).item(), rel=1e-5)
    expected = (gap(1, 2) + gap(2, 4)) / 2
    assert terms["hidden"].item() == pytest.approx(2 * expected.item(), rel=1e-5)


def test_attention_compares_pairs_of_tokens_of_the_first_block_of_each_group():
    _, terms, student, teacher = run(setups.context(), attention_maps=1.0)
    mask = setups.batch().attention_mask.bool()
    pairs = mask[:, :, None] & mask[:, None, :]
    gaps = [
        (student.attention(student_layer) - teacher.attention(teacher_layer))
        .square()
        .movedim(1, -1)[pairs]
        for student_layer, teacher_layer in ((0, 0), (1, 2))
    ]
    assert terms["attention"].item() == pytest.approx(torch.stack(gaps).mean().item(), rel=1e-5)


def test_a_projection_is_trained_between_widths_only():
    method, terms, *_ = run(setups.context())
    assert {tuple(p.shape) for p in method.modules().parameters()} == {(12, 8), (12,)}
    terms.total().backward()
    assert all(p.grad.abs().max() > 0 for p in method.modules().parameters())
    assert METHOD(Params(), setups.context(student=EQUAL)).modules() is None
    assert METHOD(Params(hidden=0, embedding=0), setups.context()).modules() is None


def test_heads_and_blocks_must_fit_the_attention():
    heads = setups.context(student=replace(setups.STUDENT, heads=4))
    assert "head by head" in METHOD(Params(), heads).refusal()
    blocks = setups.context(student=replace(setups.STUDENT, layers=3))
    assert "do not divide" in METHOD(Params(), blocks).refusal()
    assert METHOD(Params(attention_maps=0), heads).refusal() == ""


def test_only_what_is_weighted_is_read():
    method = METHOD(Params(alpha=0, hidden=0, attention_maps=0), setups.context())
    assert method.teacher_outputs() == OutputSpec(*hidden_states((0,)))
    method = METHOD(Params(alpha=0, embedding=0, hidden=0), setups.context())
    assert method.teacher_outputs() == OutputSpec(*attention_maps((0, 2)))
