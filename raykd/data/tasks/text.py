"""Unlabelled text: task-agnostic distillation, before any task is known.

A student learns from a pretrained teacher on plain text; the students that a sweep saves are then
named as ``student.model`` of sweeps on tasks. Rows are paragraphs, which are packed into blocks of
``data.max_length`` tokens. As for BERT (Devlin et al., 2019, https://arxiv.org/abs/1810.04805),
15 % of the tokens of a block get a label: of these 80 % are masked, 10 % replaced, 10 % left.

The choice is made once for each block, not again in every epoch: so what the teacher says about a
block can be recorded.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from raykd.data import columns
from raykd.data.base import NO_LABEL, Array, Examples, TokenizedDataset
from raykd.data.kinds.masked_lm import KIND as MASKED_LM
from raykd.data.prompts import frame
from raykd.data.table import Table
from raykd.data.token_scores import TokenTask
from raykd.errors import DataError

LABELLED, MASKED, REPLACED = 0.15, 0.8, 0.1
ROWS_AT_ONCE = 4096


@dataclass(frozen=True, kw_only=True)
class PlainText(TokenTask):
    """Masked words of plain text.

    Attributes:
        column: The column of files that have columns.
    """

    kind: str = MASKED_LM.name
    column: str = "text"
    counted: tuple[str, str] = ("masked_accuracy", "masked_log_likelihood")

    def read_table(self, table: Table) -> Examples:
        """One row per paragraph; empty ones are left out."""
        texts = tuple(t for t in columns.texts(table, self.column) if t.strip())
        return columns.checked([texts], np.zeros(len(texts), np.int64), table.origin)

    def encode(self, rows: Examples, tokenizer: Any, max_length: int) -> TokenizedDataset:
        """Paragraphs one after the other, cut into blocks; some tokens masked."""
        if tokenizer.mask_token_id is None:
            raise DataError("the tokenizer has no mask token", hint="choose a model like BERT")
        flat = _tokens(rows.texts[0], tokenizer)
        if not len(flat):
            raise DataError("the tokenizer finds no token in any of the texts")
        begin, end = frame(tokenizer)
        size = max_length - len(begin) - len(end)
        blocks = [flat[i : i + size] for i in range(0, len(flat), size)]
        ids = [np.concatenate([begin, block, end]) for block in blocks]
        lengths = np.array([len(block) for block in ids], np.int64)
        whole = np.concatenate(ids)
        rng = np.random.default_rng(zlib.crc32(whole.tobytes()))
        is_text = ~np.isin(whole, np.concatenate([begin, end]))
        given, labels = _masked(whole, is_text, tokenizer, rng)
        for block in range(len(blocks)):
            # A block without any label would have nothing to say.
            at = slice(lengths[:block].sum(), lengths[: block + 1].sum())
            if (labels[at] == NO_LABEL).all():
                labels[at.start + len(begin)] = whole[at.start + len(begin)]
        return TokenizedDataset(
            input_ids=given.astype(np.int32),
            token_type_ids=np.zeros(len(given), np.int8),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            labels=labels,
            token_labels=True,
        )


def _tokens(texts: tuple[str, ...], tokenizer: Any) -> Array:
    parts = []
    for begin in range(0, len(texts), ROWS_AT_ONCE):
        batch = tokenizer(
            list(texts[begin : begin + ROWS_AT_ONCE]),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        parts += [np.asarray(ids, np.int64) for ids in batch["input_ids"]]
    return np.concatenate(parts)


def _masked(
    ids: Array, is_text: Array, tokenizer: Any, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Token ids as they are read, and labels."""
    chosen = is_text & (rng.random(len(ids)) < LABELLED)
    labels = np.where(chosen, ids, NO_LABEL)
    what = rng.random(len(ids))
    others = rng.integers(0, len(tokenizer), len(ids))
    given = np.where(chosen & (what < MASKED), tokenizer.mask_token_id, ids)
    is_other = chosen & (what >= MASKED) & (what < MASKED + REPLACED)
    return np.where(is_other, others, given), labels


TASK = PlainText(
    name="text",
    about="Which words are hidden in plain text? For distillation before any task.",
    metric="masked_accuracy",
    metrics=("masked_accuracy", "masked_log_likelihood"),
    hub=("Salesforce/wikitext", "wikitext-103-raw-v1"),
)
