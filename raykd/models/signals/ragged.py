"""Arrays of different lengths, one per row, kept in a few large chunks without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from raykd.data.base import Array


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
        # Lists of Python's integers: slicing by those of NumPy takes twice as long.
        places = zip(where.tolist(), begin.tolist(), end.tolist(), strict=True)
        return [self.chunks[k][b:e] for k, b, e in places]

    def nbytes(self) -> int:
        """Bytes of the chunks."""
        return sum(chunk.nbytes for chunk in self.chunks)

    def with_chunks(self, chunks: tuple[Array, ...]) -> Ragged:
        """The same rows with other arrays of the same values."""
        return replace(self, chunks=chunks)


def one_chunk(rows: Sequence[Array]) -> Ragged:
    """Rows put together in one chunk; `rows` holds one array per row, at least one."""
    lengths = np.fromiter((len(row) for row in rows), np.int64, len(rows))
    return Ragged(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        starts=np.asarray([0, len(rows)], np.int64),
        chunks=(np.concatenate(rows),),
    )


def joined(parts: Sequence[Ragged]) -> Ragged:
    """The rows of several, one after the other; no array of values is copied."""
    lengths = np.concatenate([np.diff(part.offsets) for part in parts])
    sizes = np.concatenate([np.diff(part.starts) for part in parts])
    return Ragged(
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        chunks=tuple(chunk for part in parts for chunk in part.chunks),
    )
