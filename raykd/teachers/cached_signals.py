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
from raykd.methods.base import OutputSpec
from raykd.teachers.cached_outputs import Block, CachedOutputs
from raykd.teachers.ragged import Ragged
from raykd.teachers.signals import (
    ATTENTION,
    FEATURE_TRANSFORM,
    HIDDEN,
    LOGITS,
    TOKENS,
    signal_names,
)

RowReader = Callable[[int, int], Mapping[str, Array]]
"""Gives the arrays of the rows from one number to before another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalMetadata:
    """What is known of a signal without reading its values.

    Attributes:
        offsets: Where rows begin, int64 ``[N + 1]``, for each of its arrays.
        starts: First row of each block it was recorded in, int64 ``[blocks + 1]``.
        shape: What logits are of, as `CachedOutputs.shape`.
        rounding: As `CachedOutputs.rounding`, of this signal.
        coverage: As `CachedOutputs.coverage`.
    """

    offsets: Mapping[str, Array]
    starts: Array
    shape: str
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
    found = {}
    for name in cached_outputs.names():
        columns = _columns(cached_outputs, name)
        parts = cached_outputs.parts()
        of_any = parts[next(iter(columns.values()))[0]]
        metadata = SignalMetadata(
            offsets={own: parts[whole].offsets for own, (whole, _) in columns.items()},
            starts=of_any.starts,
            shape=cached_outputs.shape,
            rounding={n: r for n, r in cached_outputs.rounding.items() if _rounds(name, n)},
            coverage=cached_outputs.coverage if name.startswith(TOKENS) else (0.0, 0.0),
        )
        found[name] = CachedSignal(metadata=metadata, read=_reader(cached_outputs, columns, fetch))
    return found


def _columns(cached_outputs: CachedOutputs, name: str) -> dict[str, tuple[str, int | None]]:
    """Arrays of a signal: in which part of the recording, and at which place of its layers."""
    if name.startswith(HIDDEN):
        return {
            name: ("hidden_states", cached_outputs.layers.index(int(name.removeprefix(HIDDEN))))
        }
    if name.startswith(ATTENTION):
        return {
            name: ("attentions", cached_outputs.blocks.index(int(name.removeprefix(ATTENTION))))
        }
    if name.startswith(TOKENS):
        return {own: (own, None) for own in cached_outputs.by_token}
    own = name.removeprefix(FEATURE_TRANSFORM)
    return {own: (own, None)}


def _rounds(signal: str, name: str) -> bool:
    """Whether what was rounded belongs to a signal; what is kept of tokens has its own names."""
    if signal.startswith(TOKENS):
        return not name.startswith((HIDDEN, ATTENTION))
    return name == signal


def _reader(
    cached_outputs: CachedOutputs,
    columns: Mapping[str, tuple[str, int | None]],
    fetch: Callable[[int], Block],
) -> RowReader:
    order = list(cached_outputs.parts())
    parts = cached_outputs.parts()

    def read(begin: int, end: int) -> dict[str, Array]:
        found: dict[str, list[Array]] = {own: [] for own in columns}
        for own, (whole, place) in columns.items():
            for k, first, last in overlaps(parts[whole], begin, end):
                array = fetch(k)[order.index(whole)][first:last]
                found[own].append(array if place is None else array[:, place])
        return {own: _one(arrays) for own, arrays in found.items()}

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
        output_spec: What they are together; layers by number.
        dtype: How hidden states and attentions are kept.
        blocks: Row numbers of every block.

    Returns:
        The recording without its values, and the values of each block; none where nothing is
        wanted.
    """
    assert output_spec.hidden_states != "all"
    assert output_spec.attentions != "all"
    ends = [0, *(int(rows[-1]) + 1 for rows in blocks)]
    starts = np.asarray(ends, np.int64)
    tokens = TOKENS + output_spec.vocab_cache
    wanted = {n for k in (True, False) for n in signal_names(output_spec, token_labels=k)}
    signals = {name: signal for name, signal in signals.items() if name in wanted}
    # Where only text or labels are read, nothing of the tokens is kept.
    shapes = [signal.metadata.shape for signal in signals.values()] or ["token"]

    def part(name: str, own: str | None = None) -> Ragged:
        offsets = signals[name].metadata.offsets[own or name.removeprefix(FEATURE_TRANSFORM)]
        return Ragged(offsets=offsets, starts=starts, chunks=())

    layers, maps = sorted(output_spec.hidden_states), sorted(output_spec.attentions)
    kept = tokens in signals
    bare = CachedOutputs(
        logits=part(LOGITS) if LOGITS in signals else None,
        layers=tuple(layers),
        hidden=part(f"{HIDDEN}{layers[0]}") if layers else None,
        blocks=tuple(maps),
        attentions=part(f"{ATTENTION}{maps[0]}") if maps else None,
        dtype=dtype,
        context_padding=output_spec.context_padding,
        shape=signals[LOGITS].metadata.shape if LOGITS in signals else shapes[0],
        transformed={
            r.name: part(FEATURE_TRANSFORM + r.name) for r in output_spec.feature_transforms
        },
        rounding={n: r for signal in signals.values() for n, r in signal.metadata.rounding.items()},
        vocab_cache=output_spec.vocab_cache if kept else "",
        by_token={n: part(tokens, n) for n in signals[tokens].metadata.offsets} if kept else {},
        coverage=signals[tokens].metadata.coverage if kept else (0.0, 0.0),
    )

    def values() -> Iterator[Block]:
        for begin, end in itertools.pairwise(ends if signals else []):
            yield tuple(_values(bare, signals, begin, end))

    return bare, values()


def _values(
    bare: CachedOutputs, signals: Mapping[str, CachedSignal], begin: int, end: int
) -> Iterator[Array]:
    """The arrays of a block, in the order of `CachedOutputs.parts`."""

    def read(name: str) -> Mapping[str, Array]:
        return signals[name].read(begin, end)

    def stacked(first: str, numbers: Sequence[int]) -> Array:
        return np.stack([read(f"{first}{k}")[f"{first}{k}"] for k in numbers], axis=1)

    if bare.logits is not None:
        yield read(LOGITS)[LOGITS]
    if bare.hidden is not None:
        yield stacked(HIDDEN, bare.layers)
    if bare.attentions is not None:
        yield stacked(ATTENTION, bare.blocks)
    for name in bare.transformed:
        yield read(FEATURE_TRANSFORM + name)[name]
    if bare.by_token:
        yield from read(TOKENS + bare.vocab_cache).values()
