"""Everything that models use of torch that is not documented, checked before it is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from raykd.private_api import Library, PrivateName

TORCH = Library("torch", "PyTorch", "2.13")

FAKE_TENSORS = PrivateName(
    "torch._subclasses.fake_tensor", "FakeTensorMode", "finding where weights are in a file"
)

SHARDED_STATE = PrivateName(
    "torch.distributed.fsdp", "FSDPModule._get_fsdp_state", "sharding a model that writes text"
)
SHARDED_ROOT = PrivateName(
    "torch.distributed.fsdp._fully_shard._fsdp_state", "FSDPState._lazy_init",
    "sharding a model that writes text",
)  # fmt: skip

READING = (FAKE_TENSORS,)
"""What checkpoints are read with."""
SHARDING = (SHARDED_STATE, SHARDED_ROOT)
"""What models are sharded with."""
PARTS = (*READING, *SHARDING)


def without_values(path: Path) -> Any:
    """What a file of ``torch.save`` holds, without the values of its tensors.

    Raises:
        SetupError: This version of torch lacks one of `READING`.
    """
    TORCH.require(READING)
    with FAKE_TENSORS.find()():
        return torch.load(path, map_location="cpu", weights_only=True)


def make_root(model: Any) -> None:
    """Let a sharded model know that it is not a part of another one.

    The first part of a model that is called would take itself for the root, e.g. an encoder.

    Raises:
        SetupError: This version of torch lacks one of `SHARDING`.
    """
    TORCH.require(SHARDING)
    SHARDED_ROOT.find()(SHARDED_STATE.find()(model))


def offset_of(tensor: torch.Tensor) -> int:
    """Where a tensor of `without_values` begins in its file, in bytes.

    Raises:
        SetupError: This version of torch does not say it.
    """
    storage = tensor.untyped_storage()
    if not hasattr(storage, "_checkpoint_offset"):
        raise TORCH.lacks("UntypedStorage._checkpoint_offset (where weights are in a file)")
    begin = int(storage._checkpoint_offset or 0)
    return begin + int(tensor.storage_offset()) * tensor.element_size()
