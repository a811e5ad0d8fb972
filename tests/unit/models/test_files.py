from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from raykd.models.files import ALIGNED, write_aligned, write_readable


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"]
)
def test_what_is_written_is_read_by_the_library(tmp_path, dtype):
    rng = np.random.default_rng(0)
    arrays = {
        "b": rng.integers(0, 2, (3, 5)).astype(dtype),
        "a": rng.integers(0, 2, 16).astype(dtype),
        "single": np.asarray(1, dtype),
        "none": np.zeros((0, 4), dtype),
        "turned": rng.integers(0, 2, (4, 6)).astype(dtype).T,
    }
    write_aligned(tmp_path / "x.safetensors", arrays, frozenset())
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].numpy().dtype == array.dtype
        assert np.array_equal(found[name].numpy(), array)


def test_bf16_and_the_format_are_named(tmp_path):
    numbers = torch.randn(7).to(torch.bfloat16)
    array = numbers.view(torch.int16).numpy()
    write_aligned(tmp_path / "x.safetensors", {"x": array}, frozenset({"x"}))
    assert torch.equal(load_file(tmp_path / "x.safetensors")["x"], numbers)
    with safe_open(tmp_path / "x.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_tensors_begin_where_memory_of_their_own_would(tmp_path):
    arrays = {"a": np.ones(1, np.float32), "b": np.ones((4, 16), np.float32)}
    write_aligned(tmp_path / "x.safetensors", arrays, frozenset())
    raw = (tmp_path / "x.safetensors").read_bytes()
    begin = 8 + int.from_bytes(raw[:8], "little")
    assert begin % ALIGNED == 0
    assert raw[begin:] == arrays["b"].tobytes() + arrays["a"].tobytes()


def test_a_file_that_a_library_makes_private_is_readable(tmp_path):
    def private(path):
        path.unlink()
        path.write_text("x")
        path.chmod(0o600)

    write_readable(tmp_path / "x", private)
    plain = tmp_path / "plain"
    plain.write_text("y")
    assert (tmp_path / "x").stat().st_mode == plain.stat().st_mode
    assert (tmp_path / "x").read_text() == "x"


def test_the_states_of_trainings_are_readable_too(tmp_path):
    from raykd.training.checkpoint import write_tensors

    (tmp_path / "plain").write_text("y")
    write_tensors(tmp_path / "state", {"x": torch.ones(2)}, {})
    assert (tmp_path / "state").stat().st_mode == (tmp_path / "plain").stat().st_mode
