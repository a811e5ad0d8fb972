"""Which runs of tokens are compared where teacher and student split text differently.

Axes: B row, G span, K further token of a span of the student, J of the teacher.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import NO_LABEL, Batch, TokenizedDataset
from raykd.data.token_pairs import SPANS, TEACHER_IDS, TEACHER_TOKENS, BytesOf, with_spans
from raykd.models.signals.aligned_tokens import AlignedTokens


@dataclass(frozen=True, kw_only=True, slots=True)
class SpanTokens:
    """The tokens of one model in the spans of a batch, by their numbers among those with a label.

    Attributes:
        first: The first of each span, int64 ``[G]``.
        further: All others, int64 ``[K]``.
        span_of: The span of each of these, int64 ``[K]``.
        further_ids: What they are, int64 ``[K]``.
    """

    first: Tensor
    further: Tensor
    span_of: Tensor
    further_ids: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Spans:
    """The spans of a batch.

    Attributes:
        student: The student's tokens.
        teacher: The teacher's.
        row: The row of each span, int64 ``[G]``.
    """

    student: SpanTokens
    teacher: SpanTokens
    row: Tensor


def single_tokens(batch: Batch) -> Spans:
    """The spans of models that split text alike: each token with a label is one."""
    every = torch.arange(len(batch.labelled), device=batch.labels.device)
    none = every[:0]
    of = SpanTokens(first=every, further=none, span_of=none, further_ids=none)
    row = batch.labelled // batch.labels.shape[1]
    return Spans(student=of, teacher=of, row=row)


@dataclass(frozen=True, slots=True)
class TokenSpans(AlignedTokens):
    """The shortest runs of tokens of both that stand for the same bytes of the response."""

    title = "spans of tokens"

    @property
    def name(self) -> str:
        """``token_spans``."""
        return SPANS

    def aligned(
        self, student: TokenizedDataset, teacher: TokenizedDataset, bytes_of: BytesOf
    ) -> TokenizedDataset:
        """The rows with their spans, and the tokens of the teacher."""
        return with_spans(student, teacher, bytes_of)

    def of(self, batch: Batch) -> Spans:
        """Those of a batch, row after row."""
        begins, ends = batch.columns[SPANS].long().unbind(dim=-1)
        in_span = begins >= 0
        before = torch.cat([torch.full_like(begins[:, :1], NO_LABEL), begins[:, :-1]], dim=1)
        is_first = in_span & (begins != before)
        number = is_first.flatten().cumsum(0).view_as(begins) - 1
        row, token = is_first.nonzero(as_tuple=True)
        other_row, other_token = (in_span & ~is_first).nonzero(as_tuple=True)
        counts = torch.from_numpy(batch.label_counts).to(begins.device)
        starts = counts.cumsum(0) - counts
        further = starts[other_row] + other_token
        student = SpanTokens(
            first=starts[row] + token, further=further,
            span_of=number[other_row, other_token], further_ids=batch.label_ids[further],
        )  # fmt: skip
        teacher = _of_teacher(batch, row, begins[row, token], ends[row, token])
        return Spans(student=student, teacher=teacher, row=row)

    def count(self, batch: Batch) -> Tensor:
        """How many rows have a span, a scalar."""
        return (batch.columns[SPANS][..., 0] >= 0).any(dim=1).sum()


def _of_teacher(batch: Batch, row: Tensor, begins: Tensor, ends: Tensor) -> SpanTokens:
    """The teacher's tokens of spans, from their rows and from where they begin and end in these."""
    others = batch.columns[TEACHER_TOKENS]
    starts = others.cumsum(0) - others
    more = ends - begins - 1
    span_of = torch.arange(len(row), device=row.device).repeat_interleave(more)
    nth = torch.arange(len(span_of), device=row.device) - (more.cumsum(0) - more)[span_of]
    token = begins[span_of] + 1 + nth
    return SpanTokens(
        first=starts[row] + begins, further=starts[row][span_of] + token, span_of=span_of,
        further_ids=batch.columns[TEACHER_IDS].long()[row[span_of], token],
    )  # fmt: skip
