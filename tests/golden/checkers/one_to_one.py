"""Checks ``one_to_one_*.npz``: correlation of neurons, its masked form, totals, the assignment.

Keys are ``<case>/<name>``, or bare names where a file holds a single case. ``term_<x>`` and
``fixed_<x>`` are values (divisors M x D and M), ``grad_hidden_<x>`` and ``grad_logits_<x>`` their
gradients with respect to the student.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.errors import RaykdError
from raykd.losses.correlation import (
    best_assignment,
    correlation_loss,
    neuron_mse,
    pearson,
    token_cosine,
)
from raykd.losses.logits import soft_kl
from tests.golden.comparison import (
    Array,
    Comparison,
    Unknown,
    compare_gradient,
    compare_indices,
    compare_value,
    compare_zeros,
)

RTOL = 1e-5
ATOL_GRADIENT = 1e-4

_INPUTS = frozenset(
    {"student_hidden", "teacher_hidden", "student_logits", "teacher_logits", "attention_mask",
     "labels", "neuron_mask", "planted"}
)  # fmt: skip


class Case:
    """The tensors of one case; the student's collect gradients."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self.arrays = arrays
        self.hidden = self._tensor("student_hidden").requires_grad_()
        self.teacher_hidden = self._tensor("teacher_hidden")
        self.tokens = self._tensor("attention_mask").bool()
        if "student_logits" in arrays:
            self.logits = self._tensor("student_logits").requires_grad_()
            self.target = self._tensor("teacher_logits")
            self.labels = self._tensor("labels")

    def _tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self.arrays[name]))

    def weight(self, name: str) -> float:
        return float(self.arrays[f"cfg_{name}"])

    @property
    def neurons(self) -> Tensor:
        return self._tensor("neuron_mask")

    def pair(self) -> tuple[Tensor, Tensor]:
        """Hidden states of the tokens; the teacher's neurons as assigned."""
        actual, expected = self.hidden[self.tokens], self.teacher_hidden[self.tokens]
        if "assignment" in self.arrays:
            expected = expected[:, self.assignment()]
        return actual, expected

    def assignment(self) -> Tensor:
        student = self.hidden.detach()[self.tokens]
        return best_assignment(pearson(student, self.teacher_hidden[self.tokens]))


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Recompute every number of a file."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    names = {key.rpartition("/")[0] for key in arrays if key != "cases"}
    grouped = {
        name: {k.rpartition("/")[2]: v for k, v in arrays.items() if k.rpartition("/")[0] == name}
        for name in names
    }
    for key, golden in arrays.items():
        case, _, rest = key.rpartition("/")
        if key == "cases" or rest in _INPUTS or rest.startswith("cfg_"):
            continue
        try:
            yield _check(key, rest, golden, Case(grouped[case]))
        except KeyError as exc:
            yield Unknown(key, f"needs {exc}, which the file does not have")
        except (LookupError, RaykdError, RuntimeError, TypeError, ValueError) as exc:
            yield Unknown(key, str(exc))


def _check(key: str, rest: str, golden: Array, case: Case) -> Comparison | Unknown:
    if rest == "n_tokens":
        return compare_indices(key, (int(case.tokens.sum()),), golden)
    if rest == "assignment":
        return compare_indices(key, tuple(case.assignment().tolist()), golden)
    if rest == "pearson":
        actual = pearson(case.hidden.detach()[case.tokens], case.teacher_hidden[case.tokens])
        return compare_gradient(key, actual.numpy(), golden, ATOL_GRADIENT)
    for prefix in ("grad_hidden_", "grad_logits_"):
        if rest.startswith(prefix):
            value = _value(rest.removeprefix(prefix), case)
            if value is None:
                return Unknown(key, "follows no documented pattern")
            value.backward()
            leaf = case.hidden if prefix == "grad_hidden_" else case.logits
            grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            if not golden.any():
                return compare_zeros(key, grad.numpy(), golden, 1e-7)
            return compare_gradient(key, grad.numpy(), golden, ATOL_GRADIENT)
    name = rest.removeprefix("term_") if rest.startswith("term_") else rest
    value = _value(name, case)
    if value is None:
        return Unknown(key, "follows no documented pattern")
    return compare_value(key, value.item(), golden, RTOL)


def _corr(case: Case, *, fixed: bool, masked: bool) -> Tensor:
    actual, expected = case.pair()
    divisor = float(len(actual) if fixed else actual.numel())
    if masked:
        actual, expected = actual[:, case.neurons], expected[:, case.neurons]
    return correlation_loss(actual, expected, divisor=divisor)[0]


def _mse(case: Case, *, kept: bool = False) -> Tensor:
    actual, expected = case.pair()
    if kept:  # the authors' code continues with the masked neurons
        actual, expected = actual[:, case.neurons], expected[:, case.neurons]
    return neuron_mse(actual, expected)


def _hard(case: Case) -> Tensor:
    if case.labels.is_floating_point():
        return F.mse_loss(case.logits.squeeze(-1), case.labels)
    return F.cross_entropy(case.logits, case.labels)


def _kl(case: Case) -> Tensor:
    return soft_kl(case.logits, case.target, temperature=case.weight("temperature")).mean()


def _total(case: Case, *, masked: bool = False, with_kl: bool = True) -> Tensor:
    corr = _corr(case, fixed=False, masked=False)
    if masked:
        corr = corr + _corr(case, fixed=False, masked=True)
    total = case.weight("alpha_glue") * _hard(case) + case.weight("alpha_corr") * corr
    if with_kl:
        total = total + case.weight("alpha_ce") * _kl(case)
    return total + case.weight("alpha_mse") * _mse(case, kept=masked)


_VALUES: Mapping[str, Callable[[Case], Tensor]] = {
    "hard": _hard,
    "kl": _kl,
    "mse": _mse,
    "cos_token": lambda case: token_cosine(*case.pair()),
    "corr": lambda case: _corr(case, fixed=False, masked=False),
    "corr_masked_only": lambda case: _corr(case, fixed=False, masked=True),
    "corr_masked_add": lambda case: (
        _corr(case, fixed=False, masked=False) + _corr(case, fixed=False, masked=True)
    ),
    "fixed_corr": lambda case: _corr(case, fixed=True, masked=False),
    "fixed_corr_masked_only": lambda case: _corr(case, fixed=True, masked=True),
    "total": _total,
    "total_masked": lambda case: _total(case, masked=True),
    "total_squad_style": lambda case: _total(case, with_kl=False),
}


def _value(name: str, case: Case) -> Tensor | None:
    return _VALUES[name](case) if name in _VALUES else None
