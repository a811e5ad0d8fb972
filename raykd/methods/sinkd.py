"""SinKD: optimal transport between the predictions of a batch, beside soft targets."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raykd.data.base import Batch
from raykd.losses.logits import soft_cross_entropy
from raykd.losses.sinkhorn import sinkhorn_distance
from raykd.methods.base import LossTerms, Method, Setting, Signals
from raykd.models.base import Outputs
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


class SinKD(Method[Params]):
    """Soft targets, the task loss, and the Sinkhorn distance between predictions of a batch.

    Rows are those of one rank: with several workers each solves a smaller problem, and the distance
    means something else.
    """

    title = "optimal transport between the logits of a batch"
    reference = "https://arxiv.org/abs/2402.17110"
    requires = Signals(logits=True)
    kinds = ("classification",)

    def __init__(self, params: Params, setting: Setting) -> None:
        super().__init__(params, setting)
        self._heat = params.temperature

    def refusal(self) -> str:
        """It compares distributions over classes; a single score has none."""
        if self.setting.kind == "regression":
            return (
                "compares distributions over classes, and a single score has none: "
                "its distance and gradient would be 0"
            )
        return super().refusal()

    def signals(self) -> Signals:
        """The teacher's logits, unless both weights are 0."""
        return Signals(logits=self.params.alpha > 0 or self.params.beta > 0)

    def at_epoch(self, epoch: int, epochs: int) -> None:
        """Set the temperature of the soft targets."""
        self._heat = annealed(self.params.temperature, epoch, epochs, on=self.params.anneal)

    def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
        """Task loss, soft targets, Sinkhorn distance; terms of weight 0 are left out."""
        p = self.params
        terms: dict[str, Tensor] = {}
        if p.alpha < 1:
            terms["task"] = (1 - p.alpha) * student.task_loss
        if p.alpha > 0:
            soft = soft_cross_entropy(student.logits, teacher.logits, temperature=self._heat)
            terms["distil"] = p.alpha * soft.mean()
        if p.beta > 0:
            terms["sinkhorn"] = p.beta * p.sinkhorn_scale * self._distance(student, teacher)
        return LossTerms(**terms)

    def _distance(self, student: Outputs, teacher: Outputs) -> Tensor:
        p = self.params
        return sinkhorn_distance(
            student.logits,
            teacher.logits,
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
