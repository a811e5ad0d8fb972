"""SinKD: optimal transport between the predictions of a batch, besides soft targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import CLASS_KINDS, TEXT_KINDS
from raykd.losses.closed_forms import nll
from raykd.losses.logits import soft_cross_entropy
from raykd.losses.precision import working
from raykd.losses.sinkhorn import sinkhorn_distance
from raykd.losses.terms import Count, Term
from raykd.losses.vocabulary import summed
from raykd.methods._logit_views import at_choices, at_tokens, same_width, spread
from raykd.methods._soft_targets import unused_temperature
from raykd.methods.base import (
    DistillationContext,
    Items,
    LossTerms,
    Mean,
    Method,
    OutputSpec,
)
from raykd.models.base import Outputs
from raykd.models.signals.answer_choices import AnswerChoices
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of SinKD; the defaults are those of its authors' code."""

    alpha: float = param(
        0.8, low=0.0, high=1.0, help="Weight of soft targets; the task loss gets 1 - alpha."
    )
    temperature: float = param(
        2.0, low=0.0, open=True, symbol="T", help="Softens the soft targets."
    )
    anneal: bool = param(
        False, help="Let the temperature fall to 1 over the epochs; one epoch keeps it."
    )
    beta: float = param(0.8, low=0.0, help="Weight of the Sinkhorn distance, times sinkhorn_scale.")
    sinkhorn_scale: float = param(
        1e-3, low=0.0, open=True, help="Fixed factor of the Sinkhorn distance."
    )
    sinkhorn_temperature: float = param(
        2.0, low=0.0, open=True, help="Softens the predictions that are transported."
    )
    epsilon: float = param(
        0.1, low=0.0, open=True, symbol="lambda", help="Smooths the transport plan."
    )
    iterations: int = param(20, low=1, help="Iterations of Sinkhorn's algorithm.")
    log_domain: bool = param(
        True, help="Iterate on logarithms: the same values, and no underflow at small epsilon."
    )
    reduction: str = param(
        "sum",
        choices=("sum", "mean"),
        help="Over the rows of the batch; a sum weighs more in larger batches.",
    )
    view: str = param(
        "choices",
        choices=("choices", "tokens"),
        help="What is transported where text is generated: predictions of answer choices, a row "
        "each, or those of all tokens.",
    )
    max_tokens: int = param(
        256,
        low=1,
        help="Most tokens of a step in the view of tokens, evenly spread; the cost grows with "
        "their square.",
    )


_TRANSPORT = (
    "sinkhorn_scale",
    "sinkhorn_temperature",
    "epsilon",
    "iterations",
    "log_domain",
    "reduction",
    "view",
    "max_tokens",
)
"""Parameters of the Sinkhorn distance, besides its weight."""


class SinKD(Method[Params]):
    """Soft targets, the task loss, and the Sinkhorn distance between predictions of a batch.

    With several ranks the rows of all of them are transported together, so that the distance is
    that of the whole batch. In the view of tokens each rank transports tokens of its own rows,
    because how many there are is not known beforehand; the distances are averaged by the number of
    tokens. Where a batch is computed in micro batches, the rows of each of them are transported
    among themselves: the distances are added up, or averaged by rows with ``reduction: mean``.

    Where text is generated, the first two are means over the tokens of the responses, and `view`
    says what is transported. The authors' code transports positions of a sequence there, which is
    not a number for vocabularies; both views are what it seems to have been meant for. In the view
    of choices a row is the scores of the tokens that tell its answer choices apart. Rows with fewer
    choices than others give the missing ones probability 0.
    """

    title = "optimal transport between the logits of a batch"
    reference = "https://arxiv.org/abs/2402.17110"
    authors = "Cui et al. 2024"
    requires = OutputSpec(Logits(), AnswerChoices())
    batch_wide = "predictions are transported within each micro batch"
    kinds = (*CLASS_KINDS, *TEXT_KINDS)

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._heat = params.temperature
        self._writes = context.task_kind.generates

    def refusal(self) -> str:
        """It compares distributions over classes; a single score and a set of them have none."""
        if self.context.task_kind.is_binary:
            return (
                "compares distributions over classes that exclude each other, not "
                f"{self.context.kind}: those of a set are each a yes or no"
            )
        if not self.context.task_kind.is_categorical:
            return (
                "compares distributions over classes, and a single score has none: "
                "its distance and gradient would be 0"
            )
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What belongs to terms of weight 0, and views where nothing is written."""
        p = self.params
        reasons = dict(unused_temperature(p.alpha, self.context.task_kind))
        if not p.alpha or p.temperature == 1:
            reasons["anneal"] = "temperature is 1" if p.alpha else "alpha is 0"
        if p.view == "choices":
            reasons["max_tokens"] = "view is choices"
        if not self._writes:
            kind = f"{self.context.kind} has one distribution for each row"
            reasons |= dict.fromkeys(("view", "max_tokens"), kind)
        if not p.beta:
            reasons |= dict.fromkeys(_TRANSPORT, "beta is 0")
        return reasons

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's logits, unless both weights are 0; answer choices where they are viewed."""
        p = self.params
        choices = self._writes and p.beta > 0 and p.view == "choices"
        return OutputSpec(
            Logits() if p.alpha > 0 or p.beta > 0 else None, AnswerChoices() if choices else None
        )

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Set the temperature of the soft targets."""
        self._heat = annealed(self.params.temperature, epoch, epochs, on=self.params.anneal)

    def counts(self, batch: Batch) -> Mapping[str, Count | Items]:
        """Tokens that are transported, or the rows of all ranks."""
        if self.params.beta == 0:
            return {}
        if not self._by_token:
            return {"sinkhorn": Items(self.ranks.share)}
        return {"sinkhorn": min(len(batch.labelled), self.params.max_tokens)}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """Task loss, soft targets, Sinkhorn distance; terms of weight 0 are left out."""
        p = self.params
        metrics: Mapping[str, Term] = {}
        if self._writes:
            terms, metrics = self._on_tokens(batch, student, teacher)
        else:
            terms = self._on_classes(student, teacher)
        if p.beta > 0:
            weight = p.beta * p.sinkhorn_scale
            student_logits, teacher_logits = self._viewed(batch, student, teacher)
            if self._by_token:
                distance = (
                    self._distance(student_logits, teacher_logits)
                    if len(student_logits)
                    else working(student_logits).sum()
                )
                terms["sinkhorn"] = weight * Mean(distance, len(student_logits))
            else:
                student_logits, teacher_logits = (
                    self.ranks.all_gather(student_logits),
                    self.ranks.all_gather(teacher_logits),
                )
                share = self.ranks.share
                distance = self._distance(student_logits, teacher_logits)
                # A sum over the rows of a micro batch: the mean over them is taken of what they
                # would have as the whole batch.
                whole = distance / share if p.reduction == "sum" else distance
                terms["sinkhorn"] = weight * Mean(whole, share, of_batch=False)
        return LossTerms(metrics, **terms)

    @property
    def _by_token(self) -> bool:
        return self._writes and self.params.view == "tokens"

    def _on_classes(self, student: Outputs, teacher: Outputs) -> dict[str, Term]:
        p = self.params
        terms: dict[str, Term] = {}
        if p.alpha < 1:
            terms["task"] = (1 - p.alpha) * student.task_loss
        if p.alpha > 0:
            soft = soft_cross_entropy(student.logits, teacher.logits, temperature=self._heat)
            terms["distil"] = p.alpha * soft.mean()
        return terms

    def _on_tokens(
        self, batch: Batch, student: Outputs, teacher: Outputs
    ) -> tuple[dict[str, Term], Mapping[str, Term]]:
        """Both likelihoods in one pass over the vocabulary, and how large each of them is."""
        alpha, heat = self.params.alpha, self._heat
        labels = batch.label_ids
        count = max(len(labels), 1)
        numbers = torch.arange(len(labels), device=labels.device)

        def likelihoods(chunk: Tensor, at: slice) -> Tensor:
            losses = []
            if alpha < 1:
                losses.append((1 - alpha) / count * nll(chunk, labels[at]).sum())
            if alpha > 0:
                student_logits, teacher_logits = same_width(chunk, at_tokens(teacher, numbers[at]))
                soft = soft_cross_entropy(student_logits, teacher_logits, temperature=heat)
                losses.append(alpha / count * soft.sum())
            return torch.stack(losses)

        total, apart = summed(student.lazy_logits, likelihoods)
        names = ["task"] * (alpha < 1) + ["distil"] * (alpha > 0)
        metrics = {n: Mean(v, len(labels)) for n, v in zip(names, apart, strict=True)}
        return {"loss": Mean(total, len(labels))}, metrics

    def _viewed(self, batch: Batch, student: Outputs, teacher: Outputs) -> tuple[Tensor, Tensor]:
        """What is transported of both: scores of classes, of answer choices, or of tokens."""
        if not self._writes:
            return student.logits, teacher.logits
        if self.params.view == "choices":
            return at_choices(student, batch), at_choices(teacher, batch)
        tokens = spread(len(student.lazy_logits), self.params.max_tokens, batch.labels.device)
        return same_width(at_tokens(student, tokens), at_tokens(teacher, tokens))

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        p = self.params
        return sinkhorn_distance(
            student,
            teacher,
            temperature=p.sinkhorn_temperature,
            epsilon=p.epsilon,
            iterations=p.iterations,
            log_domain=p.log_domain,
            reduction=p.reduction,
        )


def annealed(temperature: float, epoch: int, epochs: int, *, on: bool = True) -> float:
    """The temperature of one pass (from 0): from `temperature` in the first to 1 in the last."""
    if not on or epochs == 1:
        return temperature
    return temperature + (1 - temperature) * epoch / (epochs - 1)


METHOD = SinKD
