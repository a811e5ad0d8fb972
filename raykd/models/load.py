"""Builds models: from a checkpoint, or from sizes and a seed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import nn

from raykd import registry
from raykd.errors import SpecError
from raykd.models import weights
from raykd.models.base import Anatomy, ModelShape
from raykd.models.checkpoint import read_checkpoint
from raykd.models.families.base import ModelFamily, family_of
from raykd.models.initial import drawn_from
from raykd.models.weights import ModelState


def load_model(name: str, *, kind: str, num_labels: int, seed: int = 0) -> nn.Module:
    """A model from a checkpoint, in float32, with a head for the task.

    Args:
        name: A folder, ``package:NAME`` or a hub name.
        kind: ``classification`` or ``regression``.
        num_labels: Width of the logits.
        seed: Draws the head when the checkpoint has none that fits.

    The errors are those of `raykd.models.checkpoint.read_checkpoint`.
    """
    return weights.restore(load_state(name, kind=kind, num_labels=num_labels), seed=seed)


def load_state(name: str, *, kind: str, num_labels: int) -> ModelState:
    """The weights of a checkpoint, in float32; without a head where it has none that fits.

    The errors are those of `raykd.models.checkpoint.read_checkpoint`.
    """
    return read_checkpoint(name, kind=kind, num_labels=num_labels).state


def build_model(
    shape: ModelShape,
    *,
    vocabulary: int,
    kind: str,
    num_labels: int,
    seed: int,
    labels: Sequence[str] = (),
    pad: int | None = 0,
) -> nn.Module:
    """A model with random weights; the global generator is left as it was.

    Args:
        shape: Sizes.
        vocabulary: Token ids of the tokenizer that was trained for it.
        kind: ``classification`` or ``regression``.
        num_labels: Width of the logits.
        seed: Draws the weights.
        labels: Names of the classes.
        pad: The token that pads, None where another one stands in for it.

    Raises:
        SpecError: The family does not exist, or the heads do not divide the width.
    """
    family: ModelFamily = registry.load("families", shape.family)
    config = family.config(shape, vocabulary, kind, num_labels, labels, pad)
    with drawn_from(seed):
        model: nn.Module = family.head_class(kind)(config)
    return model.train()


def shape_anatomy(shape: ModelShape, vocabulary: int) -> Anatomy:
    """The sizes of a model with random weights, without building it."""
    family: ModelFamily = registry.load("families", shape.family)
    return Anatomy(
        layers=shape.layers,
        hidden=shape.hidden,
        heads=shape.heads,
        vocabulary=vocabulary,
        intermediate=(shape.intermediate or 4 * shape.hidden) if family.units else None,
        positions=shape.max_positions if "positions" in family.fields else None,
    )


def positions_of(source: ModelShape | ModelState) -> int:
    """Most tokens that a model can read; `sys.maxsize` where positions are relative."""
    if isinstance(source, ModelShape):
        family: ModelFamily = registry.load("families", source.family)
        return source.max_positions if "positions" in family.fields else sys.maxsize
    family, config = _configured(source)
    return family.max_length(config)


def anatomy(model: Any) -> Anatomy:
    """The sizes of a model, a `ModelState`, or a configuration of a known family."""
    family, config = _configured(model)
    return family.anatomy(config)


def check_max_length(model: Any, max_length: int, name: str) -> None:
    """Refuse rows that are longer than the model has positions.

    Args:
        model: A model, a `ModelState`, or a configuration of a known family.
        max_length: Most tokens of a row.
        name: The model in the user's words.

    Raises:
        SpecError: There are too few positions.
    """
    family, config = _configured(model)
    positions = family.max_length(config)
    if max_length > positions:
        raise SpecError(
            f"data.max_length is {max_length}, but '{name}' has {positions} positions",
            hint=f"set data.max_length to {positions} or less",
        )


def _configured(model: Any) -> tuple[ModelFamily, Any]:
    if isinstance(model, ModelState):
        family = family_of(model.config["model_type"])
        return family, family.config_class().from_dict(dict(model.config))
    config = getattr(model, "config", model)
    return family_of(config.model_type), config
