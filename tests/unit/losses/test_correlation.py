from __future__ import annotations

import pytest
import torch

from raykd.errors import ShapeError
from raykd.losses.correlation import (
    best_assignment,
    correlation_loss,
    pearson,
    standardised,
    token_cosine,
)


def states(tokens: int = 40, width: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(tokens, width, generator=torch.Generator().manual_seed(seed))


def test_standardised_has_mean_0_and_deviation_1():
    actual = standardised(3 * states() + 5)
    assert torch.allclose(actual.mean(0), torch.zeros(6), atol=1e-6)
    assert torch.allclose(actual.std(0), torch.ones(6), atol=1e-5)


def test_scale_and_shift_of_a_neuron_do_not_matter():
    result, reference = states(), states(seed=1)
    loss, similar = correlation_loss(result, reference, divisor=39)
    moved, same = correlation_loss(7 * result + 2, reference, divisor=39)
    assert moved.item() == pytest.approx(loss.item(), rel=1e-5)
    assert same.item() == pytest.approx(similar.item(), rel=1e-4)


def test_equal_neurons_correlate_fully():
    values = torch.linalg.qr(states() - states().mean(0))[0]  # uncorrelated neurons
    loss, similar = correlation_loss(values, values, divisor=39)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert similar.item() == pytest.approx(1.0, abs=1e-5)


def test_the_sum_over_pairs_by_hand():
    result, reference = states(), states(seed=1)
    rho = pearson(result, reference)
    expected = (1 - rho.diagonal()).square().sum()
    expected += 0.005 * (rho.square().sum() - rho.diagonal().square().sum())
    loss, similar = correlation_loss(result, reference, divisor=39)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert similar.item() == pytest.approx(rho.diagonal().mean().item(), rel=1e-4)


def test_without_other_neurons_only_pairs_count():
    result, reference = states(), states(seed=1)
    full, _ = correlation_loss(result, reference, divisor=39, off_diagonal=1e-12)
    alone, _ = correlation_loss(result, reference, divisor=39, off_diagonal=0.0)
    assert alone.item() == pytest.approx(full.item(), rel=1e-6)


@pytest.mark.parametrize("tokens", [0, 1])
def test_too_few_tokens_give_0_with_a_gradient_of_0(tokens):
    result = states(tokens).requires_grad_()
    loss, similar = correlation_loss(result, states(tokens, seed=1), divisor=1)
    loss.backward()
    assert (loss.item(), similar.item()) == (0, 0)
    assert not result.grad.any()


def test_a_constant_neuron_has_no_gradient_and_spoils_nothing():
    result = states()
    result[:, 2] = 4.0
    result.requires_grad_()
    loss, _ = correlation_loss(result, states(seed=1), divisor=39)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(result.grad).all()
    assert not result.grad[:, 2].any()


def test_permuted_neurons_are_found():
    reference = states(400, 9)
    order = torch.tensor([4, 0, 8, 2, 7])
    result = reference[:, order] + 0.5 * states(400, 5, seed=1)
    assert best_assignment(pearson(result, reference)).tolist() == order.tolist()


def test_a_negative_correlation_is_no_match():
    reference = states(400, 2)
    result = torch.stack([-reference[:, 0], reference[:, 0]], dim=1)
    assert best_assignment(pearson(result, reference)).tolist() == [1, 0]


def test_cosine_is_0_for_parallel_tokens():
    assert token_cosine(states(), 3 * states()).item() == pytest.approx(0, abs=1e-6)
    assert token_cosine(states(), -states()).item() == pytest.approx(2, abs=1e-6)


def test_widths_must_agree():
    with pytest.raises(ShapeError):
        correlation_loss(states(width=5), states(width=6), divisor=1)
