"""Distances between vectors of texts.

Axes: B row, T text of a row, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SAME = 1 - 1e-6
"""Texts whose target vectors have a larger cosine are one text, and no negatives."""


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine to the teacher's vector, mean over the texts of a row, ``[B]``.

    Args:
        student: ``[B, T, D]``.
        teacher: ``[B, T, D]``.
    """
    return 1 - F.cosine_similarity(student.float(), teacher.float(), dim=-1).mean(1)


def squared_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The squared difference, mean over the texts of a row and the width, ``[B]``.

    Args:
        student: ``[B, T, D]``.
        teacher: ``[B, T, D]``.
    """
    return (student.float() - teacher.float()).square().mean((1, 2))


def info_nce(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How badly a text is recognised by its vector among all texts of the batch, ``[B]``.

    The cross-entropy of choosing the teacher's vector of the same text by the cosine, mean over the
    texts of a row. Texts that occur twice are not held against each other. (van den Oord et al.,
    2018, https://arxiv.org/abs/1807.03748, equation 4.)

    Args:
        student: ``[B, T, D]``.
        teacher: ``[B, T, D]``.
        temperature: Of the cosines, > 0.
    """
    anchors, targets = (F.normalize(v.float().flatten(0, 1), dim=-1) for v in (student, teacher))
    itself = torch.eye(len(targets), dtype=torch.bool, device=targets.device)
    is_same = (targets @ targets.T > SAME) & ~itself
    scores = (anchors @ targets.T / temperature).masked_fill(is_same, -torch.inf)
    of_texts = -scores.log_softmax(-1).diagonal()
    return of_texts.view(student.shape[:2]).mean(1)


def principal_axes(gram: Tensor, count: int) -> Tensor:
    """The orthonormal axes that keep most of some vectors, ``[D, count]``.

    Cosines are kept as far as they can be, so the mean of the vectors is not taken off. The largest
    entry of each axis is positive.

    Args:
        gram: Sum of the outer products of the vectors, float64 ``[D, D]``.
        count: At most D.
    """
    axes = torch.linalg.eigh(gram).eigenvectors.flip(-1)[:, :count]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    turned: Tensor = axes * largest.sign()
    return turned
