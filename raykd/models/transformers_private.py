"""Everything raykd uses of transformers that is not documented, checked where models are built."""

from __future__ import annotations

from typing import Any

from torch import nn

from raykd.private_parts import Library, Part

TRANSFORMERS = Library("transformers", "transformers", "5.24")

NO_INIT = Part(
    "transformers.initialization", "no_init_weights", "building a model without drawing its weights"
)
INIT = Part(
    "transformers.modeling_utils", "PreTrainedModel._init_weights",
    "drawing weights as the family of a model does",
)  # fmt: skip
ATTENTION = Part(
    "transformers.configuration_utils", "PreTrainedConfig._attn_implementation",
    "choosing the implementation of attention",
)  # fmt: skip

PARTS = (NO_INIT, INIT, ATTENTION)
"""What models are built and run with."""


def without_weights(head_class: Any, config: Any) -> Any:
    """A model with uninitialised weights: faster to build where all of them are given.

    Raises:
        SetupError: This version of transformers lacks one of `PARTS`.
    """
    TRANSFORMERS.require(PARTS)
    with NO_INIT.find()():
        return head_class(config)


def init_layer(model: Any, layer: nn.Module) -> None:
    """Draw the weights of one layer as the model's family does, in place.

    Args:
        model: A ``PreTrainedModel``.
        layer: One of its modules.
    """
    model._init_weights(layer)


def attention_of(config: Any) -> str:
    """Name of the implementation of attention that a ``PreTrainedConfig`` asks for, or empty."""
    return getattr(config, "_attn_implementation", None) or ""
