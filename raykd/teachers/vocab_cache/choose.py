"""Vocabulary caches by name, and the choice where none is named."""

from __future__ import annotations

from collections.abc import Sequence

from raykd.losses.targets import Divergence
from raykd.models.base import ModelDims
from raykd.teachers.vocab_cache.base import VocabCache
from raykd.teachers.vocab_cache.hidden import HiddenCache
from raykd.teachers.vocab_cache.sampled import SampledCache
from raykd.teachers.vocab_cache.top_k import TopKCache

SMALL = 1024
"""Bytes per token below which hidden states are kept: they are exact."""
DENSE = "dense"


def vocab_cache_of(name: str) -> VocabCache:
    """The cache of a name such as ``hidden`` or ``sampled:64``."""
    kind, _, count = name.partition(":")
    if kind == "sampled":
        return SampledCache(int(count))
    if kind == "top_k":
        return TopKCache(int(count))
    return HiddenCache()


def choose(
    teacher: ModelDims, needed: Sequence[Divergence], *, reads_scores: bool, wide: bool = False
) -> tuple[str, str]:
    """The name of the cache, or ``dense``, and why.

    Args:
        teacher: Its sizes.
        needed: Divergences that methods compute.
        reads_scores: Whether a method reads the scores themselves.
        wide: Whether hidden states take four bytes a number instead of two.
    """
    hidden, dense = HiddenCache().token_bytes(teacher, wide=wide), 4 * teacher.vocabulary
    if hidden >= dense:
        return DENSE, f"all scores take {dense:,} bytes a token, hidden states {hidden:,}"
    if hidden <= SMALL:
        return "hidden", (
            f"hidden states take {hidden:,} bytes a token (all scores {dense:,}) and are exact"
        )
    drawn = SampledCache()
    if not reads_scores and needed and not any(drawn.refusal(of) for of in needed):
        return drawn.name, (
            f"hidden states would take {hidden:,} bytes a token, {drawn.count} draws "
            f"{drawn.token_bytes(teacher):,}, and they are enough for the forward divergence"
        )
    return "hidden", (
        f"hidden states take {hidden:,} bytes a token; the methods need more than draws give"
    )
