"""Selects layers of a model, which make a smaller model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from raykd.errors import SpecError
from raykd.models.families.base import ModelFamily, family_of
from raykd.models.file_arrays import renamed_arrays
from raykd.models.prunable_units import KEPT_UNITS
from raykd.models.task_head import kind_of
from raykd.models.transformers_private import without_weights
from raykd.models.weights import ModelState

LAYERS = "layers"
"""What a model lacks whose blocks cannot be taken, besides kinds of signal."""
INSTEAD = "give the student's sizes with student.model"
"""The hint where layers cannot be selected."""


def refusal(family: ModelFamily, config: Mapping[str, Any], layers: Sequence[int]) -> str:
    """Why blocks of a model cannot be selected, or empty.

    Args:
        family: Its family.
        config: Its configuration.
        layers: Blocks that it has, each once.
    """
    if not family.layer_prefix:
        two = family.is_encoder_decoder
        why = "an encoder and a decoder have blocks each" if two else "its blocks are not a list"
        return f"layers of a model of type {family.name} cannot be taken one by one: {why}"
    if _misplaced(family, config, layers):
        return (
            f"blocks of this {family.name} have other weights at other places, so {list(layers)} "
            f"cannot become its blocks 0 to {len(layers) - 1}"
        )
    switch = next((name for name in family.numbered_by if config.get(name)), None)
    if switch is not None and list(layers) != list(range(len(layers))):
        return (
            f"blocks of this {family.name} compute something that depends on their number "
            f"({switch}), so only the first ones can be taken, got {list(layers)}"
        )
    return ""


def select_layers(state: ModelState, layers: tuple[int, ...], *, keep_head: bool) -> ModelState:
    """A smaller model: the embeddings and the selected blocks, in the order given.

    Args:
        state: The model to select them from.
        layers: Blocks, numbered from 0.
        keep_head: Whether to keep the head; else the student begins with a fresh one.

    Raises:
        SpecError: A number is out of range or given twice, or blocks cannot be reordered.
    """
    family = family_of(state.config)
    count: int = state.config[family.layers_field()]
    for layer in layers:
        if not 0 <= layer < count:
            raise SpecError(
                f"there is no layer {layer}: the teacher has {count}, numbered 0 to {count - 1}",
                hint="change student.from_teacher.layers",
            )
    if not layers or len(set(layers)) != len(layers):
        raise SpecError(
            f"layers must name at least one block, and each once, got {list(layers)}",
            hint="change student.from_teacher.layers",
        )
    if wrong := refusal(family, state.config, layers):
        raise SpecError(wrong, hint=INSTEAD)
    names = {
        old: new
        for old in state.tensors
        if (keep_head or not family.is_head(old))
        and (new := _renamed(old, family.layer_prefix, layers))
    }
    return ModelState(
        family=state.family,
        config=_selected(family, state.config, layers),
        tensors=renamed_arrays(state.tensors, {new: old for old, new in names.items()}),
        bf16=tuple(names[old] for old in state.bf16 if old in names),
    )


def _misplaced(family: ModelFamily, config: Mapping[str, Any], layers: Sequence[int]) -> bool:
    """Whether a model of these blocks has other weights than they have."""
    given = {
        new: shape
        for old, shape in _shapes(family, config).items()
        if (new := _renamed(old, family.layer_prefix, layers))
    }
    return given != _shapes(family, _selected(family, config, layers))


def _shapes(family: ModelFamily, config: Mapping[str, Any]) -> dict[str, Any]:
    made = family.config_class().from_dict(dict(config))
    with torch.device("meta"):
        model = without_weights(family.head_class(kind_of(config)), made)
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def _renamed(name: str, prefix: str, layers: Sequence[int]) -> str:
    """The name of a weight in a model of some blocks; empty where it has none."""
    if not name.startswith(prefix):
        return name
    number, _, rest = name.removeprefix(prefix).partition(".")
    return f"{prefix}{list(layers).index(int(number))}.{rest}" if int(number) in layers else ""


def _selected(
    family: ModelFamily, config: Mapping[str, Any], layers: Sequence[int]
) -> dict[str, Any]:
    """The configuration of a model of some blocks."""
    widths = {}
    if KEPT_UNITS in config:
        counts = config[KEPT_UNITS]
        widths[KEPT_UNITS] = {kind: [counts[kind][layer] for layer in layers] for kind in counts}
    return {
        **config,
        family.layers_field(): len(layers),
        **_per_block(family, config, layers),
        **widths,
    }


def _per_block(
    family: ModelFamily, config: Mapping[str, Any], layers: Sequence[int]
) -> Mapping[str, Any]:
    """What the configuration says of the blocks that stay: each keeps its own, such as its type."""
    kept: dict[str, Any] = {
        name: [config[name][layer] for layer in layers]
        for name in family.layout.per_block
        if isinstance(config.get(name), list | tuple)
    }
    return {**kept, **(family.typed(kept[family.block_types]) if family.block_types else {})}
