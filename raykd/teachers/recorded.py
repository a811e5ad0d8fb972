"""Teacher outputs recorded once per row, and read back by row number.

Rows keep their own length (no padding): one flat array per chunk and the offsets of the rows in it.

Axes: N row, Y recorded layer, D hidden width, C class, P position in a chunk.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from raykd.data.base import Array, Encoded
from raykd.data.collate import Collator
from raykd.errors import TeacherError
from raykd.methods.base import Signals
from raykd.models.forward import forward

CHUNK_BYTES = 8 << 20
"""Hidden states are cut into pieces of about this size, so that they can be spilled one by one."""

_STORED = {"fp16": np.float16, "fp32": np.float32, "bf16": np.int16}
_TORCH = {"fp16": torch.float16, "fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedOutputs:
    """What a teacher said about every row.

    Attributes:
        logits: float32 ``[N, C]``.
        layers: Hidden-state numbers that were recorded, Y of them.
        offsets: int64 ``[N + 1]``, positions of a row in the concatenation of all chunks.
        starts: int64 ``[number of chunks + 1]``, first row of each chunk.
        chunks: Hidden states, ``[P, Y, D]`` each, in `dtype`.
        dtype: ``fp16``, ``fp32`` or ``bf16`` (kept as int16: NumPy has no bf16).
        margin: Padding positions recorded after the last token of a row, as far as they exist.
    """

    logits: Array
    layers: tuple[int, ...]
    offsets: Array
    starts: Array
    chunks: tuple[Array, ...]
    dtype: str
    margin: int

    def arrays(self) -> Iterator[Array]:
        """All arrays."""
        yield self.logits
        yield self.offsets
        yield self.starts
        yield from self.chunks

    def stored(self) -> Mapping[str, int]:
        """Bytes by signal."""
        hidden = sum(c.nbytes for c in self.chunks)
        return {"logits": self.logits.nbytes} | ({"hidden_states": hidden} if hidden else {})

    def gather_hidden(self, rows: Array, length: int, layers: tuple[int, ...]) -> dict[int, Tensor]:
        """Hidden states ``[B, length, D]`` in float32, by layer number.

        Positions that were not recorded are 0.

        Args:
            rows: int64 ``[B]``.
            length: Positions to return.
            layers: Hidden-state numbers, among those recorded.
        """
        width = self.chunks[0].shape[-1]
        columns = [self.layers.index(layer) for layer in layers]
        everything = columns == list(range(len(self.layers)))
        out = np.zeros((len(rows), length, len(layers), width), _STORED[self.dtype])
        where = np.searchsorted(self.starts, rows, side="right") - 1
        first = self.offsets[self.starts]
        for i, (row, chunk) in enumerate(zip(rows, where, strict=True)):
            begin = self.offsets[row] - first[chunk]
            count = min(length, int(self.offsets[row + 1] - self.offsets[row]))
            states_PYD = self.chunks[chunk][begin : begin + count]
            out[i, :count] = states_PYD if everything else states_PYD[:, columns]
        states = torch.from_numpy(out)
        if self.dtype == "bf16":
            states = states.view(torch.bfloat16)
        states = states.float()
        return {layer: states[:, :, k] for k, layer in enumerate(layers)}


def estimate_bytes(
    rows: int, tokens: int, signals: Signals, width: int, classes: int, *, wide: bool
) -> int:
    """Bytes that recording takes; hidden states have two bytes, or four when `wide`."""
    layers = len(signals.hidden_states) if signals.hidden_states != "all" else 0
    positions = tokens + rows * signals.margin
    return rows * classes * 4 + positions * layers * width * (4 if wide else 2)


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
        dtype: How hidden states are kept.
        device: Where to run.
        batch_size: Rows per forward.
        progress: Called with the number of rows done.

    Raises:
        TeacherError: The outputs are not finite, or do not fit the chosen dtype.
    """
    layers = signals.hidden_states
    assert layers != "all"
    model.eval()
    collate = Collator(pad_id, max_length=max_length, margin=signals.margin)
    lengths = encoded.lengths()
    kept = np.minimum(lengths + signals.margin, np.maximum(max_length, lengths))
    order = np.argsort(lengths, kind="stable")
    logits: Array | None = None
    pieces: list[Array | None] = [None] * len(encoded)
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        batch = collate(encoded, rows)
        with torch.inference_mode():
            out = forward(model, batch.to(device), hidden_states=layers)
            values = out.logits.float().cpu().numpy()
            if logits is None:
                logits = np.empty((len(encoded), values.shape[1]), np.float32)
            logits[rows] = values
            if layers:
                states = out.stacked(layers).transpose(1, 2).to(_TORCH[dtype]).cpu()
                _split(states, rows, kept, dtype, pieces)
        progress(min(begin + batch_size, len(order)))
    assert logits is not None
    if not np.isfinite(logits).all():
        raise TeacherError(
            "the teacher's logits are not finite", hint="check its checkpoint and learning rate"
        )
    offsets = np.concatenate([[0], np.cumsum(kept)]) if layers else np.zeros(1, np.int64)
    starts, chunks = _chunked(pieces) if layers else (np.zeros(1, np.int64), ())
    return RecordedOutputs(
        logits=logits,
        layers=tuple(layers),
        offsets=offsets.astype(np.int64),
        starts=starts,
        chunks=chunks,
        dtype=dtype,
        margin=signals.margin,
    )


def _split(
    states: Tensor, rows: Array, kept: Array, dtype: str, pieces: list[Array | None]
) -> None:
    array = (states.view(torch.int16) if dtype == "bf16" else states).numpy()
    if dtype == "fp16" and not np.isfinite(array).all():
        raise TeacherError(
            "the teacher's hidden states are larger than fp16 can hold",
            hint="set teacher.dtype: bf16 or fp32",
        )
    for i, row in enumerate(rows):
        pieces[row] = array[i, : kept[row]].copy()


def _chunked(pieces: list[Array | None]) -> tuple[Array, tuple[Array, ...]]:
    starts, chunks, pending, size = [0], [], [], 0
    for row, piece in enumerate(pieces):
        assert piece is not None
        pending.append(piece)
        pieces[row] = None
        size += piece.nbytes
        if size >= CHUNK_BYTES or row == len(pieces) - 1:
            chunks.append(np.concatenate(pending))
            starts.append(row + 1)
            pending, size = [], 0
    return np.asarray(starts, np.int64), tuple(chunks)


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
