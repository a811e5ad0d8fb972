"""Sorted probabilities where both models have read the same text, across tokenizers."""

from __future__ import annotations

from raykd.methods._sorted import SortedParams, SortedProbabilities
from raykd.methods.base import OutputSpec
from raykd.models.signals.logits import Logits
from raykd.models.signals.token_pairs import TokenPairs

__all__ = ["METHOD", "Params"]

Params = SortedParams


class ULDAligned(SortedProbabilities):
    """The distance of `raykd.methods.uld` at tokens that begin at the same byte of the response.

    As in GOLD (Patino et al., 2025; `raykd.methods.gold`), text decides what is compared. Here
    both distributions follow the same text; places where only one of the tokenizers has a border
    are left out, while GOLD multiplies the probabilities of their tokens. What only one of them
    keeps of the text, such as what is an unknown token to the other, is left out by both.
    """

    title = "sorted probabilities where both read the same text, across tokenizers"
    reference = "https://huggingface.co/spaces/HuggingFaceH4/on-policy-distillation"
    authors = "Patino et al. 2025"
    requires = OutputSpec(Logits(), TokenPairs("text"))
    way = "text"


METHOD = ULDAligned
