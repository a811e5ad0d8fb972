"""What holds for every method: a new file in raykd/methods is covered without a change here.

Methods run on random outputs, which are given out exactly as the method declares them: with default
parameters (some in small, `SMALL`), and once for every other value of a choice or switch. A test
goes through all configurations of a method, and its failure names each that failed.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from raykd import registry
from raykd.data.base import KINDS, TEXT_KINDS, Batch
from raykd.errors import SpecError
from raykd.methods.base import LossTerms, Method, OutputSpec
from raykd.models.base import ModelDims, Outputs
from raykd.models.signals.features import Transformed
from raykd.models.signals.logits import Logits
from raykd.params import ParamInfo, Scalar, build, describe
from raykd.training.settings import TrainSettings
from tests.contracts.matrix import Case, over
from tests.unit.methods import setups

METHODS = registry.names("methods")
# Tasks that write text need models that write: see `test_text_methods`.
READ = tuple(kind for kind in KINDS if kind not in TEXT_KINDS)
# Deep enough for the usual ways of matching layers to find three pairs. A method that cannot work
# on different widths is tried on equal ones.
# Heads and neurons come in eights, for methods that remove some.
TEACHER = dataclasses.replace(setups.TEACHER, layers=6, hidden=16, intermediate=32)
STUDENTS = (
    dataclasses.replace(setups.STUDENT, layers=3, intermediate=32),
    dataclasses.replace(setups.STUDENT, layers=3, intermediate=32, hidden=TEACHER.hidden),
)


# Most of what a step of CKD costs: every offset of a window, and every subnet. The defaults are
# alternatives to these.
SMALL: Mapping[str, Mapping[str, Scalar]] = {
    "ckd": {"window": 5},
    "ckd_adaptive": {"window": 5, "min_width": 0.75, "min_depth": 0.75},
}


def declared(name: str) -> tuple[ParamInfo, ...]:
    return describe(registry.params_of("methods", name))


def params(name: str, **values: Scalar) -> Any:
    return build(registry.params_of("methods", name), {**SMALL.get(name, {}), **values})


def tried(
    name: str, kind: str, values: Mapping[str, Scalar], students: tuple[ModelDims, ...] = STUDENTS
) -> Method[Any] | str:
    """The method on a small pair, or the reason why it declines all of them."""
    cls: type[Method[Any]] = registry.load("methods", name)
    reason = ""
    for student in students:
        torch.manual_seed(0)  # for methods with trained modules
        method = cls(params(name, **values), setups.context(kind, teacher=TEACHER, student=student))
        reason = method.refusal()
        if not reason:
            return method
    return reason


def made(
    name: str,
    kind: str = "",
    students: tuple[ModelDims, ...] = STUDENTS,
    **values: Scalar,
) -> Method[Any]:
    """The method on a small pair that it does not decline, of its first kind or of one named."""
    method = tried(name, kind or kinds_of(name)[0], values, students)
    assert isinstance(method, Method), method
    return method


class Run:
    """One step: the terms, and the gradients that arrived on either side."""

    def __init__(
        self,
        method: Method[Any],
        lengths: tuple[int, ...] = (9, 5, 2),
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        transformed: bool = False,
        keep: bool = False,
    ) -> None:
        of, rows = method.context, len(lengths)
        more: dict[str, Any] = {"dtype": dtype, "also": method.requires}
        self.student = setups.Side(of, of.student, rows, seed=seed, **more)
        self.teacher = setups.Side(of, of.teacher, rows, seed=seed + 1, **more)
        reads = method.student_outputs().union(OutputSpec(Logits()))
        student_outputs = self.student.outputs(reads, task_loss=True)
        teacher_outputs = self.teacher.outputs(method.teacher_outputs(), task_loss=False)
        batch = setups.batch(lengths, of.kind)
        if transformed:
            teacher_outputs = _transformed(method, teacher_outputs, batch)
        self.terms: LossTerms = method.step(
            batch, lambda _, subnet=None: student_outputs, lambda _: teacher_outputs
        )
        self.total: Tensor = self.terms.total()
        self.total.backward(retain_graph=keep)


def _transformed(method: Method[Any], teacher_outputs: Outputs, batch: Batch) -> Outputs:
    """The teacher's outputs without hidden states, with what is kept in place of them."""
    mask = batch.attention_mask
    kept = {}
    for transform in method.feature_transforms():
        states = [teacher_outputs.hidden(k).detach() for k in transform.layers]
        kept[Transformed(transform)] = transform.batch(transform.rows(states, mask), mask)
    logits = teacher_outputs.logits if Logits() in method.teacher_outputs() else None
    return Outputs(logits=logits, values=kept)


def alternatives(name: str) -> Iterator[dict[str, Scalar]]:
    """The defaults, or what is small, and every other value of one choice or switch."""
    yield {}
    small = SMALL.get(name, {})
    for info in declared(name):
        options = (True, False) if info.type is bool else info.choices
        options += (None,) if info.optional else ()
        options += (info.default,) if info.name in small and info.default not in options else ()
        for value in options:
            if value == small.get(info.name, info.default):
                continue
            try:
                params(name, **{info.name: value})
            except SpecError:
                continue  # goes only with other values of other parameters
            yield {info.name: value}


@functools.cache
def is_declined(name: str, kind: str, values: tuple[tuple[str, Scalar], ...]) -> bool:
    """Whether a configuration declines the pairs of this file; asked by most matrices."""
    return not isinstance(tried(name, kind, dict(values)), Method)


def kinds_of(name: str) -> tuple[str, ...]:
    """Kinds of task for models that read, which the method names."""
    return tuple(kind for kind in READ if kind in registry.load("methods", name).kinds)


def readers(names: Sequence[str]) -> Iterator[Case]:
    """Methods that need no more than outputs of models that read."""
    return ({"name": name} for name in names if kinds_of(name))


def methods(names: Sequence[str]) -> Iterator[Case]:
    """All of them."""
    return ({"name": name} for name in names)


def pairs(names: Sequence[str]) -> Iterator[Case]:
    """With the defaults, on every kind of task."""
    return ({"name": name, "kind": kind} for name in names for kind in kinds_of(name))


def on_each_kind(names: Sequence[str]) -> Iterator[Case]:
    """The defaults on every kind of task, and the alternatives on the first kind of each method."""
    for name in names:
        for case in every_kind([name]):
            if not case["values"] or case["kind"] == kinds_of(name)[0]:
                yield case


def on_other_kinds(names: Sequence[str]) -> Iterator[Case]:
    """The alternatives on all other kinds."""
    done = list(on_each_kind(names))
    return (case for case in every_kind(names) if case not in done)


def every_kind(names: Sequence[str]) -> Iterator[Case]:
    """With the defaults, and every other value of a choice or switch, on every kind of task.

    What is declined with a reason is left out; `test_nothing_but_layers_is_declined` says what.
    """
    for name in names:
        for values, kind in itertools.product(alternatives(name), kinds_of(name)):
            if not values or not is_declined(name, kind, tuple(values.items())):
                yield {"name": name, "values": values, "kind": kind}


def configurations(names: Sequence[str]) -> Iterator[Case]:
    """The same, on the first kind of each method."""
    for name in names:
        for values, kind in itertools.product(alternatives(name), kinds_of(name)[:1]):
            if not values or not is_declined(name, kind, tuple(values.items())):
                yield {"name": name, "values": values}


def transforming(names: Sequence[str]) -> Iterator[Case]:
    """Where something is kept in place of hidden states."""
    return (c for c in configurations(names) if made(c["name"], **c["values"]).feature_transforms())


def short_batches(names: Sequence[str]) -> Iterator[Case]:
    """Single rows, one of which is as long as possible, and rows of one token."""
    for case in configurations(names):
        for lengths in ((1,), (14,), (9, 1), (14, 14, 14, 1)):
            yield {**case, "lengths": lengths}


def with_transforms(names: Sequence[str]) -> Iterator[Case]:
    """Methods with such configurations."""
    return ({"name": name} for name in dict.fromkeys(c["name"] for c in transforming(names)))


def without_context_padding(names: Sequence[str]) -> Iterator[Case]:
    """Where nothing beyond the last token is read."""
    return (
        c
        for c in configurations(names)
        if not made(c["name"], **c["values"]).teacher_outputs().context_padding
    )


def weights(names: Sequence[str]) -> Iterator[Case]:
    """Numbers that may be 0 and are not."""
    for case in pairs(names):
        for info in declared(case["name"]):
            if info.type is not float or info.problem(0.0) or info.default == 0.0:
                continue
            if not chooses_teacher_only(case["name"], case["kind"], info):
                yield {**case, "weight": info.name}


def chooses_teacher_only(name: str, kind: str, info: ParamInfo) -> bool:
    """Whether a parameter decides which teacher is read, and nothing about the loss."""
    if registry.load("methods", name).teacher_variant is Method.teacher_variant:
        return False
    low, usual = Run(made(name, kind, **{info.name: 0.0})), Run(made(name, kind))
    return dict(low.terms) == dict(usual.terms)


@over(METHODS, readers)
def test_nothing_but_layers_is_declined(name):
    """The plainest pair never is; an option is where too few layers of this pair match."""
    declined = {
        option
        for values in alternatives(name)
        for kind in kinds_of(name)
        if is_declined(name, kind, tuple(values.items()))
        for option in values or {"nothing": None}
    }
    assert declined <= {"layers", "ltr_layers", "min_depth"}


@over(METHODS, transforming)
def test_what_is_kept_in_place_of_hidden_states_says_all_that_is_read_of_them(name, values):
    method = made(name, **values)
    for lengths in ((9, 5, 2), (4,)):
        whole = Run(method, lengths)
        kept = Run(method, lengths, transformed=True)
        assert set(whole.terms) == set(kept.terms)
        for term in whole.terms:
            assert torch.allclose(whole.terms[term], kept.terms[term], rtol=1e-4, atol=1e-6), term
        of_states, of_transforms = whole.student.gradient(), kept.student.gradient()
        assert torch.allclose(
            of_states, of_transforms, rtol=1e-3, atol=1e-5 * of_states.abs().max().item()
        )


@over(METHODS, with_transforms)
def test_the_size_of_what_is_kept_in_place_of_hidden_states_is_known_before(name):
    method = made(name)
    lengths = (9, 5, 2)
    batch = setups.batch(lengths, method.context.kind)
    side = setups.Side(method.context, method.context.teacher, len(lengths), seed=1)
    for transform in method.feature_transforms():
        assert hash(transform) == hash(copy.deepcopy(transform))
        assert pickle.loads(pickle.dumps(transform)).name == transform.name
        states = [side.outputs(method.teacher_outputs(), task_loss=False).hidden(k).detach()
                  for k in transform.layers]  # fmt: skip
        rows = transform.rows(states, batch.attention_mask)
        assert sum(row.numel() for row in rows) <= transform.numbers(np.array(lengths))


@over(METHODS, methods, together=True)
def test_it_says_what_it_is(name):
    method = registry.load("methods", name)
    assert issubclass(method, Method)
    assert method.title
    assert method.reference == "" or method.reference.startswith("https://")
    assert (method.authors == "") == (method.reference == "")
    assert method.kinds
    assert set(method.kinds) <= set(KINDS)


@over(METHODS, methods, together=True)
def test_parameters_are_frozen_and_have_a_default_in_bounds_and_a_sentence(name):
    for info in declared(name):
        assert info.problem(info.default) == "", info.name
        assert info.help.endswith("."), info.name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(params(name), info.name, info.default)


@over(METHODS, methods, together=True)
def test_parameters_survive_a_round_trip_through_plain_data(name):
    original = params(name)
    plain = json.loads(json.dumps(dataclasses.asdict(original)))
    assert params(name, **plain) == original


@over(METHODS, methods, together=True)
def test_parameter_names_are_not_those_of_training(name):
    training = {f.name for f in dataclasses.fields(TrainSettings)}
    assert not training & {info.name for info in declared(name)}


@over(METHODS, methods, together=True)
def test_unknown_parameters_are_refused(name):
    with pytest.raises(SpecError, match="there is no parameter 'no_such_thing'"):
        params(name, no_such_thing=1)


@over(METHODS, on_each_kind)
def test_terms_are_finite_scalars_that_move_the_student_only(name, values, kind):
    check_terms(name, values, kind)


@pytest.mark.slow
@over(METHODS, on_other_kinds)
def test_terms_are_finite_scalars_that_move_the_student_only_on_other_kinds(name, values, kind):
    check_terms(name, values, kind)


def check_terms(name: str, values: Mapping[str, Scalar], kind: str) -> None:
    """Also that nothing is read but what is declared, which is all that a `Run` gives out."""
    method = made(name, kind, **values)
    assert method.teacher_outputs().within(type(method).requires)
    run = Run(method)
    assert len(run.terms) > 0
    for label, term in run.terms.items():
        assert term.shape == (), label
        assert torch.isfinite(term), label
    gradient = run.student.gradient()
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0
    assert run.teacher.gradient().abs().max() == 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = Run(made(name, kind, **values), dtype=torch.bfloat16)
    assert torch.isfinite(half.total), "in half precision"
    assert torch.isfinite(half.student.gradient()).all(), "in half precision"


@over(METHODS, configurations)
def test_every_term_moves_the_student(name, values):
    run = Run(made(name, **values), keep=True)
    for label, term in run.terms.items():
        grads = torch.autograd.grad(term, run.student.leaves, retain_graph=True, allow_unused=True)
        assert max(g.abs().max().item() for g in grads if g is not None) > 0, label


@over(METHODS, weights)
def test_a_coefficient_of_zero_is_the_term_left_out(name, kind, weight):
    """Terms of weight 0 are not computed, and leaving them out is what a tiny weight tends to."""
    nearly = made(name, kind, **{weight: 1e-9})
    method = made(name, kind, (nearly.context.student,), **{weight: 0.0})
    run, near = Run(method), Run(nearly)
    assert all(term.item() != 0.0 for term in run.terms.values())
    assert set(run.terms) < set(near.terms)
    assert method.teacher_outputs().within(nearly.teacher_outputs())
    assert run.total.item() == pytest.approx(near.total.item(), rel=1e-5)
    assert torch.allclose(run.student.gradient(), near.student.gradient(), atol=1e-6)


@over(METHODS, pairs)
def test_the_same_seed_gives_the_same_bits(name, kind):
    one, two = Run(made(name, kind)), Run(made(name, kind))
    assert one.total.item() == two.total.item()
    assert torch.equal(one.student.gradient(), two.student.gradient())
    assert Run(made(name, kind), seed=7).total.item() != one.total.item()


@over(METHODS, readers)
def test_it_pickles(name):
    method = made(name)
    again = pickle.loads(pickle.dumps(method))
    assert again.params == method.params
    assert Run(again).total.item() == Run(method).total.item()


@over(METHODS, without_context_padding)
def test_what_stands_in_the_padding_does_not_matter(name, values):
    """Masked is sliced: other values in the padding, and a shorter batch, give the same loss."""
    method = made(name, **values)
    of, batch = method.context, setups.batch((9, 5, 2), method.context.kind)
    reads = method.student_outputs().union(OutputSpec(Logits()))

    def total(spoil: bool, length: int) -> float:
        sides = [
            setups.Side(of, dims, seed=seed, also=method.requires)
            for seed, dims in ((0, of.student), (1, of.teacher))
        ]
        padding = batch.attention_mask == 0
        for side in sides:
            for signal, values in side.values.items():
                if not signal.by_position:
                    continue
                if values.dim() == 3:
                    values.data[padding] += 3.0 * spoil
                    values.data = values.data[:, :length]
                else:
                    spoilt = values.data + 3.0 * spoil * padding[:, None, None, :]
                    values.data = spoilt[:, :, :length, :length]
        student_outputs = sides[0].outputs(reads, task_loss=True)
        teacher_outputs = sides[1].outputs(method.teacher_outputs(), task_loss=False)
        part = setups.cut(batch, length)
        return (
            method.step(part, lambda _, subnet=None: student_outputs, lambda _: teacher_outputs)
            .total()
            .item()
        )

    whole = total(False, setups.LENGTH)
    assert total(True, setups.LENGTH) == pytest.approx(whole, rel=1e-5)
    assert total(False, 9) == pytest.approx(whole, rel=1e-5)


@over(METHODS, short_batches)
def test_single_rows_and_short_batches(name, values, lengths):
    run = Run(made(name, **values), lengths)
    assert torch.isfinite(run.total)
    assert torch.isfinite(run.student.gradient()).all()


@over(METHODS, configurations)
def test_a_student_equal_to_its_teacher_has_finite_gradients(name, values):
    """Coinciding layers and tokens: what a student copied from the teacher starts from."""
    method = made(name, **values)
    of = method.context
    student = setups.Side(of, of.student, seed=0, also=method.requires)
    for hidden in student.hidden.values():
        hidden.data.copy_(hidden.data[:1, :1].expand_as(hidden))
    teacher = setups.Side(of, of.teacher, seed=1, also=method.requires)
    reads = method.student_outputs().union(OutputSpec(Logits()))
    student_outputs = student.outputs(reads, task_loss=True)
    teacher_outputs = teacher.outputs(method.teacher_outputs(), task_loss=False)
    method.step(
        setups.batch(kind=of.kind),
        lambda _, subnet=None: student_outputs,
        lambda _: teacher_outputs,
    ).total().backward()
    gradient = student.gradient()
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() < 1e4


@over(METHODS, readers)
def test_heads_that_are_gone_are_not_compared(name):
    """Blocks that lost heads have other attention maps than the sizes say, or none at all."""
    method = made(name)
    for side in ("teacher", "student"):
        uneven = dataclasses.replace(getattr(method.context, side), uneven=True)
        of = dataclasses.replace(method.context, **{side: uneven})
        reason = type(method)(method.params, of).refusal()
        if any(s.refusal(getattr(of, side)) for s in method.teacher_outputs()):
            assert f"blocks of the {side} have lost" in reason
        elif side == "student" and method.subnets():
            assert "has lost some already" in reason
        elif side == "teacher" and method.teacher_analysis() is not None:
            assert "has lost heads or neurons before" in reason
        else:
            assert reason == ""
