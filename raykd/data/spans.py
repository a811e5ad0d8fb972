"""Answers that are spans of a context: windows over long contexts, and the best span of a question.

Axes: N window, Q question, L position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from raykd.data.base import Array, EvalReferences, TokenizedDataset

QUESTIONS_AT_ONCE = 1024
"""Questions given to the tokenizer in one call; bounds the memory of its own records."""
NO_TEXT = -1


def encode_windows(
    questions: Sequence[str],
    contexts: Sequence[str],
    answers: Sequence[tuple[str, ...]],
    starts: Sequence[tuple[int, ...]],
    tokenizer: Any,
    max_length: int,
    *,
    overlap: int,
    query_length: int,
) -> TokenizedDataset:
    """Questions with their contexts, long contexts in several windows.

    Args:
        questions: Cut to `query_length` tokens.
        contexts: One per question.
        answers: Accepted answers of each question; the first one is learnt.
        starts: Where they begin in the context, in characters.
        tokenizer: A fast ``PreTrainedTokenizerBase``.
        max_length: Most tokens of a window, special tokens included.
        overlap: Tokens that neighbouring windows share, as far as windows are longer.
        query_length: Most tokens of a question.

    Returns:
        One encoded row per window. Its labels ``[N, 2]`` are the first and last token of the
        answer, or position 0 twice where it does not lie in the window.
    """
    room = max_length - query_length - tokenizer.num_special_tokens_to_add(pair=True)
    parts: list[tuple[Any, int]] = []
    cut = _cut(questions, tokenizer, min(query_length, max(1, max_length // 2)))
    for begin in range(0, len(cut), QUESTIONS_AT_ONCE):
        end = begin + QUESTIONS_AT_ONCE
        encoded = tokenizer(
            cut[begin:end],
            list(contexts[begin:end]),
            truncation="only_second",
            max_length=max_length,
            stride=max(0, min(overlap, room // 2)),
            return_overflowing_tokens=True,
            return_attention_mask=False,
        )
        owners = encoded["overflow_to_sample_mapping"]
        parts += [(e, begin + k) for e, k in zip(encoded.encodings, owners, strict=True)]
    lengths = np.fromiter((len(e.ids) for e, _ in parts), np.int64, len(parts))
    spans = [_spans(encoding) for encoding, _ in parts]
    groups = np.fromiter((owner for _, owner in parts), np.int64, len(parts))
    return TokenizedDataset(
        input_ids=np.concatenate([np.asarray(e.ids, np.int32) for e, _ in parts]),
        token_type_ids=np.concatenate([np.asarray(e.type_ids, np.int8) for e, _ in parts]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=_labels(spans, groups, answers, starts),
        references=EvalReferences(
            groups=groups,
            answers=tuple(answers),
            texts=tuple(contexts),
            spans=np.concatenate(spans),
        ),
    )


def _labels(
    spans: Sequence[Array],
    groups: Array,
    answers: Sequence[tuple[str, ...]],
    starts: Sequence[tuple[int, ...]],
) -> Array:
    """First and last token of the first answer in every window, ``[N, 2]``; 0 where it is not."""
    labels = np.zeros((len(spans), 2), np.int64)
    for i, (of, owner) in enumerate(zip(spans, groups, strict=True)):
        if answers[owner]:
            first = starts[owner][0]
            labels[i] = _label(of, first, first + len(answers[owner][0]))
    return labels


def best_spans(logits: Array, encoded: TokenizedDataset, *, n_best: int, longest: int) -> list[str]:
    """The most likely answer of every question, in words.

    Of each window the `n_best` first and last tokens are tried, and all tokens where no two of
    them go together.

    Args:
        logits: ``[N, 2, L]``.
        encoded: The windows, with references.
        n_best: Candidates for either end of the span.
        longest: Most tokens of an answer.
    """
    of = encoded.references
    assert of is not None
    assert of.spans is not None
    scores = np.full(len(of.texts), -np.inf)
    answers = [""] * len(of.texts)
    for i, group in enumerate(of.groups):
        spans = of.spans[encoded.offsets[i] : encoded.offsets[i + 1]]
        inside = np.flatnonzero(spans[:, 0] >= 0)
        if not len(inside):
            continue
        first, last = logits[i, 0, inside], logits[i, 1, inside]
        begin, end, score = _best(_top(first, n_best), _top(last, n_best), longest)
        if score == -np.inf:
            begin, end, score = _best(first, last, longest)
        if score > scores[group]:
            scores[group] = score
            text = of.texts[group]
            answers[group] = text[spans[inside[begin], 0] : spans[inside[end], 1]]
    return answers


def _best(first: Array, last: Array, longest: int) -> tuple[int, int, float]:
    """The pair of positions (not further apart than allowed) with the largest sum."""
    padded = np.concatenate([last, np.full(longest - 1, -np.inf, last.dtype)])
    ahead = np.lib.stride_tricks.sliding_window_view(padded, longest)
    total = first[:, None] + ahead
    begin, more = np.unravel_index(int(np.argmax(total)), total.shape)
    return int(begin), int(begin + more), float(total[begin, more])


def _top(values: Array, count: int) -> Array:
    """The largest values; the others are minus infinity."""
    if len(values) <= count:
        return values
    kept = np.full_like(values, -np.inf)
    places = np.argpartition(values, -count)[-count:]
    kept[places] = values[places]
    return kept


def _cut(questions: Sequence[str], tokenizer: Any, length: int) -> list[str]:
    """Questions of at most so many tokens."""
    batch = tokenizer(
        list(questions), add_special_tokens=False, return_offsets_mapping=True,
        return_attention_mask=False, return_token_type_ids=False,
    )  # fmt: skip
    return [
        question if len(where) <= length else question[: where[length - 1][1]]
        for question, where in zip(questions, batch["offset_mapping"], strict=True)
    ]


def _spans(encoding: Any) -> Array:
    """Characters of the context that each token covers, int32 ``[L, 2]``."""
    spans = np.asarray(encoding.offsets, np.int32)
    in_context = np.asarray([s == 1 for s in encoding.sequence_ids])
    return np.where(in_context[:, None], spans, NO_TEXT).astype(np.int32)


def _label(spans: Array, begin: int, end: int) -> tuple[int, int]:
    first = np.flatnonzero((spans[:, 0] <= begin) & (begin < spans[:, 1]))
    last = np.flatnonzero((spans[:, 0] < end) & (end <= spans[:, 1]))
    return (int(first[0]), int(last[0])) if len(first) and len(last) else (0, 0)
