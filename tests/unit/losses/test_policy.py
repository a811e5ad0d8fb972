from __future__ import annotations

import math

import pytest
import torch

from raykd.losses import policy
from raykd.losses.divergences import divergence, forward_kl, jensen_shannon, reverse_kl
from raykd.losses.targets import Divergence
from tests.ranks import on_ranks


def test_rewards_to_come_are_divided_by_the_tokens_to_come():
    reward = torch.tensor([[1.0, 2.0, 4.0, 0.0]])
    mask = torch.tensor([[1, 1, 1, 0]])
    actual = policy.advantages(reward, mask, gamma=0.5)
    # 1 + 0.5 * (2 + 0.5 * 4) = 3 over three tokens; 4 over two; 4 over one.
    assert actual.tolist() == [[1.0, 2.0, 4.0, 0.0]]
    plain = policy.advantages(reward, mask, gamma=0.5, length_norm=False)
    assert plain.tolist() == [[3.0, 4.0, 4.0, 0.0]]


def test_padding_counts_in_the_authors_whitening_only():
    values, mask = torch.tensor([[1.0, 3.0, 0.0, 0.0]]), torch.tensor([[1, 1, 0, 0]])
    valid = policy.whitened(values, mask, over="valid")
    assert valid[0, :2].tolist() == pytest.approx([-1.0, 1.0], rel=1e-4)
    every = policy.whitened(values, mask, over="all")
    assert every.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert not torch.allclose(every[0, :2], valid[0, :2])


@pytest.mark.parametrize("over", ["valid", "all"])
def test_whitening_over_ranks_is_that_of_all_responses_together(over):
    random = torch.Generator().manual_seed(4)
    values = torch.randn(5, 6, generator=random) + 30.0
    mask = (torch.arange(6) < torch.tensor([6, 1, 3, 2, 5])[:, None]).long()
    whole = policy.whitened(values, mask, over=over)

    def run(world):
        own = slice(world.rank, None, world.size)
        return policy.whitened(values[own], mask[own], over=over, ranks_sum=world.sum)

    parts = on_ranks(2, run)
    for rank, actual in enumerate(parts):
        assert torch.allclose(actual, whole[rank::2], atol=1e-4)
        assert not torch.allclose(
            actual, policy.whitened(values[rank::2], mask[rank::2], over=over)
        )


def test_a_ratio_that_moved_far_enough_stops_to_learn():
    old = torch.zeros(1, 2)
    new = torch.tensor([[0.5, 0.05]], requires_grad=True)
    ones = torch.ones(1, 2)
    policy.clipped_loss(new, old, ones, ones, cliprange=0.2).sum().backward()
    assert new.grad is not None
    assert new.grad[0, 0] == 0.0
    assert new.grad[0, 1] < 0.0


def test_weights_of_importance_are_bounded_and_one_without_a_mixture():
    student, teacher = torch.tensor([[-1.0, -9.0]]), torch.tensor([[-9.0, -1.0]])
    weight = policy.importance(student, teacher, alpha=0.2)
    assert weight.max() <= 1 / 0.8
    assert weight[0, 0] > 1.2
    assert weight[0, 1] < 0.01
    assert policy.importance(student, teacher, alpha=0.0).tolist() == [[1.0, 1.0]]


def test_rewards_are_scaled_and_then_clipped():
    teacher, student = torch.tensor([[0.0, -1.0]]), torch.tensor([[-4.0, -1.5]])
    assert policy.rewards(teacher, student).tolist() == [[4.0, 0.5]]
    assert policy.rewards(teacher, student, scaling=0.5, clip=3.0).tolist() == [[3.0, 1.0]]
    assert policy.rewards(teacher, student, clip=0.0).tolist() == [[4.0, 0.5]]


def test_a_mixture_is_a_distribution_between_both():
    random = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 7, generator=random) for _ in range(2))
    mixed = policy.mixed_probabilities(student, teacher, alpha=0.3, temperature=0.7)
    assert torch.allclose(mixed.sum(-1), torch.ones(3))
    q, p = (student / 0.7).softmax(-1), (teacher / 0.7).softmax(-1)
    assert torch.allclose(mixed, 0.7 * q + 0.3 * p)


KINDS = (
    "forward_kl", "reverse_kl", "jsd", "skew_forward_kl", "skew_reverse_kl", "total_variation",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_divergence_is_zero_for_equal_models_and_positive_else(kind):
    random = torch.Generator().manual_seed(1)
    one, two = (torch.randn(5, 9, generator=random, dtype=torch.float64) for _ in range(2))
    of = divergence(kind)
    assert of(one, one).abs().max() < 1e-12
    assert (of(one, two) > 0).all()
    assert torch.allclose(of(one + 3.0, two), of(one, two))


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_the_student_cannot_give_leaves_a_finite_gradient(kind):
    student = torch.tensor([[0.1, -torch.inf, 0.4]], requires_grad=True)
    divergence(kind)(student, torch.tensor([[0.3, 0.2, 0.1]])).sum().backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


def test_the_normalised_form_tends_to_both_ends():
    random = torch.Generator().manual_seed(2)
    one, two = (torch.randn(4, 6, generator=random, dtype=torch.float64) for _ in range(2))
    for beta, end in ((1e-4, forward_kl), (1 - 1e-4, reverse_kl)):
        near = Divergence(kind="jsd", beta=beta, normalised=True).of(one, two)
        assert torch.allclose(near, end(one, two), rtol=2e-3)
    assert torch.allclose(jensen_shannon(one, two, beta=0.0), forward_kl(one, two))
    assert jensen_shannon(one, two, beta=0.5).max() <= math.log(2)
