"""The divergence from the likeliest tokens of a teacher."""

from __future__ import annotations

import math

import torch

from raykd.losses.top_k import top_k_divergence


def test_a_probability_of_zero_costs_nothing_however_its_logarithm_is_written():
    student = torch.tensor([[1.0, 0.0, -1.0]], requires_grad=True)
    ids, near = torch.tensor([[0, 1]]), math.log1p(-1e-6)
    wanted = top_k_divergence(student, ids[:, :1], torch.tensor([[near]]))
    for nothing in (-math.inf, -3.4e38, -1e4):
        loss = top_k_divergence(student, ids, torch.tensor([[near, nothing]]))
        assert torch.allclose(loss, wanted, atol=1e-5)
        (gradient,) = torch.autograd.grad(loss.sum(), student)
        assert gradient.isfinite().all()
