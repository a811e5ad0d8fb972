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

Texts = Sequence[bytes]
"""What each token of a response stands for."""


def by_place(student: Texts, teacher: Texts) -> list[tuple[int, int]]:
    """The first token with the first and so on, as far as both go."""
    return [(k, k) for k in range(min(len(student), len(teacher)))]


def by_text(student: Texts, teacher: Texts) -> list[tuple[int, int]]:
    """Tokens before which both have read the same bytes of the response.

    Of several that begin at one place, all but the last stand for nothing: a lone blank.
    """
    own, other = ({at: k for k, at in enumerate(_starts(texts))} for texts in (student, teacher))
    return [(k, other[at]) for at, k in own.items() if at in other]


WAYS: Mapping[str, Callable[[Texts, Texts], list[tuple[int, int]]]] = {
    "place": by_place,
    "text": by_text,
}
"""How tokens are paired, by name."""


def _starts(texts: Texts) -> list[int]:
    """Where each token begins; a blank before the response counts for nothing.

    Some tokenizers put one before every text.
    """
    blank = 1 if texts and texts[0].startswith(b" ") else 0
    return [max(0, at - blank) for at in accumulate((len(t) for t in texts[:-1]), initial=0)]


def with_pairs(
    student: TokenizedDataset,
    teacher: TokenizedDataset,
    ways: Sequence[str],
    bytes_of: tuple[Mapping[int, bytes], Mapping[int, bytes]],
) -> TokenizedDataset:
    """The student's rows with columns that say which tokens of the teacher's are compared.

    Args:
        student: Rows as the student reads them.
        teacher: The same as the teacher does.
        ways: Names of `WAYS`.
        bytes_of: What each token stands for, of student and teacher.
    """
    rows = list(zip(student.label_rows(), teacher.label_rows(), strict=True))
    longest = max(len(own) for own, _ in rows)
    columns = {TEACHER_TOKENS: np.asarray([len(other) for _, other in rows], np.int64)}
    for way in ways:
        pairs: Array = np.full((len(rows), longest), NO_LABEL, np.int32)
        for row, both in enumerate(rows):
            texts = [[of[k] for k in ids.tolist()] for ids, of in zip(both, bytes_of, strict=True)]
            for mine, other in WAYS[way](*texts):
                pairs[row, mine] = other
        columns[PAIRS + way] = pairs
    return replace(student, columns={**student.columns, **columns})
