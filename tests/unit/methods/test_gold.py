from __future__ import annotations

import numpy as np
import pytest
import torch

from raykd.data.base import NO_LABEL, Batch
from raykd.data.token_pairs import SPANS, TEACHER_IDS, TEACHER_TOKENS
from raykd.errors import SpecError
from raykd.losses.sorted_distance import LEAST, span_distance, token_log_probability
from raykd.methods.base import OutputSpec
from raykd.methods.gold import METHOD, Params
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.models.signals.token_spans import TokenSpans
from tests.unit.methods import setups, text_setups
from tests.unit.methods.text_setups import Model, check_gradient, labels_of, likelihood

Span = tuple[tuple[int, int], tuple[int, int]]
"""Where the tokens of a span begin and end, for student and teacher."""
CONTEXT = setups.context("causal_lm", same_tokens=False)
WIDER = 17
OWN, OTHER = [5, 1, 6], [4, 2, 7]
"""Tokens of each response for student and teacher."""
SPANS_OF: list[list[Span]] = [
    [((0, 1), (0, 1)), ((1, 3), (1, 2)), ((4, 5), (3, 4))],  # 1:1, 2:1, some left out, 1:1
    [],
    [((0, 1), (0, 3)), ((1, 3), (3, 6)), ((3, 6), (6, 7))],  # 1:3, 2:3, 3:1
]


def batches(spans: list[list[Span]] = SPANS_OF) -> tuple[Batch, Batch]:
    """The same rows as student and teacher read them; the former say what is compared."""
    other = text_setups.batch(OTHER, seed=3, vocabulary=WIDER)
    column = torch.full((len(OWN), max(OWN), 2), NO_LABEL, dtype=torch.int32)
    for row, of in enumerate(spans):
        for (begin, end), theirs in of:
            column[row, begin:end] = torch.tensor(theirs, dtype=torch.int32)
    ids = other.labels[:, 2:].int()
    columns = {SPANS: column, TEACHER_IDS: ids, TEACHER_TOKENS: torch.tensor(OTHER)}
    return text_setups.batch(OWN, columns=columns), other


def merged(logits: np.ndarray, ids: np.ndarray, span: tuple[int, int], heat: float) -> np.ndarray:
    """A distribution of the first token, times the probabilities of the others; from the paper."""
    grown = np.exp(logits / heat)
    probabilities = grown / grown.sum(axis=-1, keepdims=True)
    of = probabilities[span[0]].copy()
    for k in range(span[0] + 1, span[1]):
        of *= max(probabilities[k, ids[k]], LEAST)
    return np.sort(of)[::-1]


def distance(student: Model, teacher: Model, own: Batch, other: Batch, heats=(1.0, 1.0)) -> float:
    """Mean over spans, then over responses, of the sum of differences of sorted probabilities."""
    q, p = (m.logits(of).detach().numpy() for m, of in ((student, own), (teacher, other)))
    ids = [labels_of(of).numpy() for of in (own, other)]
    means, at = [], [0, 0]
    for row, spans in enumerate(SPANS_OF):
        distances = []
        for mine, theirs in spans:
            one = merged(q[at[0] :], ids[0][at[0] :], mine, heats[0])
            two = merged(p[at[1] :], ids[1][at[1] :], theirs, heats[1])
            one = np.pad(one, (0, len(two) - len(one)))
            distances.append(np.abs(one - two).sum())
        means += [np.mean(distances)] if distances else []
        at = [at[0] + OWN[row], at[1] + OTHER[row]]
    return float(np.mean(means))


@pytest.mark.parametrize("values", [
    {},
    {"weight": 0.3, "task_weight": 0.7},
    {"weight": 2.0, "student_temperature": 0.5, "teacher_temperature": 3.0},
])  # fmt: skip
def test_it_is_the_published_formula_on_spans_of_unequal_shapes(values):
    own, other = batches()
    student, teacher = Model(1), Model(2, WIDER, trained=False)
    p = Params(**values)
    terms = METHOD(p, CONTEXT).step(own, student, lambda _: teacher(other))
    heats = (p.student_temperature, p.teacher_temperature)
    expected = p.weight * distance(student, teacher, own, other, heats)
    assert terms["distil"].item() == pytest.approx(expected, rel=1e-9)
    assert int(terms.means["distil"].count) == int(METHOD(p, CONTEXT).counts(own)["distil"]) == 2
    assert ("task" in terms) == (p.task_weight > 0)
    if p.task_weight:
        hard = likelihood(student.logits(own), labels_of(own))
        assert terms["task"].item() == pytest.approx(p.task_weight * hard, rel=1e-6)


def test_a_teacher_whose_logits_are_there_at_once_teaches_the_same():
    own, other = batches()
    teacher = Model(2, WIDER, trained=False)
    method = METHOD(Params(), CONTEXT)
    lazy = method.step(own, Model(1), lambda _: teacher(other))
    whole = method.step(own, Model(1), lambda _: Outputs(logits=teacher.logits(other)))
    assert lazy["distil"].item() == pytest.approx(whole["distil"].item(), rel=1e-12)


def test_its_gradient_is_that_of_differences():
    own, other = batches()
    teacher = Model(2, WIDER, trained=False)
    method = METHOD(Params(weight=0.8, student_temperature=1.5), CONTEXT)

    def of(embedding: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        student = Model(1)
        student.embedding, student.weight = embedding, weight
        return method.step(own, student, lambda _: teacher(other))["distil"]

    start = Model(1)
    assert torch.autograd.gradcheck(of, (start.embedding, start.weight))


def test_further_tokens_of_a_span_are_learnt_from():
    """Their scores move a loss whose first tokens are given."""
    own, other = batches()
    student, teacher = Model(1), Model(2, WIDER, trained=False)
    terms = METHOD(Params(), CONTEXT).step(own, student, lambda _: teacher(other))
    q, p = (model.logits(of) for model, of in ((student, own), (teacher, other)))
    ids, total = [labels_of(of) for of in (own, other)], torch.zeros(())
    for row, spans in ((0, SPANS_OF[0]), (2, SPANS_OF[2])):
        at = sum(OWN[:row]), sum(OTHER[:row])
        for span in spans:
            rests = [
                torch.stack([torch.ones((), dtype=torch.float64), *(
                    logits[start + k].softmax(-1)[of[start + k]] for k in range(begin + 1, end)
                )]).prod()
                for (begin, end), start, logits, of in zip(span, at, (q, p), ids, strict=True)
            ]  # fmt: skip
            mine, theirs = q[at[0] + span[0][0]], p[at[1] + span[1][0]]
            total = total + span_distance(mine, theirs, (rests[0], rests[1])) / len(spans) / 2
    check_gradient(terms, student, total)


def test_equal_tokens_are_spans_of_one_and_equal_models_are_no_distance_apart():
    method = METHOD(Params(), setups.context("causal_lm"))
    assert method.teacher_outputs() == OutputSpec(Logits())
    of = text_setups.batch([2, 5, 0, 1])
    assert method.counts(of) == {"distil": 3}
    terms = method.step(of, Model(1), Model(1, trained=False))
    assert terms["distil"].item() == pytest.approx(0.0, abs=1e-12)
    assert int(terms.means["distil"].count) == 3


def test_a_weight_of_zero_reads_nothing_of_the_teacher_and_two_are_refused():
    method = METHOD(Params(weight=0.0, task_weight=1.0), CONTEXT)
    assert method.teacher_outputs() == OutputSpec()
    own, _ = batches()
    assert list(method.step(own, Model(1), lambda _: None)) == ["task"]
    assert method.counts(own) == {}
    assert set(method.unused()) == {"student_temperature", "teacher_temperature"}
    with pytest.raises(SpecError, match="nothing is learnt"):
        Params(weight=0.0)


def test_a_batch_without_a_span_has_a_term_of_no_weight_and_a_gradient_of_zero():
    own, other = batches([[], [], []])
    method, student = METHOD(Params(), CONTEXT), Model(1)
    terms = method.step(own, student, lambda _: Model(2, WIDER, trained=False)(other))
    assert int(terms.means["distil"].count) == int(method.counts(own)["distil"]) == 0
    terms.total().backward()
    assert terms["distil"].item() == 0
    assert student.gradient().abs().max() == 0


def test_a_token_that_cannot_be_is_less_likely_than_one_in_a_hundred_million_and_no_less():
    scores = torch.tensor([[0.0, 80.0], [0.0, 1.0]], dtype=torch.float64)
    actual = token_log_probability(scores, torch.tensor([0, 1]))
    assert actual.exp().tolist() == pytest.approx([LEAST, 1 / (1 + np.exp(-1))])


def test_spans_of_a_batch_are_numbered_among_its_tokens():
    own, _ = batches()
    spans = TokenSpans().of(own)
    assert spans.row.tolist() == [0, 0, 0, 2, 2, 2]
    assert spans.student.first.tolist() == [0, 1, 4, 6, 7, 9]
    assert spans.student.further.tolist() == [2, 8, 10, 11]
    assert spans.student.span_of.tolist() == [1, 4, 5, 5]
    assert spans.student.further_ids.tolist() == labels_of(own)[[2, 8, 10, 11]].tolist()
    assert spans.teacher.first.tolist() == [0, 1, 3, 6, 9, 12]
    assert spans.teacher.further.tolist() == [7, 8, 10, 11]
    assert spans.teacher.span_of.tolist() == [3, 3, 4, 4]
