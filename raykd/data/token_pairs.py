"""Which tokens of two tokenizers belong together in the same responses.

Axes: N row, L most tokens of a response.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from raykd.data.base import NO_LABEL, Array, TokenizedDataset
from raykd.data.notes import note
from raykd.data.same_text import Block, Reading, Texts, same_text

TEACHER_TOKENS = "teacher_tokens"
"""Column int64 ``[N]``: tokens with a label that a row has for the teacher."""
PAIRS = "token_pairs/"
"""What names of columns int32 ``[N, L]`` begin with: for each token with a label that a row has for
the student, the number of the teacher's that it is compared with; `NO_LABEL` for none."""
SPANS = "token_spans"
"""Column int32 ``[N, L, 2]``: for each token with a label that a row has for the student, where the
teacher's tokens of the same span begin and end; `NO_LABEL` for none."""
TEACHER_IDS = "teacher_ids"
"""Column int32 ``[N, T]``: the teacher's tokens with a label; `NO_LABEL` after the last."""

BytesOf = tuple[Mapping[int, bytes | None], Mapping[int, bytes | None]]
"""What each token stands for, of student and teacher; see `raykd.data.token_texts.known_bytes`."""


def by_place(student: Texts, teacher: Texts) -> list[tuple[int, int]]:
    """The first token with the first and so on, as far as both go."""
    return [(k, k) for k in range(min(len(student), len(teacher)))]


def by_text(student: Texts, teacher: Texts) -> list[tuple[int, int]]:
    """Tokens before which both have read the same bytes of the response.

    Of several that begin at one place, all but the last stand for nothing: a lone blank. Where one
    of them has lost or changed some of the text (an unknown token, blanks that became one),
    nothing is paired, and what both have kept after that is paired again.
    """
    own, other = Reading(student), Reading(teacher)
    return [
        pair
        for block in same_text(own, other)
        for at, pair in _borders(own, other, block)
        if at < block[2]
    ]


def by_span(student: Texts, teacher: Texts) -> list[tuple[range, range]]:
    """The shortest runs of tokens of both that stand for the same bytes, in order.

    Tokens that stand for nothing, such as one that ends a text, are compared with each other. What
    only one of them has is in no span: an unknown token and its text, blanks that became one, and
    what is left where one of the responses was cut.
    """
    own, other = Reading(student), Reading(teacher)
    return [
        (range(begin[0], end[0]), range(begin[1], end[1]))
        for block in same_text(own, other)
        for (_, begin), (_, end) in pairwise(_borders(own, other, block))
    ]


def _borders(own: Reading, other: Reading, block: Block) -> list[tuple[int, tuple[int, int]]]:
    """Where tokens of both begin or end in the same text: after so many letters, which tokens."""
    one, two, size = block
    return [
        (at, (own.borders[one + at], other.borders[two + at]))
        for at in range(size + 1)
        if one + at in own.borders and two + at in other.borders
    ]


WAYS: Mapping[str, Callable[[Texts, Texts], list[tuple[int, int]]]] = {
    "place": by_place,
    "text": by_text,
}
"""How tokens are paired, by name."""


def with_pairs(
    student: TokenizedDataset,
    teacher: TokenizedDataset,
    ways: Sequence[str],
    bytes_of: BytesOf,
) -> TokenizedDataset:
    """The student's rows with columns that say which tokens of the teacher's are compared.

    Args:
        student: Rows as the student reads them.
        teacher: The same as the teacher does.
        ways: Names of `WAYS`.
        bytes_of: What each token stands for, of student and teacher.
    """
    rows = _label_rows(student, teacher)
    columns = {TEACHER_TOKENS: np.asarray([len(other) for _, other in rows], np.int64)}
    for way in ways:
        pairs = _column(rows, 0)
        for row, both in enumerate(rows):
            for mine, other in WAYS[way](*_texts(both, bytes_of)):
                pairs[row, mine] = other
        _tell_unpaired(rows, pairs)
        columns[PAIRS + way] = pairs
    return replace(student, columns={**student.columns, **columns})


def with_spans(
    student: TokenizedDataset, teacher: TokenizedDataset, bytes_of: BytesOf
) -> TokenizedDataset:
    """The student's rows with columns that say which runs of tokens are compared; see `with_pairs`.

    Args:
        student: Rows as the student reads them.
        teacher: The same as the teacher does.
        bytes_of: What each token stands for, of student and teacher.
    """
    rows = _label_rows(student, teacher)
    spans, ids = _column(rows, 0, 2), _column(rows, 1)
    for row, both in enumerate(rows):
        ids[row, : len(both[1])] = both[1]
        for mine, others in by_span(*_texts(both, bytes_of)):
            spans[row, mine] = others.start, others.stop
    _tell_unpaired(rows, spans)
    counts = np.asarray([len(other) for _, other in rows], np.int64)
    columns = {TEACHER_TOKENS: counts, TEACHER_IDS: ids, SPANS: spans}
    return replace(student, columns={**student.columns, **columns})


def _tell_unpaired(rows: Sequence[tuple[Array, Array]], column: Array) -> None:
    """A note where rows have tokens on both sides, and none that are compared."""
    compared = (column != NO_LABEL).reshape(len(rows), -1).any(axis=1)
    both = np.asarray([min(len(own), len(other)) > 0 for own, other in rows])
    if count := int((both & ~compared).sum()):
        note(
            f"in {count:,} of {len(rows):,} train rows no token of the student stands for the same "
            "text as one of the teacher: nothing is compared there"
        )


def _label_rows(student: TokenizedDataset, teacher: TokenizedDataset) -> list[tuple[Array, Array]]:
    """The tokens with a label of each row, as both read it."""
    return list(zip(student.label_rows(), teacher.label_rows(), strict=True))


def _texts(both: tuple[Array, Array], bytes_of: BytesOf) -> tuple[Texts, Texts]:
    own, other = ([of[k] for k in ids.tolist()] for ids, of in zip(both, bytes_of, strict=True))
    return own, other


def _column(rows: Sequence[tuple[Array, Array]], side: int, *more: int) -> Array:
    """An empty column with a place for each token with a label of one side."""
    longest = max(len(both[side]) for both in rows)
    return np.full((len(rows), longest, *more), NO_LABEL, np.int32)
