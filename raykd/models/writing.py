"""Lets a model write: prompts to token ids, with a cache of keys and values.

Axes: B row, P prompt position, S written position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raykd.data.base import NO_LABEL, Array, Batch, Encoded
from raykd.data.prompts import joined_row
from raykd.losses.policy import mixed_probabilities


@dataclass(frozen=True, kw_only=True, slots=True)
class Writing:
    """How text is written.

    Attributes:
        max_new_tokens: Most tokens; a row that does not end by itself is cut there.
        end: The token that ends a text.
        pad: The token that pads.
        sample: Draw from the distribution instead of taking the most likely token.
        temperature: Softens the distribution that is drawn from.
        no_repeat_ngram_size: Word sequences of this length occur at most once; 0 = any.
    """

    max_new_tokens: int
    end: int
    pad: int
    sample: bool = False
    temperature: float = 1.0
    no_repeat_ngram_size: int = 0


def padded_left(prompts: Sequence[Array], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts that end at the same position, and their mask, int64 ``[B, P]``.

    The mask says what is padding, also where the token that pads ends texts, too.
    """
    longest = max(len(ids) for ids in prompts)
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.from_numpy(prompt.astype("int64"))
        mask[row, longest - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


@torch.no_grad()
def write(
    model: Any,
    prompts: Sequence[Array],
    writing: Writing,
    teacher: Any = None,
    share: float = 0.0,
) -> Tensor:
    """What a model writes after prompts, without dropout, int64 ``[B, S]``.

    Rows that ended are filled with padding. Draws come from the generator of the device.

    Args:
        model: A ``PreTrainedModel`` that writes text; its mode is left as it was.
        prompts: Token ids, at least one each.
        writing: How.
        teacher: A model that is drawn from, too, if `writing` samples.
        share: Of the teacher in what is drawn from.
    """
    was_training = model.training
    model.eval()
    ids, mask = padded_left(prompts, writing.pad, next(model.parameters()).device)
    drawn: dict[str, Any] = {}
    if writing.sample:
        drawn = {"temperature": writing.temperature, "top_k": 0, "top_p": 1.0}
    if teacher is not None and share > 0:
        # The mixture is softened as a whole, so that it must not be softened again.
        mixture = _Mixture(teacher, mask, share, writing.temperature)
        drawn |= {"temperature": 1.0, "logits_processor": [mixture]}
    found: Tensor = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=_bounded(model, ids, writing.max_new_tokens),
        do_sample=writing.sample,
        eos_token_id=writing.end,
        pad_token_id=writing.pad,
        no_repeat_ngram_size=writing.no_repeat_ngram_size or None,
        use_cache=True,
        **drawn,
    )
    model.train(was_training)
    # A decoder repeats the prompt, an encoder-decoder begins with a token that starts.
    return found[:, 1:] if model.config.is_encoder_decoder else found[:, ids.shape[1] :]


def until_end(written: Tensor, end: int) -> list[Array]:
    """The tokens of each row before the one that ends it; all of them where none does."""
    rows: list[Array] = []
    for row in written.cpu().numpy():
        ends = (row == end).nonzero()[0]
        rows.append(row[: ends[0]] if len(ends) else row)
    return rows


def _bounded(model: Any, ids: Tensor, wanted: int) -> int:
    """No more tokens than there are positions left; at least one."""
    if model.config.is_encoder_decoder:
        return wanted
    positions = getattr(model.config, "max_position_embeddings", None)
    return wanted if positions is None else max(1, min(wanted, positions - ids.shape[1]))


def rows_of(prompts: Sequence[Array], written: Tensor, end: int) -> list[tuple[Array, Array]]:
    """What a decoder reads of prompts it went on with, and the labels: see `joined_row`.

    A response goes as far as the token that ends it, which is one of its labels.

    Args:
        prompts: Token ids.
        written: int64 ``[B, S]``.
        end: The token that ends a text.
    """
    pairs = zip(prompts, written.cpu().numpy(), until_end(written, end), strict=True)
    rows = []
    for prompt, row, own in pairs:
        whole = row[: len(own) + 1]
        rows.append(joined_row(prompt.astype("int64"), whole, len(prompt) + len(whole)))
    return rows


def reread(
    encoded: Encoded, prompts: Sequence[Array], written: Tensor, end: int
) -> list[tuple[Array, Array]]:
    """Token ids and labels of prompts that a model went on with, as `encoded` has them."""
    if encoded.label_offsets is None:
        return rows_of(prompts, written, end)
    return _answered(prompts, written, end)


def _answered(prompts: Sequence[Array], written: Tensor, end: int) -> list[tuple[Array, Array]]:
    """Prompts, and what was written as far as the token that ends it."""
    ends = until_end(written, end)
    pairs = zip(prompts, written.cpu().numpy(), ends, strict=True)
    return [(ids, row[: len(own) + 1]) for ids, row, own in pairs]


def prompts_of(batch: Batch, *, joined: bool) -> list[Array]:
    """The prompts of a batch as token ids.

    Args:
        batch: Prompts and responses.
        joined: Whether both are in `Batch.input_ids`, as a decoder reads them.
    """
    ids, mask, labels = (
        t.cpu().numpy() for t in (batch.input_ids, batch.attention_mask, batch.labels)
    )
    if not joined:
        return [row[m == 1] for row, m in zip(ids, mask, strict=True)]
    firsts = (labels != NO_LABEL).argmax(axis=1)
    return [row[: first + 1] for row, first in zip(ids, firsts, strict=True)]


def written_batch(batch: Batch, written: Tensor, writing: Writing, *, joined: bool) -> Batch:
    """The batch with what was written in place of its responses.

    Args:
        batch: Prompts and responses.
        written: int64 ``[B, S]``.
        writing: How it was written.
        joined: See `prompts_of`.
    """
    if joined:
        rows = rows_of(prompts_of(batch, joined=True), written, writing.end)
    else:
        rows = _answered(prompts_of(batch, joined=False), written, writing.end)
    device = batch.input_ids.device
    ids = _padded([ids for ids, _ in rows], writing.pad)
    return Batch(
        input_ids=ids.to(device),
        attention_mask=_padded([np.ones(len(ids), np.int64) for ids, _ in rows], 0).to(device),
        token_type_ids=torch.zeros_like(ids).to(device),
        labels=_padded([labels for _, labels in rows], NO_LABEL).to(device),
        index=batch.index,
    )


def _padded(rows: Sequence[Array], value: int) -> Tensor:
    longest = max(len(row) for row in rows)
    out = torch.full((len(rows), longest), value, dtype=torch.long)
    for k, row in enumerate(rows):
        out[k, : len(row)] = torch.from_numpy(row.astype("int64"))
    return out


class _Mixture:
    """Draws from student and teacher together: each step also runs the teacher.

    Args:
        teacher: A model with the student's vocabulary.
        mask: Of the prompts, 1 = token, ``[B, P]``.
        share: Of the teacher.
        temperature: Softens both.
    """

    def __init__(self, teacher: Any, mask: Tensor, share: float, temperature: float) -> None:
        self._teacher = teacher
        self._mask = mask
        self._share = share
        self._temperature = temperature
        self._past: Any = None

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        """Logarithms of the mixture, from the scores of the student."""
        new = ids if self._past is None else ids[:, -1:]
        mask = torch.cat(
            [self._mask, self._mask.new_ones(len(ids), ids.shape[1] - self._mask.shape[1])], dim=1
        )
        places = (mask.cumsum(dim=1) - 1).clamp_min(0)[:, -new.shape[1] :]
        found = self._teacher(
            input_ids=new, attention_mask=mask, position_ids=places,
            past_key_values=self._past, use_cache=True,
        )  # fmt: skip
        self._past = found.past_key_values
        width = scores.shape[-1]
        mixed = mixed_probabilities(
            scores, found.logits[:, -1, :width], alpha=self._share, temperature=self._temperature
        )
        return mixed.log()
