from __future__ import annotations

import math

import pytest
import torch

from raykd.data.base import NO_LABEL, Batch
from raykd.data.tasks.toy_text import TASK
from raykd.losses.vocabulary import LazyLogits, cross_entropy
from raykd.methods.sft import METHOD, Params
from raykd.models.base import Outputs
from raykd.models.forward import forward
from raykd.models.signals.base import OutputSpec
from raykd.training.device import Precision
from raykd.training.student_runner import StudentRunner
from tests.small_pairs import SmallPair
from tests.unit.methods import setups


def test_it_reads_nothing_of_a_teacher_and_minimises_the_task_loss():
    method = METHOD(Params(), setups.context("causal_lm"))
    assert method.teacher_outputs() == OutputSpec()
    terms = method.loss(None, Outputs(task_loss=torch.tensor(3.5)), Outputs())
    assert dict(terms) == {"task": torch.tensor(3.5)}


def test_classes_are_not_its_affair():
    assert "serves causal_lm and seq2seq" in METHOD(Params(), setups.context()).refusal()


@pytest.mark.parametrize("kind", ["causal_lm", "seq2seq"])
def test_the_loss_of_a_student_is_the_mean_over_the_tokens_of_all_responses(kind):
    """Tokens count alike, whichever response they stand in; a mean of means would differ."""
    pair = SmallPair.of(kind)
    method = pair.method("sft")
    student = StudentRunner(
        pair.student.eval(), TASK["replies"].read_by(kind), Precision("fp32", "cpu"),
        context=method.context, output_spec=OutputSpec(),
    )  # fmt: skip
    batch: Batch = pair.collator(method)(pair.rows, [0, 3, 7])
    actual = method.step(batch, student, lambda _: Outputs())["task"]
    logits = forward(pair.student, batch).logits.double()
    labels = batch.labels[batch.labels != NO_LABEL]
    likely = logits.log_softmax(-1)[torch.arange(len(labels)), labels]
    counts = (batch.labels != NO_LABEL).sum(dim=1)
    assert len(set(counts.tolist())) > 1
    assert actual.item() == pytest.approx(-likely.mean().item(), rel=1e-5)
    of_means = torch.stack([part.mean() for part in likely.split(counts.tolist())]).mean()
    assert actual.item() != pytest.approx(-of_means.item(), rel=1e-4)


def test_a_student_that_finds_all_tokens_alike_has_the_logarithm_of_their_number():
    scores = LazyLogits(torch.zeros(5, 2), torch.zeros(7, 2))
    assert cross_entropy(scores, torch.arange(5)).item() == pytest.approx(math.log(7), rel=1e-6)
