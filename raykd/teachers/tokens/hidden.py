"""The last hidden state of every token: scores are formed from it when they are read.

Exact up to rounding, for any divergence at any temperature; costs a product with the teacher's
output matrix per token, and 2 bytes per unit of its width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from raykd.losses.targets import Divergence
from raykd.losses.vocabulary import Scores
from raykd.models.base import Anatomy, Outputs
from raykd.teachers.tokens.base import TokenCache


@dataclass(frozen=True, slots=True)
class HiddenCache(TokenCache):
    """States in fp16, with the output matrix."""

    arrays = ("states",)
    needs_matrix = True

    @property
    def name(self) -> str:
        """``hidden``."""
        return "hidden"

    def token_bytes(self, teacher: Anatomy) -> int:
        """Two per unit."""
        return 2 * teacher.hidden

    def refusal(self, of: Divergence) -> str:
        """It serves all of them."""
        return ""

    def keep(self, scores: Scores, random: torch.Generator) -> tuple[Mapping[str, Tensor], float]:
        """The states as they are; all of the mass."""
        return {"states": scores.states}, float(len(scores))

    def outputs(self, kept: Mapping[str, Tensor], matrix: Tensor | None) -> Outputs:
        """Scores that are formed when they are read."""
        assert matrix is not None
        return Outputs(scores=Scores(kept["states"].float(), matrix))
