"""Everything raykd uses of transformers that is not documented, checked where models are built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from raykd.private_api import Library, PrivateName

TRANSFORMERS = Library("transformers", "transformers", "5.24")

NO_INIT = PrivateName(
    "transformers.initialization", "no_init_weights", "building a model without drawing its weights"
)
INIT = PrivateName(
    "transformers.modeling_utils", "PreTrainedModel._init_weights",
    "drawing weights as the family of a model does",
)  # fmt: skip
ATTENTION = PrivateName(
    "transformers.configuration_utils", "PreTrainedConfig._attn_implementation",
    "choosing the implementation of attention",
)  # fmt: skip
CONVERSIONS = PrivateName(
    "transformers.conversion_mapping", "get_model_conversion_mapping",
    "reading published files whose tensors are not those of the model",
)  # fmt: skip

PARTS = (NO_INIT, INIT, ATTENTION, CONVERSIONS)
"""What models are built and run with."""


def without_weights(head_class: Any, config: Any) -> Any:
    """A model with uninitialised weights: faster to build where all of them are given.

    Raises:
        SetupError: This version of transformers lacks one of `PARTS`.
    """
    TRANSFORMERS.require(PARTS)
    with NO_INIT.find()():
        return head_class(config)


def is_converted(model: Any) -> bool:
    """Whether the library converts published files of such a model when it reads them.

    Raises:
        SetupError: This version of transformers lacks one of `PARTS`.
    """
    TRANSFORMERS.require(PARTS)
    return bool(CONVERSIONS.find()(model, add_legacy=False))


def read_converted(folder: Path, model_class: Any, config: Any) -> dict[str, Tensor]:
    """The tensors of a model folder as the library converts them, in their own types of numbers.

    Those that the model has no place for are empty.

    Args:
        folder: The model folder.
        model_class: A ``PreTrainedModel`` subclass.
        config: Its configuration.
    """
    model, loaded = model_class.from_pretrained(
        folder, config=config, dtype="auto", local_files_only=True, output_loading_info=True,
        ignore_mismatched_sizes=True,
    )  # fmt: skip
    absent = {*loaded["missing_keys"], *(key for key, *_ in loaded["mismatched_keys"])}
    own = {name: tensor for name, tensor in model.state_dict().items() if name not in absent}
    return own | {name: torch.empty(0) for name in loaded["unexpected_keys"]}


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
