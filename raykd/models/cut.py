"""Makes a student of chosen layers of a model."""

from __future__ import annotations

from raykd.errors import SpecError
from raykd.models.families.base import KEPT_UNITS, family_of
from raykd.models.weights import ModelState


def take_layers(state: ModelState, layers: tuple[int, ...], *, keep_head: bool) -> ModelState:
    """A smaller model: embeddings and some blocks, in the order given.

    Args:
        state: The model to take them from.
        layers: Blocks, numbered from 0.
        keep_head: Whether to keep the head; else the student begins with a fresh one.

    Raises:
        SpecError: A number is out of range or given twice.
    """
    family = family_of(state.config["model_type"])
    if not family.layer_prefix:
        raise SpecError(
            f"layers of a {family.name} cannot be taken one by one",
            hint="give the student's sizes with student.model",
        )
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
    places = {old: new for new, old in enumerate(layers)}

    def renamed(name: str) -> str | None:
        if name.startswith(family.layer_prefix):
            number, _, rest = name.removeprefix(family.layer_prefix).partition(".")
            new = places.get(int(number))
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
            **family.by_layers(len(layers)),
            **widths,
        },
        tensors={new: state.tensors[old] for old, new in names.items()},
        bf16=tuple(names[old] for old in state.bf16 if old in names),
    )
