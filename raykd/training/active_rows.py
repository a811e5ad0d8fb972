"""Trains only those rows of an embedding that occur in the data, with the same result.

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

from raykd.data.base import Encoded

MOST = 0.5
"""Above this share of used rows nothing is gained."""


class ActiveRows(nn.Module):
    """Stands in for an embedding: the same vectors, of some rows only.

    Args:
        whole: The embedding; it keeps its weights as they are.
        used: Row numbers that may be asked for, rising, int64 ``[K]``.
    """

    place: Tensor

    def __init__(self, whole: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(whole.weight.detach()[used].clone())
        place = torch.full((whole.num_embeddings,), -1, dtype=torch.long)
        place[used] = torch.arange(len(used))
        self.register_buffer("place", place.to(whole.weight.device), persistent=False)
        padding = -1 if whole.padding_idx is None else int(place[whole.padding_idx])
        self._padding_idx = padding if padding >= 0 else None

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of token ids, one more axis than `ids`."""
        return F.embedding(self.place[ids], self.weight, padding_idx=self._padding_idx)


class Narrowed:
    """A model whose word embedding trains the rows that occur in some data.

    Args:
        model: A ``PreTrainedModel``; others, and those whose embedding is their output matrix too,
            stay as they are.
        data: Everything the model will read until `widen`; None = any token.
        special: Further token ids that it will read, e.g. padding.
    """

    def __init__(
        self, model: nn.Module, data: Iterable[Encoded] | None, special: Iterable[int]
    ) -> None:
        self._model = cast(Any, model)
        self._whole: nn.Embedding | None = None
        whole = _word_embedding(model)
        if whole is None or data is None:
            return
        found = [np.unique(encoded.input_ids) for encoded in data]
        found.append(np.fromiter(special, np.int64))
        used = torch.from_numpy(np.unique(np.concatenate(found)).astype(np.int64))
        if len(used) > MOST * whole.num_embeddings:
            return
        self._used = used.to(whole.weight.device)
        self._whole = whole
        self._model.set_input_embeddings(ActiveRows(whole, self._used))

    def widen(self, decay: float) -> None:
        """Give the model its embedding back.

        Args:
            decay: What weight decay has multiplied a weight without gradient with.
        """
        if self._whole is None:
            return
        with torch.no_grad():
            self._whole.weight.mul_(decay)
            self._whole.weight[self._used] = self._model.get_input_embeddings().weight
        self._model.set_input_embeddings(self._whole)
        self._whole = None


def _word_embedding(model: nn.Module) -> nn.Embedding | None:
    """The embedding of token ids, None where it cannot be replaced."""
    find: Any = getattr(model, "get_input_embeddings", None)
    found = find() if find is not None else None
    if type(found) is not nn.Embedding or not found.weight.requires_grad:
        return None
    owners = [m for m in model.modules() for p in m._parameters.values() if p is found.weight]
    return found if len(owners) == 1 else None
