"""Sorted-probability distillation in NumPy, token by token, from the formula of the paper."""

from __future__ import annotations

import numpy as np
import torch

from raykd.data.base import NO_LABEL, Batch
from raykd.data.token_pairs import PAIRS, TEACHER_TOKENS
from tests.unit.methods import setups, text_setups

OWN, OTHER, WIDER = [3, 1, 4], [2, 4, 4], 17
"""Tokens of each response for student and teacher, and the teacher's vocabulary."""
CONTEXT = setups.context("causal_lm", same_tokens=False)


def batches(way: str, pairs: list[list[tuple[int, int]]]) -> tuple[Batch, Batch]:
    """The same rows as student and teacher read them; the former say what is compared."""
    columns = torch.full((len(OWN), max(OWN)), NO_LABEL, dtype=torch.int32)
    for row, actual in enumerate(pairs):
        for own, other in actual:
            columns[row, own] = other
    message = {PAIRS + way: columns, TEACHER_TOKENS: torch.tensor(OTHER)}
    return (
        text_setups.batch(OWN, columns=message),
        text_setups.batch(OTHER, seed=3, vocabulary=WIDER),
    )


def distance(student: np.ndarray, teacher: np.ndarray, pairs: list[list[tuple[int, int]]]) -> float:
    """The mean over pairs of the sum over sorted probabilities, with zeros for the shorter one."""
    actual = []
    for row, of in enumerate(pairs):
        for own, other in of:
            q = np.exp(student[sum(OWN[:row]) + own])
            p = np.exp(teacher[sum(OTHER[:row]) + other])
            q, p = sorted(q / q.sum(), reverse=True), sorted(p / p.sum(), reverse=True)
            q += [0.0] * (len(p) - len(q))
            actual.append(sum(abs(a - b) for a, b in zip(q, p, strict=True)))
    return float(np.mean(actual))
