"""Universal logit distillation: sorted probabilities, token by token, across tokenizers."""

from __future__ import annotations

from raykd.methods._sorted import SortedParams, SortedProbabilities
from raykd.methods.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.signals.token_pairs import TokenPairs

__all__ = ["METHOD", "Params"]

Params = SortedParams


class ULD(SortedProbabilities):
    """The first token of a response is compared with the first of the teacher's, and so on.

    Boizard et al., 2024. Where one has more tokens, the rest of them is not compared.
    """

    title = "sorted probabilities of tokens, across tokenizers"
    reference = "https://arxiv.org/abs/2402.12030"
    authors = "Boizard et al. 2024"
    requires = OutputSpec(Logits(), TokenPairs("place"))
    way = "place"


METHOD = ULD
