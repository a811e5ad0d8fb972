"""Contrast within the batch."""

from __future__ import annotations

import pytest
import torch

from raykd.methods.embedding_infonce import METHOD, Params
from raykd.models.signals.embeddings import Embeddings
from tests.unit.methods import setups
from tests.unit.methods.embedding_setups import sides, terms_of


def test_by_hand():
    of = setups.context("embedding", student=setups.TEACHER)
    student, teacher = sides(of)
    actual = terms_of(METHOD(Params(alpha=0.5, temperature=0.2), of), student, teacher)
    s, t = (
        torch.nn.functional.normalize(side.values[Embeddings()].flatten(0, 1), dim=-1)
        for side in (student, teacher)
    )
    wanted = torch.nn.functional.cross_entropy(s @ t.T / 0.2, torch.arange(len(s)))
    assert actual["distil"].item() == pytest.approx(0.5 * wanted.item(), rel=1e-5)


def test_what_a_batch_makes_of_it_is_reported():
    assert "micro batch" in METHOD.batch_wide
    assert METHOD(Params(alpha=0.0), setups.context("embedding")).unused()["temperature"]
