"""What every model family that reads text promises, checked on a small model with random weights.

Those that write text are in `test_writers`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from raykd import registry
from raykd.data.base import NO_LABEL, PADDED, Batch
from raykd.models import weights
from raykd.models.base import RandomInitConfig
from raykd.models.families.base import family_of
from raykd.models.forward import forward
from raykd.models.layer_selection import select_layers
from raykd.models.load import build_model, model_dims, positions_of
from raykd.models.model_factory import factory_from_random_init
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.structured_pruning import keep_units
from raykd.models.unit_masks import count_units, masked
from raykd.models.weight_ties import tied_names
from tests.checkpoint_models import load_model

FAMILIES = tuple(
    name for name in registry.variants("families")
    if not registry.load("families", name).text_kind()
)  # fmt: skip
# Of each, whether it says where its heads and neurons are.
UNITS = {name: registry.load("families", name).units is not None for name in FAMILIES}
with_units = pytest.mark.parametrize(
    "random_init", [n for n in FAMILIES if UNITS[n]], indirect=True
)
without_units = pytest.mark.parametrize(
    "random_init", [n for n in FAMILIES if not UNITS[n]], indirect=True
)
LENGTH = 12


@pytest.fixture(params=FAMILIES)
def random_init(request) -> RandomInitConfig:
    return RandomInitConfig(
        family=request.param, layers=3, hidden=16, heads=2, max_positions=LENGTH
    )


def build(random_init: RandomInitConfig, kind: str = "classification", num_labels: int = 3):
    return build_model(random_init, vocabulary=50, kind=kind, num_labels=num_labels, seed=0)


@pytest.fixture
def batch() -> Batch:
    ids = torch.randint(5, 50, (4, LENGTH), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(LENGTH) < torch.tensor([[LENGTH], [7], [3], [1]])).long()
    types = (torch.arange(LENGTH) > 4).long() * mask
    return Batch(
        input_ids=ids * mask, attention_mask=mask, token_type_ids=types,
        labels=torch.zeros(4, dtype=torch.int64), index=torch.arange(4),
    )  # fmt: skip


def test_it_is_found_by_the_type_of_its_models(random_init):
    model = build(random_init)
    assert family_of(model.config) is registry.load("families", random_init.family)


@pytest.mark.parametrize(("kind", "num_labels"), [("classification", 3), ("regression", 1)])
def test_logits_have_the_width_of_the_task_at_full_length(random_init, batch, kind, num_labels):
    out = forward(build(random_init, kind, num_labels).eval(), batch)
    assert out.logits.shape == (4, num_labels)
    assert torch.isfinite(out.logits).all()


def test_spans_have_a_first_and_a_last_token_within_the_row(random_init, batch):
    out = forward(build(random_init, "span", 2).eval(), batch)
    assert out.logits.shape == (4, 2, LENGTH)
    outside = (batch.attention_mask == 0)[:, None].expand_as(out.logits)
    assert (out.logits[outside] == PADDED).all()
    assert (out.logits[~outside].abs() < 100).all()


def token_batch(batch: Batch) -> Batch:
    """The same rows, with a label for the second token of those that have one."""
    labels = torch.full_like(batch.input_ids, NO_LABEL)
    labels[:3, 1] = batch.input_ids[:3, 1]
    return replace(batch, labels=labels)


def test_tokens_with_a_label_have_scores_of_the_vocabulary(random_init, batch):
    model = build(random_init, "masked_lm", 1).eval()
    rows = token_batch(batch)
    out = forward(model, rows, output_spec=hidden_states((3,)))
    assert out.logits.shape == (3, 50)
    marks = (
        {"token_type_ids": rows.token_type_ids}
        if family_of(model.config).takes_token_types(model.config)
        else {}
    )
    whole = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask, **marks).logits
    assert torch.allclose(out.logits, whole[:3, 1], atol=1e-5)


def test_tied_weights_are_kept_once_and_stay_tied(random_init, batch, tmp_path):
    model = build(random_init, "masked_lm", 1).eval()
    state = weights.capture(model)
    assert not set(state.tensors) & tied_names(model)
    weights.save(state, tmp_path)
    rows = token_batch(batch)
    for again in (
        weights.restore(state).eval(),
        load_model(str(tmp_path), kind="masked_lm", num_labels=1).eval(),
    ):
        assert torch.equal(forward(again, rows).logits, forward(model, rows).logits)
        one = again.get_input_embeddings().weight
        assert again.get_output_embeddings().weight is one


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("classification", "span"),
        ("span", "classification"),
        ("masked_lm", "classification"),
        ("classification", "masked_lm"),
    ],
)
def test_a_folder_of_another_kind_gives_its_body_and_a_fresh_head(
    random_init, batch, tmp_path, kind, other
):
    model = build(random_init, kind, 2).eval()
    weights.save(weights.capture(model), tmp_path)
    again = load_model(str(tmp_path), kind=other, num_labels=2, seed=1).eval()
    rows = token_batch(batch)
    mine, reference = (forward(m, rows, output_spec=hidden_states((0, 3))) for m in (again, model))
    for layer in (0, 3):
        tokens = batch.attention_mask.bool()
        assert torch.allclose(
            mine.hidden(layer)[tokens], reference.hidden(layer)[tokens], atol=1e-6
        )
    sizes = {"span": (4, 2, LENGTH), "masked_lm": (3, 50), "classification": (4, 2)}
    rows = token_batch(batch) if other == "masked_lm" else batch
    assert forward(again, rows).logits.shape == sizes[other]


def test_all_signals_have_the_shapes_of_its_dims(random_init, batch):
    model = build(random_init).eval()
    sizes = model_dims(model)
    made = factory_from_random_init(random_init, vocabulary=50, kind="classification", num_labels=3)
    assert sizes == made.dims
    layers, blocks = tuple(range(sizes.layers + 1)), tuple(range(sizes.layers))
    out = forward(model, batch, output_spec=(*hidden_states(layers), *attention_maps(blocks)))
    assert out.stacked(layers).shape == (4, sizes.layers + 1, LENGTH, sizes.hidden)
    for block in blocks:
        assert out.attention(block).shape == (4, sizes.heads, LENGTH, LENGTH)


def test_rows_as_long_as_declared_are_allowed_and_no_longer(random_init):
    model = build(random_init)
    assert positions_of(model) == positions_of(random_init) == LENGTH


def test_padding_does_not_change_a_row(random_init, batch):
    model = build(random_init).eval()
    short = Batch(
        input_ids=batch.input_ids[1:2, :7], attention_mask=batch.attention_mask[1:2, :7],
        token_type_ids=batch.token_type_ids[1:2, :7], labels=batch.labels[1:2],
        index=batch.index[1:2],
    )  # fmt: skip
    assert torch.allclose(
        forward(model, short).logits, forward(model, batch).logits[1:2], atol=1e-5
    )


def test_dropout_is_the_one_requested(random_init):
    model = build(
        RandomInitConfig(family=random_init.family, layers=1, hidden=16, heads=2, dropout=0.3)
    )
    actual = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert actual == {0.3}


def test_every_weight_is_a_head_weight_a_block_weight_or_shared(random_init):
    model = build(random_init)
    family = family_of(model.config)
    names = set(model.state_dict())
    assert any(family.is_head(name) for name in names)
    assert all(name.startswith(family.base_prefix) != family.is_head(name) for name in names)
    for layer in range(3):
        assert any(name.startswith(f"{family.layer_prefix}{layer}.") for name in names)


@pytest.mark.parametrize("kind", ["classification", "span"])
def test_capture_and_restore_keep_the_logits(random_init, batch, kind):
    model = build(random_init, kind, 2).eval()
    again = weights.restore(weights.capture(model)).eval()
    assert torch.equal(forward(model, batch).logits, forward(again, batch).logits)


def test_a_saved_folder_loads_with_equal_logits(random_init, batch, tmp_path):
    model = build(random_init).eval()
    weights.save(weights.capture(model), tmp_path)
    again = load_model(str(tmp_path), kind="classification", num_labels=3).eval()
    assert torch.equal(forward(model, batch).logits, forward(again, batch).logits)


def test_the_first_layers_of_a_cut_model_compute_the_same(random_init, batch):
    model = build(random_init).eval()
    student = weights.restore(select_layers(weights.capture(model), (0, 2), keep_head=True)).eval()
    assert model_dims(student).layers == 2
    mine = forward(student, batch, output_spec=hidden_states((0, 1)))
    reference = forward(model, batch, output_spec=hidden_states((0, 1)))
    assert torch.equal(mine.hidden(0), reference.hidden(0))
    assert torch.equal(mine.hidden(1), reference.hidden(1))


@without_units
def test_where_units_are_not_known_their_number_is_not_either(random_init):
    assert model_dims(build(replace(random_init, heads=4, intermediate=24))).intermediate is None


@with_units
def test_units_are_where_it_says(random_init, batch):
    """A mask of zeros and ones is the same function as a model without what is masked."""
    wide = replace(random_init, hidden=16, heads=4, intermediate=24)
    model = build(wide).eval()
    assert model_dims(model).intermediate == 24
    assert count_units(model) == ((4,) * 3, (24,) * 3)
    heads, neurons = torch.ones(3, 4), torch.ones(3, 24)
    heads[:, 1], neurons[:, 5:20] = 0, 0
    full = forward(model, batch).logits
    with masked(model, heads=heads, neurons=neurons):
        expected = forward(model, batch).logits
    kept = [[row.nonzero().flatten().tolist() for row in mask] for mask in (heads, neurons)]
    pruned = keep_units(model, *kept)
    assert not torch.allclose(expected, full, atol=1e-4)
    assert torch.allclose(forward(pruned, batch).logits, expected, atol=1e-5)
    again = weights.restore(weights.capture(pruned)).eval()
    assert torch.equal(forward(again, batch).logits, forward(pruned, batch).logits)


@with_units
def test_a_block_without_units_is_the_normalisation_of_its_input(random_init, batch):
    model = build(replace(random_init, hidden=16, heads=4)).eval()
    units = family_of(model.config).units
    rest = [range(4)] * 2, [range(64)] * 2
    pruned = keep_units(model, [[], *rest[0]], [[], *rest[1]])
    block = pruned.get_submodule(family_of(model.config).layer_prefix + "0")
    out = forward(pruned, batch, output_spec=hidden_states((0, 1)))
    norms = [block.get_submodule(name) for name in (units.attention_norm, units.feed_forward_norm)]
    assert torch.allclose(out.hidden(1), norms[1](norms[0](out.hidden(0))), atol=1e-6)
