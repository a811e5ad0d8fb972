"""Every parameter of every method changes the training, or the method says that it does not.

On every kind of task that a method serves, trained on small models: a parameter that `unused` does
not name changes a training, and one that it names does not change a bit of it.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import nn

from raykd import registry
from raykd.data.base import KINDS, Array
from raykd.errors import SpecError
from raykd.methods.base import DistillationContext, Method, TeacherAnalysis
from raykd.models.base import RandomInitConfig
from raykd.models.load import model_dims
from raykd.models.model_factory import factory_from_random_init
from raykd.params import ParamInfo, Scalar, build, describe
from raykd.teachers.teacher_variants import TeacherAnalysisContext
from raykd.training.device import DistributedContext
from raykd.training.loop import train_model
from raykd.training.seeding import seed_everything
from tests.contracts.matrix import Case, over
from tests.small_pairs import FAMILY, LENGTHS, LONGEST, PAD, VOCABULARY, SmallPair, rows_of

METHODS = registry.names("methods")
ALONE = DistributedContext(0, 1, torch.device("cpu"))
# Makes a training cheap, a term large enough to be seen, and chance certain.
GIVEN: dict[str, dict[str, Scalar]] = {
    "ckd_adaptive": {"min_width": 0.75, "min_depth": 0.75},
    "gkd": {"max_new_tokens": 3},
    # Long enough that some responses end before others.
    "minillm": {"max_new_tokens": 12, "ppo_epochs": 2},
    "minillm_sbs": {"max_new_tokens": 12, "ppo_epochs": 2},
    "sinkd": {"sinkhorn_scale": 1.0},
    "stark": {"trial_epochs": 1},
}
LONG = ("minillm", "minillm_sbs")
"""What writes text in every step, and takes long."""
BATCH = {"gkd": 4}
"""Rows per batch, where one step an epoch is not enough: a step of gkd is of one of two kinds."""
# Settings in which something acts that does not by default, or the other way round.
OTHERS: dict[str, tuple[dict[str, Scalar], ...]] = {
    "ckd": ({"wrdist": 2.0}, {"wrdist": 2.0, "tie_ltr_to_wr": True}, {"angles": False},
            {"distance": "l2", "lossfunc_d": "l2loss"}, {"window": None}, {"alpha": 0.0},
            {"wrdist": 0.0, "wrangle": 0.0, "ltr_layers": "last"},
            {"wrdist": 0.0, "ltrdist": 0.0}, {"wrangle": 0.0, "ltrangle": 0.0},
            {"ltrdist": 0.0, "ltrangle": 0.0}),
    "ckd_adaptive": ({"wrdist": 2.0}, {"distance": "l2", "lossfunc_d": "l2loss"},
                     {"min_depth": 1.0}),
    "gkd": ({"lmbda": 0.0}, {"lmbda": 1.0}, {"lmbda": 0.0, "kd_ratio": 0.0}),
    "jsd": ({"kd_ratio": 0.0},),
    "kd": ({"kd_ratio": 0.3}, {"alpha": 0.0}, {"kd_ratio": 0.0}),
    "minillm": ({"teacher_mixed_alpha": 0.0}, {"teacher_mixed_alpha": 0.0, "lm_coef": 0.0},
                {"teacher_mixed_alpha": 0.0, "ppo_epochs": 1}),
    "minillm_sbs": ({"teacher_mixed_alpha": 0.0}, {"teacher_mixed_alpha": 0.0, "lm_coef": 0.0}),
    "minilmv2": ({"alpha": 0.5}, {"query": 0.0, "key": 0.0, "value": 0.0}),
    "one_to_one": ({"alpha_ce": 0.5}, {"width_map": "assign"}, {"alpha_corr": 0.0},
                   {"alpha_corr": 0.0, "alpha_mse": 1.0}, {"mask_mode": "none"}),
    "pkd": ({"alpha": 0.0}, {"beta": 0.0}),
    "reverse_kl": ({"kd_ratio": 0.0},),
    "sinkd": ({"view": "tokens"}, {"alpha": 0.0}, {"beta": 0.0}, {"temperature": 1.0}),
    "skew_kl": ({"kd_ratio": 0.0},),
    "stark": ({"score_split": "train"}, {"sparsity": 0}, {"soft_weight": 0.0}),
    "step_by_step": ({"kappa_l": 0.5}, {"kappa_l": 0.5, "divergence": "jsd"},
                     {"kappa_l": 0.5, "divergence": "skew_forward_kl"},
                     {"kappa_r": 0.5, "teacher_prompt": "same"},
                     {"kappa_l": 0.5, "alpha": 0.0, "teacher_prompt": "same"},
                     {"kappa_r": 0.5, "alpha": 1.0, "teacher_prompt": "same"}),
    "tinybert": ({"alpha": 0.0}, {"hidden": 0.0}),
}  # fmt: skip
Values = tuple[tuple[str, Scalar], ...]


@functools.cache
def pair_of(kind: str, name: str) -> SmallPair:
    """One for each method: what it reads may switch a model to another form of attention."""
    return SmallPair.of(kind)


@functools.cache
def student_of(kind: str, name: str) -> nn.Module:
    """A model that every training starts again in."""
    return copy.deepcopy(pair_of(kind, name).student)


def method_of(name: str, kind: str, values: Values) -> Method[Any] | None:
    """The method with some values; None where they are refused."""
    pair = pair_of(kind, name)
    context = DistillationContext(
        teacher=model_dims(pair.teacher), student=model_dims(pair.student), kind=kind,
        num_labels=pair.task.num_labels,
    )  # fmt: skip
    torch.manual_seed(0)  # for methods with trained modules
    try:
        params = build(registry.params_of("methods", name), {**GIVEN.get(name, {}), **dict(values)})
        method: Method[Any] = registry.load("methods", name)(params, context)
    except SpecError:
        return None
    return None if method.refusal() else method


def differs(name: str, kind: str, one: Values, two: Values) -> bool:
    """Whether a bit of a training differs, or how its teacher is derived, which is cheaper."""
    teachers = {derived(name, kind, values) for values in (one, two)}
    return len(teachers) > 1 or outcome(name, kind, one) != outcome(name, kind, two)


@functools.cache
def derived(name: str, kind: str, values: Values) -> str:
    """What another teacher is made of, and which one it is; empty without one."""
    method = method_of(name, kind, values)
    assert method is not None
    analysis = method.teacher_analysis()
    if analysis is None:
        return ""
    arrays = analysed(kind, name, analysis)
    variant = method.teacher_variant(arrays)
    return f"{variant and variant.key} {[(k, v.tolist()) for k, v in arrays.items()]}"


@functools.cache
def analysed(kind: str, name: str, analysis: TeacherAnalysis) -> Mapping[str, Array]:
    """The analysis of the teacher of a pair."""
    pair = pair_of(kind, name)
    sizes = {"layers": 3, "hidden": 16, "heads": 2, "intermediate": 32, "max_positions": LONGEST}
    labels, dims = pair.task.num_labels, (model_dims(pair.teacher), model_dims(pair.student))
    student = factory_from_random_init(
        RandomInitConfig(family=FAMILY.get(kind, "bert"), dropout=0.0, **sizes),
        vocabulary=VOCABULARY, kind=kind, num_labels=labels, pad=PAD,
    )  # fmt: skip
    rows = {"train": pair.rows, "validation": rows_of(kind, labels, seed=1)}
    context = TeacherAnalysisContext(
        distillation=DistillationContext(
            teacher=dims[0], student=dims[1], kind=kind, num_labels=labels
        ),
        task=pair.task, model=copy.deepcopy(pair.teacher), factory=student, splits=rows,
        read=pair.outputs_fn(pair.method("kd")), pad_id=PAD, max_length=LONGEST,
        precision="fp32", world=ALONE,
    )  # fmt: skip
    seed_everything(0)
    return analysis.analyse(context)


@functools.cache
def outcome(name: str, kind: str, values: Values) -> str:
    """A hash of all bits of a training: its losses and its weights."""
    method = method_of(name, kind, values)
    assert method is not None
    pair = pair_of(kind, name)
    model = student_of(kind, name)
    model.load_state_dict(pair.student.state_dict())
    teacher = pair.outputs_fn(method, pair.teacher)
    job = pair.job(method, model, ALONE, batch_size=BATCH.get(name, len(LENGTHS)), teacher=teacher)
    history = train_model(job).history
    extra = method.modules()
    tensors = [*model.state_dict().values(), *(extra.state_dict().values() if extra else ())]
    digest = hashlib.sha256(repr([dict(e.terms) for e in history]).encode())
    for tensor in tensors:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def values_of(info: ParamInfo) -> Iterator[Scalar]:
    """Values that a parameter may have; the likeliest to matter first."""
    actual: list[Scalar] = [True, False] if info.type is bool else list(info.choices)
    if not actual and info.type is not str:
        usual = info.default if isinstance(info.default, int | float) else 1
        near = [0.5, 0, usual * 2, usual + 1, usual / 2, 1, info.low, usual]
        near += [usual * 1e3, usual / 1e5] if info.type is float else []
        actual += [info.type(number) for number in near if number is not None]
    for value in dict.fromkeys([*actual, None]):
        if not info.problem(value):
            yield value


def settings(name: str) -> tuple[Values, ...]:
    """The defaults, and those in which something else acts."""
    return ((), *(tuple(given.items()) for given in OTHERS.get(name, ())))


def changed(values: Values, info: ParamInfo, name: str, kind: str) -> Iterator[Values]:
    """The same settings with other values of one parameter, as far as they are not refused."""
    given = {info.name: info.default, **GIVEN.get(name, {}), **dict(values)}
    for value in values_of(info):
        other = tuple({**dict(values), info.name: value}.items())
        if value != given[info.name] and method_of(name, kind, other) is not None:
            yield other


def first(names: Sequence[str]) -> Iterator[Case]:
    """Every method on a kind of task that it serves."""
    for name in names:
        kinds = registry.load("methods", name).kinds
        if name not in LONG:
            yield {"name": name, "kind": next(kind for kind in KINDS if kind in kinds)}


def others(names: Sequence[str]) -> Iterator[Case]:
    """Every method on the other kinds that it serves, and what takes long."""
    done = list(first(names))
    for name in names:
        every = ({"name": name, "kind": kind} for kind in registry.load("methods", name).kinds)
        yield from (case for case in every if case not in done)


@pytest.mark.slow
@over(METHODS, others)
def test_a_parameter_changes_the_training_on_other_kinds_or_is_declared_unused(name, kind):
    check_parameters(name, kind)


@pytest.mark.slow
@over(METHODS, others)
def test_what_is_said_to_change_nothing_changes_nothing_on_other_kinds(name, kind):
    check_unused(name, kind)


@over(METHODS, first)
def test_a_parameter_changes_the_training_or_is_declared_unused(name, kind):
    check_parameters(name, kind)


def check_parameters(name: str, kind: str) -> None:
    for info in describe(registry.params_of("methods", name)):
        for values in settings(name):
            method = method_of(name, kind, values)
            if method is None or info.name in method.unused():
                continue
            others = list(changed(values, info, name, kind))
            if not others and info.name in dict(values) and method_of(name, kind, ()):
                others = [()]  # this value goes only with others that are set as well
            if others:
                assert any(differs(name, kind, values, other) for other in others), (info, values)
                break


@pytest.mark.slow
@over(METHODS, first)
def test_what_is_said_to_change_nothing_changes_nothing(name, kind):
    check_unused(name, kind)


def check_unused(name: str, kind: str) -> None:
    infos = {info.name: info for info in describe(registry.params_of("methods", name))}
    for values in settings(name):
        method = method_of(name, kind, values)
        for unused, why in method.unused().items() if method is not None else ():
            assert why
            for other in itertools.islice(changed(values, infos[unused], name, kind), 1):
                assert not differs(name, kind, values, other), (unused, values)
