"""Compiled blocks. Most tests stop before machine code is made, which takes a minute."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from raykd.errors import SpecError, TrialError
from raykd.models import compiled
from raykd.models.compiled import compile_blocks
from raykd.models.forward import forward
from raykd.models.signals.hidden_states import hidden_states
from tests.unit.training.toys import COLLATOR, bert, encoded

BATCHES = [COLLATOR(encoded(8), rows) for rows in ([0, 1, 2], [3, 4, 5, 6])]


@pytest.fixture
def graphs(monkeypatch):
    """How many graphs were handed to the compiler."""
    torch._dynamo.reset()
    compiled._compiled.cache_clear()
    made: list[int] = []

    def note(graph, inputs):
        made.append(len(graph.graph.nodes))
        return graph.forward

    plain = torch.compile
    monkeypatch.setattr(torch, "compile", functools.partial(plain, backend=note))
    yield made
    torch._dynamo.reset()
    compiled._compiled.cache_clear()


def gradient(model, batch):
    model.zero_grad()
    out = forward(model, batch, output_spec=hidden_states((0, 1)))
    (out.logits.square().mean() + out.hidden(1).square().mean()).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_compiled_blocks_have_the_same_gradient_and_are_compiled_once_for_all_models(graphs):
    plain, other = bert(0).eval(), bert(0).eval()
    compile_blocks(other)
    for batch in BATCHES:
        assert torch.allclose(gradient(plain, batch), gradient(other, batch), atol=1e-6)
    first = len(graphs)
    assert first
    # A copy computes with its own weights.
    again, plain = copy.deepcopy(other), bert(1).eval()
    again.load_state_dict(plain.state_dict())
    for batch in BATCHES:
        assert torch.allclose(gradient(plain, batch), gradient(again, batch), atol=1e-6)
    assert len(graphs) == first


def test_what_is_evaluated_runs_as_it_is_written(graphs):
    plain, other = bert(0).eval(), bert(0).eval()
    compile_blocks(other)
    with torch.no_grad():
        one, two = (forward(model, BATCHES[0]).logits for model in (plain, other))
    assert torch.equal(one, two)
    assert graphs == []


@pytest.mark.slow
def test_what_cannot_be_compiled_is_said_in_one_message(monkeypatch):
    def fails(graph, inputs):
        raise NotImplementedError("no such kernel")

    compiled._compiled.cache_clear()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=fails))
    model = bert(0)
    compile_blocks(model)
    with pytest.raises(TrialError, match=r"BertLayer cannot be compiled.*no such kernel") as got:
        gradient(model, BATCHES[0])
    assert "train.compile to false" in got.value.hint
    compiled._compiled.cache_clear()
    torch._dynamo.reset()


def test_blocks_have_to_be_in_a_list(monkeypatch):
    monkeypatch.setattr("raykd.models.compiled.family_of", lambda config: _NoBlocks)
    with pytest.raises(SpecError, match="has no list of blocks"):
        compile_blocks(bert(0))


class _NoBlocks:
    layer_prefix = ""


@pytest.mark.slow
def test_machine_code_has_the_same_gradient():
    plain, other = bert(0).eval(), bert(0).eval()
    compile_blocks(other)
    for batch in BATCHES:
        assert torch.allclose(gradient(plain, batch), gradient(other, batch), atol=1e-5)
