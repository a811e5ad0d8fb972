"""The teacher's vectors themselves."""

from __future__ import annotations

import pytest

from raykd.methods.embedding_mse import METHOD, Params
from raykd.models.signals.embeddings import Embeddings
from tests.unit.methods import setups
from tests.unit.methods.embedding_setups import sides, terms_of


def test_by_hand():
    of = setups.context("embedding", student=setups.TEACHER)
    student, teacher = sides(of)
    actual = terms_of(METHOD(Params(alpha=0.5), of), student, teacher)
    s, t = student.values[Embeddings()], teacher.values[Embeddings()]
    assert actual["distil"].item() == pytest.approx(0.5 * (s - t).square().mean().item(), rel=1e-5)
