"""Checks ``lm_trl.npz``: what TRL computes, where raykd does the same or says why not.

TRL's advantages discount by the position instead of the distance; they are recomputed here from
that formula. Labels of sampled responses are raykd's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from raykd.data.base import NO_LABEL
from raykd.losses.divergences import reverse_kl
from raykd.models.generation import joined_rows
from tests.golden.comparison import (
    Array,
    Comparison,
    Unknown,
    compare_gradient,
    compare_indices,
    compare_value,
)

_PADDING = 1e-4
"""What a position without a token counts in the length of a response."""
_INPUTS = {
    "student_logprob", "teacher_logprob", "mask", "student_logprobs_full", "teacher_logprobs_full",
    "op_prompt_ids", "op_prompt_mask", "op_sequences", "op_eos", "op_pad",
}  # fmt: skip


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    labels, mask = _labels(arrays)
    for key, golden in arrays.items():
        if key in _INPUTS:
            continue
        if m := re.fullmatch(r"adv__g([\d.]+)__ln([01])", key):
            got = _advantages(arrays, float(m[1]), m[2] == "1")
            yield compare_gradient(key, got, golden, 1e-5)
        elif key in ("ssd_batchmean", "ssd_allones"):
            yield compare_value(key, _single_step(arrays, key), golden, 1e-5)
        elif key in ("op_labels", "op_attention_mask"):
            made = labels if key == "op_labels" else mask
            yield compare_indices(key, tuple(made.reshape(-1).tolist()), golden)
        else:
            yield Unknown(key, "follows no documented pattern")


def _advantages(arrays: dict[str, Array], gamma: float, length_norm: bool) -> Array:
    mask = arrays["mask"].astype(np.float64)
    rewards = (arrays["teacher_logprob"] - arrays["student_logprob"]).astype(np.float64) * mask
    discount = gamma ** np.arange(mask.shape[1])
    total = np.cumsum((rewards * discount)[:, ::-1], axis=1)[:, ::-1]
    if gamma == 0:
        return rewards
    if not length_norm:
        return total
    counted = np.where(mask > 0, 1.0, _PADDING) * discount
    return total / np.cumsum(counted[:, ::-1], axis=1)[:, ::-1]


def _single_step(arrays: dict[str, Array], key: str) -> float:
    student, teacher = (
        torch.from_numpy(arrays[f"{side}_logprobs_full"]) for side in ("student", "teacher")
    )
    rows = reverse_kl(student, teacher)
    if key == "ssd_allones":
        return rows.mean().item()
    return rows[torch.from_numpy(arrays["mask"]).bool()].mean().item()


def _labels(arrays: dict[str, Array]) -> tuple[Array, Array]:
    """Labels and mask of prompts that a model continued, in the places of the file."""
    width = arrays["op_prompt_ids"].shape[1]
    prompts = [
        ids[mask.astype(bool)]
        for ids, mask in zip(arrays["op_prompt_ids"], arrays["op_prompt_mask"], strict=True)
    ]
    written = torch.from_numpy(arrays["op_sequences"][:, width:])
    labels = np.full(arrays["op_sequences"].shape, NO_LABEL)
    mask = np.zeros(labels.shape, np.int64)
    rows = joined_rows(prompts, written, int(arrays["op_eos"]))
    for row, (prompt, (ids, own)) in enumerate(zip(prompts, rows, strict=True)):
        first = width - len(prompt)
        labels[row, first + 1 : first + 1 + len(own)] = own
        mask[row, first : first + len(ids) + 1] = 1
    return labels, mask
