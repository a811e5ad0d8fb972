"""Tokenises prompts and their responses.

Axes: N row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from raykd.data.base import (
    EXPLAIN,
    NO_LABEL,
    PREDICT,
    Array,
    EvalReferences,
    Examples,
    PlainTokenizer,
    TokenizedDataset,
)
from raykd.data.batch import ROW_COLUMNS
from raykd.data.task_kinds import task_kind

ROWS_AT_ONCE = 2048
SHARE = 0.5
"""Part of the longest row that a prompt may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptLayout:
    """How prompts and responses are put together.

    Attributes:
        has_specials: Whether the texts hold every special token there must be before them, as chat
            templates write it; otherwise those of the tokenizer stand there once.
        max_prompt: Most tokens of a prompt; None: half of a row.
    """

    has_specials: bool = False
    max_prompt: int | None = None

    def room(self, max_length: int) -> int:
        """Most tokens of a prompt in rows of so many."""
        half = int(max_length * SHARE)
        return half if self.max_prompt is None else min(self.max_prompt, max_length - 1)


PLAIN_LAYOUT = PromptLayout()


def encode_prompts(
    rows: Examples,
    tokenizer: Any,
    max_length: int,
    kind: str,
    layout: PromptLayout = PLAIN_LAYOUT,
) -> TokenizedDataset:
    """Prompts and responses as a model of a kind reads them.

    A decoder reads a prompt and a response, one after the other, and has labels for the tokens of
    the response and for the one that ends it. An encoder reads the prompt, and all labels are those
    of the response. A prompt that takes more than half of `max_length` is cut: first the part
    that may be cut, from its end, then what is before that. Responses are cut at the end.

    Args:
        rows: Two text columns, prompts and responses; the field ``cut`` holds for every prompt
            which of its characters may go, ``answers`` what is accepted as its response. With the
            field ``spoken``, the response is a dialogue, and only those characters are learnt.
        tokenizer: A fast ``PreTrainedTokenizerBase`` with a token that ends a text.
        max_length: Most tokens of a row.
        kind: A kind that generates text; whether prompt and response are one text.
        layout: Special tokens, and how long a prompt may be.
    """
    begin, end = frame(tokenizer)
    if layout.has_specials:
        begin = end = begin[:0]
    joined = task_kind(kind).is_joined
    room = layout.room(max_length) - len(begin) - (0 if joined else len(end))
    prompts, before = _fitting(rows, tokenizer, room)
    begun = [_with_begin(ids, begin) for ids in before]
    spoken: Sequence[Array | None] = [None] * len(rows)
    if "spoken" in rows.fields:
        responses, spoken = _dialogues(rows.texts[1], rows.fields["spoken"], tokenizer)
    else:
        responses = _responses(prompts, rows.texts[1], before, tokenizer, joined=joined)
    is_cut = np.asarray([p != q for p, q in zip(prompts, rows.texts[0], strict=True)])
    pairs = list(zip(begun, responses, strict=True))
    loses_end = np.asarray([len(ids) * joined + len(out) > max_length for ids, out in pairs])
    if joined:
        encoded_rows = [
            joined_row(ids, out, max_length, spoken=learnt)
            for (ids, out), learnt in zip(pairs, spoken, strict=True)
        ]
    else:
        encoded_rows = [(np.concatenate([ids, end]), out[:max_length]) for ids, out in pairs]
    encoded = of_rows(encoded_rows, apart=not joined)
    return replace(
        encoded,
        truncated=int((is_cut | loses_end).sum()),
        cut_responses=int(loses_end.sum()),
        references=_references(rows, tokenizer),
    )


def _references(rows: Examples, tokenizer: Any) -> EvalReferences:
    """What responses are compared with, and how generated tokens become text."""
    return EvalReferences(
        groups=np.arange(len(rows)),
        answers=rows.fields["answers"],
        tokens=PlainTokenizer(
            tokenizer=tokenizer.backend_tokenizer.to_str(),
            end=tokenizer.eos_token_id,
            pad=tokenizer.pad_token_id,
            vocabulary=id_count(tokenizer),
        ),
    )


def id_count(tokenizer: Any) -> int:
    """Rows that a word embedding needs for every token of a tokenizer.

    Special tokens count, and so do ids that it leaves out in between.
    """
    highest: int = max(*tokenizer.get_vocab().values(), *tokenizer.all_special_ids)
    return 1 + highest


def of_rows(rows: Sequence[tuple[Array, Array]], *, apart: bool) -> TokenizedDataset:
    """Encoded rows with token labels.

    Args:
        rows: Token ids and labels of each, int64.
        apart: Whether labels are those of another text than the ids.
    """
    ids, labels = (np.concatenate([row[k] for row in rows]) for k in (0, 1))
    return TokenizedDataset(
        input_ids=ids.astype(np.int32),
        token_type_ids=np.zeros(len(ids), np.int8),
        offsets=_offsets([row[0] for row in rows]),
        labels=labels.astype(np.int64),
        label_offsets=_offsets([row[1] for row in rows]) if apart else None,
        token_labels=True,
    )


def with_rows(encoded: TokenizedDataset, rows: Sequence[tuple[Array, Array]]) -> TokenizedDataset:
    """Other ids and labels of the same kind, as many rows as `encoded` has."""
    columns = {name: of for name, of in encoded.columns.items() if name in ROW_COLUMNS}
    return replace(of_rows(rows, apart=encoded.label_offsets is not None), columns=columns)


def without_labels(encoded: TokenizedDataset, rows: Array) -> TokenizedDataset:
    """The rows with no label in some of them.

    Args:
        encoded: Rows with token labels.
        rows: Which, bool ``[N]``.
    """
    offsets = encoded.offsets if encoded.label_offsets is None else encoded.label_offsets
    out = np.repeat(rows, np.diff(offsets))
    return replace(encoded, labels=np.where(out, NO_LABEL, encoded.labels))


def with_rationales(train: TokenizedDataset, rationales: TokenizedDataset) -> TokenizedDataset:
    """The train rows with other rationales; where there is no text, there is none."""
    silent = rationales.label_counts() <= 1  # the token that ends a text
    predict = train.views[PREDICT]
    views = {**predict.views, EXPLAIN: without_labels(rationales, silent)}
    return replace(train, views={**train.views, PREDICT: replace(predict, views=views)})


def joined_row(
    prompt: Array, response: Array, max_length: int, *, spoken: Array | None = None
) -> tuple[Array, Array]:
    """What a decoder reads of one row, and the token that follows each position.

    Args:
        prompt: Token ids; with none, every position of the response but the first is predicted.
        response: Token ids, with the one that ends it.
        max_length: The row is cut to so many tokens before the last one is taken as a label only.
        spoken: Which tokens of the response are learnt, bool; None: all of them.

    Returns:
        Token ids and labels, int64, of equal length; positions before the response have no label.
    """
    whole = np.concatenate([prompt, response])[:max_length]
    labels = whole[1:].copy()
    # A prompt of one token is predicted from nothing; what follows it is the response.
    labels[: max(0, len(prompt) - 1)] = NO_LABEL
    if spoken is not None:
        is_learnt = np.concatenate([np.zeros(len(prompt), bool), spoken])[1:max_length]
        labels[~is_learnt] = NO_LABEL
    return whole[:-1], labels


def frame(tokenizer: Any) -> tuple[Array, Array]:
    """Token ids that a tokenizer puts before and after a text, int64."""
    whole = tokenizer("a")["input_ids"]
    inside = tokenizer("a", add_special_tokens=False)["input_ids"]
    at = next(i for i in range(len(whole)) if whole[i : i + len(inside)] == inside)
    return np.asarray(whole[:at], np.int64), np.asarray(whole[at + len(inside) :], np.int64)


def _ids(texts: Sequence[str], tokenizer: Any) -> list[Array]:
    token_ids = []
    for begin in range(0, len(texts), ROWS_AT_ONCE):
        part = tokenizer(
            list(texts[begin : begin + ROWS_AT_ONCE]),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        token_ids += [np.asarray(ids, np.int64) for ids in part["input_ids"]]
    return token_ids


def _fitting(rows: Examples, tokenizer: Any, room: int) -> tuple[list[str], list[Array]]:
    """Prompts of at most so many tokens, as text and as ids."""
    prompts = list(rows.texts[0])
    ids = _ids(prompts, tokenizer)
    for row, own in enumerate(ids):
        if len(own) > room:
            prompts[row], ids[row] = _cut(prompts[row], rows.fields["cut"][row], tokenizer, room)
    return prompts, ids


def _cut(text: str, part: tuple[int, int], tokenizer: Any, room: int) -> tuple[str, Array]:
    """The text without the end of a part of it, and without more where that is not enough."""
    first, last = part
    ids = _ids([text], tokenizer)[0]
    while len(ids) > room and last > 0:
        # About as many characters as tokens are too many, by the mean length of a token; at the
        # least one, so that it comes to an end.
        over = max(1, int((len(ids) - room) * len(text) / len(ids)))
        if last <= first:
            first = 0
        kept = max(first, last - over)
        text = text[:kept] + text[last:]
        last = kept
        ids = _ids([text], tokenizer)[0]
    return text, ids[-room:]


def _responses(
    prompts: Sequence[str],
    responses: Sequence[str],
    before: Sequence[Array],
    tokenizer: Any,
    *,
    joined: bool,
) -> list[Array]:
    """Token ids of the responses and the token that ends them."""
    end = np.asarray([tokenizer.eos_token_id], np.int64)
    alone = _ids(responses, tokenizer)
    if joined:
        both = _ids([p + r for p, r in zip(prompts, responses, strict=True)], tokenizer)
        for row, (whole, own) in enumerate(zip(both, before, strict=True)):
            # Tokens may grow together across the border; then the response stands alone.
            if len(whole) > len(own) and np.array_equal(whole[: len(own)], own):
                alone[row] = whole[len(own) :]
    return [_with_end(ids, end) for ids in alone]


def _dialogues(
    texts: Sequence[str], spoken: Sequence[Sequence[tuple[int, int]]], tokenizer: Any
) -> tuple[list[Array], list[Array]]:
    """Token ids of dialogues with the token that ends them, and which of them are learnt.

    Every part is split on its own, as the model reads and writes it.
    """
    end = np.asarray([tokenizer.eos_token_id], np.int64)
    parts: list[str] = []
    counts = []
    for text, places in zip(texts, spoken, strict=True):
        borders = [0, *(at for place in places for at in place)]
        parts += [text[a:b] for a, b in pairwise(borders)]
        counts.append(len(borders) - 1)
    ids = iter(_ids(parts, tokenizer))
    token_ids, learnt = [], []
    for count in counts:
        own = [next(ids) for _ in range(count)]
        own[-1] = _with_end(own[-1], end)
        token_ids.append(np.concatenate(own))
        learnt.append(np.concatenate([np.full(len(p), k % 2 == 1) for k, p in enumerate(own)]))
    return token_ids, learnt


def _with_begin(ids: Array, begin: Array) -> Array:
    """Ids with special tokens before them, unless they begin with these."""
    has_begin = len(begin) > 0 and np.array_equal(ids[: len(begin)], begin)
    return ids if has_begin else np.concatenate([begin, ids])


def _with_end(ids: Array, end: Array) -> Array:
    """Ids with the token that ends a text, once."""
    return ids if np.array_equal(ids[-1:], end) else np.concatenate([ids, end])


def token_counts(texts: Sequence[str], tokenizer: Any) -> Array:
    """Tokens of each text, without special ones around it, int64 ``[N]``."""
    return np.asarray([len(ids) for ids in _ids(texts, tokenizer)], np.int64)


def following(
    prompts: Sequence[Array], texts: Sequence[str], tokens: PlainTokenizer, *, joined: bool
) -> list[Array]:
    """Token ids of texts that continue prompts, without a token that ends them.

    As those of a task's own responses: where a decoder reads both, a text is split together with
    its prompt if the tokens of the prompt stay what they are, and alone otherwise.

    Args:
        prompts: Token ids; special tokens may stand before them.
        texts: What follows each of them.
        tokens: Of the model that reads both.
        joined: Whether it reads them as one text.
    """
    alone = tokens.encode(texts)
    if not joined:
        return alone
    before = tokens.decode([ids.tolist() for ids in prompts])
    again = tokens.encode(before)
    both = tokens.encode([p + t for p, t in zip(before, texts, strict=True)])
    texts_after = []
    for prompt, own, whole, text in zip(prompts, again, both, alone, strict=True):
        count = len(own)
        is_prompt = count > 0 and np.array_equal(prompt[-count:], own)
        grown = len(whole) > count and np.array_equal(whole[:count], own)
        texts_after.append(whole[count:] if is_prompt and grown else text)
    return texts_after


def _offsets(rows: Sequence[Array]) -> Array:
    return np.concatenate([[0], np.cumsum([len(ids) for ids in rows])]).astype(np.int64)
