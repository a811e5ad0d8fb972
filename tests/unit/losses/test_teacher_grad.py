from __future__ import annotations

import math

import pytest
import torch

from raykd.errors import ShapeError
from raykd.losses.logits import soft_kl
from raykd.losses.teacher_grad import teacher_grad_cross_entropy, teacher_grad_mse


def logits(seed: int, *, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(4, 3, generator=rng, dtype=dtype).requires_grad_()


def test_cross_entropy_by_hand():
    student = torch.tensor([[0.0, math.log(3.0)]])
    teacher = torch.tensor([[math.log(4.0), 0.0]])
    actual = teacher_grad_cross_entropy(student, teacher)
    assert actual.item() == pytest.approx(-(0.8 * math.log(0.25) + 0.2 * math.log(0.75)))
    soft = teacher_grad_cross_entropy(2 * student, 2 * teacher, temperature=2.0)
    assert soft.item() == pytest.approx(4 * actual.item())


def test_mse_by_hand():
    actual = teacher_grad_mse(torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [0.5]]))
    assert actual.tolist() == [1.0, 6.25]


def test_the_student_follows_it_as_it_follows_the_divergence():
    student, teacher = logits(0), logits(1)
    result = teacher_grad_cross_entropy(student, teacher, temperature=2.0).sum()
    expected = soft_kl(student, teacher, temperature=2.0).sum()
    (one,) = torch.autograd.grad(result, student)
    (two,) = torch.autograd.grad(expected, student)
    assert torch.allclose(one, two)


@pytest.mark.parametrize("loss", [teacher_grad_cross_entropy, teacher_grad_mse])
def test_gradients_into_both_sides(loss):
    assert torch.autograd.gradcheck(loss, (logits(0), logits(1)))


def test_half_precision_is_computed_in_float32():
    half = [logits(k, dtype=torch.float32).bfloat16() for k in (0, 1)]
    assert teacher_grad_cross_entropy(*half).dtype == torch.float32
    assert teacher_grad_mse(*half).dtype == torch.float32


@pytest.mark.parametrize("loss", [teacher_grad_cross_entropy, teacher_grad_mse])
def test_shapes_must_agree(loss):
    with pytest.raises(ShapeError, match=r"student \(2, 3\), teacher \(2, 2\)"):
        loss(torch.zeros(2, 3), torch.zeros(2, 2))
