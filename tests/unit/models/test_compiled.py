"""Compiled blocks. Most tests stop before machine code is made, which takes a minute."""

from __future__ import annotations

import copy
import functools

import pytest
import torch

from raykd.errors import SpecError, TrialError
from raykd.models import compiled, lora
from raykd.models.compiled import compile_blocks
from raykd.models.forward import forward
from raykd.models.lora import LoraPlan, LoraSizes
from raykd.models.signals.hidden_states import hidden_states
from raykd.training.model_options import prepare_model
from raykd.training.settings import TrainSettings
from tests.unit.training.toys import COLLATOR, bert, encoded

SIZES = LoraSizes(rank=2, alpha=4.0, dropout=0.0)
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


def prepared(**settings):
    """A model as a training has it, compiled."""
    model = bert(0).train()
    prepare_model(model, TrainSettings(compile=True, **settings), torch.device("cpu"))
    return model


@pytest.mark.slow
def test_dropout_draws_anew_in_compiled_blocks_and_the_same_for_a_seed(graphs):
    model = prepared(dropout=0.5)
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append(gradient(model, BATCHES[0]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.allclose(drawn[0], drawn[2], atol=1e-3)
    assert graphs


@pytest.mark.parametrize("dropout", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_compiled_blocks_that_are_computed_again_have_the_same_gradient(graphs, dropout):
    """Dropout draws again what it drew before."""
    actual = []
    for again in (True, False):
        model = prepared(dropout=dropout, gradient_checkpointing=again)
        torch.manual_seed(1)
        actual.append(gradient(model, BATCHES[0]))
        assert graphs
    assert torch.allclose(*actual, atol=1e-6)


@pytest.mark.parametrize("again", [pytest.param(False, marks=pytest.mark.slow), True])
def test_compiled_blocks_with_adapters_have_their_gradient(graphs, again):
    actual = []
    for is_compiled in (False, True):
        model = bert(0).train()
        lora.attach(model, LoraPlan(targets=(lora.ALL_LINEAR,), base=""), SIZES, seed=1)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.fill_(0.1)
        settings = TrainSettings(
            compile=is_compiled, gradient_checkpointing=again and is_compiled, dropout=0.0
        )
        prepare_model(model, settings, torch.device("cpu"))
        actual.append(gradient(model, BATCHES[0]))
        moved = [name for name, p in model.named_parameters() if p.grad is not None]
        assert all("lora_" in n or n.startswith(("classifier", "bert.pooler")) for n in moved)
        assert sum("lora_" in name for name in moved) == 12
    assert torch.allclose(*actual, atol=1e-6)
    assert graphs


def test_what_is_evaluated_runs_as_it_is_written(graphs):
    plain, other = bert(0).eval(), bert(0).eval()
    compile_blocks(other)
    with torch.no_grad():
        one, two = (forward(model, BATCHES[0]).logits for model in (plain, other))
    assert torch.equal(one, two)
    assert graphs == []


@pytest.mark.slow
def test_what_cannot_be_compiled_is_reported_in_one_message(monkeypatch):
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
