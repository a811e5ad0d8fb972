"""The relations as plain loops over differences, in float64: slow, and hard to get wrong."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

LOSSES = {
    "l1loss": lambda d: abs(d),
    "l2loss": lambda d: d * d,
    "smoothl1": lambda d: 0.5 * d * d if abs(d) < 1 else abs(d) - 0.5,
}


def angle(x: Tensor, i: int, j: int, k: int) -> float:
    one, two = x[j] - x[i], x[k] - x[i]
    return float(one @ two / (one.norm().clamp(min=1e-12) * two.norm().clamp(min=1e-12)))


def triple(student: list[Tensor], teacher: list[Tensor], loss: str) -> float:
    """Groups of items ``[I, D]``."""
    total, cells = 0.0, 0
    for s, t in zip(student, teacher, strict=True):
        for i, j, k in itertools.product(range(len(s)), repeat=3):
            total += LOSSES[loss](angle(s, i, j, k) - angle(t, i, j, k))
            cells += 1
    return total / cells


def window(
    student: Tensor, teacher: Tensor, lengths: list[int], width: int, loss: str, masked: bool
) -> float:
    """Hidden states ``[Y, B, L, D]``."""
    half, end = width // 2, student.shape[2]
    total, cells = 0.0, 0
    for y, (b, n) in itertools.product(range(len(student)), enumerate(lengths)):
        for i in range(n):
            for o, p in itertools.product(range(i - half, i + half + 1), repeat=2):
                if masked and not (0 <= o < n and 0 <= p < n):
                    continue
                j, k = (min(max(q, 0), end - 1) for q in (o, p))
                difference = angle(student[y, b], i, j, k) - angle(teacher[y, b], i, j, k)
                total += LOSSES[loss](difference)
                cells += 1
    return total / cells


def divergence(student: list[Tensor], teacher: list[Tensor]) -> float:
    total, cells = 0.0, 0
    for s, t in zip(student, teacher, strict=True):
        cells += len(s) ** 2
        for i in range(len(s)):
            others = [j for j in range(len(s)) if j != i]
            if others:
                q, p = (torch.cosine_similarity(x[others], x[i][None]).softmax(0) for x in (s, t))
                total += float((p * (p / q).log()).sum())
    return total / cells


def distances(student: list[Tensor], teacher: list[Tensor], loss: str, norm: bool) -> float:
    total, cells = 0.0, 0
    for s, t in zip(student, teacher, strict=True):
        actual, expected = torch.cdist(s, s) ** 2, torch.cdist(t, t) ** 2
        if norm:
            actual, expected = (
                d / d[d > 0].mean() if (d > 0).any() else d for d in (actual, expected)
            )
        total += sum(LOSSES[loss](d) for d in (actual - expected).flatten().tolist())
        cells += len(s) ** 2
    return total / cells
