"""The direction of the teacher's vectors, and what all methods on vectors share."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raykd.methods.embedding_cosine import METHOD, Params
from raykd.models.signals.embeddings import Embeddings
from tests.unit.methods import setups
from tests.unit.methods.embedding_setups import sides, terms_of

EQUAL = replace(setups.STUDENT, hidden=setups.TEACHER.hidden)
WIDER = replace(setups.STUDENT, hidden=16)


def test_by_hand():
    of = setups.context("embedding", student=EQUAL)
    student, teacher = sides(of)
    actual = terms_of(METHOD(Params(alpha=0.8), of), student, teacher)
    s, t = student.values[Embeddings()], teacher.values[Embeddings()]
    cosines = torch.nn.functional.cosine_similarity(s, t, dim=-1)
    assert actual["distil"].item() == pytest.approx(0.8 * (1 - cosines).mean().item(), rel=1e-5)
    assert actual["task"].item() == pytest.approx(0.2 * student.logits.square().mean().item())


def test_a_narrower_teacher_has_zeros_behind_its_vectors():
    of = setups.context("embedding", student=WIDER)
    method = METHOD(Params(), of)
    vectors = torch.randn(3, 2, 12)
    target = method.target(vectors)
    assert target.shape == (3, 2, 16)
    assert torch.equal(target[..., :12], vectors)
    assert not target[..., 12:].any()
    assert method.modules() is None
    assert method.calibration_rows() == 0
    assert "axes_rows" in method.unused()


def test_a_wider_teacher_is_seen_along_the_axes_of_its_vectors():
    of = setups.context("embedding")  # 12 to 8
    method = METHOD(Params(axes_rows=40), of)
    assert method.calibration_rows() == 40
    flat = torch.randn(40, 2, 8)
    wide = flat @ torch.linalg.qr(torch.randn(12, 12)).Q[:8]
    _, teacher = sides(of)
    teacher.values[Embeddings()] = wide
    seen = teacher.outputs(METHOD.requires, task_loss=False)
    method.calibrate([(setups.batch(kind="embedding"), seen, seen)])
    target = method.target(wide).flatten(0, 1)
    assert torch.allclose(target @ target.T, flat.flatten(0, 1) @ flat.flatten(0, 1).T, atol=1e-4)
    assert [name for name, _ in method.modules().named_buffers()] == ["axes"]


def test_what_cannot_be_is_refused():
    few = METHOD(Params(axes_rows=3), setups.context("embedding")).refusal()
    assert few == (
        "finds 8 axes, those of the student's width, on the vectors of 3 rows, which are 6\n"
        "raise axes_rows"
    )
    other = METHOD(Params(), setups.context("classification")).refusal()
    assert other == "serves embedding tasks, not classification"


def test_a_teacher_of_weight_zero_is_not_read():
    of = setups.context("embedding")
    method = METHOD(Params(alpha=0.0), of)
    assert not method.teacher_outputs()
    assert method.modules() is None
    student, teacher = sides(of)
    assert set(terms_of(method, student, teacher)) == {"task"}
    assert set(terms_of(METHOD(Params(alpha=1.0), of), student, teacher)) == {"distil"}
