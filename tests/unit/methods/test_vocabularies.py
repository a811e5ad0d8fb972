"""Losses over vocabularies that are padded to other sizes, against formulas on shared tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raykd import registry
from raykd.data.base import NO_LABEL, Batch
from raykd.data.collate import Collator
from raykd.data.prompts import joined_row, of_rows
from raykd.data.tasks.toy_text import TASK
from raykd.losses import policy
from raykd.losses.vocabulary import LazyLogits
from raykd.methods.base import DistillationContext, LossTerms, Method, OnlineTeacherFn, Sampling
from raykd.models.base import ModelDims, Outputs, RandomInitConfig
from raykd.models.forward import forward
from raykd.models.generation import TextEnds
from raykd.models.load import build_model
from raykd.models.signals.base import OutputSpec
from raykd.params import build
from raykd.training.device import Precision
from raykd.training.student_runner import StudentRunner
from tests.unit.methods.text_setups import one_step

TOKENS = 14
SIZES = st.integers(TOKENS, TOKENS + 9)
DIVERGENCES: dict[str, dict[str, Any]] = {
    "kd": {"temperature": 2.0, "kd_ratio": 0.3},
    "reverse_kl": {"kd_ratio": 0.3},
    "jsd": {"kd_ratio": 0.3, "beta": 0.2},
    "skew_kl": {"kd_ratio": 0.3, "lam": 0.25},
    "gkd": {"kd_ratio": 0.3, "lmbda": 0.0, "beta": 0.2},
    "step_by_step": {"kappa_l": 0.3},
}


def formula(name: str, q: Tensor, p: Tensor) -> Tensor:
    """Nats per token from logits of student and teacher, written out."""
    heat = 2.0 if name == "kd" else 1.0
    q, p = (q / heat).softmax(-1), (p / heat).softmax(-1)

    def kl(a: Tensor, b: Tensor) -> Tensor:
        return (a * (a.log() - b.log())).sum(-1)

    mixed = 0.2 * p + 0.8 * q
    return {
        "kd": heat**2 * kl(p, q), "reverse_kl": kl(q, p), "step_by_step": kl(p, q),
        "jsd": 0.2 * kl(p, mixed) + 0.8 * kl(q, mixed),
        "gkd": 0.2 * kl(p, mixed) + 0.8 * kl(q, mixed),
        "skew_kl": kl(p, 0.25 * p + 0.75 * q),
    }[name]  # fmt: skip


def method(
    name: str, student_vocabulary: int, teacher_vocabulary: int, **values: Any
) -> Method[Any]:
    sizes = [
        ModelDims(layers=1, hidden=8, heads=2, vocabulary=n, positions=40)
        for n in (teacher_vocabulary, student_vocabulary)
    ]
    context = DistillationContext(
        teacher=sizes[0], student=sizes[1], kind="causal_lm", num_labels=1, vocabulary=TOKENS,
    )  # fmt: skip
    made: Method[Any] = registry.load("methods", name)(
        build(registry.params_of("methods", name), values), context
    )
    return made


def labelled(counts: list[int]) -> Batch:
    """Rows with so many labels each, after prompts of one token or more."""
    random = np.random.default_rng(0)
    rows = [
        joined_row(random.integers(1, TOKENS, 1 + k), random.integers(1, TOKENS, n), 99)
        for k, n in enumerate(counts)
    ]
    return Collator(0, max_length=99)(of_rows(rows, apart=False), np.arange(len(rows)))


@pytest.mark.parametrize("name", DIVERGENCES)
@settings(deadline=None, max_examples=15)
@given(
    student_vocabulary=SIZES, teacher_vocabulary=SIZES,
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    dense=st.booleans(),
)  # fmt: skip
def test_a_divergence_is_over_the_tokens_that_both_have(
    name, student_vocabulary, teacher_vocabulary, counts, dense
):
    """The likelihood of labels is over all that the student has, as it is without a teacher."""
    random = torch.Generator().manual_seed(0)
    batch = labelled(counts)
    labels = batch.labels[batch.labels != NO_LABEL]
    states = torch.randn(len(labels), 5, generator=random)
    mine, others = (
        torch.randn(n, 5, generator=random) for n in (student_vocabulary, teacher_vocabulary)
    )
    teacher = (
        Outputs(logits=states @ others.T)
        if dense
        else Outputs(lazy_logits=LazyLogits(states, others))
    )
    actual = method(name, student_vocabulary, teacher_vocabulary, **DIVERGENCES[name]).loss(
        batch, Outputs(lazy_logits=LazyLogits(states, mine)), teacher.within(TOKENS)
    )
    q, p = ((states @ weight.T)[:, :TOKENS] for weight in (mine, others))
    hard = F.cross_entropy(states @ mine.T, labels)
    want = 0.7 * hard + 0.3 * formula(name, q, p).mean()
    assert torch.allclose(actual.total(), want, atol=1e-4)


class Recorded(StudentRunner):
    """The student, and what it wrote last."""

    wrote: Batch

    def generate(self, batch: Batch, sampling: Sampling) -> Batch:
        self.wrote = super().generate(batch, sampling)
        return self.wrote


@dataclass
class Pair:
    """Two decoders with matrices of other sizes."""

    student_vocabulary: int
    teacher_vocabulary: int

    def __post_init__(self) -> None:
        random_init = RandomInitConfig(
            family="gpt2", layers=1, hidden=8, heads=2, max_positions=40, dropout=0.0
        )
        self.model, self.teacher = (
            build_model(random_init, vocabulary=n, kind="causal_lm", num_labels=1, seed=seed).eval()
            for seed, n in enumerate((self.student_vocabulary, self.teacher_vocabulary))
        )
        with torch.no_grad():
            for of in (self.model, self.teacher):
                of.lm_head.weight.mul_(3.0)  # far from flat

    def step(self, name: str, **values: Any) -> tuple[LossTerms, Batch]:
        """The terms of a step, and the responses that it was on."""
        made = method(name, self.student_vocabulary, self.teacher_vocabulary, **values)
        student = Recorded(
            self.model, TASK["replies"], Precision("fp32", "cpu"), context=made.context,
            output_spec=OutputSpec(), text_ends=TextEnds(end=TOKENS - 1, pad=0),
        )  # fmt: skip
        read = OnlineTeacherFn(
            self.teacher, lambda batch: forward(self.teacher, batch).within(TOKENS)
        )
        torch.manual_seed(3)
        terms = one_step(made, labelled([3, 5]), student, read)
        return terms, student.wrote

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of student and teacher, over the shared tokens."""
        with torch.no_grad():
            student_logits, teacher_logits = (
                forward(m, batch).logits for m in (self.model, self.teacher)
            )
        return student_logits[:, :TOKENS], teacher_logits[:, :TOKENS]


SIZES_OF_PAIRS = [(14, 14), (14, 23), (23, 14), (20, 17)]


@pytest.mark.parametrize(("student_vocabulary", "teacher_vocabulary"), SIZES_OF_PAIRS)
@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_minillm_samples_and_weighs_over_the_tokens_that_both_have(
    student_vocabulary, teacher_vocabulary, alpha
):
    """With probabilities over more tokens than were drawn from, importance is none."""
    pair = Pair(student_vocabulary, teacher_vocabulary)
    terms, wrote = pair.step(
        "minillm", teacher_mixed_alpha=alpha, temperature=0.8, max_new_tokens=6, lm_coef=0.0
    )
    has_label = wrote.labels != NO_LABEL
    ids = wrote.labels[has_label]
    assert ids.max() < TOKENS
    mine, message = pair.logits(wrote)
    at = torch.arange(len(ids))
    q, p = (mine / 0.8).log_softmax(-1), (message / 0.8).log_softmax(-1)
    old, heated, likely = q[at, ids], p[at, ids], message.log_softmax(-1)[at, ids]
    assert torch.allclose(terms.metrics["reward"], (likely - old).mean(), atol=1e-5)
    # No token has moved yet: its ratio is its importance. The single step is exact, at T.
    weight = old.exp() / ((1 - alpha) * old.exp() + alpha * heated.exp())
    assert weight.max() <= 1 / (1 - alpha) + 1e-6
    mask = (torch.arange(6) < has_label.sum(1)[:, None]).long()
    reward = torch.zeros(2, 6).masked_scatter(mask.bool(), (likely - old) / 0.5)
    raw = policy.advantages(reward, mask, gamma=0.95, length_norm=True)
    gain = policy.whitened(raw, mask, over="valid")[mask.bool()]
    free, bound = -gain * weight, -gain * weight.clamp(0.8, 1.2)
    assert torch.allclose(terms.metrics["policy"], torch.maximum(free, bound).mean(), atol=1e-4)
    single = (q.exp() * (q - p)).sum(-1).mean()
    assert torch.allclose(terms.metrics["single_step"], single, atol=1e-5)


@pytest.mark.parametrize(("student_vocabulary", "teacher_vocabulary"), SIZES_OF_PAIRS)
def test_gkd_compares_text_of_the_student_over_the_tokens_that_both_have(
    student_vocabulary, teacher_vocabulary
):
    pair = Pair(student_vocabulary, teacher_vocabulary)
    terms, own = pair.step("gkd", lmbda=1.0, beta=0.2, max_new_tokens=6)
    assert own.labels.max() < TOKENS
    assert torch.allclose(terms.total(), formula("gkd", *pair.logits(own)).mean(), atol=1e-5)
