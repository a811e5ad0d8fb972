"""Skewed divergences on the tokens of given responses (DistiLLM)."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.losses.targets import Divergence
from raykd.methods._tokens import TokenMethod
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of distillation by skewed divergences."""

    kd_ratio: float = param(
        1.0, low=0.0, high=1.0, help="Weight of distillation; the labels get the rest."
    )
    direction: str = param(
        "forward", choices=("forward", "reverse"), help="Which of the two is compared with both."
    )
    lam: float = param(
        0.1,
        low=0.0,
        high=0.99,
        symbol="lambda",
        help="Share of the one that is compared in the mixture; 0 mixes nothing.",
    )
    temperature: float = param(
        1.0, low=0.0, open=True, symbol="T", help="Softens both distributions."
    )


class SkewKL(TokenMethod[Params]):
    """One model is compared with a mixture of both, which bounds the gradient."""

    title = "skewed divergence on the tokens of given responses"
    reference = "https://arxiv.org/abs/2402.03898"
    authors = "Ko et al. 2024"

    def divergence(self) -> Divergence:
        """Forward or reverse, skewed."""
        p = self.params
        return Divergence(kind=f"skew_{p.direction}_kl", lam=p.lam, temperature=p.temperature)


METHOD = SkewKL
