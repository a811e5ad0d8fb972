"""Checks ``lm_sbs_whitebox.npz``: labels and rationales, each with a divergence of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses.targets import Divergence, TopKTarget
from tests.golden.comparison import Array, Comparison, Unknown, compare_value

_PARTS = ("label", "rationale")
_KINDS = {
    "fkl": Divergence(kind="forward_kl"), "rkl": Divergence(kind="reverse_kl"),
    "jsd05": Divergence(kind="jsd", beta=0.5),
    "sfkl01": Divergence(kind="skew_forward_kl", lam=0.1),
}  # fmt: skip
_TOTAL = re.compile(r"total__alpha([\d.]+)__kl([\d.]+)__kr([\d.]+)__(\w+)")


class Half:
    """Labels or rationales."""

    def __init__(self, arrays: dict[str, Array], part: str) -> None:
        labels = torch.from_numpy(arrays[f"{part}_labels"])
        has_label = labels != -100
        self.labels = labels[has_label]
        self.student, self.teacher = (
            torch.from_numpy(arrays[f"{part}_{side}_logits"]).double()[has_label]
            for side in ("student", "teacher")
        )
        self.count = int(arrays["topk_k"])

    def hard(self) -> Tensor:
        return F.cross_entropy(self.student, self.labels)

    def distance(self, kind: str) -> Tensor:
        if kind == "topk_tail":
            found = self.teacher.log_softmax(-1).topk(self.count)
            target = TopKTarget(found.indices, found.values)
            return target.distance(self.student, slice(None), Divergence()).mean()
        return _KINDS[kind].of(self.student, self.teacher).mean()


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    halves = {part: Half(arrays, part) for part in _PARTS}
    for key, golden in arrays.items():
        if key == "topk_k" or key.endswith(("_logits", "_labels")):
            continue
        try:
            yield compare_value(key, _term(key, halves).item(), golden, 1e-5)
        except LookupError:
            yield Unknown(key, "follows no documented pattern")


def _term(key: str, halves: dict[str, Half]) -> Tensor:
    if m := _TOTAL.fullmatch(key):
        alpha, of_label, of_rationale = (float(m[k]) for k in (1, 2, 3))
        both = []
        for part, share in (("label", of_label), ("rationale", of_rationale)):
            half = halves[part]
            both.append((1 - share) * half.hard() + share * half.distance(m[4]))
        return alpha * both[0] + (1 - alpha) * both[1]
    part, _, kind = key.partition("_")
    return halves[part].hard() if kind == "ce" else halves[part].distance(kind)
