"""Cached outputs of a teacher: recorded once per row, looked up by row number.

Axes: N row, B batch, L position, Y recorded layer, D hidden width, C class, H attention head.
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

from raykd.data.base import PADDED, Array
from raykd.models.base import FeatureTransform
from raykd.teachers import ragged
from raykd.teachers.ragged import Ragged
from raykd.teachers.signals import ATTENTION, FEATURE_TRANSFORM, HIDDEN, LOGITS, TOKENS
from raykd.training.device import moved

STORED = {"fp16": np.float16, "fp32": np.float32, "bf16": np.int16}
"""How a precision is kept: NumPy has no bf16."""

CPU = torch.device("cpu")

Block = tuple[Array, ...]
"""What was recorded of some rows that follow each other: one array per signal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedOutputs:
    """The outputs of a teacher on every row of a split.

    All signals are cut into chunks at the same rows.

    Attributes:
        logits: float32, one array per row: ``[1, C]`` for a class or score, ``[length, 2]`` for
            spans, ``[tokens with a label, vocabulary]`` for tokens; None when none were recorded.
        layers: Hidden-state numbers that were recorded, Y of them.
        hidden: Per row ``[positions, Y, D]`` in `dtype`; None when none were recorded.
        blocks: Numbers of the blocks whose attention was recorded, Y of them.
        attentions: Per row ``[length * length, Y, H]`` in `dtype`; None when none were recorded.
        dtype: ``fp16``, ``fp32`` or ``bf16`` (kept as int16: NumPy has no bf16).
        context_padding: Padding positions recorded after the last token of a row, as far as they
            exist.
        shape: What the logits of a row are of: ``row``, ``span`` or ``token``.
        transformed: float32 arrays of functions of the hidden states, by `FeatureTransform.name`.
        rounding: Squared error of what is kept in `dtype` and squared size of it in float32, by
            signal; of hidden states and attentions by layer (``hidden_states/2``).
        vocab_cache: Name of what is recorded in place of the scores of a vocabulary, or empty.
        by_token: Its arrays, by ``tokens/<name>``; per row one entry per token with a label.
        coverage: Probability mass that it stands for, and the number of tokens, added up.
    """

    logits: Ragged | None
    layers: tuple[int, ...]
    hidden: Ragged | None
    blocks: tuple[int, ...]
    attentions: Ragged | None
    dtype: str
    context_padding: int
    shape: str
    transformed: Mapping[str, Ragged] = field(default_factory=dict)
    rounding: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    vocab_cache: str = ""
    by_token: Mapping[str, Ragged] = field(default_factory=dict)
    coverage: tuple[float, float] = (0.0, 0.0)

    def parts(self) -> dict[str, Ragged]:
        """Everything that was recorded, by signal; feature transforms by their name."""
        named = {
            "logits": self.logits, "hidden_states": self.hidden, "attentions": self.attentions
        }  # fmt: skip
        there = {n: part for n, part in named.items() if part is not None}
        return there | dict(self.transformed) | dict(self.by_token)

    def names(self) -> tuple[str, ...]:
        """Its signals, layer by layer, as `raykd.teachers.signals` names them."""
        found = [LOGITS] if self.logits is not None else []
        found += [f"{HIDDEN}{layer}" for layer in self.layers]
        found += [f"{ATTENTION}{block}" for block in self.blocks]
        found += [FEATURE_TRANSFORM + name for name in self.transformed]
        return (*found, TOKENS + self.vocab_cache) if self.vocab_cache else tuple(found)

    def with_parts(self, parts: Mapping[str, Ragged]) -> CachedOutputs:
        """The same signals with other arrays; takes what `parts` gives."""
        return replace(
            self,
            logits=parts.get("logits"),
            hidden=parts.get("hidden_states"),
            attentions=parts.get("attentions"),
            transformed={name: parts[name] for name in self.transformed},
            by_token={name: parts[name] for name in self.by_token},
        )

    def chunks(self) -> Iterator[Block]:
        """What was recorded, without the offsets, in blocks of rows."""
        return zip(*(part.chunks for part in self.parts().values()), strict=True)

    def with_chunks(self, chunks: Iterable[Block]) -> CachedOutputs:
        """The same rows with other arrays of the same values; none at all leaves the offsets."""
        found = list(chunks)
        parts = self.parts().items()
        return self.with_parts(
            {
                name: part.with_chunks(tuple(block[k] for block in found))
                for k, (name, part) in enumerate(parts)
            }
        )

    def arrays(self) -> Iterator[Array]:
        """All arrays."""
        yield from self.offsets()
        for block in self.chunks():
            yield from block

    def offsets(self) -> Iterator[Array]:
        """Where rows begin, in all signals."""
        for part in self.parts().values():
            yield part.offsets
            yield part.starts

    def signal_names(self) -> tuple[str, ...]:
        """What the arrays of a block are of, in order; feature transforms are not told apart."""
        tokens = dict.fromkeys(self.by_token, "tokens")
        names = dict.fromkeys(self.transformed, "feature_transforms") | tokens
        return tuple(names.get(n, n) for n in self.parts())

    def stored(self) -> Mapping[str, int]:
        """Bytes by signal; those of feature transforms together."""
        found: dict[str, int] = {}
        for name, part in zip(self.signal_names(), self.parts().values(), strict=True):
            found[name] = found.get(name, 0) + part.nbytes()
        return found

    def error(self) -> Mapping[str, float]:
        """Relative error of what is kept against float32 (root mean square), by signal."""
        found: dict[str, tuple[float, float]] = {}
        for name, (error, size) in self.rounding.items():
            signal = name.partition("/")[0]
            before = found.get(signal, (0.0, 0.0))
            found[signal] = (before[0] + error, before[1] + size)
        return {name: math.sqrt(e / size) if size else 0.0 for name, (e, size) in found.items()}

    def gather_logits(self, rows: Array, length: int) -> Tensor:
        """Logits in float32: ``[B, C]``, ``[B, 2, length]`` or ``[tokens with a label, C]``.

        Args:
            rows: int64 ``[B]``.
            length: Positions to return, for spans.
        """
        assert self.logits is not None
        if self.shape == "row" and len(self.logits.chunks) == 1:  # one copy instead of one per row
            return torch.from_numpy(self.logits.chunks[0][rows])
        found = self.logits.rows(rows)
        if self.shape != "span":
            return torch.from_numpy(np.concatenate(found))
        out = np.full((len(rows), 2, length), PADDED, np.float32)
        for i, values in enumerate(found):
            out[i, :, : len(values)] = values.T
        return torch.from_numpy(out)

    def all_logits(self) -> Array:
        """The logits of all rows as `Task.score` wants them."""
        assert self.logits is not None
        every = np.arange(len(self.logits.offsets) - 1)
        longest = int(np.diff(self.logits.offsets).max())
        array: Array = self.gather_logits(every, longest).numpy()
        return array

    def gather_hidden(
        self, rows: Array, length: int, layers: tuple[int, ...], device: torch.device = CPU
    ) -> dict[int, Tensor]:
        """Hidden states ``[B, length, D]`` in float32, by layer number.

        Positions that were not recorded are 0.

        Args:
            rows: int64 ``[B]``.
            length: Positions to return.
            layers: Hidden-state numbers, among those recorded.
            device: Where to; what is kept travels as it is kept.
        """
        assert self.hidden is not None
        columns = _places("hidden state", layers, self.layers)
        everything = columns == list(range(len(self.layers)))
        width = self.hidden.chunks[0].shape[-1]
        out = np.zeros((len(rows), length, len(layers), width), self._gathered(device))
        for i, states_PYD in enumerate(self.hidden.rows(rows)):
            some = states_PYD[:length]
            out[i, : len(some)] = some if everything else some[:, columns]
        states = self._floats(out, device)
        return {layer: states[:, :, k] for k, layer in enumerate(layers)}

    def gather_attentions(
        self, rows: Array, length: int, blocks: tuple[int, ...], device: torch.device = CPU
    ) -> dict[int, Tensor]:
        """Attention probabilities ``[B, H, length, length]`` in float32, by block number.

        Pairs of positions of which one is no token are 0.

        Args:
            rows: int64 ``[B]``.
            length: Positions to return; at least as many as the longest row has tokens.
            blocks: Block numbers, among those recorded.
            device: Where to; what is kept travels as it is kept.
        """
        assert self.attentions is not None
        columns = _places("attention", blocks, self.blocks)
        heads = self.attentions.chunks[0].shape[-1]
        out = np.zeros((len(rows), len(blocks), heads, length, length), self._gathered(device))
        for i, flat in enumerate(self.attentions.rows(rows)):
            n = math.isqrt(len(flat))
            maps_YHLL = flat.reshape(n, n, len(self.blocks), heads).transpose(2, 3, 0, 1)
            out[i, :, :, :n, :n] = maps_YHLL[columns]
        maps = self._floats(out, device)
        return {block: maps[:, k] for k, block in enumerate(blocks)}

    def gather_transformed(self, transform: FeatureTransform, rows: Array, mask: Tensor) -> Any:
        """What a recorded feature transform gives for a batch.

        Args:
            transform: One that was recorded.
            rows: int64 ``[B]``.
            mask: 1 = token, ``[B, L]``; gives the device.
        """
        kept = self.transformed[transform.name].rows(rows)
        return transform.batch([torch.from_numpy(array) for array in kept], mask)

    def gather_tokens(self, rows: Array, device: torch.device = CPU) -> dict[str, Tensor]:
        """What is kept of tokens with a label, row by row, by name without the prefix.

        Token ids are int64; hidden states are as they are kept. (Ids are never kept as int16.)

        Args:
            rows: int64 ``[B]``.
            device: Where to.
        """
        found = {}
        for name, part in self.by_token.items():
            array = np.concatenate(part.rows(rows))
            if array.dtype == STORED["bf16"]:
                kept = torch.from_numpy(array).view(torch.bfloat16)
            else:
                is_float = np.issubdtype(array.dtype, np.floating)
                kept = torch.from_numpy(array if is_float else array.astype(np.int64))
            found[name.removeprefix("tokens/")] = moved(kept, device)
        return found

    def with_one_chunk_of_logits(self) -> CachedOutputs:
        """A copy of the logits of rows in one piece, for reading; all else as it is.

        They are a few bytes a row, and picking rows of one array is one copy instead of many.
        """
        if self.shape != "row" or self.logits is None or len(self.logits.chunks) == 1:
            return self
        whole = np.concatenate(self.logits.chunks)
        starts = np.asarray([0, len(whole)], np.int64)
        return replace(self, logits=replace(self.logits, starts=starts, chunks=(whole,)))

    def _gathered(self, device: torch.device) -> type[Any]:
        """What a batch is gathered in: as it is kept, for the way to a GPU; else float32.

        That saves an array of half the size.
        """
        if device.type == "cpu" and self.dtype != "bf16":
            return np.float32
        return STORED[self.dtype]

    def _floats(self, array: Array, device: torch.device) -> Tensor:
        values = torch.from_numpy(array)
        kept = values.view(torch.bfloat16) if self.dtype == "bf16" else values
        return moved(kept, device).float()


def _places(what: str, asked: Sequence[int], recorded: Sequence[int]) -> list[int]:
    """Where what is asked for is among what was recorded.

    Raises:
        LookupError: It is not there.
    """
    missing = [number for number in asked if number not in recorded]
    if missing:
        raise LookupError(
            f"{what} {missing[0]} of the teacher was not recorded, only "
            f"{', '.join(map(str, recorded)) or 'none'}: the method's teacher_outputs() did not "
            "name it for the parameters that were looked at before the start"
        )
    return [recorded.index(number) for number in asked]


def joined(pieces: Sequence[CachedOutputs]) -> CachedOutputs:
    """Recordings of rows that follow each other, put together; no array of values is copied."""
    first = pieces[0]
    every = [piece.parts() for piece in pieces]
    parts = {name: ragged.joined([part[name] for part in every]) for name in every[0]}
    rounding = {
        name: (sum(p.rounding[name][0] for p in pieces), sum(p.rounding[name][1] for p in pieces))
        for name in first.rounding
    }
    mass, count = (sum(piece.coverage[k] for piece in pieces) for k in (0, 1))
    return replace(first.with_parts(parts), rounding=rounding, coverage=(mass, count))


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
