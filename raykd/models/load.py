"""Builds models from sizes and a seed, and tells the sizes of models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import nn

from raykd.models.architectures import probe
from raykd.models.base import ModelDims, RandomInitConfig
from raykd.models.families.base import ModelFamily, family_named, family_of
from raykd.models.weight_init import seeded_rng
from raykd.models.weights import ModelState


def build_model(
    random_init: RandomInitConfig,
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
        random_init: Its sizes.
        vocabulary: Token ids of the tokenizer that was trained for it.
        kind: ``classification`` or ``regression``.
        num_labels: Width of the logits.
        seed: Draws the weights.
        labels: Names of the classes.
        pad: The token that pads, None where another one stands in for it.

    Raises:
        SpecError: The family does not exist, or the heads do not divide the width.
    """
    family = family_named(random_init.family)
    config = family.config(random_init, vocabulary, kind, num_labels, labels, pad)
    with seeded_rng(seed):
        model: nn.Module = family.head_class(kind)(config)
    family.adapt(model)
    return model.train()


def positions_of(model: Any) -> int:
    """Most tokens that a model can read; `sys.maxsize` where positions are relative.

    Args:
        model: A model, a `ModelState`, sizes, or a configuration of a known family.
    """
    if isinstance(model, RandomInitConfig):
        family = family_named(model.family)
        return model.max_positions if "positions" in family.fields else sys.maxsize
    family, config = _configured(model)
    return family.max_length(config)


def model_dims(model: Any) -> ModelDims:
    """The dimensions of a model, a `ModelState`, or a configuration, and what it cannot give.

    Raises:
        SpecError: It cannot be used.
    """
    family, config = _configured(model)
    return family.dims(config, probe.check(config).lacks)


def _configured(model: Any) -> tuple[ModelFamily, Any]:
    if isinstance(model, ModelState):
        family = family_of(model.config)
        return family, family.config_class().from_dict(dict(model.config))
    config = getattr(model, "config", model)
    return family_of(config), config
