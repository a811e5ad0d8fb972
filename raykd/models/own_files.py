"""Puts weights that were made in memory into files of this process, from which they are mapped.

Tasks of a sweep that share a model then share its memory, and it is hashed once.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from raykd.errors import SetupError
from raykd.models.files import write_aligned
from raykd.models.weight_files import SAFE, FileTensor, FileTensors, read_file
from raykd.own_folder import own_folder


def in_own_file(tensors: Mapping[str, Tensor]) -> FileTensors:
    """The same tensors, mapped from a file.

    Args:
        tensors: By name; those without a number in them stay as they are.

    Raises:
        SetupError: There is no room for the file.
    """
    held = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    bf16 = frozenset(name for name, tensor in held.items() if tensor.dtype == torch.bfloat16)
    arrays = {
        name: (tensor.view(torch.int16) if name in bf16 else tensor).numpy()
        for name, tensor in held.items()
        if tensor.numel()
    }
    path = own_folder("weights") / SAFE
    try:
        write_aligned(path, arrays, bf16)
    except OSError as exc:
        raise SetupError(
            f"cannot write weights to {path.parent}: {exc}",
            hint="name a folder with more room in the environment variable TMPDIR",
        ) from exc
    empty = {name: FileTensor(tensor, None) for name, tensor in held.items() if not tensor.numel()}
    return FileTensors({**read_file(path), **empty})
