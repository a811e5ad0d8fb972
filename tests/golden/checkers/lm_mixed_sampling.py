"""Checks ``lm_mixed_sampling.npz``: what a token is drawn from when both models take part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from raykd.losses.policy import mixed_probabilities
from tests.golden.comparison import Comparison, NotOffered, Unknown, compare_gradient

_KEY = re.compile(r"probs__a([\d.]+)__T([\d.]+)__k(\d+)__p([\d.]+)")


def check(path: Path) -> Iterator[Comparison | NotOffered | Unknown]:
    """Recompute every distribution of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    student, teacher = (
        torch.from_numpy(arrays.pop(f"{side}_logits")) for side in ("student", "teacher")
    )
    for key, golden in arrays.items():
        m = _KEY.fullmatch(key)
        if not m:
            yield Unknown(key, "follows no documented pattern")
            continue
        if int(m[3]) or float(m[4]) < 1.0:
            yield NotOffered(key, "responses are sampled from all tokens")
            continue
        actual = mixed_probabilities(student, teacher, alpha=float(m[1]), temperature=float(m[2]))
        yield compare_gradient(key, actual.numpy(), golden, 1e-5)
