"""Arrays of different lengths, one per row, kept in a few large pieces without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raykd.data.base import Array

CHUNK_BYTES = 8 << 20
"""Rows are put together into pieces of about this size, which can be spilled one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ragged:
    """The arrays of N rows, which differ in their first axis only.

    Attributes:
        offsets: int64 ``[N + 1]``, where a row begins in the concatenation of all chunks.
        starts: int64 ``[number of chunks + 1]``, first row of each chunk.
        chunks: Rows one after the other.
    """

    offsets: Array
    starts: Array
    chunks: tuple[Array, ...]

    def rows(self, numbers: Array) -> list[Array]:
        """The arrays of some rows; views, not copies."""
        where = np.searchsorted(self.starts, numbers, side="right") - 1
        first = self.offsets[self.starts[where]]
        begin, end = self.offsets[numbers] - first, self.offsets[numbers + 1] - first
        return [self.chunks[k][b:e] for k, b, e in zip(where, begin, end, strict=True)]

    def nbytes(self) -> int:
        """Bytes of the chunks."""
        return sum(chunk.nbytes for chunk in self.chunks)

    def with_chunks(self, chunks: tuple[Array, ...]) -> Ragged:
        """The same rows with other arrays of the same values."""
        return replace(self, chunks=chunks)


def concatenated(pieces: Sequence[Array]) -> Ragged:
    """Rows put together; `pieces` holds one array per row, at least one."""
    starts, chunks = [0], []
    pending: list[Array] = []
    size = 0
    for row, piece in enumerate(pieces):
        pending.append(piece)
        size += piece.nbytes
        if size >= CHUNK_BYTES or row == len(pieces) - 1:
            chunks.append(np.concatenate(pending))
            starts.append(row + 1)
            pending, size = [], 0
    lengths = np.fromiter((len(piece) for piece in pieces), np.int64, len(pieces))
    return Ragged(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        starts=np.asarray(starts, np.int64),
        chunks=tuple(chunks),
    )
