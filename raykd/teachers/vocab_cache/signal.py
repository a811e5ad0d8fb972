"""What is recorded of a vocabulary in place of all its scores, as a signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Array
from raykd.models.base import ModelDims
from raykd.models.signals.base import STORED, Padded, RowSizes, Signal
from raykd.models.signals.ragged import Ragged
from raykd.teachers.vocab_cache.base import VocabCache
from raykd.teachers.vocab_cache.choose import vocab_cache_of


@dataclass(frozen=True, slots=True)
class VocabularyScores(Signal):
    """Token distributions, as far as a cache keeps them; one entry per token with a label.

    Attributes:
        kept: Name of the cache, such as ``hidden`` or ``top_k:64``.
    """

    kept: str

    title = "token distributions"

    @property
    def name(self) -> str:
        """``tokens/<cache>``."""
        return f"tokens/{self.kept}"

    @property
    def cache(self) -> VocabCache:
        """The cache."""
        return vocab_cache_of(self.kept)

    @property
    def rounds(self) -> bool:
        """Hidden states are kept in ``teacher.dtype``, ids and probabilities are not."""
        return bool(self.cache.states)

    @property
    def arrays(self) -> tuple[str, ...]:
        """Those of the cache."""
        return tuple(f"tokens/{name}" for name in self.cache.arrays)

    def made_from(self) -> tuple[Signal, ...]:
        """Nothing besides what every forward pass gives."""
        return ()

    def bytes(self, rows: RowSizes, sizes: ModelDims, *, wide: bool) -> Array:
        """As the cache says for a token."""
        assert rows.labelled is not None
        size: Array = rows.labelled * self.cache.token_bytes(sizes, wide=wide)
        return size

    def gather(self, parts: Mapping[str, Ragged], rows: Array, of: Padded) -> dict[str, Tensor]:
        """What is kept of the tokens, row by row, by the cache's own names.

        Token ids are int64; hidden states are as they are kept. (Ids are never kept as int16.)
        """
        kept_by_name = {}
        for own, name in zip(self.cache.arrays, self.arrays, strict=True):
            array = np.concatenate(parts[name].rows(rows))
            if array.dtype == STORED["bf16"]:
                kept = torch.from_numpy(array).view(torch.bfloat16)
            else:
                is_float = np.issubdtype(array.dtype, np.floating)
                kept = torch.from_numpy(array if is_float else array.astype(np.int64))
            kept_by_name[own] = of.move(kept)
        return kept_by_name
