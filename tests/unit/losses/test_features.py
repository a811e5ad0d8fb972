from __future__ import annotations

import pytest
import torch

from raykd.errors import ShapeError
from raykd.losses.features import pkd_all, pkd_cls, tiny_attention, tiny_hidden

LOSSES = [pkd_all, pkd_cls, tiny_hidden, tiny_attention]


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    both = torch.randn(2, 2, 3, 5, 4, generator=rng, dtype=torch.float64)
    return both[0], both[1]


def test_values_by_hand():
    student = torch.tensor([[[[3.0, 4.0], [1.0, 0.0]]]])
    teacher = torch.tensor([[[[0.0, 2.0], [5.0, 0.0]]]])
    assert pkd_cls(student, teacher).item() == pytest.approx((0.6**2 + 0.2**2) / 2)
    assert pkd_all(student, teacher).item() == pytest.approx((0.6**2 + 0.2**2) / 4)
    assert tiny_hidden(student, teacher).item() == pytest.approx((9 + 4 + 16) / 4)


def test_masked_scores_count_as_zero():
    student = torch.tensor([1.0, -10000.0])
    teacher = torch.tensor([0.0, -200.0])
    assert tiny_attention(student, teacher).item() == pytest.approx(0.5)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_derivative_and_stays_with_the_student(loss):
    student, teacher = (t.requires_grad_() for t in pair())
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher), [student])
    loss(student, teacher).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_is_raised(loss):
    student, teacher = (t.bfloat16() for t in pair())
    got = loss(student, teacher)
    assert got.dtype == torch.float32
    assert torch.isfinite(got)


@pytest.mark.parametrize("loss", LOSSES)
def test_different_shapes_are_refused(loss):
    with pytest.raises(ShapeError, match="expected equal shapes"):
        loss(pair()[0], pair()[1][..., :3])
