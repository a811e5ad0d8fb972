"""Batches, models and divergences by hand, for tests of methods on generated text.

Divergences are written in NumPy from the formulas of the papers, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import NO_LABEL, Batch
from raykd.losses.vocabulary import LazyLogits
from raykd.methods.base import LossTerms, Sampling
from raykd.models.base import Outputs

WIDTH, VOCABULARY = 5, 11
Numbers = npt.NDArray[np.float64]


def batch(
    responses: Sequence[int], seed: int = 0, vocabulary: int = VOCABULARY, **more: Any
) -> Batch:
    """Rows with responses of so many tokens, each after two tokens of a prompt."""
    random = torch.Generator().manual_seed(seed)
    longest = max(responses, default=0) + 2
    ids = torch.randint(0, vocabulary, (len(responses), longest), generator=random)
    places = torch.arange(longest) - 2
    has_label = (places >= 0) & (places < torch.tensor(responses)[:, None])
    return Batch(
        input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=torch.zeros_like(ids),
        labels=ids.masked_fill(~has_label, NO_LABEL), index=torch.arange(len(responses)), **more,
    )  # fmt: skip


def labels_of(of: Batch) -> Tensor:
    """The tokens with a label, ``[M]``."""
    return of.labels[of.labels != NO_LABEL]


class Model:
    """Scores for any batch, from the tokens alone; its two matrices collect gradients."""

    def __init__(self, seed: int, vocabulary: int = VOCABULARY, *, trained: bool = True) -> None:
        random = torch.Generator().manual_seed(seed)
        self.embedding, self.weight = (
            torch.randn(vocabulary, WIDTH, generator=random, dtype=torch.float64)
            .requires_grad_(trained)
            for _ in range(2)
        )  # fmt: skip
        self.read: list[Batch] = []

    def __call__(self, of: Batch, subnet: object = None, *, dropout: bool = True) -> Outputs:
        """Scores of the tokens with a label, each from the token before it."""
        self.read.append(of)
        scores = LazyLogits(self.states(of), self.weight, None, torch.float64)
        hard = F.cross_entropy(scores.chunk().detach(), labels_of(of)) if len(scores) else None
        return Outputs(lazy_logits=scores, task_loss=hard)

    def states(self, of: Batch) -> Tensor:
        before = of.input_ids.roll(1, dims=1)
        return self.embedding[before[of.labels != NO_LABEL]]

    def logits(self, of: Batch) -> Tensor:
        """The same at once, ``[M, V]``."""
        return F.linear(self.states(of), self.weight)

    def generate(self, of: Batch, sampling: Sampling | None = None) -> Batch:
        """A response of three tokens for every row: always the same."""
        self.written = sampling
        return batch([3] * len(of.labels), seed=99, vocabulary=len(self.weight))

    def gradient(self) -> Tensor:
        """Of both matrices, which are then as before."""
        leaves = (self.embedding, self.weight)
        actual = [torch.zeros_like(p) if p.grad is None else p.grad for p in leaves]
        self.embedding.grad = self.weight.grad = None
        return torch.cat([g.flatten() for g in actual])


def check_gradient(terms: LossTerms, student: Model, expected: Tensor) -> None:
    """That terms move the student as a loss does that is formed of all scores at once."""
    terms.total().backward()
    actual = student.gradient()
    expected.backward()
    by_autograd = student.gradient()
    assert by_autograd.abs().max() > 0
    assert torch.allclose(actual, by_autograd, rtol=1e-4, atol=1e-7)


def probabilities(logits: Tensor, temperature: float = 1.0) -> Numbers:
    """Softmax in NumPy."""
    scaled = logits.detach().numpy().astype(np.float64) / temperature
    grown = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    actual: Numbers = grown / grown.sum(axis=-1, keepdims=True)
    return actual


def kl(one: Numbers, two: Numbers) -> Numbers:
    """Divergence from `one` to `two`, per row."""
    actual: Numbers = (one * (np.log(one) - np.log(two))).sum(axis=-1)
    return actual


def by_name(kind: str, student: Tensor, teacher: Tensor, **of: Any) -> float:
    """A divergence, mean over tokens, from its formula."""
    q, p = (probabilities(t, of.get("temperature", 1.0)) for t in (student, teacher))
    beta, lam = of.get("beta", 0.5), of.get("lam", 0.1)
    if kind == "jsd" and beta in (0.0, 1.0):
        kind = "reverse_kl" if beta else "forward_kl"
    mixed = beta * p + (1 - beta) * q
    rows = {
        "forward_kl": lambda: kl(p, q),
        "reverse_kl": lambda: kl(q, p),
        "jsd": lambda: beta * kl(p, mixed) + (1 - beta) * kl(q, mixed),
        "skew_forward_kl": lambda: kl(p, lam * p + (1 - lam) * q),
        "skew_reverse_kl": lambda: kl(q, lam * q + (1 - lam) * p),
    }[kind]()
    if of.get("normalised") and kind == "jsd":
        rows = rows / (beta * (1 - beta))
    return float(rows.mean())


def likelihood(student: Tensor, labels: Tensor) -> float:
    """Negative log-likelihood of labels, mean over tokens."""
    q = probabilities(student)
    return float(-np.log(q[np.arange(len(labels)), labels.numpy()]).mean())


def one_step(method, of, student, teacher):
    """A step that computes its batch in one pass."""
    (batch,) = method.prepare([of], student, teacher)
    return method.step(batch, student, teacher)
