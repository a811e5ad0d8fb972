"""Checks ``lm_divergences.npz``: token-level divergences of MiniLLM, DistiLLM, GKD and DistillKit.

Keys are ``<term>[__<setting><value>...]``; ``grad__<key>`` is the gradient on the student's logits.
Losses are means over positions with a label, unless the key says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.losses import divergences as div
from raykd.losses.targets import Divergence, FullTeacherTarget, TopKTeacherTarget
from raykd.losses.vocabulary import LazyLogits
from raykd.methods._tokens import weighted
from tests.golden.comparison import (
    Array,
    Comparison,
    NotOffered,
    Unknown,
    compare_gradient,
    compare_indices,
    compare_value,
)

RTOL, ATOL = 1e-5, 1e-4
_INPUTS = {"student_logits", "teacher_logits", "labels", "inf_cols", "inf_labels"}
_TOP_K = {"topk_ids", "topk_logprobs"}
_OTHER_TOP_K = re.compile(r"topk_(?!kl_tail$)(kl|jsd|tvd)_(renorm|tail)(__T[\d.]+)?")
_NO_TOP_K = "the most likely tokens serve the forward divergence at temperature 1 only"


class Inputs:
    """The rows of a file that have a label."""

    def __init__(self, arrays: dict[str, Array], labels: str = "labels") -> None:
        self.whole = torch.from_numpy(np.array(arrays["student_logits"])).requires_grad_()
        self.labels = torch.from_numpy(np.array(arrays[labels]))
        self.mask = self.labels != -100
        self.teacher = torch.from_numpy(np.array(arrays["teacher_logits"]))
        self.arrays = arrays
        if labels == "inf_labels":
            columns = arrays["inf_cols"].tolist()
            lowered, out = torch.zeros(self.whole.shape[-1]), torch.zeros(self.whole.shape[-1])
            lowered[columns], out[columns] = 6.0, torch.inf
            self.student_all, self.teacher = self.whole - out, self.teacher - lowered
            self.counted = (out == 0).float()
        else:
            self.student_all = self.whole
            self.counted = torch.ones(self.whole.shape[-1])

    @property
    def student(self) -> Tensor:
        return self.student_all[self.mask]

    @property
    def target(self) -> Tensor:
        return self.teacher[self.mask]

    def entropy(self) -> Tensor:
        log_p = self.target.log_softmax(-1)
        return -(log_p.exp() * log_p * self.counted).sum(-1)

    def hard(self) -> Tensor:
        return F.cross_entropy(self.student, self.labels[self.mask])

    def soft(self) -> Tensor:
        """Cross-entropy under the teacher: the divergence plus the teacher's entropy."""
        return (div.forward_kl(self.student, self.target) + self.entropy()).mean()


def check(path: Path) -> Iterator[Comparison | NotOffered | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    for key, golden in arrays.items():
        if key in _INPUTS:
            continue
        if _OTHER_TOP_K.fullmatch(key.removeprefix("grad__").removesuffix("__T1.0")):
            yield NotOffered(key, _NO_TOP_K)
            continue
        try:
            yield _check(key, golden, arrays)
        except (LookupError, ValueError) as exc:
            yield Unknown(key, str(exc))


def _check(key: str, golden: Array, arrays: dict[str, Array]) -> Comparison | Unknown:
    if key in _TOP_K:
        return _kept(key, golden, arrays)
    name = key.removeprefix("grad__")
    given = Inputs(arrays, "inf_labels" if name.startswith("inf_") else "labels")
    actual = _term(name.removeprefix("inf_"), given)
    if actual is None:
        return Unknown(key, "follows no documented pattern")
    if key.startswith("grad__"):
        actual.backward()
        return compare_gradient(key, given.whole.grad.numpy(), golden, ATOL)
    if golden.size > 1:
        return compare_gradient(key, actual.detach().numpy(), golden, RTOL)
    return compare_value(key, actual.item(), golden, RTOL)


def _kept(key: str, golden: Array, arrays: dict[str, Array]) -> Comparison:
    teacher = torch.from_numpy(np.array(arrays["teacher_logits"])).log_softmax(-1)
    actual = teacher.topk(golden.shape[-1], dim=-1)
    if key == "topk_ids":
        return compare_indices(key, tuple(actual.indices.reshape(-1).tolist()), golden)
    return compare_gradient(key, actual.values.numpy(), golden, RTOL)


def _term(name: str, x: Inputs) -> Tensor | None:
    base, *settings = name.split("__")
    at = dict(re.fullmatch(r"([a-zA-Z]+)([\d.]+)", s).groups() for s in settings)
    lam, heat = float(at.get("lam", 0)), float(at.get("T", 1))
    if base == "lm_ce":
        return x.hard()
    if base in ("fkl_ce", "minillm_distil"):
        return x.soft()
    if base == "kd_total":
        ratio, target = float(at["r"]), FullTeacherTarget(x.target)
        # Scores that are their own states: the output matrix is the identity.
        scores = LazyLogits(x.student, torch.eye(x.student.shape[-1]))
        terms = weighted(scores, x.labels[x.mask], target, ratio, Divergence())
        return terms.total() + ratio * x.entropy().mean()
    if base == "rkl":
        return div.reverse_kl(x.student, x.target).mean()
    if base == "symkl":
        return (1 - lam) * x.soft() + lam * div.reverse_kl(x.student, x.target).mean()
    if base == "js_distillm":
        return div.jensen_shannon(x.student, x.target, beta=1 - lam).mean()
    if base == "tvd":
        return div.total_variation(x.student, x.target).mean()
    if base == "sfkl_ce":
        actual = div.skew_forward_kl(x.student, x.target, lam=lam)
        return (actual + x.entropy()).mean()
    if base == "srkl":
        return div.skew_reverse_kl(x.student, x.target, lam=lam).mean()
    if base.startswith("gjsd"):
        return _gjsd(base, float(at["b"]), heat, x)
    if m := re.fullmatch(r"dk_(kl|jsd|tvd)_dense", base):
        of = {"kl": "forward_kl", "jsd": "jsd", "tvd": "total_variation"}[m[1]]
        rows = Divergence(kind=of, temperature=heat).of(x.student, x.target)
        return heat**2 * rows.mean()
    return _top_k(x) if base == "topk_kl_tail" and heat == 1.0 else None


def _gjsd(base: str, beta: float, heat: float, x: Inputs) -> Tensor | None:
    if base == "gjsd_none":
        return div.jensen_shannon(x.whole, x.teacher, beta=beta, temperature=heat)
    rows = div.jensen_shannon(x.student, x.target, beta=beta, temperature=heat)
    divided = {
        "gjsd": len(rows), "gjsd_sum": 1, "gjsd_mean": len(rows) * x.whole.shape[-1],
        "gjsd_nib37": 37,
    }  # fmt: skip
    return rows.sum() / divided[base] if base in divided else None


def _top_k(x: Inputs) -> Tensor:
    ids = torch.from_numpy(np.array(x.arrays["topk_ids"]))[x.mask]
    logs = torch.from_numpy(np.array(x.arrays["topk_logprobs"]))[x.mask]
    return TopKTeacherTarget(ids, logs).distance(x.student, slice(None), Divergence()).mean()
