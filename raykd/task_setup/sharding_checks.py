"""Refuses what does not work where weights of a student or teacher are spread over workers."""

from __future__ import annotations

from collections.abc import Iterable

from raykd.methods.base import DistillationContext, Method
from raykd.models.sharding import SHARDING
from raykd.spec.constraints import MEMORY
from raykd.spec.schema import SweepSpec
from raykd.task_setup.train_checks import RefusedSetting, methods_of, shown, values_of
from raykd.training.settings import FULL, IN_PARTS

_SAVES_TOO = "leave it out, or the arm; train.micro_batch saves memory, too"


def check_sharding(spec: SweepSpec) -> None:
    """Refuse to spread weights over one worker, and settings that need all of them in one place.

    Raises:
        SpecError: With the reason.
    """
    finetune = spec.teacher.finetune
    if FULL in values_of(spec, "sharding"):
        names = ("optimizer", "compile")
        _check_training(spec, "train", *(values_of(spec, name) for name in names))
        _check_costs(spec)
    if finetune.get("sharding") == FULL:
        _check_training(
            spec, "teacher.finetune", (finetune.get("optimizer"),), (finetune.get("compile"),)
        )
    if spec.teacher.sharding == FULL:
        _check_training(spec, "teacher", (), ())


def _check_training(
    spec: SweepSpec, section: str, optimizers: Iterable[object], compiled: Iterable[object]
) -> None:
    setting = RefusedSetting(f"{section}.sharding", FULL)
    if spec.resources.workers == 1:
        raise setting.refused(
            "which spreads a model over the workers of a trial, and resources.workers is 1",
            hint=f"set resources.workers to 2 or more, or leave {section}.sharding out",
        )
    wrong = [name for name in optimizers if name is not None and name not in IN_PARTS]
    if wrong:
        raise setting.refused(
            f"of which every worker moves a part, and {section}.optimizer {wrong[0]} does not move "
            "a part as it moves the whole",
            hint=f"set {section}.optimizer to {' or '.join(IN_PARTS)}",
        )
    if True in compiled:
        raise setting.refused(
            f"and {section}.compile is true: compiled blocks are not known to gather their weights",
            hint=f"set {section}.compile to auto or false",
        )


def _check_costs(spec: SweepSpec) -> None:
    """Refuse to bound or search what a student takes that no worker has all of."""
    search = spec.search
    metrics = [o.metric for o in search.objective] + [c.metric for c in search.constraints]
    if MEMORY in metrics:
        raise RefusedSetting("train.sharding", FULL).refused(
            f"and search measures {MEMORY}: a worker has a part of the student, and gathers the "
            "rest block by block",
            hint=f"bound parameters in place of {MEMORY}, or leave train.sharding out",
        )


def check_sharded_arms(spec: SweepSpec, context: DistillationContext) -> None:
    """Refuse arms that cannot work on weights that no worker has all of.

    Raises:
        SpecError: With the arm, or the key.
    """
    _check_parts(spec, context)
    if FULL in values_of(spec, "sharding"):
        for name, methods in methods_of(spec, context):
            if any(method.subnets() for method in methods):
                raise RefusedSetting("train.sharding", shown(spec, "sharding")).refused(
                    f"but arm '{name}' runs subnets of the student, which are cut out of weights "
                    "that no worker has",
                    hint=_SAVES_TOO,
                )
    if spec.teacher.sharding != FULL:
        return
    setting = RefusedSetting("teacher.sharding", FULL)
    part = spec.student.from_teacher
    if part is not None and part.sparsity is not None:
        raise setting.refused(
            "and student.from_teacher.sparsity prunes the teacher, which needs all of it in one "
            "place",
            hint="take layers of it (student.from_teacher.layers), or leave teacher.sharding out",
        )
    for name, methods in methods_of(spec, context):
        if reason := next(filter(None, map(_needs_teacher, methods)), ""):
            raise setting.refused(
                f"but arm '{name}' {reason}", hint="leave out teacher.sharding, or the arm"
            )


def _check_parts(spec: SweepSpec, context: DistillationContext) -> None:
    """Refuse models whose weights cannot be spread."""
    finetuned = spec.teacher.finetune.get("sharding")
    for section, side, wanted, model in (
        ("train", "student", FULL in values_of(spec, "sharding"), context.student),
        ("teacher.finetune", "teacher", finetuned == FULL, context.teacher),
        ("teacher", "teacher", spec.teacher.sharding == FULL, context.teacher),
    ):
        if wanted and (reason := model.lack(SHARDING)):
            raise RefusedSetting(f"{section}.sharding", FULL).refused(
                f"but the weights of the {side} cannot be spread: {reason}",
                hint=f"leave {section}.sharding out, or choose a {side} of another family",
            )


def _needs_teacher(method: Method[object]) -> str:
    """Why a method needs all of the teacher in one place, or empty."""
    if method.teacher_analysis() is not None:
        return "derives other teachers from it, which needs all of it in one place"
    if method.mixes_teacher():
        return "draws from it as the student writes, which takes each worker another time"
    return ""
