import contextlib
import os
import resource

import numpy as np
import pytest
import torch

from raykd.errors import SetupError
from raykd.training.checkpoint import read_tensors, write_tensors


@contextlib.contextmanager
def files_no_larger_than(num_bytes):
    """What a full disk looks like to a writer: its write fails halfway."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_tensors_and_record_come_back(tmp_path):
    path = tmp_path / "new" / "state.safetensors"
    shared = torch.arange(6.0)
    tensors = {"a": shared, "b": shared.view(2, 3).T, "c": torch.tensor(7, dtype=torch.uint8)}
    write_tensors(path, tensors, {"x": [1, 0.1], "y": None})
    back, record = read_tensors(path)
    assert record == {"x": [1, 0.1], "y": None}
    assert {k: v.dtype for k, v in back.items()} == {k: v.dtype for k, v in tensors.items()}
    assert all(torch.equal(back[k], tensors[k]) for k in tensors)


def test_disk_full_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "state.safetensors"
    write_tensors(path, {"a": torch.ones(4)}, {"step": 1})
    with files_no_larger_than(10_000), pytest.raises(SetupError) as caught:
        write_tensors(path, {"a": torch.zeros(10_000)}, {"step": 2})
    assert "40,000 bytes" in caught.value.message
    assert str(tmp_path) in caught.value.message
    assert caught.value.hint
    tensors, record = read_tensors(path)
    assert record == {"step": 1}
    assert torch.equal(tensors["a"], torch.ones(4))
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot write 4 bytes to folder"):
        write_tensors(tmp_path / "file" / "state.safetensors", {"a": torch.ones(1)}, {})


@pytest.mark.parametrize("content", [b"", b"not a state", bytes(np.full(64, 255, np.uint8))])
def test_a_broken_file_is_one_message(tmp_path, content):
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(SetupError, match="cannot be read as a saved state"):
        read_tensors(path)


def test_a_state_that_is_cut_anywhere_cannot_be_read(tmp_path):
    path = tmp_path / "state.safetensors"
    write_tensors(path, {"a": torch.ones(700), "b": torch.ones(3)}, {"step": 1})
    for size in reversed(range(max(0, path.stat().st_size - 4096), path.stat().st_size)):
        os.truncate(path, size)
        with pytest.raises(SetupError, match="cannot be read as a saved state"):
            read_tensors(path)
