"""Distances between vectors of texts, held against the definitions row by row."""

from __future__ import annotations

import math

import pytest
import torch

from raykd.losses.embeddings import (
    cosine_distance,
    info_nce,
    principal_axes,
    squared_distance,
)


def vectors(seed: int) -> torch.Tensor:
    return torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(seed))


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def test_the_cosine_distance_is_one_minus_the_mean_cosine():
    s, t = vectors(0), vectors(1)
    wanted = [1 - (cosine(s[k, 0], t[k, 0]) + cosine(s[k, 1], t[k, 1])) / 2 for k in range(3)]
    assert cosine_distance(s, t).tolist() == pytest.approx(wanted, abs=1e-6)
    assert cosine_distance(3 * t, t).abs().max() < 1e-6


def test_the_squared_distance_is_a_mean_over_texts_and_width():
    s, t = vectors(0), vectors(1)
    wanted = [float(sum((s[k] - t[k]).flatten() ** 2)) / 8 for k in range(3)]
    assert squared_distance(s, t).tolist() == pytest.approx(wanted, rel=1e-5)


def naive_info_nce(s: torch.Tensor, t: torch.Tensor, heat: float, same=lambda i, j: False):
    s, t = s.flatten(0, 1), t.flatten(0, 1)
    actual = []
    for i in range(len(s)):
        scores = {j: cosine(s[i], t[j]) / heat for j in range(len(t)) if i == j or not same(i, j)}
        actual.append(math.log(sum(map(math.exp, scores.values()))) - scores[i])
    return [(actual[k] + actual[k + 1]) / 2 for k in range(0, len(actual), 2)]


def test_contrast_is_the_cross_entropy_among_all_texts_of_the_batch():
    s, t = vectors(0), vectors(1)
    assert info_nce(s, t, 0.3).tolist() == pytest.approx(naive_info_nce(s, t, 0.3), rel=1e-5)


def test_a_text_that_occurs_twice_is_not_told_from_itself():
    s, t = vectors(0), vectors(1)
    t[2, 1] = 2 * t[0, 0]  # texts 0 and 5
    wanted = naive_info_nce(s, t, 0.3, lambda i, j: {i, j} == {0, 5})
    assert info_nce(s, t, 0.3).tolist() == pytest.approx(wanted, rel=1e-5)


def test_axes_keep_cosines_as_far_as_they_can_be():
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(50, 3, generator=generator).double()
    turned = torch.linalg.qr(torch.randn(8, 8, generator=generator).double()).Q[:3]
    wide = flat @ turned  # of rank 3
    axes = principal_axes(wide.T @ wide, 3)
    assert torch.allclose(axes.T @ axes, torch.eye(3).double(), atol=1e-9)
    assert torch.allclose((wide @ axes) @ (wide @ axes).T, flat @ flat.T, atol=1e-8)
    assert (axes.gather(0, axes.abs().argmax(0, keepdim=True)) > 0).all()
    noisy = wide + 0.1 * torch.randn(50, 8, generator=generator).double()
    two = principal_axes(noisy.T @ noisy, 2)
    best = torch.linalg.svdvals(noisy)[:2].square().sum()
    assert torch.allclose((noisy @ two).square().sum(), best)
