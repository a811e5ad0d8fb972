"""Relations of queries, keys and values, against sums written out, on pairs of other sizes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from raykd.methods.minilmv2 import METHOD, Params, relation_divergence
from raykd.models.signals.attention_projections import AttentionProjection
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups

MASK = (torch.arange(6) < torch.tensor([[6], [3], [1]])).long()


def by_hand(student, teacher, mask, heads):
    """The mean over heads and tokens of KL(teacher || student), pair by pair."""
    total, tokens = 0.0, int(mask.sum())
    for b, n in enumerate(mask.sum(dim=1).tolist()):
        for a in range(heads):
            rows = []
            for side in (teacher, student):
                size = side.shape[-1] // heads
                own = side[b, :n, a * size : (a + 1) * size].double()
                rows.append(torch.softmax(own @ own.T / math.sqrt(size), dim=-1))
            p, q = rows
            total += float((p * (p / q).log()).sum())
    return total / (heads * tokens)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize(("result", "expected"), [(8, 8), (8, 12), (12, 4)])
def test_the_divergence_is_the_sum_over_pairs_of_tokens(heads, result, expected):
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 6, d, generator=rng) for d in (result, expected))
    actual = relation_divergence(student, teacher, MASK, heads=heads)
    assert actual.item() == pytest.approx(by_hand(student, teacher, MASK, heads), rel=1e-5)


def test_padding_is_neither_related_nor_counted():
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 6, 8, generator=rng) for _ in range(2))
    want = relation_divergence(student, teacher, MASK, heads=2)
    longer = [torch.cat([x, torch.full((3, 4, 8), 50.0)], dim=1) for x in (student, teacher)]
    more = torch.cat([MASK, torch.zeros(3, 4).long()], dim=1)
    actual = relation_divergence(*longer, more, heads=2)
    assert actual.item() == pytest.approx(want.item(), rel=1e-6)


def test_equal_relations_have_no_distance_whatever_their_width():
    rng = torch.Generator().manual_seed(0)
    narrow = torch.randn(3, 6, 8, generator=rng)
    # A rotation of each head, and zeros next to it scaled to the wider head.
    wide = torch.cat([narrow.unflatten(-1, (2, 4)) * 2**0.25, torch.zeros(3, 6, 2, 4)], dim=-1)
    actual = relation_divergence(narrow, wide.flatten(2), MASK, heads=2)
    assert actual.item() == pytest.approx(0.0, abs=1e-6)


def made(**values):
    return METHOD(Params(**values), setups.context())


def test_the_terms_are_those_of_non_zero_weight():
    of, batch = setups.context(), setups.batch()
    params = Params(alpha=0.25, query=2.0, key=0.0, value=3.0, relation_heads=2, teacher_block=1)
    method = METHOD(params, of)
    student, teacher = (
        setups.Side(of, sizes, seed=k, also=METHOD.requires)
        for k, sizes in enumerate((of.student, of.teacher))
    )
    student = student.outputs(method.student_outputs(), task_loss=True)
    teacher = teacher.outputs(method.teacher_outputs(), task_loss=False)
    terms = method.loss(batch, student, teacher)
    assert set(terms) == {"task", "distil", "query_relations", "value_relations"}
    for which, weight in (("query", 2.0), ("value", 3.0)):
        pair = (student.read(AttentionProjection(1, which)).detach(),
                teacher.read(AttentionProjection(1, which)).detach())  # fmt: skip
        want = weight * by_hand(*pair, batch.attention_mask, 2)
        assert terms[f"{which}_relations"].item() == pytest.approx(want, rel=1e-5)


def test_signals_are_the_blocks_in_use():
    method = made(key=0.0)
    assert set(method.teacher_outputs()) == {AttentionProjection(3, w) for w in ("query", "value")}
    assert set(method.student_outputs()) == {
        Logits(), *(AttentionProjection(1, w) for w in ("query", "value"))
    }  # fmt: skip
    assert Logits() in made(alpha=0.5).teacher_outputs()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"relation_heads": 5}, "do not divide the student's width 8\nset relation_heads to a "
                                "divisor of 4"),
        ({"relation_heads": 8}, "do not divide the teacher's width 12"),
        ({"teacher_block": 4}, "reads block 4 of the teacher, which has 4"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(values, says):
    assert says in made(**values).refusal()
    off = dict.fromkeys(("query", "key", "value"), 0.0)
    assert made(**values, **off).refusal() == ""


@pytest.mark.parametrize("side", ["teacher", "student"])
def test_families_without_such_projections_are_refused_by_name(side):
    of = setups.context()
    of = replace(of, **{side: replace(getattr(of, side), family="llama")})
    assert f"not known for the {side}'s family 'llama'" in METHOD(Params(), of).refusal()
