"""Reverse divergence on the tokens of given responses."""

from __future__ import annotations

from dataclasses import dataclass

from raykd.losses.targets import Divergence
from raykd.methods._tokens import TokenMethod
from raykd.params import param


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """Coefficients of distillation by the reverse divergence."""

    kd_ratio: float = param(
        0.5, low=0.0, high=1.0, help="Weight of distillation; the labels get the rest."
    )
    temperature: float = param(
        1.0, low=0.0, open=True, symbol="T", help="Softens both distributions."
    )


class ReverseKL(TokenMethod[Params]):
    """The student is drawn to what the teacher finds most likely, and away from all else."""

    title = "reverse divergence on the tokens of given responses"
    reference = "https://arxiv.org/abs/2306.08543"
    authors = "Gu et al. 2023"

    def divergence(self) -> Divergence:
        """From the student to the teacher."""
        return Divergence(kind="reverse_kl", temperature=self.params.temperature)


METHOD = ReverseKL
