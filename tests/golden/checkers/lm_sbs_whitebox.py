"""Checks ``lm_sbs_whitebox.npz``: labels and rationales, each with a divergence of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from raykd.losses.targets import Divergence, FullTeacherTarget, TeacherTarget, TopKTeacherTarget
from raykd.losses.vocabulary import LazyLogits
from raykd.methods.step_by_step import Half, both
from tests.golden.comparison import Array, Comparison, Unknown, compare_value

_PARTS = ("label", "rationale")
_KINDS = {
    "fkl": Divergence(kind="forward_kl"), "rkl": Divergence(kind="reverse_kl"),
    "jsd05": Divergence(kind="jsd", beta=0.5),
    "sfkl01": Divergence(kind="skew_forward_kl", lam=0.1), "topk_tail": Divergence(),
}  # fmt: skip
_TOTAL = re.compile(r"total__alpha([\d.]+)__kl([\d.]+)__kr([\d.]+)__(\w+)")


class Part:
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

    def half(self, share: float, kind: str) -> Half:
        """As the method sees it; the student's scores are their own states."""
        target: TeacherTarget = FullTeacherTarget(self.teacher)
        if kind == "topk_tail":
            actual = self.teacher.log_softmax(-1).topk(self.count)
            target = TopKTeacherTarget(actual.indices, actual.values)
        eye = torch.eye(self.student.shape[-1], dtype=torch.float64)
        scores = LazyLogits(self.student, eye, dtype=torch.float64)
        return Half(scores=scores, labels=self.labels, target=target, share=share)


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    parts = {part: Part(arrays, part) for part in _PARTS}
    for key, golden in arrays.items():
        if key == "topk_k" or key.endswith(("_logits", "_labels")):
            continue
        try:
            yield compare_value(key, _term(key, parts).item(), golden, 1e-5)
        except LookupError:
            yield Unknown(key, "follows no documented pattern")


def _term(key: str, parts: dict[str, Part]) -> Tensor:
    if m := _TOTAL.fullmatch(key):
        alpha, of_label, of_rationale = (float(m[k]) for k in (1, 2, 3))
        label, rationale = (
            parts[part].half(share, m[4])
            for part, share in (("label", of_label), ("rationale", of_rationale))
        )
        return both(label, rationale, alpha=alpha, of=_KINDS[m[4]]).total()
    part, _, kind = key.partition("_")
    if kind == "ce":
        return both(parts[part].half(0.0, "fkl"), None, alpha=1.0).total()
    return both(parts[part].half(1.0, kind), None, alpha=1.0, of=_KINDS[kind]).total()
