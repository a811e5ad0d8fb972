"""Checks ``sinkd_*.npz``: transport between batches of logits, soft targets, totals, sequences.

Keys begin with the case, ``c<i>_`` for batches of class logits and ``s<i>_`` for sequences; then
follows the name of an input or ``value__<term>``, ``value64__<term>`` or ``grad__<term>``. What is
not in raykd (terms of the authors' sequence code with wrong axes or arguments) is recomputed here
from its formula.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.errors import RaykdError
from raykd.losses.logits import scaled_mse, soft_cross_entropy
from raykd.losses.sinkhorn import sinkhorn_distance, transport_cost, transport_plan
from raykd.methods.sinkd import annealed
from tests.golden.comparison import (
    Array,
    Comparison,
    Unknown,
    compare_gradient,
    compare_value,
    compare_zeros,
)

RTOL = 1e-5
ATOL_GRADIENT = 1e-5
ATOL_PLAN = 1e-5
SCALE, SCALE_SEQUENCE = 1e-3, 8e-4

_INPUTS = ("student_logits", "teacher_logits", "labels")
_CASE = re.compile(r"(?P<case>[cs]\d+)_(?P<rest>.+)")
_TERM = re.compile(r"(?P<kind>value|value64|grad)__(?P<term>.+)")
_F = r"(\d+(?:\.\d+)?(?:e-?\d+)?)"
_ANNEAL = re.compile(rf"kd_anneal_T{_F}_E(\d+)_e(\d+)")
_TOTAL = re.compile(rf"total_T{_F}_alpha{_F}_beta{_F}")


class Case:
    """The inputs of one case in one precision; logits collect gradients."""

    def __init__(self, name: str, arrays: Mapping[str, Array], dtype: torch.dtype) -> None:
        def logits(side: str) -> Tensor:
            given = torch.from_numpy(np.array(arrays[f"{name}_{side}_logits"]))
            return given.to(dtype).requires_grad_()

        self.student, self.teacher = logits("student"), logits("teacher")
        self.labels = torch.from_numpy(np.array(arrays[f"{name}_labels"]))
        if self.labels.is_floating_point():
            self.labels = self.labels.to(dtype)

    @property
    def is_regression(self) -> bool:
        return self.student.shape[-1] == 1


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    for key, golden in arrays.items():
        m = _CASE.fullmatch(key)
        if key == "n_cases" or (m and m["rest"] in _INPUTS):
            continue
        if not m:
            yield Unknown(key, "follows no documented pattern")
            continue
        try:
            yield _check(key, m["case"], m["rest"], golden, arrays)
        except KeyError as exc:
            yield Unknown(key, f"needs {exc}, which the file does not have")
        except (LookupError, RaykdError, RuntimeError, TypeError, ValueError) as exc:
            yield Unknown(key, str(exc))


def _check(
    key: str, name: str, rest: str, golden: Array, arrays: Mapping[str, Array]
) -> Comparison | Unknown:
    if rest in ("cost", "kernel", "plan"):
        return _matrix(key, rest, Case(name, arrays, torch.float32), golden)
    m = _TERM.fullmatch(rest)
    if not m:
        return Unknown(key, "follows no documented pattern")
    wide = torch.float64 if m["kind"] == "value64" else torch.float32
    case = Case(name, arrays, wide)
    term, from_teacher = m["term"], False
    if m["kind"] == "grad":
        from_teacher = term.endswith("_teacher")
        term = term.removesuffix("_teacher").removesuffix("_student")
    got = (_sequence if name.startswith("s") else _batch)(case, term, from_teacher)
    if got is None:
        return Unknown(key, f"there is no term '{term}'")
    if m["kind"] != "grad":
        return compare_value(key, got.item(), golden, RTOL)
    got.backward()
    leaf = case.teacher if from_teacher else case.student
    grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    if case.is_regression and term == "sinkhorn":
        return compare_zeros(key, grad.numpy(), golden, 1e-9)
    return compare_gradient(key, grad.numpy(), golden, ATOL_GRADIENT)


def _matrix(key: str, what: str, case: Case, golden: Array) -> Comparison:
    cost = transport_cost(case.student, case.teacher)
    made = {
        "cost": lambda: cost,
        "kernel": lambda: (-cost / 0.1).exp(),
        "plan": lambda: transport_plan(cost),
    }[what]()
    # Entries, like gradients, are compared with the largest one.
    return compare_gradient(key, made.detach().numpy(), golden, ATOL_PLAN)


def _raw(case: Case, *, full: bool = False, iterations: int = 20, epsilon: float = 0.1) -> Tensor:
    if not full:
        return sinkhorn_distance(case.student, case.teacher, epsilon=epsilon, iterations=iterations)
    # raykd never differentiates the teacher; the authors' code does.
    cost = transport_cost(case.student, case.teacher)
    return (transport_plan(cost, epsilon=epsilon, iterations=iterations) * cost).sum()


def _hard(case: Case) -> Tensor:
    if case.is_regression:
        return F.mse_loss(case.student.squeeze(-1), case.labels)
    return F.cross_entropy(case.student, case.labels)


def _soft(case: Case, temperature: float) -> Tensor:
    loss = scaled_mse if case.is_regression else soft_cross_entropy
    return loss(case.student, case.teacher, temperature=temperature).mean()


def _batch(case: Case, term: str, from_teacher: bool) -> Tensor | None:
    if term == "raw":
        return _raw(case)
    if term == "sinkhorn":
        return SCALE * _raw(case, full=from_teacher)
    if m := re.fullmatch(r"raw_iters(\d+)", term):
        return _raw(case, iterations=int(m[1]))
    if m := re.fullmatch(rf"raw_eps{_F}", term):
        return _raw(case, epsilon=float(m[1]))
    if term == "ce":
        return _hard(case)
    if m := re.fullmatch(rf"kd_T{_F}", term):
        return _soft(case, float(m[1]))
    if m := _ANNEAL.fullmatch(term):
        return _soft(case, annealed(float(m[1]), int(m[3]), int(m[2])))
    if m := _TOTAL.fullmatch(term):
        heat, alpha, beta = map(float, m.groups())
        return alpha * _soft(case, heat) + (1 - alpha) * _hard(case) + beta * SCALE * _raw(case)
    if term == "rkl":
        log_p, log_q = ((z / 2).log_softmax(-1) for z in (case.student, case.teacher))
        return 0.1 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    if term == "jskl":
        return _jskl(case)
    return None


def _jskl(case: Case) -> Tensor:
    """The authors' call: probabilities where logarithms belong, and a quarter for a half."""
    p, q = ((z / 2).softmax(-1) for z in (case.student, case.teacher))
    middle = (p + q) / 2
    both = sum(F.kl_div(own, middle, reduction="batchmean") for own in (p, q))
    return torch.as_tensor(0.1 * both / 4)


def _sequence(case: Case, term: str, from_teacher: bool) -> Tensor | None:
    student, teacher = case.student, case.teacher.detach()
    valid = case.labels != -100
    hard = F.cross_entropy(student[valid], case.labels[valid])
    if term == "ce":
        return hard
    if term == "tokens2d":
        return SCALE * sinkhorn_distance(student[valid], teacher[valid])
    if term == "kl_valid":
        return soft_cross_entropy(student[valid], teacher[valid]).mean()
    if term == "kl_allpos":
        return soft_cross_entropy(student, teacher).mean()
    if term == "official3d":
        return _official3d(student, teacher)
    if term == "t0_total_official":
        every = soft_cross_entropy(student, teacher).mean()
        return hard + 0.1 * every + _official3d(student, teacher)
    return None


def _official3d(student: Tensor, teacher: Tensor) -> Tensor:
    """The authors' sequence form: softmax over positions, normalised over the batch."""
    p, q = (student / 2).softmax(1), (teacher / 2).softmax(1)
    cost = torch.cdist(p, q, p=1)
    plan = (-cost / 0.1).exp()
    for _ in range(20):
        plan = plan / plan.sum(dim=1, keepdim=True)
        plan = plan / plan.sum(dim=0, keepdim=True)
    return SCALE_SEQUENCE * (plan * cost).sum()
