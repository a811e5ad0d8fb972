"""Outputs of a teacher that ran elsewhere, in place of those that are recorded here.

Axes: N row, C class, M token with a label, K alternative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from raykd.data.base import Array, TokenizedDataset
from raykd.models.signals.base import Signal
from raykd.models.signals.generations import Generations
from raykd.models.signals.logits import Logits
from raykd.models.signals.ragged import one_chunk
from raykd.teachers.cached_outputs import CachedOutputs
from raykd.teachers.digest import digest
from raykd.teachers.prepared_parts import PreparedParts
from raykd.teachers.vocab_cache.base import as_ids
from raykd.teachers.vocab_cache.signal import VocabularyScores
from raykd.teachers.vocab_cache.top_k import TopKCache


@dataclass(frozen=True, kw_only=True, slots=True)
class GivenOutputs:
    """All that there is of a teacher that is no model here.

    Attributes:
        recorded: Its outputs on the train rows, None where there are texts only.
        texts: The train rows with its texts, by what these are called among the splits.
        scores: Its metrics, by role.
    """

    recorded: CachedOutputs | None = None
    texts: Mapping[str, TokenizedDataset] = field(default_factory=dict)
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def holds(self) -> tuple[str, ...]:
        """Kinds of signal, see `raykd.methods.base.DistillationContext`."""
        signals: list[Signal] = [Logits()] if self.recorded is not None else []
        signals += [Generations()] if Generations().texts in self.texts else []
        return tuple(signal.kind for signal in signals)

    @property
    def alternatives(self) -> int:
        """Tokens K that are known of each distribution over a vocabulary; 0 where there is none."""
        for signal in self.recorded.signals if self.recorded is not None else ():
            if isinstance(signal, VocabularyScores) and isinstance(signal.cache, TopKCache):
                return signal.cache.count
        return 0

    def parts(self) -> PreparedParts:
        """The parts of a preparation that it stands for."""
        return PreparedParts(scores=self.scores, teacher_texts=self.texts)

    def digest(self) -> str:
        """A name for all of it."""
        arrays = [] if self.recorded is None else list(self.recorded.arrays())
        texts = [[name, *encoded.arrays()] for name, encoded in sorted(self.texts.items())]
        return digest(self.holds, arrays, texts)


def given_logits(logits: Array) -> CachedOutputs:
    """Logits of whole rows as if they had been recorded.

    Args:
        logits: float32 ``[N, C]``.
    """
    signal = Logits()
    return CachedOutputs(
        signals=(signal,),
        parts={signal.name: one_chunk(list(logits[:, None]))},
        dtype="fp32",
        context_padding=0,
        labels_of="row",
    )


def given_top_k(ids: Sequence[Array], logs: Sequence[Array], vocabulary: int) -> CachedOutputs:
    """Log-probabilities of some tokens as if they had been recorded.

    Args:
        ids: Of every row, int64 ``[M, K]``.
        logs: Theirs among all tokens, ``[M, K]``.
        vocabulary: Number of token ids.
    """
    import torch

    kept = [as_ids(torch.from_numpy(row), vocabulary) for row in ids]
    halves = [row.astype(np.float16) for row in logs]
    signal = VocabularyScores(TopKCache(ids[0].shape[1]).name)
    arrays = dict(zip(signal.cache.arrays, (kept, halves), strict=True))
    mass = sum(float(np.exp(row.astype(np.float64)).sum()) for row in logs)
    return CachedOutputs(
        signals=(signal,),
        parts={f"tokens/{name}": one_chunk(rows) for name, rows in arrays.items()},
        dtype="fp32",
        context_padding=0,
        labels_of="token",
        coverage=(mass, float(sum(map(len, ids)))),
    )
