"""GOLD: probabilities of spans of tokens that stand for the same text, across tokenizers.

Axes: G span, K further token of a span, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.data.base import Batch
from raykd.data.task_kinds import TEXT_KINDS
from raykd.errors import Problem, SpecError
from raykd.losses.sorted_distance import span_distance, token_log_probability
from raykd.losses.terms import Count, Items, Term
from raykd.methods._logit_views import at_tokens, of_tokens
from raykd.methods.base import LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.logits import Logits
from raykd.models.signals.token_spans import Spans, SpanTokens, TokenSpans, single_tokens
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of GOLD on given responses; the defaults are TRL's."""

    weight: float = param(1.0, low=0.0, help="Weight of the distance of spans.")
    task_weight: float = param(0.0, low=0.0, help="Weight of the likelihood of the labels.")
    student_temperature: float = param(
        1.0, low=0.0, open=True, help="Softens the student's distributions."
    )
    teacher_temperature: float = param(
        1.0, low=0.0, open=True, help="Softens the teacher's distributions."
    )

    def __post_init__(self) -> None:
        """Refuse weights of which none is above 0.

        Raises:
            SpecError: With the reason.
        """
        if self.weight == 0 and self.task_weight == 0:
            message = "'weight' and 'task_weight' are 0, so that nothing is learnt"
            raise SpecError(
                problems=[Problem(path="weight", message=message, hint="give one of them a weight")]
            )


class GOLD(Method[Params]):
    """The distance of `raykd.methods.uld` on runs of tokens that stand for the same bytes.

    Patino et al., 2025, as in TRL's GOLDTrainer with ``use_extended_uld``. Where one tokenizer has
    several tokens for what is one or several of the other, the distribution of the first token of a
    span is multiplied by the probabilities of those after it (the chain rule). The distance is a
    mean over the spans of a response, and then over responses.

    Here a span is never longer than it must be, and the token that ends a response is one, so that
    students learn to end; TRL leaves the last token out by default. What only one of the tokenizers
    keeps (what is an unknown token to the other, several blanks that it makes one, wide letters
    that it makes plain) is compared with nothing, and so is what is left of a response that was
    cut; what follows is compared again. Responses are those of the task, and tokens of the same
    name have no loss of their own (TRL's ``lmbda`` and ``uld_use_hybrid_loss``).
    """

    title = "probabilities of spans of the same text, across tokenizers"
    reference = "https://huggingface.co/spaces/HuggingFaceH4/on-policy-distillation"
    authors = "Patino et al. 2025"
    requires = OutputSpec(Logits(), TokenSpans())
    kinds = TEXT_KINDS

    def unused(self) -> Mapping[str, str]:
        """Temperatures, where nothing is compared."""
        if self.params.weight > 0:
            return {}
        return dict.fromkeys(("student_temperature", "teacher_temperature"), "weight is 0")

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's distributions; which of them, where it splits text differently."""
        if self.params.weight == 0:
            return OutputSpec()
        return OutputSpec(Logits(), None if self.context.same_tokens else TokenSpans())

    def counts(self, batch: Batch) -> Mapping[str, Count | Items]:
        """Responses with a span."""
        if self.params.weight == 0:
            return {}
        if self.context.same_tokens:
            return {"distil": int((batch.label_counts > 0).sum())}
        return {"distil": TokenSpans().count(batch)}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """Both terms; one of weight 0 is left out."""
        p, terms = self.params, dict[str, Term]()
        if p.task_weight > 0:
            terms["task"] = p.task_weight * student.task_loss
        if p.weight > 0:
            spans = single_tokens(batch) if self.context.same_tokens else TokenSpans().of(batch)
            terms["distil"] = p.weight * self._distance(len(batch.labels), spans, student, teacher)
        return LossTerms(**terms)

    def _distance(self, rows: int, spans: Spans, student: Outputs, teacher: Outputs) -> Mean:
        """The mean over responses of the mean over their spans."""
        temperatures = self.params.student_temperature, self.params.teacher_temperature
        rest = probability_of_further(student, spans.student, temperatures[0])
        with torch.no_grad():
            teacher_rest = probability_of_further(teacher, spans.teacher, temperatures[1])

        def distance(chunk: Tensor, at: slice) -> Tensor:
            with torch.no_grad():
                teacher_scores = at_tokens(teacher, spans.teacher.first[at])
            return span_distance(chunk, teacher_scores, (rest[at], teacher_rest[at]), temperatures)

        distances = of_tokens(student, spans.student.first, distance)
        per_row = distances.new_zeros(rows).index_add(0, spans.row, torch.ones_like(distances))
        count = (per_row > 0).sum()
        return Mean((distances / per_row[spans.row]).sum() / count.clamp_min(1), count)


def probability_of_further(outputs: Outputs, tokens: SpanTokens, temperature: float) -> Tensor:
    """The probability of all tokens of a span but the first, each after those before it, ``[G]``.

    Args:
        outputs: Of a model that generates text.
        tokens: Its tokens in the spans.
        temperature: What logits are divided by.
    """

    def likely(chunk: Tensor, at: slice) -> Tensor:
        return token_log_probability(chunk, tokens.further_ids[at], temperature)

    logs = of_tokens(outputs, tokens.further, likely)
    return logs.new_zeros(len(tokens.first)).index_add(0, tokens.span_of, logs).exp()


METHOD = GOLD
