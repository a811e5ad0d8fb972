from __future__ import annotations

import pytest
import torch

from raykd.errors import ShapeError
from raykd.losses import sinkhorn
from raykd.losses.sinkhorn import sinkhorn_distance, transport_cost, transport_plan


def logits(rows: int = 6, classes: int = 3, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return scale * torch.randn(rows, classes, generator=rng)


def gradient(student, teacher, **options):
    own = student.clone().requires_grad_()
    sinkhorn_distance(own, teacher, **options).backward()
    return own.grad


def test_cost_lies_between_0_and_2():
    sure = 1e3 * torch.eye(2)
    assert transport_cost(sure, sure).tolist() == [[0, 2], [2, 0]]


def test_columns_of_the_plan_sum_to_one_and_rows_nearly():
    plan = transport_plan(transport_cost(logits(16), logits(16, seed=1)))
    assert torch.allclose(plan.sum(0), torch.ones(16), atol=1e-6)
    assert torch.allclose(plan.sum(1), torch.ones(16), atol=1e-3)


def test_one_row_is_the_difference_of_its_probabilities():
    actual, reference = logits(1), logits(1, seed=1)
    expected = ((actual / 2).softmax(-1) - (reference / 2).softmax(-1)).abs().sum()
    assert sinkhorn_distance(actual, reference).item() == pytest.approx(expected.item())


def test_one_class_has_no_distance_and_no_gradient():
    assert sinkhorn_distance(logits(classes=1), logits(classes=1, seed=1)).item() == 0
    assert not gradient(logits(classes=1), logits(classes=1, seed=1)).any()


def test_equal_logits_are_not_at_distance_0():
    assert sinkhorn_distance(logits(), logits()).item() > 0.01
    assert gradient(logits(), logits()).abs().max() > 1e-4


def test_the_order_of_the_rows_does_not_matter():
    actual, reference = logits(), logits(seed=1)
    turned = sinkhorn_distance(actual.flip(0), reference).item()
    assert turned == pytest.approx(sinkhorn_distance(actual, reference).item(), rel=1e-4)


@pytest.mark.parametrize("epsilon", [0.1, 0.5])
def test_both_forms_agree_in_value_and_gradient(epsilon):
    actual, reference = logits(12), logits(12, seed=1)
    values = [
        sinkhorn_distance(actual, reference, epsilon=epsilon, log_domain=log).item()
        for log in (True, False)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    plain = gradient(actual, reference, epsilon=epsilon, log_domain=False)
    assert torch.allclose(gradient(actual, reference, epsilon=epsilon), plain, atol=1e-6)


def test_the_logarithmic_form_survives_a_small_epsilon():
    actual = torch.tensor([[9.0, -9.0], [8.0, -8.0]])  # far from every row of the teacher
    reference = -actual
    assert not torch.isfinite(sinkhorn_distance(actual, reference, epsilon=0.005, log_domain=False))
    assert torch.isfinite(sinkhorn_distance(actual, reference, epsilon=0.005))
    assert torch.isfinite(gradient(actual, reference, epsilon=0.005)).all()


def test_the_gradient_runs_through_the_iterations():
    actual, reference = logits(), logits(seed=1)
    plan = transport_plan(transport_cost(actual, reference))
    own = actual.clone().requires_grad_()
    (plan * transport_cost(own, reference)).sum().backward()
    full = gradient(actual, reference)
    assert (full - own.grad).norm() > 0.1 * full.norm()


def test_the_mean_is_the_sum_over_the_rows():
    actual, reference = logits(), logits(seed=1)
    whole = sinkhorn_distance(actual, reference).item()
    assert sinkhorn_distance(actual, reference, reduction="mean").item() == pytest.approx(whole / 6)


def test_no_gradient_reaches_the_teacher():
    teacher = logits(seed=1).requires_grad_()
    sinkhorn_distance(logits().requires_grad_(), teacher).backward()
    assert teacher.grad is None


def test_shapes_must_agree():
    with pytest.raises(ShapeError):
        sinkhorn_distance(logits(4), logits(5))


def test_a_vocabulary_in_parts_gives_the_value_and_gradient_of_the_whole(monkeypatch):
    random = torch.Generator().manual_seed(2)
    student, teacher = torch.randn(2, 7, 50, generator=random, dtype=torch.float64)

    def value_and_gradient() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = student.clone().requires_grad_()
        cost = transport_cost(leaf, teacher)
        (gradient,) = torch.autograd.grad(cost.square().sum(), leaf)
        return cost.detach(), gradient

    whole = value_and_gradient()
    monkeypatch.setattr(sinkhorn, "PART_BYTES", 4 * 7 * 7 * 8)
    sizes: list[int] = []
    differences = sinkhorn._differences
    monkeypatch.setattr(
        sinkhorn, "_differences", lambda p, q: sizes.append(p.shape[-1]) or differences(p, q)
    )
    parts = value_and_gradient()
    assert torch.allclose(parts[0], whole[0])
    assert torch.allclose(parts[1], whole[1])
    # Once for the value and once more for the gradient.
    assert sorted(sizes) == sorted([8, 8, 8, 8, 8, 8, 2] * 2)
