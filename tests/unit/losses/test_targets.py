"""Targets that know a part of the teacher's distribution, with numbers worked out by hand.

Probabilities are of four tokens; the student's matrix has a row more, which is not a token.
"""

from __future__ import annotations

import math

import pytest
import torch

from raykd.losses.targets import Divergence, SampledTeacherTarget, TopKTeacherTarget
from raykd.methods._tokens import weighted
from tests.unit.methods import text_setups
from tests.unit.methods.text_setups import Model, labels_of, likelihood

TEACHER = [[0.5, 0.3, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4]]
STUDENT = [[0.25, 0.25, 0.25, 0.25], [0.4, 0.3, 0.2, 0.1]]
SECOND = slice(1, 2)


def student() -> torch.Tensor:
    """Logits whose fifth entry is large and must not count."""
    logs = torch.tensor(STUDENT, dtype=torch.float64).log() + 1.7
    return torch.cat([logs, torch.full((2, 1), 3.0)], dim=1).requires_grad_()


def test_the_most_likely_tokens_and_the_rest():
    ids = torch.tensor([[0, 1], [3, 2]])
    logs = torch.tensor(TEACHER, dtype=torch.float64).log().gather(1, ids)
    target, mine = TopKTeacherTarget(ids, logs, vocabulary=4), student()
    apart = target.distance(mine, slice(0, 2), Divergence())
    first = 0.5 * math.log(2) + 0.3 * math.log(1.2) + 0.2 * math.log(0.4)
    second = 0.4 * math.log(4) + 0.3 * math.log(1.5) + 0.3 * math.log(0.3 / 0.7)
    assert apart.tolist() == pytest.approx([first, second], rel=1e-6)
    apart.sum().backward()
    # Kept: q - p. Of the rest each token takes its part of what is missing: q - 0.2 q / 0.5.
    rest = 0.25 - 0.2 * 0.25 / 0.5
    assert mine.grad[0].tolist() == pytest.approx([-0.25, -0.05, rest, rest, 0.0], abs=1e-6)
    # Rows of a part of a batch.
    part = target.distance(student()[SECOND], SECOND, Divergence())
    assert part.tolist() == pytest.approx([second], rel=1e-6)


def test_draws():
    target, mine = (
        SampledTeacherTarget(torch.tensor([[0, 0, 3], [1, 2, 2]]), vocabulary=4),
        student(),
    )
    apart = target.distance(mine, slice(0, 2), Divergence())
    second = -(math.log(0.3) + 2 * math.log(0.2)) / 3
    assert apart.tolist() == pytest.approx([math.log(4), second], rel=1e-6)
    apart.sum().backward()
    # q minus the share of the draws.
    expected = [0.4, 0.3 - 1 / 3, 0.2 - 2 / 3, 0.1, 0.0]
    assert mine.grad[1].tolist() == pytest.approx(expected, abs=1e-6)
    part = target.distance(student()[SECOND], SECOND, Divergence())
    assert part.tolist() == pytest.approx([second], rel=1e-6)


@pytest.mark.parametrize("ratio", [0.3, 1.0])
@pytest.mark.parametrize("kind", ["top_k", "sampled"])
def test_a_part_of_the_distribution_has_the_share_of_the_whole(kind, ratio):
    """In the loss of a method on text: per token and next to the labels."""
    of = text_setups.batch([2, 4, 1])
    mine, reference = Model(1), Model(2, trained=False)
    p, labels = reference.logits(of).softmax(-1), labels_of(of)
    log_q = mine.logits(of).detach().log_softmax(-1)
    if kind == "top_k":
        top = p.topk(3)
        target = TopKTeacherTarget(top.indices, top.values.log())
        kept = (top.values * (top.values.log() - log_q.gather(1, top.indices))).sum(1)
        p_rest = 1 - top.values.sum(1)
        q_rest = 1 - log_q.exp().gather(1, top.indices).sum(1)
        apart = (kept + p_rest * (p_rest / q_rest).log()).mean().item()
    else:
        drawn = torch.arange(4 * len(labels)).reshape(-1, 4) % p.shape[1]
        target = SampledTeacherTarget(drawn)
        apart = -log_q.gather(1, drawn).mean().item()
    terms = weighted(mine(of).lazy_logits, labels, target, ratio, Divergence())
    expected = (1 - ratio) * likelihood(mine.logits(of), labels) + ratio * apart
    assert terms.total().item() == pytest.approx(expected, rel=1e-4)
    assert terms.metrics["distil"].item() == pytest.approx(ratio * apart, rel=1e-4)
