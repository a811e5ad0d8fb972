"""Students of several sizes in one sweep: what arms know of each, and what they cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

from raykd.errors import Problem, SpecError
from raykd.methods.base import DistillationContext
from raykd.models.signals.base import OutputSpec
from raykd.models.student_size import smaller
from raykd.spec.arms import teacher_analyses, union_of_outputs
from raykd.spec.schema import SweepSpec
from raykd.spec.size_section import size_infos, size_paths, sizes_of
from raykd.training.settings import SizeSettings

Contexts = Mapping[SizeSettings, DistillationContext]
"""What arms know, by the size of the student."""


def contexts_of(spec: SweepSpec, context: DistillationContext) -> Contexts:
    """What arms know of every size of the student.

    Args:
        spec: The sweep.
        context: The pair, with the whole student.
    """
    whole = context.student
    return {
        size: replace(context, student=smaller(whole, size.keep_layers, size.keep_heads))
        for size in sizes_of(spec.train)
    }


def check_derived(spec: SweepSpec, contexts: Contexts) -> None:
    """Refuse arms that derive teachers for a student that is not the whole one.

    Raises:
        SpecError: One problem per arm.
    """
    if set(contexts) == {SizeSettings()}:
        return
    problems = []
    for name, arm in spec.methods.items():
        alone = spec.model_copy(update={"methods": {name: arm}})
        if any(teacher_analyses(alone, context) for context in contexts.values()):
            message = f"{arm.method} looks once at how the whole student learns from the teacher"
            hint = f"leave out {size_paths(spec.train)}, or the arm: --set methods.{name}=false"
            problems.append(Problem(path=f"methods.{name}", message=message, hint=hint))
    if problems:
        raise SpecError(problems=problems)


def outputs_for_all(
    spec: SweepSpec, contexts: Contexts, *, transformed: bool = False
) -> OutputSpec:
    """Everything that students of some size may read from the teacher.

    Args:
        spec: The sweep.
        contexts: Of all sizes.
        transformed: See `raykd.spec.arms.union_of_outputs`.
    """
    specs = (union_of_outputs(spec, of, transformed=transformed) for of in contexts.values())
    return reduce(OutputSpec.union, specs)


def with_size(size: SizeSettings) -> str:
    """How a size is named before what is wrong with it."""
    parts = [(name, getattr(size, name)) for name in size_infos()]
    shown = " and ".join(f"student.{name}: {kept}" for name, kept in parts if kept is not None)
    return f" with {shown}" if shown else ""
