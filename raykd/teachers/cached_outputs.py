"""Cached outputs of a teacher: recorded once per row, looked up by row number.

Axes: N row, B batch.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import Array, moved
from raykd.models.signals import ragged
from raykd.models.signals.base import CPU, Padded, Signal
from raykd.models.signals.logits import Logits
from raykd.models.signals.ragged import Ragged

Block = tuple[Array, ...]
"""What was recorded of some rows that follow each other: the arrays of every signal, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedOutputs:
    """The outputs of a teacher on every row of a split.

    All signals are cut into chunks at the same rows.

    Attributes:
        signals: What was recorded.
        parts: The arrays of every signal (`Signal.arrays`), in the order of the signals.
        dtype: How rounded signals are kept: ``fp16``, ``fp32`` or ``bf16`` (as int16: NumPy has no
            bf16).
        context_padding: Padding positions recorded after the last token of a row, as far as they
            exist.
        labels_of: What the logits of a row are of: ``row``, ``span`` or ``token``.
        rounding: Squared error of what is kept in `dtype` and squared size of it in float32, by
            signal.
        coverage: Probability mass that the kept part of a vocabulary stands for, and the number of
            tokens, added up.
    """

    signals: tuple[Signal, ...]
    parts: Mapping[str, Ragged]
    dtype: str
    context_padding: int
    labels_of: str
    rounding: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    coverage: tuple[float, float] = (0.0, 0.0)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its signals."""
        return tuple(signal.name for signal in self.signals)

    def chunks(self) -> Iterator[Block]:
        """What was recorded, without the offsets, in blocks of rows."""
        return zip(*(part.chunks for part in self.parts.values()), strict=True)

    def with_chunks(self, chunks: Iterable[Block]) -> CachedOutputs:
        """The same rows with other arrays of the same values; none at all leaves the offsets."""
        blocks = list(chunks)
        parts = {
            name: part.with_chunks(tuple(block[k] for block in blocks))
            for k, (name, part) in enumerate(self.parts.items())
        }
        return replace(self, parts=parts)

    def arrays(self) -> Iterator[Array]:
        """All arrays."""
        yield from self.offsets()
        for block in self.chunks():
            yield from block

    def offsets(self) -> Iterator[Array]:
        """Where rows begin, in all signals."""
        for part in self.parts.values():
            yield part.offsets
            yield part.starts

    def kinds(self) -> tuple[str, ...]:
        """What the arrays of a block are of, in order."""
        return tuple(signal.kind for signal in self.signals for _ in signal.arrays)

    def stored(self) -> Mapping[str, int]:
        """Bytes by kind of signal."""
        sizes: dict[str, int] = {}
        for kind, part in zip(self.kinds(), self.parts.values(), strict=True):
            sizes[kind] = sizes.get(kind, 0) + part.nbytes()
        return sizes

    def error(self) -> Mapping[str, float]:
        """Relative error of what is kept against float32 (root mean square), by kind of signal."""
        errors: dict[str, tuple[float, float]] = {}
        for name, (error, size) in self.rounding.items():
            kind = name.partition("/")[0]
            before = errors.get(kind, (0.0, 0.0))
            errors[kind] = (before[0] + error, before[1] + size)
        return {name: math.sqrt(e / size) if size else 0.0 for name, (e, size) in errors.items()}

    def gather(
        self,
        signal: Signal,
        rows: Array,
        *,
        length: int,
        mask: Tensor | None = None,
        device: torch.device = CPU,
    ) -> Any:
        """A signal for a batch.

        Args:
            signal: One that was recorded.
            rows: int64 ``[B]``.
            length: Positions of the batch, at least as many as the longest row has tokens.
            mask: 1 = token, ``[B, length]``, on `device`; None where the signal does not read it.
            device: Where to; what is kept travels as it is kept.

        Raises:
            LookupError: It was not recorded.
        """
        if signal not in self.signals:
            raise LookupError(
                f"{signal.name} of the teacher was not recorded, only "
                f"{', '.join(self.names) or 'none'}: the method's teacher_outputs() did not name "
                "it for the parameters that were looked at before the start"
            )
        batch = Padded(
            length=length,
            mask=mask,
            dtype=self.dtype,
            labels_of=self.labels_of,
            device=device,
            move=lambda values: moved(values, device),
        )
        return signal.gather(self.parts, rows, batch)

    def all_logits(self) -> Array:
        """The logits of all rows as `Task.score` wants them."""
        part = self.parts[Logits().name]
        every = np.arange(len(part.offsets) - 1)
        longest = int(np.diff(part.offsets).max())
        array: Array = self.gather(Logits(), every, length=longest).numpy()
        return array

    def with_one_chunk_of_logits(self) -> CachedOutputs:
        """A copy of the logits of rows in one recording, for reading; all else as it is.

        They are a few bytes a row, and picking rows of one array is one copy instead of many.
        """
        name = Logits().name
        part = self.parts.get(name)
        if self.labels_of != "row" or part is None or len(part.chunks) == 1:
            return self
        whole = np.concatenate(part.chunks)
        starts = np.asarray([0, len(whole)], np.int64)
        return replace(
            self, parts={**self.parts, name: replace(part, starts=starts, chunks=(whole,))}
        )


def joined(recordings: Sequence[CachedOutputs]) -> CachedOutputs:
    """Recordings of rows that follow each other, put together; no array of values is copied."""
    first = recordings[0]
    parts = {
        name: ragged.joined([recording.parts[name] for recording in recordings])
        for name in first.parts
    }
    rounding = {
        name: (
            sum(p.rounding[name][0] for p in recordings),
            sum(p.rounding[name][1] for p in recordings),
        )
        for name in first.rounding
    }
    mass, count = (sum(recording.coverage[k] for recording in recordings) for k in (0, 1))
    return replace(first, parts=parts, rounding=rounding, coverage=(mass, count))


def checksum(arrays: Iterable[Array], value: int = 0) -> int:
    """A number that changes when the arrays are written to.

    Whole arrays up to 1 MiB, and 64 evenly spread blocks of 4 KiB of larger ones.

    Args:
        arrays: In an order that counts.
        value: The checksum of the arrays before them.
    """
    for array in arrays:
        flat = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
        if flat.nbytes <= 1 << 20:
            value = zlib.crc32(flat.data, value)
            continue
        for begin in np.linspace(0, flat.nbytes - 4096, 64).astype(int):
            value = zlib.crc32(flat[begin : begin + 4096].data, value)
    return value
