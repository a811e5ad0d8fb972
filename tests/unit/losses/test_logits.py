from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from raykd.errors import ShapeError
from raykd.losses.divergences import divergence
from raykd.losses.logits import binary_kl, scaled_mse, soft_cross_entropy, soft_kl

LOSSES = [soft_kl, soft_cross_entropy, scaled_mse]


def pair(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    both = torch.randn(2, 6, 3, generator=rng, dtype=torch.float64)
    return both[0].to(dtype), both[1].to(dtype)


def test_values_by_hand():
    teacher = torch.tensor([[math.log(3.0), 0.0]])  # 3/4 and 1/4
    student = torch.zeros(1, 2)
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert soft_cross_entropy(student, teacher).item() == pytest.approx(math.log(2.0))
    assert soft_kl(student, teacher).item() == pytest.approx(math.log(2.0) - entropy)
    assert scaled_mse(student, teacher, temperature=2.0).item() == pytest.approx(
        math.log(3.0) ** 2 / 4 / 2
    )


def test_soft_kl_is_the_divergence_of_torch_times_squared_temperature():
    student, teacher = pair()
    expected = F.kl_div((student / 3).log_softmax(-1), (teacher / 3).softmax(-1), reduction="none")
    assert torch.allclose(soft_kl(student, teacher, temperature=3.0), 9 * expected.sum(dim=-1))


def test_cross_entropy_exceeds_the_divergence_by_the_entropy_of_the_teacher():
    student, teacher = pair()
    entropy = torch.distributions.Categorical(logits=teacher / 2).entropy()
    excess = soft_cross_entropy(student, teacher, temperature=2.0) - entropy
    assert torch.allclose(4 * excess, soft_kl(student, teacher, temperature=2.0))


@pytest.mark.parametrize("loss", [soft_kl, soft_cross_entropy])
def test_a_constant_added_to_the_logits_changes_nothing(loss):
    student, teacher = pair()
    assert torch.allclose(loss(student + 5, teacher - 3), loss(student, teacher))


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_the_derivative_and_stays_with_the_student(loss):
    student, teacher = (t.requires_grad_() for t in pair())
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher, temperature=2.0), [student])
    loss(student, teacher).sum().backward()
    assert teacher.grad is None


@pytest.mark.parametrize("temperature", [32.0, 40.0, 1e3, 1e5])
@pytest.mark.parametrize("of", ["classes", "vocabulary"])
def test_soft_targets_of_any_temperature_tend_to_the_squared_difference_of_logits(of, temperature):
    """T^2 times a divergence that falls with T^2: half the variance of the difference."""
    rng = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 500, generator=rng) * 0.3
    student.requires_grad_()
    expected = (teacher - student).var(dim=-1, unbiased=False) / 2
    if of == "classes":
        actual = soft_kl(student, teacher, temperature=temperature)
    else:
        actual = temperature**2 * divergence("forward_kl", temperature=temperature)(
            student, teacher
        )
    assert actual.dtype == torch.float32
    assert torch.allclose(actual, expected, rtol=0.03)
    slope = torch.autograd.grad(actual.sum(), student)[0]
    difference = student - teacher
    assert torch.allclose(slope, (difference - difference.mean(-1, keepdim=True)) / 500, atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_half_precision_stays_finite(loss):
    student, teacher = pair(torch.bfloat16)
    got = loss(student * 1000, teacher * 1000)
    assert got.dtype == torch.float32
    assert torch.isfinite(got).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_one_value_per_row(loss):
    student, teacher = pair()
    assert loss(student, teacher).shape == (6,)
    assert loss(student[:1], teacher[:1]).shape == (1,)


@pytest.mark.parametrize("loss", LOSSES)
def test_different_shapes_are_refused(loss):
    with pytest.raises(ShapeError, match=r"equal shapes, got student \(6, 3\), teacher \(6, 2\)"):
        loss(pair()[0], pair()[1][:, :2])


def test_the_divergence_of_a_set_is_that_of_every_yes_or_no():
    result, reference = torch.tensor([[0.5, -2.0, 3.0]]), torch.tensor([[1.5, 0.0, 3.0]])
    pairs = [torch.stack([values, 0 * values], dim=-1) for values in (result, reference)]
    for temperature in (1.0, 2.5):
        actual = binary_kl(result, reference, temperature=temperature)
        # Two classes whose logits are z and 0 are a yes and a no.
        expected = soft_kl(*pairs, temperature=temperature).sum(-1)
        assert torch.allclose(actual, expected, atol=1e-6)
    assert binary_kl(reference, reference).item() == pytest.approx(0, abs=1e-7)
    assert torch.isfinite(binary_kl(100 * result, -100 * reference)).all()
    with pytest.raises(ShapeError):
        binary_kl(result, reference[:, :2])
