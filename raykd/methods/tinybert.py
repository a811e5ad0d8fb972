"""TinyBERT: embeddings, hidden states and attention of matched layers, besides soft targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raykd.data.base import Batch
from raykd.data.task_kinds import ENCODER_KINDS
from raykd.losses.features import tiny_attention, tiny_hidden
from raykd.losses.layers import HIDDEN_STRATEGIES, LayerPairs, match_layers
from raykd.losses.logits import scaled_mse, soft_cross_entropy
from raykd.losses.terms import Count
from raykd.methods._soft_targets import task_and_distil, unused_temperature
from raykd.methods.base import DistillationContext, LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of TinyBERT; a term of weight 0 is not computed."""

    alpha: float = param(
        0.5, low=0.0, high=1.0, help="Weight of soft targets; the task loss gets 1 - alpha."
    )
    temperature: float = param(
        1.0, low=0.0, open=True, symbol="t", help="Softens the soft targets (no factor T^2)."
    )
    embedding: float = param(1.0, low=0.0, help="Weight of the distance of the embeddings.")
    hidden: float = param(1.0, low=0.0, help="Weight of the distance of hidden states.")
    attention_maps: float = param(
        1.0, low=0.0, help="Weight of the distance of attention probabilities."
    )
    layers: str = param("skip", choices=HIDDEN_STRATEGIES, help="Which layers are matched.")


class TinyBert(Method[Params]):
    """The task loss, soft targets, and squared distances inside the models.

    A student narrower or wider than the teacher gets one linear projection, trained along, for
    embeddings and hidden states. The authors compare attention scores before the softmax; here it
    is the probabilities after it, which every attention implementation gives out.
    """

    title = "embeddings, hidden states and attention of matched layers"
    reference = "https://arxiv.org/abs/1909.10351"
    authors = "Jiao et al. 2020"
    requires = OutputSpec(Logits(), *hidden_states("all"), *attention_maps("all"))
    kinds = ENCODER_KINDS

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        depths = context.teacher.layers, context.student.layers
        self._pairs = match_layers(params.layers, *depths)
        self._maps = LayerPairs((), ())
        if params.attention_maps and depths[0] % depths[1] == 0:
            self._maps = match_layers("att_skip", *depths)
        widths = context.student.hidden, context.teacher.hidden
        compares = params.hidden or params.embedding
        self._projection: nn.Module | None = (
            nn.Linear(*widths) if compares and widths[0] != widths[1] else None
        )

    def refusal(self) -> str:
        """Attention needs as many heads, and blocks that divide."""
        student, teacher = self.context.student, self.context.teacher
        if self.params.attention_maps and student.heads != teacher.heads:
            return (
                f"compares attention head by head, but the student has {student.heads} heads and "
                f"the teacher {teacher.heads}\n"
                "set attention_maps: 0, or choose a student with as many heads"
            )
        if self.params.attention_maps and not self._maps.teacher:
            return (
                f"compares the attention of every block of the student, but its {student.layers} "
                f"blocks do not divide the teacher's {teacher.layers}\nset attention_maps: 0"
            )
        return super().refusal()

    def unused(self) -> Mapping[str, str]:
        """What belongs to a term of weight 0; attention is matched in a way of its own."""
        of_hidden = {} if self.params.hidden else {"layers": "hidden is 0"}
        return {**of_hidden, **unused_temperature(self.params.alpha, self.context.task_kind)}

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's logits, layers and attentions, as far as a weight needs them."""
        return self._read(self._pairs.teacher, self._maps.teacher, logits=self.params.alpha > 0)

    def student_outputs(self) -> OutputSpec:
        """The student's side of the same."""
        return self._read(self._pairs.student, self._maps.student, logits=True)

    def modules(self) -> nn.Module | None:
        """The projection between widths, None where they are equal."""
        return self._projection

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        """Tokens, and pairs of the tokens of a row."""
        tokens, pairs = int(batch.lengths.sum()), int((batch.lengths**2).sum())
        return {"embedding": tokens, "hidden": tokens, "attention": pairs}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of non-zero weight."""
        p, mask, counts = self.params, batch.tokens, self.counts(batch)
        terms = task_and_distil(p.alpha, student, teacher, self._soft)
        if p.embedding:
            own = self._projected(student.stacked((0,)))
            loss = tiny_hidden(own, teacher.stacked((0,)), mask)
            terms["embedding"] = p.embedding * Mean(loss, counts["embedding"])
        if p.hidden:
            student_hidden = self._projected(student.stacked(self._pairs.student))
            teacher_hidden = teacher.stacked(self._pairs.teacher)
            terms["hidden"] = p.hidden * Mean(
                tiny_hidden(student_hidden, teacher_hidden, mask), counts["hidden"]
            )
        if p.attention_maps:
            student_maps = torch.stack([student.attention(k) for k in self._maps.student], dim=1)
            teacher_maps = torch.stack([teacher.attention(k) for k in self._maps.teacher], dim=1)
            terms["attention"] = p.attention_maps * Mean(
                tiny_attention(student_maps, teacher_maps, mask), counts["attention"]
            )
        return LossTerms(**terms)

    def _read(self, layers: tuple[int, ...], maps: tuple[int, ...], *, logits: bool) -> OutputSpec:
        hidden = (*((0,) if self.params.embedding else ()), *(layers if self.params.hidden else ()))
        return OutputSpec(
            Logits() if logits else None,
            *hidden_states(tuple(sorted(set(hidden)))),
            *attention_maps(maps),
        )

    def _projected(self, states: Tensor) -> Tensor:
        if self._projection is None:
            return states
        projected: Tensor = self._projection(states.float())
        return projected

    def _soft(self, student: Tensor, teacher: Tensor) -> Tensor:
        if not self.context.task_kind.is_categorical:
            return scaled_mse(student, teacher)
        return soft_cross_entropy(student, teacher, temperature=self.params.temperature)


METHOD = TinyBert
