"""Checks ``lm_collate.npz``: how prompts and responses become padded batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from raykd.data.base import NO_LABEL, Batch, TokenizedDataset
from raykd.data.collate import Collator
from raykd.data.prompts import joined_row
from raykd.models.generation import padded_prompts
from tests.golden.comparison import Array, Comparison, Unknown, compare_indices


def check(path: Path) -> Iterator[Comparison | Unknown]:
    """Make every batch of a file again."""
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    width, pad = int(arrays["max_length"]), int(arrays["pad_id"])
    packed = _numbered(arrays, "packed")
    pairs = [_split(row, int(arrays["split_id"])) for row in packed]
    rows = [joined_row(prompt, response, width) for prompt, response in pairs]
    batch = _batch(rows, width, pad)
    plain = _batch(
        [joined_row(np.empty(0, np.int64), row, width) for row in _numbered(arrays, "plain")],
        width, pad,
    )  # fmt: skip
    prompts = [prompt for prompt, _ in pairs]
    longest = int(arrays["max_prompt_length"])
    left, mask = padded_prompts(
        [np.full(longest, pad), *prompts], pad, torch.device("cpu"), left=True
    )
    left, mask = left[1:, -longest:], mask[1:, -longest:]
    made = {
        "model_input_ids": batch.input_ids, "model_attention_mask": batch.attention_mask,
        "model_position_ids": _positions(batch), "target_label": batch.labels,
        "target_loss_mask": (batch.labels != NO_LABEL).long(),
        "plainbatch_input_ids": plain.input_ids, "plainbatch_label": plain.labels,
        "plainbatch_attention_mask": plain.attention_mask,
        "plainbatch_position_ids": _positions(plain),
        "plainbatch_loss_mask": (plain.labels != NO_LABEL).long(),
        "gen_input_ids": left, "gen_attention_mask": mask,
        "prompt_input_ids": left, "prompt_attention_mask": mask,
    }  # fmt: skip
    for key, golden in arrays.items():
        if golden.ndim == 0 or key.startswith(("packed_", "plain_")):
            continue
        if key not in made:
            yield Unknown(key, "follows no documented pattern")
            continue
        yield compare_indices(key, tuple(made[key].reshape(-1).tolist()), golden)


def _numbered(arrays: dict[str, Array], name: str) -> list[Array]:
    keys = sorted((k for k in arrays if k.startswith(f"{name}_")), key=lambda k: int(k[-1]))
    return [arrays[k].astype(np.int64) for k in keys]


def _split(row: Array, mark: int) -> tuple[Array, Array]:
    at = int(np.flatnonzero(row == mark)[0])
    return row[:at], row[at + 1 :]


def _batch(rows: list[tuple[Array, Array]], width: int, pad: int) -> Batch:
    """The batch, padded to a width that is longer than every row."""
    lengths = [len(ids) for ids, _ in rows]
    ids = np.concatenate([ids for ids, _ in rows])
    encoded = TokenizedDataset(
        input_ids=ids.astype(np.int32),
        token_type_ids=np.zeros(len(ids), np.int8),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.concatenate([labels for _, labels in rows]),
        token_labels=True,
    )
    return Collator(pad, max_length=width, context_padding=width)(encoded, np.arange(len(rows)))


def _positions(batch: Batch) -> torch.Tensor:
    """0 at padding, which no token reads."""
    counted = batch.attention_mask.cumsum(1) - 1
    return counted.masked_fill(batch.attention_mask == 0, 0)
