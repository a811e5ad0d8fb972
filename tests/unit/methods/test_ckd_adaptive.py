from __future__ import annotations

from dataclasses import replace

import pytest

from raykd.methods import ckd
from raykd.methods.base import OutputSpec
from raykd.methods.ckd_adaptive import METHOD, Params
from raykd.models.base import ModelDims, Outputs, Subnet
from raykd.models.signals.hidden_states import HiddenState, hidden_states
from raykd.models.signals.logits import Logits
from tests.unit.methods import setups
from tests.unit.signals_of import layers

TEACHER = replace(setups.TEACHER, layers=4, intermediate=16)
STUDENT = replace(setups.STUDENT, layers=4, intermediate=16)
OF = setups.context(teacher=TEACHER, student=STUDENT)
PLAIN = {"alpha": 1.0, "ltrdist": 0.0, "ltrangle": 0.0, "window": 3}


class Student:
    """Outputs of the same states for every subnet, cut to its blocks, and a note of who asked."""

    def __init__(self) -> None:
        self.side = setups.Side(OF, STUDENT, seed=0)
        self.requested: list[Subnet] = []

    def __call__(self, batch, subnet=None) -> Outputs:
        subnet = subnet or Subnet()
        self.requested.append(subnet)
        count = round(4 * subnet.depth)
        whole = self.side.outputs(OutputSpec(Logits(), *hidden_states("all")), task_loss=True)
        return Outputs(
            logits=whole.logits,
            task_loss=whole.task_loss,
            values={
                **{
                    HiddenState(k): v
                    for k, v in ({k: whole.hidden(k) for k in range(count + 1)}).items()
                }
            },
        )


def teacher(batch) -> Outputs:
    side = setups.Side(OF, TEACHER, seed=1)
    return side.outputs(OutputSpec(Logits(), *hidden_states("all")), task_loss=False)


def test_widths_come_first_and_then_every_depth():
    method, student = (
        METHOD(Params(**PLAIN, min_width=0.5, min_depth=0.5, width_epochs=2), OF),
        Student(),
    )
    method.at_epoch(1, 4)
    method.step(setups.batch(), student, teacher)
    assert student.requested == [Subnet(), Subnet(width=0.75), Subnet(width=0.5)]
    student.requested.clear()
    method.at_epoch(2, 4)
    method.step(setups.batch(), student, teacher)
    assert len(student.requested) == 9
    assert {p.depth for p in student.requested} == {1.0, 0.75, 0.5}
    assert len(method.subnets()) == 8
    assert Subnet() not in method.subnets()


def test_terms_of_the_subnets_are_added():
    method = METHOD(Params(**PLAIN, min_width=1.0, min_depth=0.5, width_epochs=0), OF)
    student, batch = Student(), setups.batch()
    method.at_epoch(0, 1)
    terms = method.step(batch, student, teacher)
    expected = 0.0
    for depth, blocks in ((1.0, 4), (0.75, 3), (0.5, 2)):
        of = setups.context(teacher=TEACHER, student=replace(STUDENT, layers=blocks))
        alone = ckd.METHOD(ckd.Params(**PLAIN), of)
        student_outputs = student(batch, Subnet(depth=depth))
        expected += alone.loss(batch, student_outputs, teacher(batch)).total().item()
    assert terms.total().item() == pytest.approx(expected, rel=1e-5)


def test_one_size_is_plain_ckd():
    method = METHOD(Params(**PLAIN, min_width=1.0, min_depth=1.0), OF)
    student, batch = Student(), setups.batch()
    plain = ckd.METHOD(ckd.Params(**PLAIN), OF).loss(batch, student(batch), teacher(batch))
    total = method.step(batch, student, teacher).total().item()
    assert total == pytest.approx(plain.total().item())
    assert method.subnets() == ()


def test_layers_are_matched_for_every_depth():
    deep = setups.context(teacher=replace(TEACHER, layers=12), student=replace(STUDENT, layers=12))
    reads = layers(METHOD(Params(**PLAIN, min_depth=0.75), deep).teacher_outputs())
    assert reads == tuple(range(13))
    only = METHOD(Params(**PLAIN, min_depth=1.0), setups.context(
        teacher=replace(TEACHER, layers=12), student=replace(STUDENT, layers=9)))  # fmt: skip
    assert layers(only.teacher_outputs()) == (0, 4, 8, 12)


@pytest.mark.parametrize(
    ("student", "why"),
    [
        (replace(STUDENT, intermediate=None), "belongs to another family"),
        (replace(STUDENT, uneven=True), "has lost some already"),
    ],
)
def test_students_that_cannot_be_cut_are_refused(student: ModelDims, why):
    refusal = METHOD(Params(**PLAIN), setups.context(teacher=TEACHER, student=student)).refusal()
    assert why in refusal


def test_a_depth_at_which_a_term_is_always_0_is_named():
    params = Params(alpha=1.0, window=3)  # 4 and 3 blocks have no divisor in common
    refusal = METHOD(params, OF).refusal()
    assert refusal.startswith("at depth 0.75 compares layers of a token")
