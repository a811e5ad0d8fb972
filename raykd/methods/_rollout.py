"""Responses that a student sampled: what is kept of them, split into micro batches.

Axes: B response, S position of a response, M token.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import NO_LABEL, Batch, moved
from raykd.losses.terms import Mean, Term
from raykd.losses.token_mask import TokenMask

_OWN = ("mask", "ids", "old", "weight", "advantage", "reward")
_READ = ("input_ids", "attention_mask", "token_type_ids", "labels", "index")


@dataclass(frozen=True, kw_only=True, slots=True)
class Responses:
    """Responses to some prompts, and how likely their tokens were when they were sampled.

    Attributes:
        batch: Prompts with the responses.
        mask: 1 = token of a response, ``[B, S]``.
        ids: Their tokens, ``[M]``.
        old: Log-probability to the student at the temperature of sampling, ``[B, S]``.
    """

    batch: Batch
    mask: Tensor
    ids: Tensor
    old: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout(Responses):
    """Responses with what a step learns from.

    Attributes:
        weight: Of importance, ``[B, S]``.
        advantage: Whitened, ``[B, S]``.
        reward: Mean reward of a token, before it is scaled; a scalar.
        counts: 1, or 0 for that of a rank which had no rows of the batch that was sampled for.
    """

    weight: Tensor
    advantage: Tensor
    reward: Tensor
    counts: float = 1.0

    @property
    def tokens(self) -> float:
        """How many tokens count."""
        return self.counts * len(self.ids)

    @property
    def rows(self) -> float:
        """How many responses count."""
        return self.counts * len(self.mask)

    def mean(self, value: Tensor) -> Mean:
        """A mean over its tokens, which belong to the batch that it was sampled for."""
        return Mean(value, self.tokens, of_batch=False)

    def logged(self) -> dict[str, Term]:
        """Its metrics."""
        lengths = Mean(self.lengths.float().mean(), self.rows, of_batch=False)
        return {"reward": self.mean(self.reward), "rollout_length": lengths}

    @property
    def lengths(self) -> Tensor:
        """Tokens of each response, ``[B]``."""
        return self.mask.sum(dim=1)

    @property
    def responses(self) -> TokenMask:
        """Where their tokens are."""
        return TokenMask.of_lengths(self.mask, self.batch.label_counts.tolist())

    def split(self, number: int) -> list[Rollout]:
        """Its responses in so many parts, row after row, as even as can be.

        A part for which there is none has the first one, which does not count there.
        """
        if number == 1:
            return [self]
        ends = [len(self.mask) * k // number for k in range(number + 1)]
        return [
            self._part(slice(begin, end)) if end > begin
            else replace(self._part(slice(0, 1)), counts=0.0)
            for begin, end in itertools.pairwise(ends)
        ]  # fmt: skip

    def _part(self, rows: slice) -> Rollout:
        begin, end = (int(self.lengths[:k].sum()) for k in (rows.start, rows.stop))
        own = {name: getattr(self, name)[rows] for name in ("mask", "old", "weight", "advantage")}
        return replace(self, batch=_rows(self.batch, rows), ids=self.ids[begin:end], **own)

    def tensors(self) -> dict[str, Tensor]:
        """All of it, by name."""
        own = {name: getattr(self, name) for name in _OWN}
        read = {f"batch.{name}": getattr(self.batch, name) for name in _READ}
        return {**own, **read, "counts": torch.tensor(self.counts)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Rollout:
        """From what `tensors` gave."""
        ids, mask, kinds, labels, index = (tensors[f"batch.{name}"] for name in _READ)
        batch = Batch(
            input_ids=ids, attention_mask=mask, token_type_ids=kinds, labels=labels, index=index
        )
        own = {name: tensors[name] for name in _OWN}
        return cls(batch=batch, **own, counts=float(tensors["counts"]))

    def to(self, device: torch.device) -> Rollout:
        """The same on a device."""
        if self.ids.device == device:
            return self
        own: dict[str, Any] = {name: moved(getattr(self, name), device) for name in _OWN}
        return replace(self, batch=self.batch.to(device), **own)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled(Responses):
    """Responses with what the teacher makes of them.

    Attributes:
        likely: Log-probability to the teacher, ``[B, S]``.
        heated: To the teacher at the temperature of sampling, ``[B, S]``.
    """

    likely: Tensor
    heated: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Sampled]) -> Sampled:
        """The responses of several micro batches as those of one."""
        if len(parts) == 1:
            return parts[0]
        own = {
            name: torch.cat([getattr(part, name) for part in parts])
            for name in ("mask", "ids", "old", "likely", "heated")
        }
        return cls(batch=_joined([part.batch for part in parts]), **own)


def _rows(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch without views, padded no further than they need."""
    labels, mask = batch.labels[rows], batch.attention_mask[rows]
    labelled, seen = _longest(labels != NO_LABEL), _longest(mask != 0)
    if labels.shape == mask.shape:  # labels of what is read
        labelled = seen = max(labelled, seen)
    return Batch(
        input_ids=batch.input_ids[rows, :seen],
        attention_mask=mask[:, :seen],
        token_type_ids=batch.token_type_ids[rows, :seen],
        labels=labels[:, :labelled],
        index=batch.index[rows],
    )


def _longest(there: Tensor) -> int:
    """Positions up to the last one that is there in any row, at least one."""
    places = torch.arange(1, there.shape[1] + 1, device=there.device)
    return max(1, int((there * places).max()))


def _joined(batches: Sequence[Batch]) -> Batch:
    """The rows of several batches without views as those of one."""

    def together(name: str, padding: int) -> Tensor:
        parts: list[Tensor] = [getattr(batch, name) for batch in batches]
        width = max(part.shape[1] for part in parts)
        return torch.cat([F.pad(p, (0, width - p.shape[1]), value=padding) for p in parts])

    return Batch(
        input_ids=together("input_ids", 0),
        attention_mask=together("attention_mask", 0),
        token_type_ids=together("token_type_ids", 0),
        labels=together("labels", NO_LABEL),
        index=torch.cat([batch.index for batch in batches]),
    )
