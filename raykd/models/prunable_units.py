"""The prunable units of a block, heads and feed-forward neurons, and where they are."""

from __future__ import annotations

from dataclasses import dataclass

KEPT_UNITS = "kept_units"
"""Entry of a configuration for a model whose blocks have lost heads or neurons: how many of them
each block has left, ``{"heads": [...], "neurons": [...]}``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PrunableUnits:
    """The prunable units of a block, its heads and neurons: names of its submodules.

    Attributes:
        attention: What is called with the input of the block and gives a tuple that begins with
            the heads' outputs (projected, if `attention_output` is a part of it).
        query: Projection to the heads' queries.
        key: Projection to their keys.
        value: Projection to their values.
        attention_output: Projection of the heads' outputs, side by side, back to the hidden width.
        attention_norm: Normalisation after the attention.
        feed_forward_in: Projection to the neurons.
        feed_forward_out: Projection of their activations back to the hidden width.
        feed_forward_norm: Normalisation after the feed-forward part.
    """

    attention: str
    query: str
    key: str
    value: str
    attention_output: str
    attention_norm: str
    feed_forward_in: str
    feed_forward_out: str
    feed_forward_norm: str
