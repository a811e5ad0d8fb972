"""Trains only the embedding rows that occur in the data, with the same result.

A small task uses a few thousand of a vocabulary of tens of thousands. The other rows have no
gradient, so AdamW only lets them decay, by a factor that is known beforehand; yet zeroing their
gradients, adding up their norm and moving them takes a third of a small student's step. Their
gradients, moments and traffic between ranks are saved, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from raykd.data.base import TokenizedDataset

MAX_SHARE = 0.5
"""With a higher share of used rows, nothing is saved."""


class SubsetEmbedding(nn.Module):
    """Replaces an embedding: the same vectors, for a subset of the rows.

    Args:
        embedding: The embedding; it keeps its weights as they are.
        used: Row numbers that may be looked up, rising, int64 ``[K]``.
    """

    row_index: Tensor

    def __init__(self, embedding: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(embedding.weight.detach()[used].clone())
        row_index = torch.full((embedding.num_embeddings,), -1, dtype=torch.long)
        row_index[used] = torch.arange(len(used))
        self.register_buffer("row_index", row_index.to(embedding.weight.device), persistent=False)
        padding = -1 if embedding.padding_idx is None else int(row_index[embedding.padding_idx])
        self._padding_idx = padding if padding >= 0 else None

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of token ids, one more axis than `ids`."""
        return F.embedding(self.row_index[ids], self.weight, padding_idx=self._padding_idx)


class VocabSubset:
    """Trains a model with the rows of its word embedding that occur in some data.

    Args:
        model: A ``PreTrainedModel``; others, and those whose embedding is their output matrix too,
            stay as they are.
        data: Everything the model will read until `restore`; None = any token.
        special: Further token ids that it will read, e.g. padding.
    """

    def __init__(
        self, model: nn.Module, data: Iterable[TokenizedDataset] | None, special: Iterable[int]
    ) -> None:
        self._model = cast(Any, model)
        self._embedding: nn.Embedding | None = None
        embedding = _word_embedding(model)
        if embedding is None or data is None:
            return
        used_ids = [np.unique(encoded.input_ids) for encoded in data]
        used_ids.append(np.fromiter(special, np.int64))
        used = torch.from_numpy(np.unique(np.concatenate(used_ids)).astype(np.int64))
        if len(used) > MAX_SHARE * embedding.num_embeddings:
            return
        self._used = used.to(embedding.weight.device)
        self._embedding = embedding
        self._model.set_input_embeddings(SubsetEmbedding(embedding, self._used))

    def restore(self, decay: float) -> None:
        """Give the model its embedding back.

        Args:
            decay: What weight decay has multiplied a weight without gradient with.
        """
        if self._embedding is None:
            return
        with torch.no_grad():
            self._embedding.weight.mul_(decay)
            self._embedding.weight[self._used] = self._model.get_input_embeddings().weight
        self._model.set_input_embeddings(self._embedding)
        self._embedding = None


def _word_embedding(model: nn.Module) -> nn.Embedding | None:
    """The embedding of token ids, None where it cannot be replaced."""
    find: Any = getattr(model, "get_input_embeddings", None)
    embedding = find() if find is not None else None
    if type(embedding) is not nn.Embedding or not embedding.weight.requires_grad:
        return None
    owners = [m for m in model.modules() for p in m._parameters.values() if p is embedding.weight]
    return embedding if len(owners) == 1 else None
