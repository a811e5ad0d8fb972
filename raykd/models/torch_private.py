"""Everything that reading checkpoints uses of torch that is not documented, checked before use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from raykd.private_api import Library, PrivateName

TORCH = Library("torch", "PyTorch", "2.13")

FAKE_TENSORS = PrivateName(
    "torch._subclasses.fake_tensor", "FakeTensorMode", "finding out where weights lie in a file"
)

PARTS = (FAKE_TENSORS,)
"""What checkpoints are read with."""


def without_values(path: Path) -> Any:
    """What a file of ``torch.save`` holds, without the values of its tensors.

    Raises:
        SetupError: This version of torch lacks one of `PARTS`.
    """
    TORCH.require(PARTS)
    with FAKE_TENSORS.find()():
        return torch.load(path, map_location="cpu", weights_only=True)


def offset_of(tensor: torch.Tensor) -> int:
    """Where a tensor of `without_values` begins in its file, in bytes.

    Raises:
        SetupError: This version of torch does not say it.
    """
    storage = tensor.untyped_storage()
    if not hasattr(storage, "_checkpoint_offset"):
        raise TORCH.lacks("UntypedStorage._checkpoint_offset (where weights lie in a file)")
    begin = int(storage._checkpoint_offset or 0)
    return begin + int(tensor.storage_offset()) * tensor.element_size()
