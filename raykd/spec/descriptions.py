"""Describes the parts of a search space in the user's words."""

from __future__ import annotations

from collections.abc import Mapping

from raykd import registry
from raykd.spec.schema import (
    Places,
    RandomInitSpec,
    SourceSpec,
    SplitRef,
    SweepSpec,
    TeacherSpec,
)
from raykd.spec.size_section import sizes_of


def describe_split(ref: SplitRef, taken: SplitRef | None = None) -> str:
    """A split, or a part of it, or of what is left of it.

    Args:
        ref: The split that is meant.
        taken: What was held out before it for another use.
    """
    is_rest = taken is not None and taken.split == ref.split and taken.fraction is not None
    name = f"the rest of {ref.split}" if is_rest else ref.split
    return name if ref.fraction is None else f"{ref.fraction:.0%} of {name}"


def describe_splits(validation: SplitRef, test: SplitRef, searches: int = 1) -> tuple[str, str]:
    """The validation and the test split, each with what the other leaves of it.

    Args:
        validation: The rows to select on.
        test: The rows of the report.
        searches: Searches of each arm, which share the validation rows out.
    """
    before = test if validation.fraction is None else None
    suffix = f", in equal parts for {searches} searches" if searches > 1 else ""
    return describe_split(validation, before) + suffix, describe_split(test, validation)


def describe_model(model: str | RandomInitSpec | None) -> str:
    """A model as the user named it, or its sizes."""
    if isinstance(model, RandomInitSpec):
        return f"{model.family} {model.layers}x{model.hidden}, random weights"
    return model or ""


def describe_teacher(teacher: TeacherSpec) -> str:
    """The teacher as the user named it, or where its outputs stand."""
    outputs = teacher.outputs
    if teacher.endpoint is not None:
        return f"{teacher.model} at {teacher.endpoint}"
    if teacher.routes is not None:
        return f"{', '.join(teacher.members)} by column {teacher.by}"
    if teacher.members:
        parts = [f"{share:.3g} {name}" for name, share in teacher.weights.items()]
        return f"the mean of {' + '.join(parts)}"
    if outputs is None:
        return describe_model(teacher.checkpoint or teacher.model)
    named = [(key, getattr(outputs, key)) for key in outputs.given()]
    words = [
        f"{key} in {'column' if isinstance(of, str) else 'columns'} "
        f"{of if isinstance(of, str) else ', '.join(of)}"
        for key, of in named
    ]
    path = (
        outputs.path if not isinstance(outputs.path, Mapping) else ", ".join(outputs.path.values())
    )
    return " and ".join(words) + (f" of {path}" if path else "")


def describe_student(spec: SweepSpec) -> str:
    """The student of a sweep, and what of it is trained if not all."""
    lora = spec.student.lora
    kept = ""
    for parts, name in (("blocks", "keep_layers"), ("heads", "keep_heads")):
        sizes = dict.fromkeys(getattr(size, name) for size in sizes_of(spec.train))
        if numbers := [str(n) for n in sizes if n is not None]:
            kept += f", {' or '.join(numbers)} of its {parts}"
    return _student(spec) + kept + (f", adapters on {', '.join(lora.targets)}" if lora else "")


def _student(spec: SweepSpec) -> str:
    from_teacher = spec.student.from_teacher
    if from_teacher is None:
        return describe_model(spec.student.model)
    if from_teacher.layers is None:
        return f"the fine-tuned teacher, {from_teacher.sparsity}% of heads and neurons pruned"
    layers = ", ".join(str(k) for k in from_teacher.layers)
    return f"layers {layers} of the teacher, {from_teacher.weights} weights"


def describe_data(spec: SweepSpec, name: str) -> str:
    """Where the rows of a task come from: a folder, the hub, or a generator."""
    own = spec.own_tasks.get(name)
    if own is not None:
        return ", ".join(_describe_source(source) for source in own.all_sources())
    hub = getattr(registry.load("tasks", name), "hub", None)
    if hub is None or not hub[0]:
        return "generated"
    return spec.data.root if spec.data.root is not None else f"the hub: {hub[0]}"


def _describe_source(source: SourceSpec) -> str:
    weight = "" if source.weight == 1 else f" x {source.weight:g}"
    if source.path is None:
        revision = f" at {source.revision}" if source.revision else ""
        streamed = ", streamed" if source.stream else ""
        return f"the hub: {source.hub}{revision}{streamed}{weight}"
    if isinstance(source.path, Mapping):
        parts = [f"{split}: {_describe_places(of)}" for split, of in source.path.items()]
        return "; ".join(parts) + weight
    return _describe_places(source.path) + weight


def _describe_places(places: Places) -> str:
    return places if isinstance(places, str) else ", ".join(places)
