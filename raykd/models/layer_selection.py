"""Selects layers of a model, which make a smaller model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raykd.errors import SpecError
from raykd.models.families.base import KEPT_UNITS, ModelFamily, family_of
from raykd.models.file_arrays import renamed_arrays
from raykd.models.weights import ModelState

INSTEAD = "give the student's sizes with student.model"
"""The hint where layers cannot be selected."""


def refusal(family: ModelFamily, config: Mapping[str, Any], layers: Sequence[int]) -> str:
    """Why blocks of a model cannot be selected, or empty.

    Args:
        family: Its family.
        config: Its configuration, as far as it is known.
        layers: The blocks.
    """
    if not family.layer_prefix:
        return f"layers of a {family.name} cannot be taken one by one"
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
    family = family_of(state.config["model_type"])
    if wrong := refusal(family, state.config, layers):
        raise SpecError(wrong, hint=INSTEAD)
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
    positions = {old: new for new, old in enumerate(layers)}

    def renamed(name: str) -> str | None:
        if name.startswith(family.layer_prefix):
            number, _, rest = name.removeprefix(family.layer_prefix).partition(".")
            new = positions.get(int(number))
            return None if new is None else f"{family.layer_prefix}{new}.{rest}"
        return name if keep_head or not family.is_head(name) else None

    widths = {}
    if KEPT_UNITS in state.config:
        counts = state.config[KEPT_UNITS]
        widths[KEPT_UNITS] = {kind: [counts[kind][layer] for layer in layers] for kind in counts}
    names = {old: new for old in state.tensors if (new := renamed(old)) is not None}
    return ModelState(
        family=state.family,
        config={
            **state.config,
            family.layers_field(): len(layers),
            **_types(family, state.config, layers),
            **widths,
        },
        tensors=renamed_arrays(state.tensors, {new: old for old, new in names.items()}),
        bf16=tuple(names[old] for old in state.bf16 if old in names),
    )


def _types(
    family: ModelFamily, config: Mapping[str, Any], layers: Sequence[int]
) -> Mapping[str, Any]:
    """What the configuration says of the types of the blocks that stay: each keeps its own."""
    if not family.block_types:
        return {}
    types = config[family.block_types]
    return family.typed([types[layer] for layer in layers])
