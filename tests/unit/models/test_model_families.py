"""Families that have no file: found by model type, by a dotted name, or refused with the reason."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd.data.base import Batch
from raykd.errors import SpecError, UnknownName
from raykd.models import weights
from raykd.models.architectures.probe import capabilities
from raykd.models.architectures.small_copy import small_config
from raykd.models.base import RandomInitConfig
from raykd.models.checkpoint import read_checkpoint
from raykd.models.families.base import family_named, family_of
from raykd.models.forward import forward
from raykd.models.generation import GenerationSettings, generate
from raykd.models.layer_selection import select_layers
from raykd.models.load import build_model, model_dims, positions_of
from raykd.models.structured_pruning import keep_units
from raykd.models.unit_masks import count_units

MINE = """
from raykd.models.families.base import ModelFamily
from raykd.models.prunable_units import PrunableUnits

FAMILY = ModelFamily(
    model_type="electra",
    units=PrunableUnits(
        attention="attention.self", query="attention.self.query", key="attention.self.key",
        value="attention.self.value", attention_output="attention.output.dense",
        attention_norm="attention.output.LayerNorm", feed_forward_in="intermediate.dense",
        feed_forward_out="output.dense", feed_forward_norm="output.LayerNorm",
    ),
)
"""


def sizes(family: str, **changes) -> RandomInitConfig:
    plain = {"layers": 3, "hidden": 16, "heads": 4, "intermediate": 24, "max_positions": 20}
    return RandomInitConfig(family=family, **(plain | changes))


def tiny(family: str, kind: str = "classification", num_labels: int = 3, **changes):
    return build_model(
        sizes(family, **changes), vocabulary=50, kind=kind, num_labels=num_labels, seed=0
    ).eval()


def batch(ids: torch.Tensor, mask: torch.Tensor) -> Batch:
    return Batch(
        input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids),
        labels=torch.zeros(len(ids), dtype=torch.long), index=torch.arange(len(ids)),
    )  # fmt: skip


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A family in a module of the user's."""
    package = tmp_path / "my_families"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "electra.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "my_families.electra"
    for name in [n for n in sys.modules if n.startswith("my_families")]:
        del sys.modules[name]


def test_a_name_may_be_spelled_with_either_dash():
    assert family_named("xlm_roberta") is family_named("xlm-roberta") is family_of("xlm-roberta")
    with pytest.raises(UnknownName, match="unknown model family 'modernbret'") as caught:
        family_named("modernbret")
    assert "did you mean 'modernbert'?" in caught.value.hint


def test_positions_that_count_from_the_padding_are_left_out():
    for name in ("xlm-roberta", "camembert", "mpnet"):
        model = tiny(name)
        assert positions_of(model) == 20
        ids = torch.randint(5, 50, (1, 20))
        assert forward(model, batch(ids, torch.ones_like(ids))).logits.isfinite().all()


def test_a_family_outside_the_package_adds_its_units(outside, tmp_path):
    model = tiny(outside)
    assert model_dims(model).family == outside
    assert model_dims(model).intermediate == 24
    assert model_dims(tiny("electra")).intermediate is None
    keep_units(model, [range(2)] * 3, [range(8)] * 3)
    weights.save(weights.capture(model), tmp_path / "pruned")
    again = weights.restore(weights.load(tmp_path / "pruned")).eval()
    assert count_units(again) == ((2,) * 3, (8,) * 3)
    ids = torch.randint(5, 50, (2, 6))
    rows = batch(ids, torch.ones_like(ids))
    assert torch.equal(forward(again, rows).logits, forward(model, rows).logits)


def test_code_of_a_models_own_is_never_run(tmp_path):
    config = {"model_type": "my_arch", "auto_map": {"AutoModel": "modeling.Mine"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "modeling.py").write_text("raise SystemExit('it was run')")
    with pytest.raises(SpecError, match=r"brings code of its own \(auto_map"):
        read_checkpoint(str(tmp_path), kind="classification", num_labels=2)


def test_heads_of_odd_width_are_refused_where_positions_turn_pairs_of_numbers():
    for name in ("qwen3", "llama", "modernbert"):
        with pytest.raises(SpecError, match=f"heads of 3, and rotary positions of a {name}"):
            family_named(name).config(sizes(name, hidden=12), 50, family_of(name).kinds[-1], 1)
    assert tiny("electra", hidden=12).config.hidden_size == 12


def test_a_convolution_that_reads_padding_is_found_out_however_few_the_blocks():
    """A single one reaches from the first token to padding in rows of a few tokens only."""
    config = family_of("convbert").config(sizes("convbert", layers=1), 50, "classification", 3)
    assert "depend on how far the row is padded" in capabilities(config).refused


def test_sizes_that_the_library_refuses_are_refused_in_its_words():
    without = sizes("diffllama", dropout=0.0)
    assert family_named("diffllama").config(without, 50, "causal_lm", 1).num_hidden_layers == 3
    config = family_named("diffllama").config(sizes("diffllama"), 50, "causal_lm", 1)
    assert "does not support `attention_dropout > 0`" in capabilities(config).refused
    with pytest.raises(SpecError, match="makes no bamba of such sizes"):
        family_named("bamba").config(sizes("bamba"), 50, "causal_lm", 1)


def test_a_model_of_several_models_is_refused_by_name():
    with pytest.raises(SpecError, match="a gemma3 is made of several models"):
        family_named("gemma3").config(sizes("gemma3"), 50, "causal_lm", 1)


def test_a_decoder_with_a_head_for_classes_pads_with_its_tokenizers_token(tmp_path):
    """Whatever its configuration says: the last token that is another one speaks for the text."""
    weights.save(weights.capture(tiny("qwen3", "causal_lm", 1)), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))
    state = read_checkpoint(str(tmp_path), kind="classification", num_labels=2, pad=7).state
    model = weights.restore(state).eval()
    ids = torch.tensor([[10, 11, 12, 13], [20, 21, 7, 7]])
    actual = forward(model, batch(ids, (ids != 7).long())).logits
    alone = forward(model, batch(ids[1:, :2], torch.ones(1, 2, dtype=torch.long))).logits
    assert torch.allclose(actual[1:], alone, atol=1e-5)
    assert weights.restore(state).config.pad_token_id == 7


def test_text_is_written_without_what_a_configuration_forces():
    model = tiny("bart", "seq2seq", 1)
    assert model.config.forced_eos_token_id == 2
    with torch.no_grad():
        model.final_logits_bias[:, 2] = -100.0  # never the most likely one
    actual = generate(
        model, [np.arange(10, 15)], GenerationSettings(max_new_tokens=6, end=1, pad=0)
    )
    assert 2 not in actual.tolist()[0]


def test_a_small_copy_keeps_the_switches_and_has_blocks_of_every_type():
    family = family_of("gemma3_text")
    config = family.config(sizes("gemma3_text", layers=12, max_positions=8192), 50, "causal_lm", 1)
    config.sliding_window = 4096
    small = small_config(family, config)
    assert small.num_hidden_layers == 7
    assert {*small.layer_types} == {"sliding_attention", "full_attention"}
    assert small.sliding_window == 8
    assert small.head_dim * small.num_attention_heads == small.hidden_size


def windows(of: list[int], max_positions: int):
    family = family_of("led")
    given = sizes("led", layers=len(of), max_positions=max_positions)
    config = family.config(given, 50, "seq2seq", 1)
    config.attention_window = of
    return family, config


def test_a_small_copy_has_short_windows_where_each_block_has_its_own():
    """As an LED has once it was built, and in every file of one."""
    family, config = windows([64] * 5 + [128] * 5, 1024)
    small = small_config(family, config)
    assert small.attention_window == [8] * small.num_hidden_layers == [8] * 7
    assert not capabilities(config).refused
    config.attention_window = [64] * 10
    assert not capabilities(family.head_class("seq2seq")(config).config).refused


def test_rows_as_long_as_a_model_has_positions_can_be_read_or_it_is_refused():
    """An LED pads its rows to a multiple of its window, beyond positions that are no multiple."""
    assert family_of("led").config(sizes("led"), 50, "seq2seq", 1).attention_window == 20
    assert not capabilities(windows([20] * 3, 20)[1]).refused
    for window, positions in ((20, 21), (512, 600)):
        refused = capabilities(windows([window] * 3, positions)[1]).refused
        assert "cannot read a row as long as it has positions (IndexError" in refused


def test_a_student_of_some_blocks_keeps_the_windows_of_each():
    state = weights.capture(tiny("longformer", layers=4))
    config = {**state.config, "attention_window": [4, 8, 12, 16]}
    student = select_layers(replace(state, config=config), (3, 1), keep_head=True)
    assert student.config["attention_window"] == [16, 8]
    assert weights.restore(student).config.num_hidden_layers == 2
