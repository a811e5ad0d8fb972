"""Runs a teacher once over every row and records the outputs that students will read.

Rows are recorded in blocks, each by itself: several processes can share the work, and what comes
out does not depend on how many they are.

Axes: N row, B batch, L position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from raykd.data.base import Array, Batch, Task, TokenizedDataset
from raykd.data.collate import Collator
from raykd.data.task_kinds import task_kind
from raykd.errors import TeacherError
from raykd.losses.vocabulary import LazyLogits
from raykd.models.base import ModelDims, Outputs
from raykd.models.forward import forward
from raykd.models.inference import batches_by_length, inference
from raykd.models.signals.base import OutputSpec, RowSizes, Signal
from raykd.models.signals.logits import Logits
from raykd.models.signals.ragged import Ragged, one_chunk
from raykd.teachers.cached_outputs import CachedOutputs, joined
from raykd.teachers.vocab_cache.base import as_ids
from raykd.teachers.vocab_cache.signal import VocabularyScores

BLOCK_BYTES = 32 << 20
"""Outputs are recorded, shared, spilled and written in chunks of about this size."""

BLOCK_ROWS = 2048
"""Most rows of a block: enough to group by length, few enough to share work and show progress."""

_NOT_FINITE = (
    "check its checkpoint and learning rate; where it runs in fp16, set teacher.precision: bf16"
)
"""What to do about outputs that are NaN or infinite."""

_TORCH = {"fp16": torch.float16, "fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What is recorded, and how.

    Attributes:
        encoded: The rows as the teacher reads them.
        output_spec: What is kept; those that stand for several, resolved.
        pad_id: Token that pads.
        max_length: Longest padded row.
        dtype: How signals are kept that are rounded.
        batch_size: Most rows per forward.
        row_bytes: What each row takes, ``[N]``; decides how many make a block. None: little.
        vocabulary: Token ids that students compare; those beyond them are left out of draws.
    """

    encoded: TokenizedDataset
    output_spec: OutputSpec
    pad_id: int
    max_length: int
    dtype: str
    batch_size: int
    row_bytes: Array | None = None
    vocabulary: int | None = None

    def blocks(self) -> tuple[Array, ...]:
        """Row numbers of every block, in order; they depend on rows and outputs only.

        None takes more than `BLOCK_BYTES`, unless a single row does.
        """
        count = len(self.encoded)
        sizes = np.zeros(count, np.int64) if self.row_bytes is None else self.row_bytes
        ends = np.cumsum(sizes)
        blocks, begin = [], 0
        while begin < count:
            before = ends[begin] - sizes[begin]
            fits = int(np.searchsorted(ends, before + BLOCK_BYTES, side="right"))
            end = min(max(fits, begin + 1), begin + BLOCK_ROWS, count)
            blocks.append(np.arange(begin, end))
            begin = end
        return tuple(blocks)

    def run(
        self,
        model: nn.Module,
        rows: Array,
        device: torch.device,
        progress: Callable[[int], None] = lambda done: None,
    ) -> CachedOutputs:
        """Record one block, without dropout and gradient, in float32.

        Args:
            model: The teacher, on `device`.
            rows: Row numbers that follow each other.
            device: Where to run.
            progress: Called with the number of rows done.

        Raises:
            TeacherError: The outputs are not finite, or do not fit the chosen dtype.
        """
        block = _Block(self, rows)
        collate = Collator(
            self.pad_id,
            max_length=self.max_length,
            context_padding=self.output_spec.context_padding,
        )
        done = 0
        with inference(model):
            for places in batches_by_length(block.lengths, self.batch_size):
                batch = collate(self.encoded, rows[places]).to(device)
                block.keep(places, batch, self._forward(model, batch))
                done += len(places)
                progress(done)
        return block.done()

    def _forward(self, model: nn.Module, batch: Batch) -> Outputs:
        made_from = (one for signal in self.output_spec for one in signal.made_from())
        return forward(model, batch, output_spec=made_from)


def record(
    model: nn.Module,
    recording: Recording,
    device: torch.device,
    progress: Callable[[int], None] = lambda done: None,
) -> CachedOutputs:
    """Record every block here; see `Recording.run`."""
    parts: list[CachedOutputs] = []
    before = 0
    for rows in recording.blocks():
        parts.append(recording.run(model, rows, device, after(before, progress)))
        before += len(rows)
    return joined(parts)


def after(before: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    """Turn the progress of a part into progress of the whole, given the rows done before it."""
    return lambda done: progress(before + done)


def row_bytes(
    encoded: TokenizedDataset,
    output_spec: OutputSpec,
    teacher: ModelDims,
    *,
    kind: str,
    num_labels: int,
    wide: bool,
) -> Array:
    """Bytes that recording takes of each row, int64 ``[N]``.

    Args:
        encoded: The rows.
        output_spec: What is kept; those that stand for several, resolved.
        teacher: Its sizes.
        kind: Kind of task; what the logits are of.
        num_labels: Width of the logits.
        wide: Whether rounded signals take four bytes a number instead of two.
    """
    lengths = encoded.lengths().astype(np.int64)
    of = task_kind(kind)
    rows = RowSizes(
        lengths=lengths,
        positions=lengths + output_spec.context_padding,
        labelled=encoded.label_counts() if encoded.token_labels else None,
        logits=teacher.vocabulary if of.over_vocabulary else num_labels,
        per_position=of.labels_of == "span",
    )
    total = np.zeros(len(encoded), np.int64)
    for signal in kept(output_spec, token_labels=encoded.token_labels):
        total += signal.bytes(rows, teacher, wide=wide)
    return total


def kept(output_spec: OutputSpec, *, token_labels: bool) -> tuple[Signal, ...]:
    """The signals that a recording holds.

    Logits of whole rows are always among them: they are few, and derived teachers are made from
    them. Those of a vocabulary are kept only where they are read, and once.

    Args:
        output_spec: What is read; those that stand for several, resolved.
        token_labels: Whether the rows have a label for every token.
    """
    recorded = output_spec.cacheable
    if any(isinstance(signal, VocabularyScores) for signal in recorded):
        return tuple(signal for signal in recorded if signal != Logits())
    if token_labels or Logits() in recorded:
        return recorded
    return tuple(sorted((Logits(), *recorded), key=lambda signal: signal.name))


def estimate_bytes(
    encoded: TokenizedDataset,
    output_spec: OutputSpec,
    teacher: ModelDims,
    task: Task,
    *,
    wide: bool,
) -> int:
    """Bytes that recording takes of all rows; see `row_bytes`."""
    kind, num_labels = task.kind, task.num_labels
    each = row_bytes(encoded, output_spec, teacher, kind=kind, num_labels=num_labels, wide=wide)
    return int(each.sum())


@dataclass(kw_only=True, slots=True)
class _Rounding:
    error: float = 0.0
    size: float = 0.0


class _Block:
    """Copies of what is kept of every row of a block, in any order."""

    def __init__(self, recording: Recording, rows: Array) -> None:
        encoded, output_spec = recording.encoded, recording.output_spec
        self._recording = recording
        self.lengths = encoded.lengths()[rows]
        self._sizes = RowSizes(
            lengths=self.lengths,
            positions=np.minimum(
                self.lengths + output_spec.context_padding,
                np.maximum(recording.max_length, self.lengths),
            ),
            labelled=encoded.label_counts()[rows] if encoded.token_labels else None,
        )
        self._signals = kept(output_spec, token_labels=encoded.token_labels)
        self._labels_of = "token" if encoded.token_labels else "row"
        self._random = torch.Generator().manual_seed(int(rows[0]))
        self._mass, self._tokens = 0.0, 0
        self._pieces: dict[str, _Pieces] = {}
        self._rounding: dict[str, _Rounding] = {}

    def keep(self, places: Array, batch: Batch, out: Outputs) -> None:
        """Keep the outputs of the rows at some places of the block."""
        sizes = self._sizes.of(places)
        for signal in self._signals:
            if isinstance(signal, VocabularyScores):
                self._keep_scores(signal, places, sizes, out.lazy_logits)
                continue
            if signal == Logits() and out.logits.dim() == 3:
                self._labels_of = "span"
            rows = signal.rows(out, batch.attention_mask, sizes)
            self._put(signal.name, places, self._plain(signal, rows))

    def _keep_scores(
        self, signal: VocabularyScores, places: Array, sizes: RowSizes, scores: LazyLogits
    ) -> None:
        scores = scores.first(self._recording.vocabulary or scores.vocabulary)
        arrays, mass = signal.cache.keep(scores, self._generator(scores.states.device))
        self._mass += mass
        self._tokens += len(scores)
        assert sizes.labelled is not None
        ends = np.cumsum(sizes.labelled)[:-1]
        for name, values in arrays.items():
            if values.is_floating_point():
                states = name in signal.cache.states
                dtype = self._recording.dtype if states else "fp16"
                array = self._rounded(f"tokens/{name}", values, dtype)
            else:
                array = as_ids(values, scores.vocabulary)
            self._put(f"tokens/{name}", places, np.split(array, ends))

    def _generator(self, device: torch.device) -> torch.Generator:
        """Draws that depend on the block only."""
        if self._random.device != device:
            self._random = torch.Generator(device).manual_seed(self._random.initial_seed())
        return self._random

    def done(self) -> CachedOutputs:
        """The outputs of all rows."""
        return CachedOutputs(
            signals=self._signals,
            parts={
                name: self._pieces[name].done()
                for signal in self._signals
                for name in signal.arrays
            },
            dtype=self._recording.dtype,
            context_padding=self._recording.output_spec.context_padding,
            labels_of=self._labels_of,
            rounding={name: (r.error, r.size) for name, r in self._rounding.items()},
            coverage=(self._mass, float(self._tokens)),
        )

    def _put(self, name: str, places: Array, arrays: Iterable[Array]) -> None:
        count = len(self.lengths)
        self._pieces.setdefault(name, _Pieces([None] * count)).put(places, arrays)

    def _plain(self, signal: Signal, rows: Sequence[Tensor]) -> list[Array]:
        """Rows of a signal in their storage format, in one copy."""
        if not rows:
            return []
        ends = np.cumsum([len(row) for row in rows])[:-1]
        if signal.is_rounded:
            return np.split(
                self._rounded(signal.name, torch.cat(list(rows)), self._recording.dtype), ends
            )
        values = torch.cat([row.float() for row in rows])
        if not torch.isfinite(values).all():
            raise TeacherError(
                f"the teacher's {signal.kind} are not finite",
                hint=_NOT_FINITE,
            )
        return np.split(values.cpu().numpy(), ends)

    def _rounded(self, name: str, values: Tensor, dtype: str) -> Array:
        """A tensor in its storage format; the rounding error is accumulated.

        Args:
            name: What the values are of.
            values: The tensor.
            dtype: How it is kept.
        """
        kept = values.to(_TORCH[dtype])
        if not torch.isfinite(kept).all():
            if torch.isfinite(values).all():
                raise TeacherError(
                    "the teacher's hidden states are larger than fp16 can hold",
                    hint="set teacher.dtype: bf16 or fp32",
                )
            raise TeacherError(
                "the teacher's hidden states are not finite",
                hint=_NOT_FINITE,
            )
        lost = (kept.float() - values.float()).double().square()
        rounding = self._rounding.setdefault(name, _Rounding())
        rounding.error += float(lost.sum())
        rounding.size += float(values.double().square().sum())
        kept = kept.cpu().contiguous()
        array: Array = (kept.view(torch.int16) if dtype == "bf16" else kept).numpy()
        return array


@dataclass(frozen=True, slots=True)
class _Pieces:
    rows: list[Array | None] = field(default_factory=list)

    def put(self, places: Array, arrays: Iterable[Array]) -> None:
        for place, array in zip(places, arrays, strict=True):
            self.rows[place] = array.copy()

    def done(self) -> Ragged:
        return one_chunk([array for array in self.rows if array is not None])
