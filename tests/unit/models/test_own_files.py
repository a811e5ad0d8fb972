"""Weights that are made while they are read: once for all tasks, and mapped from a file."""

from __future__ import annotations

import pytest
import torch
from transformers import MixtralConfig, MixtralForCausalLM

from raykd.errors import SetupError
from raykd.models import own_files, weights
from raykd.models.checkpoint import read_checkpoint
from raykd.models.file_arrays import FilePart, scan, where
from raykd.models.own_files import in_own_file
from tests.unit.models.checkpoints import save_tiny

TASKS = 12


def parts(state) -> dict[str, object]:
    return {name: where(state.tensors, name) for name in state.tensors}


def test_tasks_that_share_a_teacher_read_it_once(tmp_path):
    save_tiny(tmp_path / "teacher")
    before = scan.cache_info().misses
    actual = [
        read_checkpoint(str(tmp_path / "teacher"), kind="classification", num_labels=3)
        for _ in range(TASKS)
    ]
    assert scan.cache_info().misses - before == len(actual[0].state.tensors)
    assert all(parts(one.state) == parts(actual[0].state) for one in actual)
    assert all(isinstance(part, FilePart) for part in parts(actual[0].state).values())


def test_experts_that_the_library_puts_together_lie_in_one_file_for_all_tasks(tmp_path):
    config = MixtralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=4,
    )  # fmt: skip
    torch.manual_seed(0)
    model = MixtralForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    one, two = (
        read_checkpoint(str(tmp_path), kind="causal_lm", num_labels=1).state for _ in range(2)
    )
    assert parts(one) == parts(two)
    assert all(isinstance(part, FilePart) for part in parts(one).values())
    read = weights.restore(one).state_dict()
    assert all(torch.equal(read[name], value) for name, value in model.state_dict().items())


def test_a_file_of_its_own_holds_the_same_numbers(tmp_path, monkeypatch):
    given = {
        "half": torch.randn(3, 5).to(torch.bfloat16), "whole": torch.arange(4),
        "turned": torch.randn(4, 3).T, "empty": torch.empty(0),
    }  # fmt: skip
    actual = in_own_file(given).tensors
    assert all(torch.equal(actual[name], tensor) for name, tensor in given.items())
    assert actual["half"].dtype == torch.bfloat16
    monkeypatch.setattr(own_files, "own_folder", lambda what: tmp_path / "nowhere")
    with pytest.raises(SetupError, match="cannot write weights to") as caught:
        in_own_file(given)
    assert "TMPDIR" in caught.value.hint
