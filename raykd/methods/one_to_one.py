"""One-to-one mapping: each neuron of the student correlates with one neuron of the teacher."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raykd.data.base import Batch, moved
from raykd.data.task_kinds import ENCODER_KINDS, task_kind
from raykd.losses.correlation import (
    OFF_DIAGONAL,
    best_assignment,
    correlation_loss,
    neuron_mse,
    pearson,
    token_cosine,
)
from raykd.losses.logits import soft_kl
from raykd.losses.terms import Count, Term
from raykd.methods._soft_targets import unused_temperature
from raykd.methods.base import DistillationContext, LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.params import param

_NEGLIGIBLE_FROM = 256
"""Width from which the official divisor makes correlations between different neurons vanish: they
change the gradient by less than 1e-5 of its size, and cost a matrix of width x width."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of one-to-one mapping; the defaults are those of the authors' GLUE command."""

    alpha_task: float = param(0.5, low=0.0, help="Weight of the task loss.")
    alpha_ce: float = param(
        0.0, low=0.0, help="Weight of soft targets; without effect in regression."
    )
    temperature: float = param(
        2.0, low=0.0, open=True, symbol="T", help="Softens the soft targets."
    )
    alpha_corr: float = param(0.005, low=0.0, help="Weight of the correlation of neurons.")
    corr_norm: str = param(
        "official",
        choices=("official", "tokens"),
        help="Divisor of correlations: tokens times width (their code), or tokens (their paper); "
        "the same alpha_corr means something else.",
    )
    off_diagonal: float = param(
        OFF_DIAGONAL,
        low=0.0,
        open=True,
        help="Weight of correlations between different neurons, alive with corr_norm: tokens only.",
    )
    mask_mode: str = param(
        "add",
        choices=("none", "add", "replace"),
        help="Correlate a random part of the neurons, too (add), or it alone (replace).",
    )
    mask_prob: float = param(
        0.5, low=0.0, high=0.95, open=True, help="Share of neurons left out of that part."
    )
    alpha_mse: float = param(0.0, low=0.0, help="Weight of the squared difference of neurons.")
    alpha_cos: float = param(0.0, low=0.0, help="Weight of 1 - cosine per token.")
    width_map: str = param(
        "identity",
        choices=("identity", "assign"),
        help="Pair neurons by number, or by their correlation before training.",
    )
    calibration_rows: int = param(256, low=1, help="Train rows that an assignment is found on.")


class OneToOne(Method[Params]):
    """The task loss and the correlation between paired neurons of the last hidden states.

    A correlation is one over the tokens of a batch. With several ranks, or micro batches, each
    correlates the tokens of its own rows, and the terms are averaged by the tokens of each: a
    correlation over all ranks would send a matrix of width times width in every step. All other
    terms do not depend on the number of ranks or micro batches.
    """

    title = "one neuron of the teacher for each of the student"
    reference = "https://aclanthology.org/2023.findings-emnlp.882"
    authors = "Saadi et al. 2023"
    requires = OutputSpec(Logits(), *hidden_states("all"))
    batch_wide = "neurons are correlated over the tokens of each micro batch"
    kinds = tuple(name for name in ENCODER_KINDS if task_kind(name).labels_of != "token")

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._last = context.student.layers, context.teacher.layers
        self._pairs = _Pairs(context.student.hidden)
        self._reads_hidden = any((params.alpha_corr, params.alpha_mse, params.alpha_cos))
        self._soft = params.alpha_ce > 0 and context.task_kind.is_categorical

    def refusal(self) -> str:
        """Widths that cannot be paired, and no term at all."""
        student_width, teacher_width = self.context.student.hidden, self.context.teacher.hidden
        if (
            self._reads_hidden
            and self.params.width_map == "identity"
            and student_width != teacher_width
        ):
            return (
                f"pairs neurons by their number, but '{self.context.student_name}' has "
                f"{student_width:,} and '{self.context.teacher_name}' {teacher_width:,}\n"
                "set width_map: assign, which chooses a neuron of the teacher for each of a "
                "narrower student"
            )
        if self._reads_hidden and student_width > teacher_width:
            return (
                f"gives each neuron of the student one of the teacher, but "
                f"'{self.context.student_name}' has {student_width:,} and "
                f"'{self.context.teacher_name}' only {teacher_width:,}\n"
                "choose a student that is at most as wide"
            )
        if not (self._reads_hidden or self._soft or self.params.alpha_task):
            return "has nothing to minimise: all its weights are 0 here\nset alpha_task above 0"
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What belongs to terms of weight 0, and what an option switches off."""
        p, kind = self.params, self.context.task_kind
        reasons = dict(unused_temperature(p.alpha_ce, kind, "alpha_ce"))
        if not kind.is_categorical:
            reasons["alpha_ce"] = f"{kind.name} has no soft targets here"
        if not p.alpha_corr:
            of_correlation = ("corr_norm", "off_diagonal", "mask_mode", "mask_prob")
            reasons |= dict.fromkeys(of_correlation, "alpha_corr is 0")
        elif p.mask_mode == "none":
            reasons["mask_prob"] = "mask_mode is none"
        if self._off_diagonal() == 0 and "off_diagonal" not in reasons:
            reasons["off_diagonal"] = (
                f"corr_norm is official and the student {_NEGLIGIBLE_FROM} wide or more"
            )
        if not self._reads_hidden:
            neurons = ("width_map", "calibration_rows")
            reasons |= dict.fromkeys(neurons, "alpha_corr, alpha_mse and alpha_cos are 0")
        elif p.width_map == "identity":
            reasons["calibration_rows"] = "width_map is identity"
        return reasons

    def teacher_outputs(self) -> OutputSpec:
        """The last hidden state and the logits, as far as their weights are not 0."""
        layers = (self._last[1],) if self._reads_hidden else ()
        return OutputSpec(Logits() if self._soft else None, *hidden_states(layers))

    def student_outputs(self) -> OutputSpec:
        """Logits and the last hidden state."""
        layers = (self._last[0],) if self._reads_hidden else ()
        return OutputSpec(Logits(), *hidden_states(layers))

    def modules(self) -> nn.Module | None:
        """The assignment, kept as a buffer; None for pairs by number."""
        return self._pairs if self._reads_hidden and self.params.width_map == "assign" else None

    def calibration_rows(self) -> int:
        """Rows that the assignment is found on."""
        wanted = self._reads_hidden and self.params.width_map == "assign"
        return self.params.calibration_rows if wanted else 0

    def calibrate(self, seen: Iterable[tuple[Batch, Outputs, Outputs]]) -> None:
        """Assign a neuron of the teacher to each one of the untrained student."""
        student_hidden, teacher_hidden = [], []
        for batch, student, teacher in seen:
            tokens = batch.tokens
            student_hidden.append(tokens.pick(student.hidden(self._last[0])).float().cpu())
            teacher_hidden.append(tokens.pick(teacher.hidden(self._last[1])).float().cpu())
        chosen = best_assignment(pearson(torch.cat(student_hidden), torch.cat(teacher_hidden)))
        self._pairs.assignment.copy_(chosen)

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        """Tokens."""
        return dict.fromkeys(("corr", "correlation", "mse", "cos"), batch.attention_mask.sum())

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of non-zero weight; the mean correlation of the pairs is a metric."""
        p = self.params
        terms: dict[str, Term] = {}
        metrics: dict[str, Term] = {}
        if p.alpha_task:
            terms["task"] = p.alpha_task * student.task_loss
        if self._soft:
            kl = soft_kl(student.logits, teacher.logits, temperature=p.temperature)
            terms["distil"] = p.alpha_ce * kl.mean()
        if self._reads_hidden:
            tokens = batch.tokens
            student_hidden = tokens.pick(student.hidden(self._last[0]))
            teacher_hidden = tokens.pick(teacher.hidden(self._last[1]))
            if p.width_map == "assign":
                teacher_hidden = teacher_hidden[:, self._pairs.assignment]
            count = self.counts(batch)["corr"]
            if p.alpha_corr:
                corr, similar = self._correlation(batch, student_hidden, teacher_hidden)
                terms["corr"] = p.alpha_corr * Mean(corr, count)
                metrics["correlation"] = Mean(similar, count)
            if p.alpha_mse:
                terms["mse"] = p.alpha_mse * Mean(neuron_mse(student_hidden, teacher_hidden), count)
            if p.alpha_cos:
                terms["cos"] = p.alpha_cos * Mean(
                    token_cosine(student_hidden, teacher_hidden), count
                )
        return LossTerms(metrics, **terms)

    def _correlation(
        self, batch: Batch, student_hidden: Tensor, teacher_hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        p = self.params
        tokens, width = student_hidden.shape
        official = p.corr_norm == "official"
        divisor = float(tokens * width if official else tokens)
        other = self._off_diagonal()
        total: Tensor | None = None
        if p.mask_mode != "replace":
            total, similar = correlation_loss(
                student_hidden, teacher_hidden, divisor=divisor, off_diagonal=other
            )
        if p.mask_mode != "none":
            kept = moved(self._kept(batch, width), student_hidden.device)
            part, of_part = correlation_loss(
                student_hidden[:, kept],
                teacher_hidden[:, kept],
                divisor=divisor,
                off_diagonal=other,
            )
            total, similar = (part, of_part) if total is None else (total + part, similar)
        assert total is not None
        return total, similar

    def _off_diagonal(self) -> float:
        """The weight of correlations between different neurons, 0 where they are not formed."""
        p = self.params
        wide = self.context.student.hidden >= _NEGLIGIBLE_FROM
        return 0.0 if p.corr_norm == "official" and wide else p.off_diagonal

    def _kept(self, batch: Batch, width: int) -> Tensor:
        """Neurons of this step, int64; drawn for each batch by its rows on all ranks.

        A generator seeded by the rows gives a repeated or resumed trial, and every rank, the same
        neurons.
        """
        rows = batch.index.numpy() if self.ranks.rows is None else self.ranks.rows
        seed = zlib.crc32(rows.astype("int64").tobytes())
        drawn = torch.rand(width, generator=torch.Generator().manual_seed(seed))
        return (drawn >= self.params.mask_prob).nonzero().squeeze(-1)


class _Pairs(nn.Module):
    """For each neuron of the student the number of one of the teacher."""

    assignment: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("assignment", torch.arange(width))


METHOD = OneToOne
