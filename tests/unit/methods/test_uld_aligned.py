from __future__ import annotations

import pytest

from raykd.methods.uld_aligned import METHOD, Params
from tests.unit.methods.sorted_setups import CONTEXT, WIDER, batches, distance
from tests.unit.methods.text_setups import Model

PAIRS = [[(0, 0), (2, 1)], [], [(0, 0), (1, 3), (3, 2)]]


def test_it_is_the_formula_at_the_places_where_both_read_the_same_text():
    own, other = batches("text", PAIRS)
    student, teacher = Model(1), Model(2, WIDER, trained=False)
    method = METHOD(Params(weight=2.0), CONTEXT)
    terms = method.step(own, student, lambda _: teacher(other))
    expected = distance(student.logits(own).detach().numpy(), teacher.logits(other).numpy(), PAIRS)
    assert terms["distil"].item() == pytest.approx(2.0 * expected, rel=1e-6)
    assert int(method.counts(own)["distil"]) == 5


def test_a_batch_without_such_a_place_has_a_term_of_no_weight():
    own, other = batches("text", [[], [], []])
    method = METHOD(Params(), CONTEXT)
    terms = method.step(own, Model(1), lambda _: Model(2, WIDER, trained=False)(other))
    assert terms["distil"].item() == 0
    assert int(method.counts(own)["distil"]) == 0
