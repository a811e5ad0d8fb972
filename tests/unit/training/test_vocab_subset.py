"""Training some rows of an embedding gives what training all of them gives."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from raykd.models.base import RandomInitConfig
from raykd.models.load import build_model
from raykd.training.loop import train_model
from raykd.training.vocab_subset import SubsetEmbedding, VocabSubset
from tests.unit.training.toys import bert, encoded, job

PAD = 0


def large(kind: str = "classification", family: str = "bert") -> nn.Module:
    """A model whose vocabulary is far larger than what rows use."""
    random_init = RandomInitConfig(family=family, layers=1, hidden=16, heads=2, max_positions=40)
    return build_model(random_init, vocabulary=4000, kind=kind, num_labels=3, seed=0)


def embedding(model: nn.Module) -> nn.Module:
    return model.get_input_embeddings()


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta"])
def test_all_rows_are_as_after_training_them_all(monkeypatch, family):
    rows = encoded(24, longest=12)
    trained = {}
    for name, most in (("some", 0.5), ("all", 0.0)):
        monkeypatch.setattr("raykd.training.vocab_subset.MAX_SHARE", most)
        model = large(family=family)
        given = job(model=model, validation=rows, epochs=3, lr=0.01, weight_decay=0.1)
        train_model(dataclasses.replace(given, train=rows))
        trained[name] = model.state_dict()
    before = embedding(large(family=family)).weight
    after = trained["some"], trained["all"]
    assert after[0].keys() == after[1].keys()
    for name in after[0]:
        assert torch.allclose(after[0][name], after[1][name], rtol=1e-4, atol=1e-6), name
    moved = (embedding(_with(family, after[0])).weight - before).abs().amax(dim=1) > 1e-3
    used = np.unique(rows.input_ids)
    assert moved[torch.from_numpy(used).long()].any()
    unused = np.setdiff1d(np.arange(4000), [*used, PAD])
    ratio = (embedding(_with(family, after[0])).weight[unused] / before[unused]).mean()
    assert 0.9 < ratio.item() < 1.0


def _with(family: str, state: dict) -> nn.Module:
    model = large(family=family)
    model.load_state_dict(state)
    return model


def test_some_rows_give_the_same_vectors_and_gradients():
    whole = nn.Embedding(50, 4, padding_idx=PAD)
    some = SubsetEmbedding(whole, torch.tensor([0, 3, 7, 40]))
    ids = torch.tensor([[3, 40, 0], [7, 7, 0]])
    assert torch.equal(some(ids), whole(ids))
    some(ids).square().sum().backward()
    whole(ids).square().sum().backward()
    assert torch.equal(some.weight.grad, whole.weight.grad[[0, 3, 7, 40]])
    with pytest.raises(IndexError):
        some(torch.tensor([5]))


def test_only_what_occurs_is_trained_and_the_embedding_comes_back():
    model, rows = large(), encoded(24, longest=12)
    whole = embedding(model)
    vocab_subset = VocabSubset(model, [rows], [PAD])
    assert embedding(model).weight.shape == (len(np.unique([*rows.input_ids, PAD])), 16)
    vocab_subset.restore(1.0)
    assert embedding(model) is whole


@pytest.mark.parametrize(
    "model",
    [bert(), large("masked_lm"), nn.Linear(2, 2)],
    ids=["small vocabulary", "tied to the output", "no language model"],
)
def test_what_gains_nothing_stays_as_it_is(model):
    before = copy.deepcopy(model.state_dict())
    VocabSubset(model, [encoded(200, longest=30)], [PAD]).restore(0.5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
