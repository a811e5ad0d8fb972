"""MiniLMv2: relations among the queries, keys and values of one attention block."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import ENCODER_KINDS
from raykd.losses.logits import scaled_mse, soft_kl
from raykd.losses.terms import Count
from raykd.methods._soft_targets import task_and_distil, unused_temperature
from raykd.methods.base import DistillationContext, LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.attention_projections import AttentionProjection
from raykd.models.signals.logits import Logits
from raykd.params import param

Which = Literal["query", "key", "value"]
PARTS: tuple[Which, ...] = ("query", "key", "value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of MiniLMv2; a term of weight 0 is not computed."""

    alpha: float = param(
        0.0, low=0.0, high=1.0, help="Weight of soft targets; the task loss gets 1 - alpha."
    )
    temperature: float = param(1.0, low=0.0, open=True, help="Softens the soft targets.")
    query: float = param(1.0, low=0.0, help="Weight of the relations among queries.")
    key: float = param(1.0, low=0.0, help="Weight of the relations among keys.")
    value: float = param(1.0, low=0.0, help="Weight of the relations among values.")
    relation_heads: int | None = param(
        None, low=1, symbol="A_r", help="Heads that relations are split into; null = the student's."
    )
    teacher_block: int | None = param(
        None, low=0, help="Block of the teacher, from 0; null = the last. The paper takes the "
        "last of base models and block 20 of 24 of large ones.",
    )  # fmt: skip


class MiniLMv2(Method[Params]):
    """Self-attention relations of the student's last block and one block of the teacher.

    ``(1 - alpha) * task + alpha * soft targets + query * L_QQ + key * L_KK + value * L_VV``, where
    each relation is ``softmax(X X^T / sqrt(d))`` in A_r heads of size d, and L its divergence from
    the teacher's, a mean over heads and tokens. Widths and numbers of heads may differ, since
    relations are as large as the text. The paper distils without labels; there is a task here.
    """

    title = "relations among queries, keys and values"
    reference = "https://arxiv.org/abs/2012.15828"
    authors = "Wang et al. 2021"
    requires = OutputSpec(Logits(), *(AttentionProjection("all", which) for which in PARTS))
    kinds = ENCODER_KINDS

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._weights = {which: getattr(params, which) for which in PARTS}
        self._heads = params.relation_heads or context.student.heads
        last = context.teacher.layers - 1
        self._block = last if params.teacher_block is None else params.teacher_block

    def refusal(self) -> str:
        """Relation heads divide both widths, and the teacher has the block."""
        student, teacher = self.context.student, self.context.teacher
        if any(self._weights.values()):
            for side, sizes in (("student", student), ("teacher", teacher)):
                if sizes.hidden % self._heads:
                    return (
                        f"splits attention into {self._heads} relation heads, which do not divide "
                        f"the {side}'s width {sizes.hidden:,}\nset relation_heads to a divisor of "
                        f"{math.gcd(student.hidden, teacher.hidden):,}"
                    )
            if self._block >= teacher.layers:
                return (
                    f"reads block {self._block} of the teacher, which has {teacher.layers} (they "
                    f"are numbered from 0)\nset teacher_block to at most {teacher.layers - 1}"
                )
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What belongs to terms of weight 0."""
        names = () if self._used() else ("relation_heads", "teacher_block")
        of_relations = dict.fromkeys(names, "query, key and value are 0")
        return {**of_relations, **unused_temperature(self.params.alpha, self.context.task_kind)}

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's logits and projections, as far as a weight needs them."""
        return self._read(self._block, logits=self.params.alpha > 0)

    def student_outputs(self) -> OutputSpec:
        """The logits and projections of the student's last block."""
        return self._read(self.context.student.layers - 1, logits=True)

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        """Tokens."""
        return {f"{which}_relations": int(batch.lengths.sum()) for which in self._used()}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of non-zero weight."""
        terms = task_and_distil(self.params.alpha, student, teacher, self._soft)
        mask, last = batch.attention_mask, self.context.student.layers - 1
        counts = self.counts(batch)
        for which in self._used():
            divergence = relation_divergence(
                student.read(AttentionProjection(last, which)),
                teacher.read(AttentionProjection(self._block, which)),
                mask,
                heads=self._heads,
            )
            name = f"{which}_relations"
            terms[name] = self._weights[which] * Mean(divergence, counts[name])
        return LossTerms(**terms)

    def _used(self) -> list[Which]:
        return [which for which in PARTS if self._weights[which] > 0]

    def _read(self, block: int, *, logits: bool) -> OutputSpec:
        projections = (AttentionProjection(block, which) for which in self._used())
        return OutputSpec(Logits() if logits else None, *projections)

    def _soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        if not self.context.task_kind.is_categorical:
            return scaled_mse(student, teacher)
        return soft_kl(student, teacher, temperature=self.params.temperature)


def relation_divergence(student: Tensor, teacher: Tensor, mask: Tensor, *, heads: int) -> Tensor:
    """Divergence of self-attention relations from those of a teacher, in nats, a scalar.

    Wang et al., "MiniLMv2", 2021, https://arxiv.org/abs/2012.15828, equations 4 to 6: the mean over
    relation heads and tokens of ``KL(teacher || student)``.

    Args:
        student: Queries, keys or values, ``[B, L, D]``.
        teacher: The same of the teacher, ``[B, L, E]``.
        mask: 1 = token, ``[B, L]``; padding is neither related nor counted.
        heads: Relation heads A_r, a divisor of D and E.
    """
    student_relations = _log_relations(student, mask, heads)
    teacher_relations = _log_relations(teacher.detach(), mask, heads)
    rows = F.kl_div(student_relations, teacher_relations, reduction="none", log_target=True)
    tokens = mask.bool()
    pairs = tokens[:, None, :, None] & tokens[:, None, None, :]
    return rows.masked_fill(~pairs, 0.0).sum() / (heads * tokens.sum())


def _log_relations(values: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Log-probabilities with which tokens are related, float32 ``[B, A_r, L, L]``."""
    split = values.float().view(*values.shape[:2], heads, -1).transpose(1, 2)
    scores = split @ split.transpose(2, 3) / math.sqrt(split.shape[-1])
    least = torch.finfo(scores.dtype).min
    hidden = scores.masked_fill(mask[:, None, None, :] == 0, least)
    return F.log_softmax(hidden, dim=-1)


METHOD = MiniLMv2
