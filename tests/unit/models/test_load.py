from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raykd.data.base import Batch
from raykd.errors import DataError, SetupError, SpecError
from raykd.models import weights
from raykd.models.base import ModelDims
from raykd.models.checkpoint import read_checkpoint
from raykd.models.forward import forward
from raykd.models.load import (
    build_model,
    model_dims,
    positions_of,
)
from raykd.models.model_factory import factory_from_random_init
from tests.checkpoint_models import load_model, load_state
from tests.unit.models.checkpoints import SHAPE, save_tiny, tiny


def rewrite(folder: Path, change) -> None:
    """Change the weights of a model folder."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file)


def encoder(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v for k, v in model.state_dict().items() if not k.startswith("classifier.")}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_a_checkpoint_with_the_tasks_head_keeps_it(tmp_path):
    save_tiny(tmp_path)
    model = load_model(str(tmp_path), kind="classification", num_labels=3)
    assert same(model.state_dict(), tiny().state_dict())


def test_a_head_of_another_width_is_drawn_anew(tmp_path):
    save_tiny(tmp_path)
    one, other = (
        load_model(str(tmp_path), kind="classification", num_labels=2, seed=s) for s in (0, 1)
    )
    assert one.classifier.weight.shape == (2, 16)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    assert same(encoder(one), encoder(tiny()))


def test_a_bare_encoder_gets_a_head(tmp_path):
    save_tiny(tmp_path)
    rewrite(
        tmp_path,
        lambda given: {
            k.removeprefix("bert."): v for k, v in given.items() if k.startswith("bert.")
        },
    )
    model = load_model(str(tmp_path), kind="regression", num_labels=1)
    assert same(encoder(model), encoder(tiny()))
    assert model.classifier.weight.shape == (1, 16)


def test_old_names_of_normalisation_weights_are_understood(tmp_path):
    save_tiny(tmp_path)
    rewrite(
        tmp_path,
        lambda given: {
            k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            ): v
            for k, v in given.items()
        },
    )
    model = load_model(str(tmp_path), kind="classification", num_labels=3)
    assert same(model.state_dict(), tiny().state_dict())


def test_shards_are_read_together(tmp_path):
    save_tiny(tmp_path)
    given = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    names = sorted(given)
    parts = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
    for file, part in parts.items():
        save_file({k: given[k] for k in part}, tmp_path / file)
    index = {"weight_map": {k: file for file, part in parts.items() for k in part}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    model = load_model(str(tmp_path), kind="classification", num_labels=3)
    assert same(model.state_dict(), tiny().state_dict())


def test_an_old_checkpoint_file_is_read(tmp_path):
    save_tiny(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    model = load_model(str(tmp_path), kind="classification", num_labels=3)
    assert same(model.state_dict(), tiny().state_dict())


def test_of_two_formats_it_says_which_is_read_where_they_differ(tmp_path):
    save_tiny(tmp_path)
    given = load_file(tmp_path / "model.safetensors")

    def notes(other: dict[str, torch.Tensor] | bytes) -> tuple[str, ...]:
        if isinstance(other, bytes):
            (tmp_path / "pytorch_model.bin").write_bytes(other)
        else:
            torch.save(other, tmp_path / "pytorch_model.bin")
        return read_checkpoint(str(tmp_path), kind="classification", num_labels=3).notes

    bias = "bert.encoder.layer.1.output.dense.bias"
    assert notes(given) == ()
    assert notes(given | {"cls.tied.bias": torch.zeros(3)}) == ()
    assert notes({k: v.half().float() for k, v in given.items()}) != ()
    (message,) = notes(given | {bias: given[bias] + 1})
    assert (
        "holds both model.safetensors, which is read, and pytorch_model.bin, which is not"
        in message
    )
    assert message.endswith(f"'{bias}' has other values")
    (message,) = notes(given | {bias: torch.zeros(3)})
    assert message.endswith(f"'{bias}' has shape [{len(given[bias])}] and [3]")
    assert notes({"other": torch.zeros(3)})[0].endswith("they have no weight in common")
    assert notes(b"no weights")[0].endswith("it could not be compared")
    model = load_model(str(tmp_path), kind="classification", num_labels=3)
    assert same(model.state_dict(), tiny().state_dict())


def test_a_half_precision_checkpoint_is_loaded_in_float32(tmp_path):
    save_tiny(tmp_path)
    rewrite(tmp_path, lambda given: {k: v.to(torch.bfloat16) for k, v in given.items()})
    model = load_model(str(tmp_path), kind="classification", num_labels=3)
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_nan_in_a_checkpoint_names_the_weight(tmp_path):
    save_tiny(tmp_path)
    name = "bert.encoder.layer.2.attention.self.query.weight"

    def spoil(given):
        given[name][3, :2] = float("nan")
        return given

    rewrite(tmp_path, spoil)
    with pytest.raises(DataError, match=rf"'{name}' holds 2 values that are NaN or infinite"):
        load_model(str(tmp_path), kind="classification", num_labels=3)


def test_a_missing_weight_is_named(tmp_path):
    save_tiny(tmp_path)
    name = "bert.encoder.layer.0.output.dense.bias"
    rewrite(tmp_path, lambda given: {k: v for k, v in given.items() if k != name})
    with pytest.raises(DataError, match=f"lacks the weight '{name}'"):
        load_model(str(tmp_path), kind="classification", num_labels=3)


def test_a_weight_of_another_size_than_the_configuration_is_named(tmp_path):
    save_tiny(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 99}))
    with pytest.raises(DataError, match=r"word_embeddings.* has shape \[64, 16\].* \[99, 16\]"):
        load_model(str(tmp_path), kind="classification", num_labels=3)


def test_a_deberta_with_the_newer_output_layer_has_its_logits(tmp_path):
    save_tiny(tmp_path, family="deberta_v2", kind="masked_lm", num_labels=1)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"legacy": False}))
    model = load_model(str(tmp_path), kind="masked_lm", num_labels=1).eval()
    assert hasattr(model, "lm_predictions")
    ids = torch.arange(5, 17).view(2, 6)
    ones = torch.ones_like(ids)
    batch = Batch(
        input_ids=ids, attention_mask=ones, token_type_ids=ones, labels=ids, index=torch.arange(2)
    )
    whole = model(input_ids=ids, attention_mask=ones).logits
    assert torch.allclose(forward(model, batch).logits, whole.flatten(0, 1), atol=1e-6)


def test_a_damaged_weight_file_is_an_error_of_the_data(tmp_path):
    save_tiny(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(DataError, match="cannot be read"):
        load_model(str(tmp_path), kind="classification", num_labels=3)


def test_a_folder_without_weights(tmp_path):
    save_tiny(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(SpecError, match="no weights"):
        load_model(str(tmp_path), kind="classification", num_labels=3)


def test_a_type_that_is_not_supported(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bertt"}')
    with pytest.raises(
        SpecError, match="models of type 'bertt' are not known to Transformers"
    ) as caught:
        load_model(str(tmp_path), kind="classification", num_labels=3)
    assert caught.value.hint == "did you mean 'bert'?"


def test_a_hub_name_without_network_fails_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(SetupError) as caught:
        load_state("google-bert/bert-base-uncased", kind="classification", num_labels=2)
    assert time.monotonic() - began < 10
    assert str(caught.value) == (
        "'google-bert/bert-base-uncased' is not a folder here, and the model hub cannot be reached "
        f"for one of that name: no network, and not in the local cache ({tmp_path})"
    )
    assert caught.value.hint == (
        "check the name of the folder, or download the model once with network"
    )


def test_random_weights_follow_the_seed_and_leave_the_generator_alone():
    before = torch.get_rng_state()
    assert same(tiny(seed=3).state_dict(), tiny(seed=3).state_dict())
    assert not same(tiny(seed=3).state_dict(), tiny(seed=4).state_dict())
    assert torch.equal(torch.get_rng_state(), before)


def test_narrow_models_begin_with_wider_spread_weights():
    query = tiny().bert.encoder.layer[0].attention.self.query.weight
    assert query.std().item() == pytest.approx(16**-0.5, rel=0.2)


def test_heads_must_divide_the_width():
    with pytest.raises(SpecError, match="hidden: 16 cannot be split over heads: 3"):
        build_model(
            replace(SHAPE, heads=3), vocabulary=64, kind="classification", num_labels=2, seed=0
        )


def test_dims_is_the_same_from_model_state_and_shape():
    expected = ModelDims(
        family="bert",
        layers=3,
        hidden=16,
        heads=2,
        vocabulary=64,
        intermediate=64,
        positions=SHAPE.max_positions,
    )
    assert model_dims(tiny()) == expected
    assert model_dims(weights.capture(tiny())) == expected
    made = factory_from_random_init(SHAPE, vocabulary=64, kind="classification", num_labels=3)
    assert made.dims == expected


def test_positions_are_those_that_the_model_was_made_for():
    assert [positions_of(m) for m in (tiny(), weights.capture(tiny()), SHAPE)] == [24, 24, 24]


@pytest.mark.parametrize("pad", [0, 1, 4])
def test_positions_that_count_from_the_padding_token_are_fewer_than_those_there_are(pad):
    random_init = replace(SHAPE, family="roberta")
    model = build_model(
        random_init, vocabulary=64, kind="classification", num_labels=2, seed=0, pad=pad
    ).eval()
    assert positions_of(model) == positions_of(random_init) == 24
    assert model.config.max_position_embeddings == 24 + max(2, pad + 1)
    longest = torch.full((1, 24), 9)
    assert torch.isfinite(model(input_ids=longest).logits).all()
