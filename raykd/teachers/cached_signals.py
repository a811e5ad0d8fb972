"""Cached outputs split into signals and merged again, block by block.

The outputs that a sweep reads hold all of its signals in the same blocks of rows. On disk every
signal is stored by itself, in blocks of its own, so that another sweep can take those that it
needs. A `CachedSignal` is one signal, in memory or on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from raykd.data.base import Array
from raykd.models.signals.base import OutputSpec, Signal
from raykd.models.signals.ragged import Ragged
from raykd.teachers.cached_outputs import Block, CachedOutputs
from raykd.teachers.recording import kept
from raykd.teachers.vocab_cache.signal import VocabularyScores

RowReader = Callable[[int, int], Mapping[str, Array]]
"""Gives the arrays of the rows from one number to before another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalMetadata:
    """What is known of a signal without reading its values.

    Attributes:
        offsets: Where rows begin, int64 ``[N + 1]``, for each of its arrays.
        starts: First row of each block it was recorded in, int64 ``[blocks + 1]``.
        labels_of: What logits are of, as `CachedOutputs.labels_of`.
        rounding: As `CachedOutputs.rounding`, of this signal.
        coverage: As `CachedOutputs.coverage`.
    """

    offsets: Mapping[str, Array]
    starts: Array
    labels_of: str
    rounding: Mapping[str, tuple[float, float]]
    coverage: tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedSignal:
    """One recorded signal.

    Attributes:
        metadata: What is known of it.
        read: Its arrays.
    """

    metadata: SignalMetadata
    read: RowReader


def split_signals(
    cached_outputs: CachedOutputs, block: Callable[[int], Block] | None = None
) -> dict[str, CachedSignal]:
    """The signals of cached outputs, by name.

    Args:
        cached_outputs: It; without its values where `block` is given.
        block: Gives the values of a block.
    """
    blocks = list(cached_outputs.chunks()) if block is None else []
    fetch = block or blocks.__getitem__
    return {
        signal.name: CachedSignal(
            metadata=_about(cached_outputs, signal), read=_reader(cached_outputs, signal, fetch)
        )
        for signal in cached_outputs.signals
    }


def _about(cached_outputs: CachedOutputs, signal: Signal) -> SignalMetadata:
    parts = {name: cached_outputs.parts[name] for name in signal.arrays}
    is_of_tokens = isinstance(signal, VocabularyScores)
    return SignalMetadata(
        offsets={name: part.offsets for name, part in parts.items()},
        starts=parts[signal.arrays[0]].starts,
        labels_of=cached_outputs.labels_of,
        rounding={name: r for name, r in cached_outputs.rounding.items() if name in parts},
        coverage=cached_outputs.coverage if is_of_tokens else (0.0, 0.0),
    )


def _reader(
    cached_outputs: CachedOutputs, signal: Signal, fetch: Callable[[int], Block]
) -> RowReader:
    order = {name: place for place, name in enumerate(cached_outputs.parts)}

    def read(begin: int, end: int) -> dict[str, Array]:
        return {
            name: _one(
                [
                    fetch(k)[order[name]][first:last]
                    for k, first, last in overlaps(cached_outputs.parts[name], begin, end)
                ]
            )
            for name in signal.arrays
        }

    return read


def overlaps(part: Ragged, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Chunks with some of the rows from `begin` to before `end`: number, and from where to where.

    Args:
        part: Where rows and chunks begin; its chunks are not read.
        begin: First row.
        end: Row after the last.
    """
    for k, (low, high) in enumerate(zip(part.starts[:-1], part.starts[1:], strict=True)):
        first, last = max(begin, int(low)), min(end, int(high))
        if first < last:
            zero = part.offsets[low]
            yield k, int(part.offsets[first] - zero), int(part.offsets[last] - zero)


def _one(arrays: Sequence[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def merge_signals(
    signals: Mapping[str, CachedSignal],
    output_spec: OutputSpec,
    dtype: str,
    blocks: Sequence[Array],
) -> tuple[CachedOutputs, Iterator[Block]]:
    """Cached outputs merged from their signals.

    Args:
        signals: Every signal that is wanted, by name; others are left out.
        output_spec: What they are together; those that stand for several, resolved.
        dtype: How rounded signals are kept.
        blocks: Row numbers of every block.

    Returns:
        The recording without its values, and the values of each block; none where nothing is
        wanted.
    """
    ends = [0, *(int(rows[-1]) + 1 for rows in blocks)]
    starts = np.asarray(ends, np.int64)
    there = tuple(s for s in _possible(output_spec) if s.name in signals)
    about = [signals[signal.name].metadata for signal in there]
    bare = CachedOutputs(
        signals=there,
        parts={
            name: Ragged(offsets=one.offsets[name], starts=starts, chunks=())
            for signal, one in zip(there, about, strict=True)
            for name in signal.arrays
        },
        dtype=dtype,
        context_padding=output_spec.context_padding,
        # Where only text or labels are read, nothing of the tokens is kept.
        labels_of=about[0].labels_of if about else "token",
        rounding={name: r for one in about for name, r in one.rounding.items()},
        coverage=max((one.coverage for one in about), default=(0.0, 0.0)),
    )

    def values() -> Iterator[Block]:
        for begin, end in itertools.pairwise(ends if there else []):
            read = [signals[signal.name].read(begin, end) for signal in there]
            yield tuple(
                arrays[name]
                for signal, arrays in zip(there, read, strict=True)
                for name in signal.arrays
            )

    return bare, values()


def _possible(output_spec: OutputSpec) -> tuple[Signal, ...]:
    """What a recording of rows with labels of any kind may hold."""
    return tuple(dict.fromkeys(s for k in (True, False) for s in kept(output_spec, token_labels=k)))
