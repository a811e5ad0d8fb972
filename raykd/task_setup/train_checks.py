"""Settings of training that this installation cannot do, or that some arms do otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raykd import registry
from raykd.errors import Problem, SpecError
from raykd.methods.base import DistillationContext, Method
from raykd.models.base import ModelDims
from raykd.models.families.base import family_named
from raykd.params import Scalar, show
from raykd.results.sentences import listed
from raykd.spec.arms import combinations, parameters, use_of_unlabelled
from raykd.spec.schema import SweepSpec
from raykd.training.model_options import check_recomputing, choose_attention
from raykd.training.settings import (
    AUTO,
    FLASH,
    TrainSettings,
    check_attention,
    check_optimizer,
)

_PACK_LESS = "packing: auto packs only what can be packed"


@dataclass(frozen=True, slots=True)
class RefusedSetting:
    """A setting that a model or an arm cannot do.

    Attributes:
        key: Its place in the file.
        value: As the file gives it.
    """

    key: str
    value: str

    def refused(self, why: str, hint: str) -> SpecError:
        """The error that names it, with its place in the file.

        Args:
            why: The rest of the sentence that says what it is.
            hint: What to do.
        """
        return SpecError(f"{self.key} is {self.value}, {why}", hint=hint).at(self.key)


def check_training(spec: SweepSpec, *, gpus: bool = True) -> None:
    """Refuse settings of training that this installation or its devices cannot do.

    Args:
        spec: The search space.
        gpus: Whether trials have GPUs; it is taken for granted where that is not known yet.

    Raises:
        SetupError: With the reason.
    """
    for value in values_of(spec, "attention"):
        check_attention(value, gpus=gpus)
    key = "teacher.finetune.attention"
    check_attention(spec.teacher.finetune.get("attention"), gpus=gpus, key=key)
    for value in values_of(spec, "optimizer"):
        check_optimizer(value)
    key = "teacher.finetune.optimizer"
    check_optimizer(spec.teacher.finetune.get("optimizer"), key)


def check_models(spec: SweepSpec, teacher: Any, student: Any) -> None:
    """Refuse settings of training that the models cannot do.

    Args:
        spec: The search space.
        teacher: The teacher, without memory.
        student: The student, or the model that it is made of, without memory.

    Raises:
        SpecError: With the reason.
    """
    finetune = spec.teacher.finetune
    given = (
        ("teacher.finetune", teacher, {n: (v,) for n, v in finetune.items()}),
        (
            "train",
            student,
            {n: values_of(spec, n) for n in ("attention", "gradient_checkpointing")},
        ),
    )
    for section, model, values in given:
        for name in values.get("attention", ()):
            if name != AUTO:
                choose_attention(model, str(name), f"{section}.attention")
        if True in values.get("gradient_checkpointing", ()):
            check_recomputing(model, f"{section}.gradient_checkpointing")


def check_arms(spec: SweepSpec, context: DistillationContext) -> None:
    """Refuse settings of training that a method cannot work with.

    Raises:
        SpecError: With the arm.
    """
    if spec.teacher.finetune.get("packing") is True:
        setting = RefusedSetting("teacher.finetune.packing", "true")
        _check_packed(setting, "teacher", context, context.teacher)
        if (attention := spec.teacher.finetune.get("attention")) == FLASH:
            raise _flash(setting, "teacher.finetune.attention", str(attention))
    if spec.teacher.finetune.get("compile") is True:
        setting = RefusedSetting("teacher.finetune.compile", "true")
        _check_blocks(setting, "teacher", context.teacher)
    _check_unlabelled(spec, context)
    for name, check in _CHECKS.items():
        if True in values_of(spec, name):
            check(spec, context, RefusedSetting(f"train.{name}", shown(spec, name)))


def _check_unlabelled(spec: SweepSpec, context: DistillationContext) -> None:
    """Refuse prompts without responses where no arm has the teacher write any."""
    if not context.unlabelled or not context.task_kind.generates or spec.teachers:
        return
    if all(use_of_unlabelled(arm, context) == "no" for arm in spec.methods.values()):
        problem = Problem(
            path="data.unlabelled",
            message="no arm learns from prompts without responses: methods on given responses have "
            "none there, and those on text of the student leave them out, too",
            hint="add an arm whose teacher writes responses (seqkd), or remove data.unlabelled",
        )
        raise SpecError(problems=[problem])


def _check_checkpointing(
    spec: SweepSpec, context: DistillationContext, setting: RefusedSetting
) -> None:
    """Refuse arms whose blocks cannot be computed again."""
    for name, methods in methods_of(spec, context):
        if any(method.subnets() for method in methods):
            raise setting.refused(
                f"but arm '{name}' runs subnets of the student, whose blocks are not computed "
                "again",
                hint="leave it out, or the arm; train.micro_batch saves memory, too",
            )


def _check_compile(spec: SweepSpec, context: DistillationContext, setting: RefusedSetting) -> None:
    """Refuse students and arms whose blocks cannot be compiled."""
    _check_blocks(setting, "student", context.student)
    for name, methods in methods_of(spec, context):
        read = (signal for method in methods for signal in method.student_outputs())
        what = next((signal.title for signal in read if signal.inside_blocks), "")
        if any(method.subnets() for method in methods):
            what = "subnets of the student"
        if what:
            raise setting.refused(
                f"but arm '{name}' reads {what}, which compiled blocks do not give",
                hint="set train.compile to auto, or leave the arm out",
            )


def _check_blocks(setting: RefusedSetting, side: str, model: ModelDims) -> None:
    if model.family and not family_named(model.family).layer_prefix:
        raise setting.refused(
            f"but the blocks of a {side} of the family '{model.family}' are in no one list",
            hint="leave it out",
        )


def _flash(setting: RefusedSetting, key: str, value: str) -> SpecError:
    return setting.refused(
        f"but {key} is {value}: {FLASH} has no masks that end where a text does",
        hint=f"set {key} to auto; {_PACK_LESS}",
    )


def _check_packing(spec: SweepSpec, context: DistillationContext, setting: RefusedSetting) -> None:
    """Refuse rows that cannot be packed: the student's, or those of arms that read positions."""
    _check_packed(setting, "student", context, context.student)
    if FLASH in values_of(spec, "attention"):
        raise _flash(setting, "train.attention", shown(spec, "attention"))
    for name, methods in methods_of(spec, context):
        read = (signal for method in methods for signal in method.student_outputs())
        if placed := next((signal for signal in read if signal.by_position), None):
            raise setting.refused(
                f"but arm '{name}' reads {placed.title} by position", hint=_PACK_LESS
            )


def _check_packed(
    setting: RefusedSetting, side: str, context: DistillationContext, model: ModelDims
) -> None:
    if reason := context.no_packing(model):
        raise setting.refused(f"but the {side} cannot: {reason}", hint=_PACK_LESS)


_CHECKS: Mapping[str, Callable[[SweepSpec, DistillationContext, RefusedSetting], None]] = {
    "packing": _check_packing,
    "gradient_checkpointing": _check_checkpointing,
    "compile": _check_compile,
}
"""What is checked of arms where a setting can be true."""


def training_notes(spec: SweepSpec, context: DistillationContext) -> tuple[str, ...]:
    """What some arms do otherwise than the settings say, a sentence for each of them."""
    return (
        *_micro_batch_notes(spec),
        *_uneven_notes(spec),
        *_attention_notes(spec, context),
        *_unlabelled_notes(spec, context),
    )


def batch_wide(method: str) -> str:
    """What a method makes of each micro batch in place of the batch, or empty."""
    cls: type[Method[object]] = registry.load("methods", method)
    return cls.batch_wide


def methods_of(
    spec: SweepSpec, context: DistillationContext
) -> Iterator[tuple[str, list[Method[object]]]]:
    """Every arm with its method, as its parameters can make it."""
    for name, arm in spec.methods.items():
        cls: type[Method[object]] = registry.load("methods", arm.method)
        yield name, [cls(parameters(arm.method, v), context) for v in combinations(arm)]


def values_of(spec: SweepSpec, name: str) -> tuple[Scalar, ...]:
    """The values that a setting of training can have, where the file names it."""
    domain = spec.train.domains.get(name)
    if domain is not None:
        return domain.choices or (domain.low, domain.high)
    return (spec.train.fixed[name],) if name in spec.train.fixed else ()


def shown(spec: SweepSpec, name: str) -> str:
    """A setting of training as the file gives it."""
    domain = spec.train.domains.get(name)
    return show(spec.train.fixed[name]) if domain is None else domain.describe()


def _micro_batch_notes(spec: SweepSpec) -> Iterator[str]:
    if set(values_of(spec, "micro_batch")) <= {AUTO}:
        return
    for name, arm in spec.methods.items():
        if changes := batch_wide(arm.method):
            setting = shown(spec, "micro_batch")
            yield f"train.micro_batch is {setting}; in arm '{name}' {changes}"


def _uneven_notes(spec: SweepSpec) -> Iterator[str]:
    """Micro batches that do not divide the rows that a worker has of a batch, or are larger."""
    plain, finetune = TrainSettings().batch_size, spec.teacher.finetune
    for key, batches, micro_batches in (
        ("train", values_of(spec, "batch_size") or (plain,), values_of(spec, "micro_batch")),
        (
            "teacher.finetune",
            (finetune.get("batch_size", plain),),
            (finetune.get("micro_batch", AUTO),),
        ),
    ):
        effects = [
            effect
            for batch, most in itertools.product(batches, micro_batches)
            if isinstance(batch, int) and isinstance(most, int)
            if (effect := _uneven(batch, most, spec.resources.workers))
        ]
        if effects:
            yield f"{key}.micro_batch: {'; '.join(effects)}"


def _uneven(batch: int, most: int, workers: int) -> str:
    """What becomes of a batch whose rows are not a multiple of those of a pass, or empty."""
    rows = -(-batch // workers)
    of = f"the {rows} rows of a batch" + " on a worker" * (workers > 1)
    if most > rows:
        return f"{most} is more than {of}, which are computed in one pass"
    passes = -(-rows // most)
    if rows % most == 0:
        return ""
    few, many = rows // passes, -(-rows // passes)
    each = f"{few}" if few == many else f"{few} or {many}"
    return f"{most} does not divide {of}, which are computed in {passes} passes of {each}"


def _unlabelled_notes(spec: SweepSpec, context: DistillationContext) -> Iterator[str]:
    """Which arms learn from rows without labels, and which leave them out."""
    arms = spec.methods if context.unlabelled else {}
    uses = {name: use_of_unlabelled(arm, context) for name, arm in arms.items()}
    parts = []
    for use, verb, rest in (
        ("yes", "learn", " from them"),
        ("some", "learn", " from them in some trials"),
        ("no", "leave", " them out"),
    ):
        if names := [name for name, of in uses.items() if of == use]:
            parts.append(f"{listed(names)} {verb}{'s' * (len(names) == 1)}{rest}")
    if parts:
        what = "prompts without responses" if context.task_kind.generates else "rows without labels"
        yield f"data.unlabelled has {context.unlabelled:,} {what}: {'; '.join(parts)}"


def _attention_notes(spec: SweepSpec, context: DistillationContext) -> Iterator[str]:
    if set(values_of(spec, "attention")) <= {AUTO, "eager"}:
        return
    for name, methods in methods_of(spec, context):
        if any(signal.attention for method in methods for signal in method.student_outputs()):
            setting = shown(spec, "attention")
            yield (
                f"train.attention is {setting}; arm '{name}' reads attention maps, "
                "which only eager attention gives, and is trained with it"
            )
