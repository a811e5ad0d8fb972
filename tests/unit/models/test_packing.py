from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import NO_LABEL, Batch
from raykd.models.architectures import checks, tried
from raykd.models.architectures.probe import capabilities
from raykd.models.base import RandomInitConfig
from raykd.models.dropout import with_cheap_dropout
from raykd.models.families.base import family_named
from raykd.models.forward import can_pack, forward
from raykd.models.load import build_model
from raykd.models.packing import PACKING, pack, packed_rows
from raykd.models.signals.hidden_states import hidden_states

LENGTHS = (3, 9, 4, 2, 9, 1)


def batch(lengths: tuple[int, ...] = LENGTHS) -> Batch:
    width = max(lengths)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(5, 40, mask.shape, generator=torch.Generator().manual_seed(0)) * mask
    labels = torch.where((mask == 1) & (torch.arange(width) > 0), ids, NO_LABEL)
    return Batch(
        input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids), labels=labels,
        index=torch.arange(len(lengths)),
    )  # fmt: skip


def model(family: str, **changes: object):
    sizes = RandomInitConfig(
        family=family, layers=2, hidden=16, heads=2, max_positions=16, dropout=0.0
    )
    built = build_model(
        replace(sizes, **changes), vocabulary=40, kind="causal_lm", num_labels=1, seed=0
    )
    return built.eval()


@pytest.mark.parametrize(
    ("lengths", "rows"),
    [
        ((5,), [[0]]),
        ((3, 5, 2), [[1], [0, 2]]),
        ((4, 4, 4), [[0], [1], [2]]),
        ((1, 1, 1, 5, 2, 4), [[3], [5, 0], [4, 1, 2]]),
    ],
)
def test_the_longest_text_comes_first_and_each_goes_where_it_fits(lengths, rows):
    assert packed_rows(lengths, 5) == rows


def test_every_token_has_one_place_its_own_position_and_its_own_text():
    given = batch()
    actual = pack(given)
    assert actual is not None
    assert actual.input_ids.shape == (4, 9)
    filled = actual.texts >= 0
    texts = {}
    for row, text in {*zip(*np.nonzero(filled.numpy()), strict=True)}:
        key = (row, int(actual.texts[row, text]))
        texts.setdefault(key, []).append(text)
    got = []
    for (row, _), places in texts.items():
        places = sorted(places)
        assert actual.positions[row, places].tolist() == list(range(len(places)))
        got.append(actual.input_ids[row, places].tolist())
    want = [ids[:n].tolist() for ids, n in zip(given.input_ids, LENGTHS, strict=True)]
    assert sorted(got) == sorted(want)
    # In the order of the batch, where cached outputs are looked up.
    ids = actual.at_labels(actual.input_ids[..., None])[:, 0]
    assert torch.equal(ids, given.at_labels(given.input_ids[..., None])[:, 0])


def test_rows_that_do_not_fit_together_are_left_as_they_are():
    assert pack(batch((9, 8, 7))) is None
    assert pack(batch((4,))) is None


@pytest.mark.parametrize("attention", ["sdpa", "eager", "cheap_dropout"])
@pytest.mark.parametrize("family", ["gpt2", "gpt_neo", "llama", "qwen2"])
def test_logits_and_gradients_are_those_of_rows_of_their_own(family, attention):
    """Of the families that are not probed, too."""
    one = model(family).double()
    if attention == "cheap_dropout":
        with_cheap_dropout(one)
    else:
        one.set_attn_implementation(attention)
    two = copy.deepcopy(one)
    rows: list[int] = []
    two.register_forward_pre_hook(
        lambda module, args, kwargs: rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    actual = [forward(m, batch(), packing=m is two).logits for m in (one, two)]
    assert rows == [4]
    # GPT-Neo multiplies queries and keys in float32, whatever the weights are.
    rounding = 1e-6 if family == "gpt_neo" else 1e-10
    assert torch.allclose(actual[0], actual[1], atol=rounding)
    weights = torch.randn(actual[0].shape, generator=torch.Generator().manual_seed(1)).double()
    for logits in actual:
        (logits * weights).sum().backward()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None)
        assert a.grad is None or torch.allclose(a.grad, b.grad, atol=50 * rounding)


def test_padding_of_packed_rows_is_finite_and_says_nothing():
    one = model("llama")
    given = batch((9, 4))
    alone = forward(one, batch((9, 4)), packing=True)  # two rows stay two
    assert torch.equal(alone.logits, forward(one, given).logits)


def test_what_belongs_to_positions_is_not_packed():
    one, given = model("llama"), batch()
    states = hidden_states((2,))
    actual = forward(one, given, output_spec=states, packing=True)
    assert torch.equal(actual.hidden(2), forward(one, given, output_spec=states).hidden(2))


def test_texts_that_saw_each_other_would_be_found(monkeypatch):
    """The probe fails where masks do not end with a text, and positions do not start again."""
    one = model("gpt2")
    assert checks.packing(one) == ""
    monkeypatch.setattr("raykd.models.padding._within_texts", lambda sees, packed: sees)
    assert "see each other" in checks.packing(one)
    monkeypatch.undo()
    kept = type(one).forward
    monkeypatch.setattr(
        type(one), "forward",
        lambda self, position_ids=None, **given: kept(self, **given),
    )  # fmt: skip
    assert "see each other" in checks.packing(one)


def test_what_cannot_be_given_where_texts_begin_lacks_packing():
    lacks = dict(capabilities(tried.config("bloom", "causal_lm")).lacks)
    assert "cannot be given" in lacks[PACKING]
    other = model("llama")
    other.config._attn_implementation = "flash_attention_2"
    assert not can_pack(other)


def test_the_table_says_which_architectures_pack():
    actual = {name: kinds["causal_lm"]["lacks"] for name, kinds in registry.tried().items()
             if "causal_lm" in kinds}  # fmt: skip
    assert {name for name, lacks in actual.items() if PACKING in lacks} == {"bloom", "mamba"}
    assert all(PACKING not in kinds.get("classification", {"lacks": {}})["lacks"]
               for kinds in registry.tried().values())  # fmt: skip
    assert family_named("bloom").is_decoder
