"""DistillKit's small setting ("around 114 bytes per token"): packed ids and a curve through values.

Of the 50 most likely tokens the ids are kept in as many bits as the vocabulary needs, the largest
log-probability in bf16, and three float32 coefficients (constant, linear, square root of the rank)
that least squares fits to the other 49 in falling order.

References:
    DistillKit, https://github.com/arcee-ai/DistillKit, README, "budget pick".
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Array

COUNT = 50
COEFFICIENTS = 3


def packed(ids: Tensor, logs: Tensor, vocabulary: int) -> Array:
    """Everything that is kept of each token, uint8 ``[M, bytes]``.

    Args:
        ids: ``[M, COUNT]``, the most likely token first.
        logs: Their log-probabilities, falling, same shape.
        vocabulary: Its size.
    """
    width = math.ceil(math.log2(vocabulary))
    bits = (ids.numpy()[..., None] >> np.arange(width)) & 1
    indices = np.packbits(bits.reshape(len(ids), -1).astype(np.uint8), axis=-1)
    first = logs[:, :1].bfloat16().view(torch.uint8).numpy()
    fitted = torch.linalg.lstsq(_terms().double(), logs[:, 1:].double().T).solution.T
    return np.concatenate(
        [indices, first, fitted.float().contiguous().view(torch.uint8).numpy()], axis=-1
    )


def unpacked(kept: Array, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Ids and log-probabilities as they are restored, both ``[M, COUNT]``."""
    width = math.ceil(math.log2(vocabulary))
    values = 2 + 4 * COEFFICIENTS
    bits = np.unpackbits(kept[:, :-values], axis=-1, count=COUNT * width)
    ids = (bits.reshape(len(kept), COUNT, width).astype(np.int64) << np.arange(width)).sum(-1)
    tail = torch.from_numpy(np.ascontiguousarray(kept[:, -values:]))
    first = tail[:, :2].contiguous().view(torch.bfloat16).float()
    curve = tail[:, 2:].contiguous().view(torch.float32) @ _terms().T
    return torch.from_numpy(ids), torch.cat([first, curve], dim=-1)


def _terms() -> Tensor:
    """``[COUNT - 1, COEFFICIENTS]`` in float32."""
    rank = torch.arange(COUNT - 1, dtype=torch.float32)
    return torch.stack([torch.ones_like(rank), rank, rank.sqrt()], dim=-1)
