"""Which tokens of two tokenizers belong together in the same responses.

Axes: N row, L most tokens of a response.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from raykd.data.base import NO_LABEL, Array, TokenizedDataset

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

Texts = Sequence[bytes]
"""What each token of a response stands for."""
BytesOf = tuple[Mapping[int, bytes], Mapping[int, bytes]]
"""What each token stands for, of student and teacher."""


def by_place(student: Texts, teacher: Texts) -> list[tuple[int, int]]:
    """The first token with the first and so on, as far as both go."""
    return [(k, k) for k in range(min(len(student), len(teacher)))]


def by_text(student: Texts, teacher: Texts) -> list[tuple[int, int]]:
    """Tokens before which both have read the same bytes of the response.

    Of several that begin at one place, all but the last stand for nothing: a lone blank.
    """
    own, other = ({at: k for k, at in enumerate(_starts(texts))} for texts in (student, teacher))
    return [(k, other[at]) for at, k in own.items() if at in other]


def by_span(student: Texts, teacher: Texts) -> list[tuple[range, range]]:
    """The shortest runs of tokens of both that stand for the same bytes, in order.

    Tokens that stand for nothing, such as one that ends a text, are compared with each other; where
    one comes before bytes, its span begins after it. What is left where one of the responses was
    cut is no span.
    """
    ends = [_ends(texts) for texts in (student, teacher)]
    spans, begins, now = [], [0, 0], [0, 0]
    while now[0] < len(student) and now[1] < len(teacher):
        own, other = ends[0][now[0]], ends[1][now[1]]
        now[0] += own <= other
        now[1] += other <= own
        if own == other:
            mine, others = (range(*of) for of in zip(begins, now, strict=True))
            spans.append((_from_bytes(mine, ends[0]), _from_bytes(others, ends[1])))
            begins = [*now]
    return spans


def _from_bytes(tokens: range, ends: Sequence[int]) -> range:
    """Without tokens before the first that stands for something, if there is one."""
    begin = ends[tokens[0] - 1] if tokens[0] else 0
    return range(next((k for k in tokens if ends[k] > begin), tokens[0]), tokens.stop)


WAYS: Mapping[str, Callable[[Texts, Texts], list[tuple[int, int]]]] = {
    "place": by_place,
    "text": by_text,
}
"""How tokens are paired, by name."""


def _starts(texts: Texts) -> list[int]:
    """Where each token begins."""
    return [0, *_ends(texts)[:-1]] if texts else []


def _ends(texts: Texts) -> list[int]:
    """Where each token ends; a blank before the response counts for nothing.

    Some tokenizers put one before every text.
    """
    blank = 1 if texts and texts[0].startswith(b" ") else 0
    return [max(0, at - blank) for at in accumulate(len(text) for text in texts)]


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
    counts = np.asarray([len(other) for _, other in rows], np.int64)
    columns = {TEACHER_TOKENS: counts, TEACHER_IDS: ids, SPANS: spans}
    return replace(student, columns={**student.columns, **columns})


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
