"""Checks ``lm_step_by_step.npz``: the weighted sum of two tasks, and what the decoder reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from raykd.losses.vocabulary import LazyLogits
from raykd.methods.step_by_step import Half, both
from raykd.models.forward import shifted
from tests.golden.comparison import (
    Array,
    Comparison,
    Unknown,
    compare_gradient,
    compare_indices,
    compare_value,
)

_START = SimpleNamespace(decoder_start_token_id=0, pad_token_id=0)


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    for key, golden in arrays.items():
        if key.endswith(("_input_ids", "_attention_mask")) and "decoder" not in key:
            continue
        if re.fullmatch(r"(pred|expl)_(labels|logits)", key):
            continue
        actual = _check(key, golden, arrays)
        yield Unknown(key, "follows no documented pattern") if actual is None else actual


def _check(key: str, golden: Array, arrays: dict[str, Array]) -> Comparison | None:
    if m := re.fullmatch(r"(pred|expl)_decoder_input_ids", key):
        made = shifted(torch.from_numpy(arrays[f"{m[1]}_labels"]), _START)
        return compare_indices(key, tuple(made.reshape(-1).tolist()), golden)
    leaves = {p: torch.from_numpy(arrays[f"{p}_logits"]).requires_grad_() for p in ("pred", "expl")}
    if m := re.fullmatch(r"(pred|expl)_loss", key):
        alpha = 1.0 if m[1] == "pred" else 0.0
        return compare_value(key, _loss(leaves, arrays, alpha).item(), golden, 1e-5)
    if m := re.fullmatch(r"loss__alpha([\d.]+)", key):
        return compare_value(key, _loss(leaves, arrays, float(m[1])).item(), golden, 1e-5)
    if m := re.fullmatch(r"grad_(pred|expl)_logits__alpha([\d.]+)", key):
        _loss(leaves, arrays, float(m[2])).backward()
        return compare_gradient(key, leaves[m[1]].grad.numpy(), golden, 1e-4)
    return None


def _loss(leaves: dict[str, Tensor], arrays: dict[str, Array], alpha: float) -> Tensor:
    halves = []
    for part in ("pred", "expl"):
        labels = torch.from_numpy(arrays[f"{part}_labels"])
        logits = leaves[part][labels != -100]
        # Scores that are their own states: the output matrix is the identity.
        scores = LazyLogits(logits, torch.eye(logits.shape[-1]))
        halves.append(Half(scores=scores, labels=labels[labels != -100]))
    return both(halves[0], halves[1], alpha=alpha).total()
