"""The memory that a student takes to score one row: its weights, and what a pass holds at a time.

Tensors are counted, not what a process or an allocator holds, so that the figure is the same in
every slot and on every device that computes in the same precision. Work space inside a kernel is
not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from raykd.data.base import TokenizedDataset
from raykd.models.forward import forward
from raykd.training.inference import InferenceSetup, inference_pass


class _TensorBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations make, while they are alive.

    Attributes:
        peak: Most bytes at one time.
    """

    def __init__(self, known: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._storages = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and count what it returns."""
        made = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._count, made)
        return made

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self._storages:
            return
        self._storages.add(storage._cdata)
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())

    def _freed(self, storage: int, nbytes: int) -> None:
        self._storages.discard(storage)
        self._now -= nbytes


def memory_mb(model: nn.Module, encoded: TokenizedDataset, setup: InferenceSetup) -> float:
    """Megabytes (1e6 bytes) of the weights, and of the tensors of a pass over the longest row.

    Args:
        model: The student, on the device of `setup`, not sharded; its mode is left as it was.
        encoded: Rows, of which the longest is scored alone.
        setup: Its precision, and how rows are padded.
    """
    weights = _weights(model)
    longest = int(np.argmax(encoded.lengths()))
    batch = setup.collate(encoded, np.asarray([longest])).to(setup.world.device)
    counted = _TensorBytes(weights)
    with inference_pass(model, setup), torch.compiler.set_stance("force_eager"), counted:
        forward(model, batch).logits.float()
    return (weight_bytes(model) + counted.peak) / 1e6


def weight_bytes(model: nn.Module) -> int:
    """Bytes of the weights of a model and of its buffers, shared ones counted once."""
    storages = [weight.untyped_storage() for weight in _weights(model)]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def _weights(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
