"""Runs a teacher once over every row and keeps what students will read of it.

Rows are recorded in blocks, each by itself: several processes can share the work, and what comes
out does not depend on how many they are.

Axes: N row, B batch, L position, Y recorded layer, D hidden width, C class, H attention head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from raykd.data.base import NO_LABEL, Array, Batch, Task, TokenizedDataset
from raykd.data.collate import Collator
from raykd.errors import TeacherError
from raykd.losses.vocabulary import LazyLogits
from raykd.methods.base import OutputSpec
from raykd.models.base import ModelDims, Outputs
from raykd.models.forward import forward
from raykd.teachers.cached_outputs import CachedOutputs, joined
from raykd.teachers.ragged import Ragged, one_chunk
from raykd.teachers.vocab_cache.base import VocabCache, as_ids
from raykd.teachers.vocab_cache.choose import vocab_cache_of

BLOCK_BYTES = 32 << 20
"""Outputs are recorded, shared, spilled and written in pieces of about this size."""

BLOCK_ROWS = 2048
"""Most rows of a block: enough to group by length, few enough to share work and show progress."""

_TORCH = {"fp16": torch.float16, "fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What is recorded, and how.

    Attributes:
        encoded: The rows as the teacher reads them.
        output_spec: What is kept; layers by number.
        pad_id: Token that pads.
        max_length: Longest padded row.
        dtype: How hidden states and attentions are kept.
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
        found, begin = [], 0
        while begin < count:
            before = ends[begin] - sizes[begin]
            fits = int(np.searchsorted(ends, before + BLOCK_BYTES, side="right"))
            end = min(max(fits, begin + 1), begin + BLOCK_ROWS, count)
            found.append(np.arange(begin, end))
            begin = end
        return tuple(found)

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
        model.eval()
        block = _Block(self, rows)
        collate = Collator(
            self.pad_id,
            max_length=self.max_length,
            context_padding=self.output_spec.context_padding,
        )
        order = np.argsort(block.lengths, kind="stable")
        for begin in range(0, len(order), self.batch_size):
            places = order[begin : begin + self.batch_size]
            batch = collate(self.encoded, rows[places]).to(device)
            with torch.inference_mode():
                block.keep(places, batch, self._forward(model, batch))
            progress(min(begin + self.batch_size, len(order)))
        return block.done()

    def _forward(self, model: nn.Module, batch: Batch) -> Outputs:
        layers = numbers(self.output_spec.hidden_states)
        transformed = {
            k for transform in self.output_spec.feature_transforms for k in transform.layers
        }
        return forward(
            model,
            batch,
            hidden_states=tuple(sorted(transformed.union(layers))),
            attentions=numbers(self.output_spec.attentions),
        )


def record(
    model: nn.Module,
    recording: Recording,
    device: torch.device,
    progress: Callable[[int], None] = lambda done: None,
) -> CachedOutputs:
    """Record every block here; see `Recording.run`."""
    found: list[CachedOutputs] = []
    before = 0
    for rows in recording.blocks():
        found.append(recording.run(model, rows, device, after(before, progress)))
        before += len(rows)
    return joined(found)


def after(before: int, progress: Callable[[int], None]) -> Callable[[int], None]:
    """Progress of a part, as progress of the whole, of which so many rows were done before."""
    return lambda done: progress(before + done)


def numbers(layers: object) -> tuple[int, ...]:
    """Layers that were numbered before."""
    assert isinstance(layers, tuple)
    return layers


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
        output_spec: What is kept; layers by number.
        teacher: Its sizes.
        kind: Kind of task; what the logits are of.
        num_labels: Width of the logits.
        wide: Whether hidden states and attentions take four bytes a number instead of two.
    """
    lengths = encoded.lengths().astype(np.int64)
    if encoded.token_labels:
        per_token = teacher.vocabulary * 4 if output_spec.logits else 0
        if output_spec.vocab_cache:
            per_token = vocab_cache_of(output_spec.vocab_cache).token_bytes(teacher, wide=wide)
        logits = encoded.label_counts() * per_token
    else:
        logits = (lengths if kind == "span" else np.ones_like(lengths)) * num_labels * 4
    positions = lengths + output_spec.context_padding
    hidden = positions * len(numbers(output_spec.hidden_states)) * teacher.hidden
    maps = lengths**2 * len(numbers(output_spec.attentions)) * teacher.heads
    distinct, which = np.unique(lengths, return_inverse=True)
    transformed = np.zeros(len(distinct), np.int64)
    for transform in output_spec.feature_transforms:
        transformed += [transform.numbers(distinct[k : k + 1]) for k in range(len(distinct))]
    total: Array = logits + (hidden + maps) * (4 if wide else 2) + transformed[which] * 4
    return total


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
        self._kept = np.minimum(
            self.lengths + output_spec.context_padding,
            np.maximum(recording.max_length, self.lengths),
        )
        # Scores of a vocabulary are many: they are kept only where they are read.
        self._keeps_logits = output_spec.logits or not encoded.token_labels
        self._shape = "token" if encoded.token_labels else "row"
        self._vocab_cache = (
            vocab_cache_of(output_spec.vocab_cache) if output_spec.vocab_cache else None
        )
        self._random = torch.Generator().manual_seed(int(rows[0]))
        self._mass, self._tokens = 0.0, 0
        self._pieces: dict[str, _Pieces] = {}
        self._rounding: dict[str, _Rounding] = {}

    def keep(self, places: Array, batch: Batch, out: Outputs) -> None:
        """Keep the outputs of the rows at some places of the block."""
        output_spec, dtype = self._recording.output_spec, self._recording.dtype
        lengths = self.lengths[places]
        if self._vocab_cache is not None:
            self._keep_tokens(self._vocab_cache, places, batch, out.lazy_logits)
        elif self._keeps_logits:
            self._shape = "span" if out.logits.dim() == 3 else self._shape
            self._put("logits", places, _logits(out, batch, lengths, self._shape))
        if layers := numbers(output_spec.hidden_states):
            names = [f"hidden_states/{layer}" for layer in layers]
            states = self._plain(names, out.stacked(layers).transpose(1, 2), dtype)
            ends = self._kept[places]
            self._put("hidden_states", places, [s[:n] for s, n in zip(states, ends, strict=True)])
        if blocks := numbers(output_spec.attentions):
            stacked = torch.stack([out.attention(k) for k in blocks], dim=1)
            names = [f"attentions/{number}" for number in blocks]
            maps = self._plain(names, stacked.permute(0, 3, 4, 1, 2), dtype)
            square = [_square(m, n) for m, n in zip(maps, lengths, strict=True)]
            self._put("attentions", places, square)
        for transform in output_spec.feature_transforms:
            states_Y = [out.hidden(k) for k in transform.layers]
            found = transform.rows(states_Y, batch.attention_mask)
            self._put(transform.name, places, [row.float().cpu().numpy() for row in found])

    def _keep_tokens(
        self, cache: VocabCache, places: Array, batch: Batch, scores: LazyLogits
    ) -> None:
        scores = scores.first(self._recording.vocabulary or scores.vocabulary)
        kept, mass = cache.keep(scores, self._generator(scores.states.device))
        self._mass += mass
        self._tokens += len(scores)
        counts = _counts(batch)
        for name, values in kept.items():
            if values.is_floating_point():
                dtype = self._recording.dtype if name in cache.states else "fp16"
                array = self._plain([name], values, dtype)
            else:
                array = as_ids(values, scores.vocabulary)
            self._put(f"tokens/{name}", places, np.split(array, counts))

    def _generator(self, device: torch.device) -> torch.Generator:
        """Draws that depend on the block only."""
        if self._random.device != device:
            self._random = torch.Generator(device).manual_seed(self._random.initial_seed())
        return self._random

    def done(self) -> CachedOutputs:
        """The outputs of all rows."""
        output_spec = self._recording.output_spec
        parts = {name: pieces.done() for name, pieces in self._pieces.items()}
        return CachedOutputs(
            logits=parts.get("logits"),
            layers=numbers(output_spec.hidden_states),
            hidden=parts.get("hidden_states"),
            blocks=numbers(output_spec.attentions),
            attentions=parts.get("attentions"),
            dtype=self._recording.dtype,
            context_padding=output_spec.context_padding,
            shape=self._shape,
            transformed={r.name: parts[r.name] for r in output_spec.feature_transforms},
            rounding={name: (r.error, r.size) for name, r in self._rounding.items()},
            vocab_cache=output_spec.vocab_cache,
            by_token={n: part for n, part in parts.items() if n.startswith("tokens/")},
            coverage=(self._mass, float(self._tokens)),
        )

    def _put(self, name: str, places: Array, arrays: Iterable[Array]) -> None:
        count = len(self.lengths)
        self._pieces.setdefault(name, _Pieces([None] * count)).put(places, arrays)

    def _plain(self, names: Sequence[str], values: Tensor, dtype: str) -> Array:
        """A tensor as it is kept; what rounding loses is added up.

        Args:
            names: What the values are of: one name, or one for each entry of the last axis but one.
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
                hint="check its checkpoint and learning rate",
            )
        lost = (kept.float() - values.float()).double().square()
        size = values.double().square()
        for k, name in enumerate(names):
            of = (..., k, slice(None)) if len(names) > 1 else ...
            rounding = self._rounding.setdefault(name, _Rounding())
            rounding.error += float(lost[of].sum())
            rounding.size += float(size[of].sum())
        kept = kept.cpu().contiguous()
        array: Array = (kept.view(torch.int16) if dtype == "bf16" else kept).numpy()
        return array


@dataclass(frozen=True, slots=True)
class _Pieces:
    found: list[Array | None] = field(default_factory=list)

    def put(self, places: Array, arrays: Iterable[Array]) -> None:
        for place, array in zip(places, arrays, strict=True):
            self.found[place] = array.copy()

    def done(self) -> Ragged:
        return one_chunk([array for array in self.found if array is not None])


def _counts(batch: Batch) -> list[int]:
    """Where the tokens with a label of each row end, the last row left out."""
    found: list[int] = (batch.labels != NO_LABEL).sum(dim=1).cumsum(dim=0)[:-1].tolist()
    return found


def _logits(out: Outputs, batch: Batch, lengths: Array, shape: str) -> Sequence[Array]:
    values = out.logits.float().cpu().numpy()
    if shape == "span":
        own = [row[:, :n].T for row, n in zip(values, lengths, strict=True)]
    elif shape == "token":
        own = np.split(values, _counts(batch))
    else:
        own = [row[None] for row in values]
    if not all(np.isfinite(row).all() for row in own):
        raise TeacherError(
            "the teacher's logits are not finite", hint="check its checkpoint and learning rate"
        )
    return own


def _square(maps: Array, length: int) -> Array:
    """The part of ``[L, L, Y, H]`` between tokens, ``[length * length, Y, H]``."""
    part = maps[:length, :length]
    return part.reshape(-1, *part.shape[2:])
