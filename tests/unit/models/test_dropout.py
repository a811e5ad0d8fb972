from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from raykd.data.base import Batch
from raykd.models import dropout
from raykd.models.base import RandomInitConfig
from raykd.models.dropout import CheapDropout, kept, with_cheap_dropout
from raykd.models.forward import forward
from raykd.models.load import build_model


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 0.999])
def test_as_many_stay_as_requested(probability):
    torch.manual_seed(0)
    stays = kept(torch.Size([7, 11, 13_001]), probability, torch.float32)
    assert stays.shape == (7, 11, 13_001)
    assert stays.mean().item() == pytest.approx(1 - probability, abs=2e-3)
    # Neighbours share a number of 64 bits, and do not know of each other.
    pairs = (stays[..., :-1] * stays[..., 1:]).mean().item()
    assert pairs == pytest.approx((1 - probability) ** 2, abs=3e-3)


def test_a_seed_decides_what_stays():
    torch.manual_seed(4)
    one, two = (kept(torch.Size([101]), 0.5, torch.bfloat16) for _ in range(2))
    torch.manual_seed(4)
    assert torch.equal(kept(torch.Size([101]), 0.5, torch.bfloat16), one)
    assert not torch.equal(one, two)


def test_the_mean_stays_and_the_gradient_goes_where_values_went():
    torch.manual_seed(0)
    values = torch.ones(400, 300, requires_grad=True)
    out = CheapDropout(0.25).train()(values)
    assert out.mean().item() == pytest.approx(1.0, abs=5e-3)
    assert out.detach().unique().tolist() == [0.0, pytest.approx(4 / 3)]
    out.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, out.detach())


@pytest.mark.parametrize(("p", "training"), [(0.3, False), (0.0, True)])
def test_without_dropout_nothing_is_drawn(p, training):
    state = torch.get_rng_state()
    values = torch.randn(5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(CheapDropout(p).train(training)(values), values)
    assert torch.equal(torch.get_rng_state(), state)


def heads(dtype=torch.float64):
    random = torch.Generator().manual_seed(2)
    made = [torch.randn(2, 3, 5, 4, generator=random, dtype=dtype) for _ in range(3)]
    return [t.requires_grad_() for t in made]


MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()[:, None, None, :]


@pytest.mark.parametrize("mask", [None, MASK])
def test_attention_is_the_librarys_where_everything_stays(mask, monkeypatch):
    monkeypatch.setattr(dropout, "kept", lambda shape, p, dtype: torch.ones(shape, dtype=dtype))
    one, two = heads(), heads()
    tiny = 1e-12  # so little that dividing by what stays changes nothing
    mine, _ = dropout.attend(nn.Module(), *one, mask, dropout=tiny)
    expected = F.scaled_dot_product_attention(*two, attn_mask=mask).transpose(1, 2)
    assert torch.allclose(mine, expected)
    weight = torch.randn(mine.shape, generator=torch.Generator().manual_seed(3)).double()
    (mine * weight).sum().backward()
    (expected * weight).sum().backward()
    assert all(torch.allclose(a.grad, b.grad) for a, b in zip(one, two, strict=True))


def test_the_gradient_of_attention_belongs_to_what_was_drawn():
    def run(*inputs):
        torch.manual_seed(5)
        return dropout.attend(nn.Module(), *inputs, MASK, dropout=0.4)[0]

    assert torch.autograd.gradcheck(run, tuple(heads()))


def test_what_is_rotated_in_float32_meets_values_in_bf16():
    one, two = ([t.detach().float() for t in heads()] for _ in range(2))
    inputs = [t.requires_grad_() for t in (one[0], one[1], one[2].bfloat16())]
    with torch.autocast("cpu", torch.bfloat16):
        torch.manual_seed(5)
        mine, _ = dropout.attend(nn.Module(), *inputs, MASK, dropout=0.4)
    assert mine.dtype == torch.bfloat16
    wanted = [t.requires_grad_() for t in two]
    torch.manual_seed(5)
    plain, _ = dropout.attend(nn.Module(), *wanted, MASK, dropout=0.4)
    assert torch.allclose(mine.float(), plain, atol=0.05)
    mine.float().sum().backward()
    plain.sum().backward()
    for actual, expected in zip(inputs, wanted, strict=True):
        assert torch.allclose(actual.grad.float(), expected.grad, atol=0.1)


FAMILIES = {
    "bert": "classification", "roberta": "classification", "distilbert": "classification",
    "deberta": "classification", "gpt2": "causal_lm", "t5": "seq2seq", "llama": "causal_lm",
    "qwen3": "causal_lm", "gemma3_text": "causal_lm",
}  # fmt: skip


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("family", "kind"), FAMILIES.items())
def test_a_model_evaluates_as_before_and_trains_with_dropout(family, kind, precision):
    random_init = RandomInitConfig(
        family=family, layers=2, hidden=16, heads=2, max_positions=12, dropout=0.2
    )
    model = build_model(random_init, vocabulary=50, kind=kind, num_labels=3, seed=0)
    ids = torch.randint(5, 50, (4, 12), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(12) < torch.tensor([[12], [7], [3], [5]])).long()
    labels = torch.zeros(4, dtype=torch.long) if kind == "classification" else ids
    batch = Batch(
        input_ids=ids * mask, attention_mask=mask, token_type_ids=torch.zeros_like(ids),
        labels=labels, index=torch.arange(4),
    )  # fmt: skip
    before = forward(model.eval(), batch).logits
    names = list(model.state_dict())
    with_cheap_dropout(model)
    assert list(model.state_dict()) == names
    assert torch.equal(forward(model.eval(), batch).logits, before)
    assert {type(m) for m in model.modules() if isinstance(m, nn.Dropout)} <= {CheapDropout}
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        torch.manual_seed(1)
        one = forward(model, batch).logits
        torch.manual_seed(1)
        assert torch.equal(forward(model, batch).logits, one)
    assert not torch.allclose(one.float(), before)
    one.float().square().mean().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(g).all() for g in gradients)
