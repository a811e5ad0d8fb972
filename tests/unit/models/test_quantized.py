"""Quantised checkpoints: dequantised by Transformers where it can, never read as they are."""

from __future__ import annotations

import importlib.util
import json
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from raykd.errors import DataError, SetupError
from raykd.models.checkpoint import read_checkpoint
from raykd.models.model_factory import factory_from_state

KIND = {"kind": "causal_lm", "num_labels": 0}
BLOCK = 16
INT8 = {
    "quant_method": "compressed-tensors", "format": "int-quantized", "ignore": ["lm_head"],
    "quantization_status": "compressed",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {
                "num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel",
                "dynamic": False,
            },
        }
    },
}  # fmt: skip
FP8 = {"quant_method": "fp8", "weight_block_size": [BLOCK, BLOCK], "activation_scheme": "dynamic"}


def lacks(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{missing} not installed here")


def fp8(name: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """Blocks of numbers in eight bits, each with a scale."""
    rows, columns = weight.shape
    blocks = weight.float().reshape(rows // BLOCK, BLOCK, columns // BLOCK, BLOCK)
    scale = blocks.abs().amax((1, 3)) / 448
    few = (blocks / scale[:, None, :, None]).reshape(rows, columns).to(torch.float8_e4m3fn)
    return {name: few, f"{name}_scale_inv": scale}


def int8(name: str, weight: torch.Tensor) -> dict[str, torch.Tensor]:
    """Rows of integers, each with a scale."""
    scale = weight.float().abs().amax(1, keepdim=True) / 127
    few = (weight.float() / scale).round().to(torch.int8)
    return {name: few, f"{name}_scale": scale.to(torch.bfloat16)}


def written(folder, few, setting) -> dict[str, torch.Tensor]:
    """A model whose projections are kept in few bits; returns its weights before that."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=32,
            tie_word_embeddings=False,
        )
    ).to(torch.bfloat16)  # fmt: skip
    model.save_pretrained(folder)
    kept = {}
    for name, weight in model.state_dict().items():
        kept |= few(name, weight) if "_proj." in name else {name: weight.clone()}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    state(folder, setting)
    return model.state_dict()


def state(folder, setting) -> None:
    """Say in the configuration how weights are quantised."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": setting}))


@pytest.mark.parametrize(
    ("few", "setting", "error"),
    [
        pytest.param(fp8, FP8, 0.07, marks=lacks("accelerate"), id="fp8"),
        pytest.param(int8, INT8, 0.01, marks=lacks("compressed_tensors"), id="int8"),
    ],
)
def test_it_is_dequantised_to_plain_weights(tmp_path, few, setting, error):
    before = written(tmp_path, few, setting)
    actual = read_checkpoint(str(tmp_path), **KIND)
    assert actual.fresh == ()
    assert any("is quantised" in note and "bf16" in note for note in actual.notes)
    assert "quantization_config" not in actual.state.config
    model = factory_from_state(actual.state, **KIND).frozen(torch.bfloat16)
    after = model.state_dict()
    assert set(after) == set(before)
    for name, weight in before.items():
        most = weight.float().abs().max()
        assert (after[name].float() - weight.float()).abs().max() <= error * most
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    "setting",
    [
        {"quant_method": "gptq", "bits": 4},
        {"quant_method": "awq", "bits": 4},
        {"quant_method": "bitsandbytes", "load_in_8bit": True},
        {"quant_method": "something_new"},
        {"bits": 4},
    ],
    ids=str,
)
def test_what_cannot_be_dequantised_anywhere_is_refused_by_name(tmp_path, setting):
    written(tmp_path, int8, setting)
    with pytest.raises(DataError, match=r"is quantised \(quantization_config") as caught:
        read_checkpoint(str(tmp_path), **KIND)
    assert setting.get("quant_method", "") in str(caught.value)
    assert "bf16" in caught.value.hint


def test_eight_bits_without_their_scales_are_refused(tmp_path):
    written(tmp_path, fp8, FP8)
    file = tmp_path / "model.safetensors"
    bare = {n: t for n, t in load_file(file).items() if "down_proj.weight_scale" not in n}
    save_file(bare, file, {"format": "pt"})
    with pytest.raises(DataError, match=r"'model.layers.0.mlp.down_proj.weight' has no scale"):
        read_checkpoint(str(tmp_path), **KIND)


@pytest.mark.parametrize(
    ("few", "setting", "package"), [(fp8, FP8, "accelerate"), (int8, INT8, "compressed_tensors")]
)
def test_a_package_that_is_missing_is_named(tmp_path, few, setting, package, monkeypatch):
    written(tmp_path, few, setting)
    monkeypatch.setitem(sys.modules, package, None)
    # Transformers looks for packages once per process.
    for where in ("finegrained_fp8.is_accelerate", "compressed_tensors.is_compressed_tensors"):
        monkeypatch.setattr(f"transformers.quantizers.quantizer_{where}_available", lambda: False)
    with pytest.raises(SetupError, match=package.replace("_", "[-_]")) as caught:
        read_checkpoint(str(tmp_path), **KIND)
    assert "raykd[quantization]" in caught.value.hint
