"""Generalised Jensen-Shannon divergence on the tokens of given responses."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.losses.targets import Divergence
from raykd.methods._tokens import BETA_HELP, TokenMethod
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of distillation by the Jensen-Shannon divergence."""

    kd_ratio: float = param(
        0.5, low=0.0, high=1.0, help="Weight of distillation; the labels get the rest."
    )
    beta: float = param(0.5, low=0.0, high=1.0, help=BETA_HELP)
    normalised: bool = param(
        False,
        help="Divide by beta (1 - beta), so that the ends are approached, and beta does not change "
        "the size of the gradient.",
    )
    temperature: float = param(
        1.0, low=0.0, open=True, symbol="T", help="Softens both distributions."
    )


class JensenShannon(TokenMethod[Params]):
    """Both models are compared with a mixture of the two."""

    title = "Jensen-Shannon divergence on the tokens of given responses"
    reference = "https://arxiv.org/abs/2306.13649"
    authors = "Agarwal et al. 2023"

    def divergence(self) -> Divergence:
        """With the share of the teacher."""
        p = self.params
        return Divergence(
            kind="jsd", beta=p.beta, temperature=p.temperature, normalised=p.normalised
        )


METHOD = JensenShannon
