"""Teacher outputs recorded once per row, and read back by row number.

Axes: N row, B batch, L position, Y recorded layer, D hidden width, C class, H attention head.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from raykd.data.base import NO_LABEL, PADDED, Array, Batch, Encoded, Task
from raykd.data.collate import Collator
from raykd.errors import TeacherError
from raykd.methods.base import Signals
from raykd.models.base import Anatomy, Outputs
from raykd.models.forward import forward
from raykd.teachers.ragged import Ragged, concatenated

_STORED = {"fp16": np.float16, "fp32": np.float32, "bf16": np.int16}
_TORCH = {"fp16": torch.float16, "fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedOutputs:
    """What a teacher said about every row.

    Attributes:
        logits: float32, one array per row: ``[1, C]`` for a class or score, ``[length, 2]`` for
            spans, ``[tokens with a label, vocabulary]`` for tokens; None when none were recorded.
        layers: Hidden-state numbers that were recorded, Y of them.
        hidden: Per row ``[positions, Y, D]`` in `dtype`; None when none were recorded.
        blocks: Numbers of the blocks whose attention was recorded, Y of them.
        attentions: Per row ``[length * length, Y, H]`` in `dtype`; None when none were recorded.
        dtype: ``fp16``, ``fp32`` or ``bf16`` (kept as int16: NumPy has no bf16).
        margin: Padding positions recorded after the last token of a row, as far as they exist.
        shape: What the logits of a row are of: ``row``, ``span`` or ``token``.
    """

    logits: Ragged | None
    layers: tuple[int, ...]
    hidden: Ragged | None
    blocks: tuple[int, ...]
    attentions: Ragged | None
    dtype: str
    margin: int
    shape: str

    def parts(self) -> Iterator[Ragged]:
        """Everything that was recorded."""
        yield from (part for part in (self.logits, self.hidden, self.attentions) if part)

    def arrays(self) -> Iterator[Array]:
        """All arrays."""
        for part in self.parts():
            yield part.offsets
            yield part.starts
            yield from part.chunks

    def stored(self) -> Mapping[str, int]:
        """Bytes by signal."""
        named = {
            "logits": self.logits, "hidden_states": self.hidden, "attentions": self.attentions
        }  # fmt: skip
        return {name: part.nbytes() for name, part in named.items() if part is not None}

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

    def gather_hidden(self, rows: Array, length: int, layers: tuple[int, ...]) -> dict[int, Tensor]:
        """Hidden states ``[B, length, D]`` in float32, by layer number.

        Positions that were not recorded are 0.

        Args:
            rows: int64 ``[B]``.
            length: Positions to return.
            layers: Hidden-state numbers, among those recorded.
        """
        assert self.hidden is not None
        columns = [self.layers.index(layer) for layer in layers]
        everything = columns == list(range(len(self.layers)))
        width = self.hidden.chunks[0].shape[-1]
        out = np.zeros((len(rows), length, len(layers), width), _STORED[self.dtype])
        for i, states_PYD in enumerate(self.hidden.rows(rows)):
            some = states_PYD[:length]
            out[i, : len(some)] = some if everything else some[:, columns]
        states = self._floats(out)
        return {layer: states[:, :, k] for k, layer in enumerate(layers)}

    def gather_attentions(
        self, rows: Array, length: int, blocks: tuple[int, ...]
    ) -> dict[int, Tensor]:
        """Attention probabilities ``[B, H, length, length]`` in float32, by block number.

        Pairs of positions of which one is no token are 0.

        Args:
            rows: int64 ``[B]``.
            length: Positions to return; at least as many as the longest row has tokens.
            blocks: Block numbers, among those recorded.
        """
        assert self.attentions is not None
        columns = [self.blocks.index(block) for block in blocks]
        heads = self.attentions.chunks[0].shape[-1]
        out = np.zeros((len(rows), len(blocks), heads, length, length), _STORED[self.dtype])
        for i, flat in enumerate(self.attentions.rows(rows)):
            n = math.isqrt(len(flat))
            maps_YHLL = flat.reshape(n, n, len(self.blocks), heads).transpose(2, 3, 0, 1)
            out[i, :, :, :n, :n] = maps_YHLL[columns]
        maps = self._floats(out)
        return {block: maps[:, k] for k, block in enumerate(blocks)}

    def _floats(self, array: Array) -> Tensor:
        values = torch.from_numpy(array)
        return (values.view(torch.bfloat16) if self.dtype == "bf16" else values).float()


def estimate_bytes(
    encoded: Encoded, signals: Signals, teacher: Anatomy, task: Task, *, wide: bool
) -> int:
    """Bytes that recording takes.

    Args:
        encoded: The rows.
        signals: What is kept; layers by number.
        teacher: Its sizes.
        task: What the logits are of.
        wide: Whether hidden states and attentions take four bytes a number instead of two.
    """
    layers, blocks = signals.hidden_states, signals.attentions
    assert layers != "all"
    assert blocks != "all"
    lengths = encoded.lengths()
    tokens, pairs = int(lengths.sum()), int((lengths**2).sum())
    if encoded.token_labels:
        with_label = int(np.count_nonzero(encoded.labels != NO_LABEL))
        logits = with_label * teacher.vocabulary * 4 if signals.logits else 0
    else:
        logits = (tokens if task.kind == "span" else len(lengths)) * task.num_labels * 4
    hidden = (tokens + len(lengths) * signals.margin) * len(layers) * teacher.hidden
    maps = pairs * len(blocks) * teacher.heads
    return logits + (hidden + maps) * (4 if wide else 2)


def record(
    model: nn.Module,
    encoded: Encoded,
    signals: Signals,
    *,
    pad_id: int,
    max_length: int,
    dtype: str,
    device: torch.device,
    batch_size: int,
    progress: Callable[[int], None],
) -> RecordedOutputs:
    """Run a model once over every row, without dropout and gradient, in float32.

    Args:
        model: The teacher.
        encoded: Its rows.
        signals: What to keep.
        pad_id: Token that pads.
        max_length: Longest padded row.
        dtype: How hidden states and attentions are kept.
        device: Where to run.
        batch_size: Rows per forward.
        progress: Called with the number of rows done.

    Raises:
        TeacherError: The outputs are not finite, or do not fit the chosen dtype.
    """
    layers, blocks = signals.hidden_states, signals.attentions
    assert layers != "all"
    assert blocks != "all"
    model.eval()
    collate = Collator(pad_id, max_length=max_length, margin=signals.margin)
    lengths = encoded.lengths()
    kept = np.minimum(lengths + signals.margin, np.maximum(max_length, lengths))
    order = np.argsort(lengths, kind="stable")
    logits, hidden, maps = _Pieces(len(order)), _Pieces(len(order)), _Pieces(len(order))
    # Scores of a vocabulary are many: they are kept only where they are read.
    keeps_logits = signals.logits or not encoded.token_labels
    shape = "token" if encoded.token_labels else "row"
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        batch = collate(encoded, rows).to(device)
        with torch.inference_mode():
            out = forward(model, batch, hidden_states=layers, attentions=blocks)
        shape = "span" if out.logits.dim() == 3 else shape
        found = _logits(out, batch, lengths[rows], shape)
        if keeps_logits:
            logits.put(rows, found)
        if layers:
            states = out.stacked(layers).transpose(1, 2)
            hidden.put(
                rows, [s[:n] for s, n in zip(_plain(states, dtype), kept[rows], strict=True)]
            )
        if blocks:
            stacked = torch.stack([out.attention(k) for k in blocks], dim=1)
            flat = _plain(stacked.permute(0, 3, 4, 1, 2), dtype)
            maps.put(rows, [_square(m, n) for m, n in zip(flat, lengths[rows], strict=True)])
        progress(min(begin + batch_size, len(order)))
    return RecordedOutputs(
        logits=concatenated(logits.done()) if keeps_logits else None,
        layers=tuple(layers),
        hidden=concatenated(hidden.done()) if layers else None,
        blocks=tuple(blocks),
        attentions=concatenated(maps.done()) if blocks else None,
        dtype=dtype,
        margin=signals.margin,
        shape=shape,
    )


class _Pieces:
    """Copies of the arrays of every row, in any order."""

    def __init__(self, count: int) -> None:
        self._found: list[Array | None] = [None] * count

    def put(self, rows: Array, arrays: Iterable[Array]) -> None:
        for row, array in zip(rows, arrays, strict=True):
            self._found[row] = array.copy()

    def done(self) -> list[Array]:
        return [array for array in self._found if array is not None]


def _logits(out: Outputs, batch: Batch, lengths: Array, shape: str) -> list[Array]:
    values = out.logits.float().cpu().numpy()
    if shape == "span":
        own = [row[:, :n].T for row, n in zip(values, lengths, strict=True)]
    elif shape == "token":
        counts = (batch.labels != NO_LABEL).sum(dim=1).cumsum(dim=0)[:-1].tolist()
        own = np.split(values, counts)
    else:
        own = [row[None] for row in values]
    if not all(np.isfinite(row).all() for row in own):
        raise TeacherError(
            "the teacher's logits are not finite", hint="check its checkpoint and learning rate"
        )
    return own


def _plain(values: Tensor, dtype: str) -> Array:
    """A tensor as it is kept."""
    kept = values.to(_TORCH[dtype]).cpu()
    array: Array = (kept.contiguous().view(torch.int16) if dtype == "bf16" else kept).numpy()
    if dtype == "fp16" and not np.isfinite(array).all():
        raise TeacherError(
            "the teacher's hidden states are larger than fp16 can hold",
            hint="set teacher.dtype: bf16 or fp32",
        )
    return array


def _square(maps: Array, length: int) -> Array:
    """The part of ``[L, L, Y, H]`` between tokens, ``[length * length, Y, H]``."""
    part = maps[:length, :length]
    return part.reshape(-1, *part.shape[2:])


def checksum(arrays: Iterator[Array]) -> int:
    """A number that changes when the arrays are written to.

    Whole arrays up to 1 MiB, and 64 evenly spread blocks of 4 KiB of larger ones.
    """
    value = 0
    for array in arrays:
        flat = np.ascontiguousarray(array).view(np.uint8).reshape(-1)
        if flat.nbytes <= 1 << 20:
            value = zlib.crc32(flat.data, value)
            continue
        for begin in np.linspace(0, flat.nbytes - 4096, 64).astype(int):
            value = zlib.crc32(flat[begin : begin + 4096].data, value)
    return value
