"""Contextual knowledge distillation: relations among tokens and among layers, plus soft targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from raykd.data.base import Array, Batch
from raykd.data.task_kinds import ENCODER_KINDS
from raykd.errors import Problem, SpecError
from raykd.losses.elementwise import DIFFERENCE_LOSSES
from raykd.losses.gram import Gram, layer_gram, word_gram
from raykd.losses.layers import HIDDEN_STRATEGIES, LayerPairs, match_layers
from raykd.losses.logits import scaled_mse, soft_cross_entropy
from raykd.losses.packed_gram import layer_batch, layer_rows, word_batch, word_rows
from raykd.losses.relations import (
    DISTANCES,
    PAIR_LOSSES,
    cells,
    pair_refusal,
    pair_relation,
    triple_relation,
    window_cells,
    window_relation,
)
from raykd.losses.terms import Count
from raykd.losses.token_mask import Mask
from raykd.methods._soft_targets import task_and_distil
from raykd.methods.base import DistillationContext, LossTerms, Mean, Method, OutputSpec
from raykd.models.base import Outputs
from raykd.models.signals.features import FeatureTransform
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.params import param

_WIDEST_WINDOW = 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients and options of CKD; a term of weight 0 is not computed."""

    alpha: float = param(
        0.5, low=0.0, high=1.0, help="Weight of the soft targets; the task loss gets 1 - alpha."
    )
    temperature: float = param(
        3.0, low=0.0, open=True, symbol="tau", help="Softens both distributions (no factor T^2)."
    )
    wrdist: float = param(1.0, low=0.0, help="Weight of the distances between tokens (WR).")
    wrangle: float = param(1.0, low=0.0, help="Weight of the angles among tokens (WR).")
    ltrdist: float = param(
        1.0, low=0.0, help="Weight of the distances between layers of a token (LTR)."
    )
    ltrangle: float = param(
        1.0, low=0.0, help="Weight of the angles among layers of a token (LTR)."
    )
    angles: bool = param(True, help="false switches both angle terms off.")
    tie_ltr_to_wr: bool = param(
        False, help="LTR terms take the weights of the WR terms; their own are not used."
    )
    window: int | None = param(
        21,
        low=3,
        high=_WIDEST_WINDOW,
        symbol="W",
        help="Positions around a token whose angles are compared, odd; null = all tokens.",
    )
    mask_neighbours: bool = param(
        False, help="Leave padding out of the window; the authors' code counts it."
    )
    layers: str = param(
        "emb+skip", choices=HIDDEN_STRATEGIES, help="Which layers are matched for WR."
    )
    ltr_layers: str | None = param(
        None, choices=HIDDEN_STRATEGIES, help="Which layers are matched for LTR; null = as for WR."
    )
    distance: str = param("cos", choices=DISTANCES, help="What wrdist and ltrdist measure.")
    lossfunc_d: str = param(
        "kldiv", choices=PAIR_LOSSES, help="How distances are compared: kldiv with cos, else l2."
    )
    lossfunc_a: str = param("l2loss", choices=DIFFERENCE_LOSSES, help="How angles are compared.")
    distnorm: bool = param(
        False, help="Divide distances by their mean first; acts with distance l2 only."
    )

    def __post_init__(self) -> None:
        """Refuse options that make no sense together.

        Raises:
            SpecError: With the reason.
        """
        problems = []
        if wrong := pair_refusal(self.distance, self.lossfunc_d, self.distnorm):
            problems.append(Problem(path="distance", message=wrong))
        if self.window is not None and self.window % 2 == 0:
            hint = f"{self.window - 1} or {self.window + 1}"
            message = f"'window' must be odd, got {self.window}"
            problems.append(Problem(path="window", message=message, hint=hint))
        if problems:
            raise SpecError(problems=problems)


@dataclass(frozen=True, slots=True)
class WordGram(FeatureTransform):
    """Inner products among the tokens of a row, layer by layer: all that the WR terms read."""

    layers: tuple[int, ...]
    context_padding: int

    def numbers(self, lengths: Array) -> int:
        """Quadratic in the length of a row."""
        return len(self.layers) * int(((lengths + self.context_padding + 1) ** 2).sum())

    def of(self, states: Sequence[Tensor], mask: Mask) -> Gram:
        """The inner products of a batch."""
        return word_gram(states, mask, context_padding=self.context_padding)

    def rows(self, states: Sequence[Tensor], mask: Tensor) -> list[Tensor]:
        """One table per row."""
        return word_rows(states, mask, context_padding=self.context_padding)

    def batch(self, rows: Sequence[Tensor], mask: Tensor) -> Gram:
        """The inner products of a batch, from the tables of its rows."""
        return word_batch(rows, mask, layers=len(self.layers), context_padding=self.context_padding)


@dataclass(frozen=True, slots=True)
class LayerGram(FeatureTransform):
    """Inner products among the layers of a token: all that the LTR terms read."""

    layers: tuple[int, ...]
    context_padding: int = 0

    def numbers(self, lengths: Array) -> int:
        """Quadratic in the number of layers."""
        return (len(self.layers) + 1) ** 2 * int(lengths.sum())

    def of(self, states: Sequence[Tensor], mask: Mask) -> Gram:
        """The inner products of a batch."""
        return layer_gram(states, mask)

    def rows(self, states: Sequence[Tensor], mask: Tensor) -> list[Tensor]:
        """One table per token."""
        return layer_rows(states, mask)

    def batch(self, rows: Sequence[Tensor], mask: Tensor) -> Gram:
        """The inner products of a batch, from the tables of its tokens."""
        return layer_batch(rows, mask)


class ContextualKD(Method[Params]):
    """Word relations (WR) and layer-transforming relations (LTR) of hidden states.

    The total is ``(1 - alpha) * task + alpha * distil + wrdist + wrangle + ltrdist + ltrangle``.
    The authors' GLUE code is the case alpha = 1.
    """

    title = "relations among tokens and layers"
    reference = "https://arxiv.org/abs/2109.08359"
    authors = "Park et al. 2021"
    requires = OutputSpec(Logits(), *hidden_states("all"), context_padding=_WIDEST_WINDOW // 2)
    kinds = ENCODER_KINDS

    def __init__(self, params: Params, context: DistillationContext) -> None:
        super().__init__(params, context)
        self._weights = _weights(params)
        depths = context.teacher.layers, context.student.layers
        self._word_layers = match_layers(params.layers, *depths)
        self._token_layers = match_layers(params.ltr_layers or params.layers, *depths)
        self._uses_words = self._weights["wrdist"] > 0 or self._weights["wrangle"] > 0
        self._uses_tokens = self._weights["ltrdist"] > 0 or self._weights["ltrangle"] > 0

    def refusal(self) -> str:
        """Besides what any method refuses: terms that are 0 whatever the student does."""
        if reason := super().refusal():
            return reason
        matched = len(self._token_layers)
        # Two layers have one distance, which alone is no distribution and normalises to 1.
        alone = self.params.distance == "cos" or self.params.distnorm
        zero = {"ltrdist": matched == 1 or (matched == 2 and alone), "ltrangle": matched < 3}
        idle = [name for name, is_zero in zero.items() if is_zero and self._weights[name] > 0]
        if not idle:
            return ""
        strategy = self.params.ltr_layers or self.params.layers
        depths = f"{self.context.teacher.layers} and {self.context.student.layers} blocks"
        return (
            f"compares layers of a token, but '{strategy}' matches only {matched} of {depths}, so "
            f"{' and '.join(idle)} would always be 0; set the weight to 0 (and leave "
            "tie_ltr_to_wr off), or choose ltr_layers that match at least 3"
        )

    def unused(self) -> Mapping[str, str]:
        """What belongs to terms of weight 0, and weights that are not those of a term."""
        p, weights = self.params, self._weights
        own = (p.wrdist, p.ltrdist), (p.angles * p.wrangle, p.angles * p.ltrangle)
        nothing = [
            (not p.angles, "angles is false", ("wrangle", "ltrangle")),
            (p.tie_ltr_to_wr, "tie_ltr_to_wr is true", ("ltrdist", "ltrangle")),
            (all(a == b for a, b in own), "WR and LTR have the same weights", ("tie_ltr_to_wr",)),
            (not (p.wrangle or (p.ltrangle and not p.tie_ltr_to_wr)), "angles have no weight",
             ("angles",)),
            (not weights["wrangle"], "there is no term wrangle", ("window", "mask_neighbours")),
            (p.window is None, "window is null", ("mask_neighbours",)),
            (not self._uses_tokens, "there are no LTR terms", ("ltr_layers",)),
            (not self._uses_words and (p.ltr_layers is not None or not self._uses_tokens),
             "there are no WR terms", ("layers",)),
            (not (weights["wrdist"] or weights["ltrdist"]), "there are no terms of distances",
             ("distance", "lossfunc_d", "distnorm")),
            (not (weights["wrangle"] or weights["ltrangle"]), "there are no terms of angles",
             ("lossfunc_a",)),
            (not p.alpha, "alpha is 0", ("temperature",)),
        ]  # fmt: skip
        return {name: why for holds, why, names in nothing if holds for name in names}

    def teacher_outputs(self) -> OutputSpec:
        """The teacher's logits and matched layers, as far as a weight needs them."""
        return OutputSpec(
            Logits() if self.params.alpha > 0 else None,
            *hidden_states(self._layers_read(teacher=True)),
            context_padding=self._context_padding(),
        )

    def feature_transforms(self) -> tuple[FeatureTransform, ...]:
        """The teacher's hidden states are read through their inner products only."""
        words, tokens = self._teacher_transforms()
        return (*([words] if self._uses_words else []), *([tokens] if self._uses_tokens else []))

    def student_outputs(self) -> OutputSpec:
        """The student's logits and matched layers."""
        return OutputSpec(
            Logits(),
            *hidden_states(self._layers_read(teacher=False)),
            context_padding=self._context_padding(),
        )

    def counts(self, batch: Batch) -> Mapping[str, Count]:
        """Pairs and triples of the tokens of a row, positions of windows, and tokens."""
        p, valid = self.params, batch.attention_mask.bool()
        over: dict[str, Count] = {}
        if self._weights["wrdist"]:
            over["wrdist"] = cells(valid, 2)
        if self._weights["wrangle"]:
            over["wrangle"] = (
                cells(valid, 3)
                if p.window is None
                else window_cells(valid, window=p.window, mask_neighbours=p.mask_neighbours)
            )
        # Every token has as many pairs and triples of layers.
        tokens = int(batch.lengths.sum())
        return {**over, "ltrdist": tokens, "ltrangle": tokens}

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """The terms of non-zero weight."""
        terms = task_and_distil(self.params.alpha, student, teacher, self._distance)
        counts, mask = self.counts(batch), batch.tokens
        losses: dict[str, Tensor] = {}
        if self._uses_words:
            losses |= self._word_terms(mask, student, teacher)
        if self._uses_tokens:
            losses |= self._token_terms(mask, student, teacher)
        for name, value in losses.items():
            terms[name] = self._weights[name] * Mean(value, counts[name])
        return LossTerms(**terms)

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        loss = soft_cross_entropy if self.context.task_kind.is_categorical else scaled_mse
        return loss(student, teacher, temperature=self.params.temperature)

    def _word_terms(self, mask: Mask, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        pairs, context_padding = self._word_layers, self._context_padding()
        student_gram = word_gram(
            [student.hidden(k) for k in pairs.student], mask, context_padding=context_padding
        )
        teacher_gram: Gram = teacher.transformed(self._teacher_transforms()[0], mask)
        losses: dict[str, Tensor] = {}
        if self._weights["wrdist"]:
            losses["wrdist"] = self._pairs(student_gram, teacher_gram)
        if self._weights["wrangle"]:
            losses["wrangle"] = self._word_angles(student_gram, teacher_gram)
        return losses

    def _token_terms(self, mask: Mask, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        pairs = self._token_layers
        student_gram = layer_gram([student.hidden(k) for k in pairs.student], mask)
        teacher_gram: Gram = teacher.transformed(self._teacher_transforms()[1], mask)
        losses: dict[str, Tensor] = {}
        if self._weights["ltrdist"]:
            losses["ltrdist"] = self._pairs(student_gram, teacher_gram)
        if self._weights["ltrangle"]:
            lossfunc = self.params.lossfunc_a
            losses["ltrangle"] = triple_relation(student_gram, teacher_gram, lossfunc=lossfunc)
        return losses

    def _teacher_transforms(self) -> tuple[WordGram, LayerGram]:
        """What is read of the teacher for the WR and for the LTR terms."""
        words = WordGram(self._word_layers.teacher, self._context_padding())
        return words, LayerGram(self._token_layers.teacher)

    def _pairs(self, student_gram: Gram, teacher_gram: Gram) -> Tensor:
        p = self.params
        return pair_relation(
            student_gram,
            teacher_gram,
            distance=p.distance,
            lossfunc=p.lossfunc_d,
            distnorm=p.distnorm,
        )

    def _word_angles(self, student_gram: Gram, teacher_gram: Gram) -> Tensor:
        p = self.params
        if p.window is None:
            return triple_relation(student_gram, teacher_gram, lossfunc=p.lossfunc_a)
        return window_relation(
            student_gram,
            teacher_gram,
            window=p.window,
            lossfunc=p.lossfunc_a,
            mask_neighbours=p.mask_neighbours,
        )

    def _context_padding(self) -> int:
        """Padding positions that count as neighbours in the window."""
        p = self.params
        if p.window is None or p.mask_neighbours or not self._weights["wrangle"]:
            return 0
        return p.window // 2

    def _layers_read(self, *, teacher: bool) -> tuple[int, ...]:
        used: list[LayerPairs] = []
        if self._uses_words:
            used.append(self._word_layers)
        if self._uses_tokens:
            used.append(self._token_layers)
        return tuple(sorted({k for p in used for k in (p.teacher if teacher else p.student)}))


def _weights(params: Params) -> dict[str, float]:
    tied = params.tie_ltr_to_wr
    on = float(params.angles)
    return {
        "wrdist": params.wrdist,
        "wrangle": on * params.wrangle,
        "ltrdist": params.wrdist if tied else params.ltrdist,
        "ltrangle": on * (params.wrangle if tied else params.ltrangle),
    }


METHOD = ContextualKD
