from __future__ import annotations

import ast
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import raykd
from raykd.errors import DataError
from raykd.models.files import ALIGNED, write_aligned, write_readable
from raykd.models.weight_files import TORCH, read_tensors


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
    actual = load_file(tmp_path / "x.safetensors")
    assert actual.keys() == arrays.keys()
    for name, array in arrays.items():
        assert actual[name].numpy().dtype == array.dtype
        assert np.array_equal(actual[name].numpy(), array)


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


class _RunsCode:
    """What a pickle of it does when it is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self._folder),)


@pytest.mark.parametrize("of_today", [True, False])
def test_a_file_of_weights_that_runs_code_is_refused_and_the_code_does_not_run(tmp_path, of_today):
    ran = tmp_path / "ran"
    weights = {"weight": torch.ones(2), "more": _RunsCode(ran)}
    torch.save(weights, tmp_path / TORCH, _use_new_zipfile_serialization=of_today)
    with pytest.raises(DataError, match="holds no plain weights") as caught:
        read_tensors(tmp_path)
    assert "torch.save(model.state_dict()" in caught.value.hint
    assert not ran.exists()
    torch.load(tmp_path / TORCH, weights_only=False)
    assert ran.exists(), "it would have run"


_READ_CODE = {"pickle.load", "cloudpickle.load", "dill.load", "joblib.load", "shelve.open",
              "marshal.load"}  # fmt: skip
_SAFE_IF_SAID = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}


def test_no_line_of_raykd_unpickles_a_file():
    calls = []
    for path in Path(raykd.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                calls.append((path, ast.unparse(node.func), node))
    assert "torch.load" in {name for _, name, _ in calls}
    for path, name, node in calls:
        assert name not in _READ_CODE, f"{path}:{node.lineno}"
        if name in _SAFE_IF_SAID:
            option, value = _SAFE_IF_SAID[name]
            message = {k.arg: ast.literal_eval(k.value) for k in node.keywords if k.arg == option}
            assert message == {option: value}, f"{path}:{node.lineno}"
