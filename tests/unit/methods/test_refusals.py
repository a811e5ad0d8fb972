"""Pairs that methods refuse: with the reason, and with a way out that is one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from raykd import registry
from raykd.data.base import EXPLAIN, KINDS, PREDICT, TEXT_KINDS, Batch
from raykd.methods.base import LossTerms, Method, OutputSpec, TeacherAnalysis
from raykd.models.base import Outputs
from raykd.models.signals.attention_maps import attention_maps
from raykd.models.signals.generations import Generations
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.models.signals.rationales import Rationales
from raykd.models.signals.running_model import RunningModel
from raykd.models.signals.unrecorded import needs_running_model
from raykd.params import build
from tests.unit.methods import setups

OTHER = {
    "teacher_name": "big", "student_name": "small", "same_tokens": False,
    "teacher": replace(setups.TEACHER, vocabulary=700),
}  # fmt: skip


@dataclass(frozen=True)
class Nothing:
    """No parameters."""


def reading(output_spec: OutputSpec, *, of: str = "") -> type[Method[Nothing]]:
    """A method of somebody else that reads these outputs."""

    class Foreign(Method[Nothing]):
        title = reference = ""
        requires = output_spec
        kinds = KINDS
        view = of

        def loss(self, batch: Batch, student: Outputs, teacher: Outputs) -> LossTerms:
            return LossTerms()

    return Foreign


def refused(output_spec: OutputSpec, kind: str, *, of: str = "", **changes: Any) -> str:
    return reading(output_spec, of=of)(Nothing(), setups.context(kind, **changes)).refusal()


LOGITS, STATES = OutputSpec(Logits()), OutputSpec(*hidden_states((1,)))
WRITTEN, ONLINE = OutputSpec(Generations()), OutputSpec(Logits(), RunningModel())


@pytest.mark.parametrize(
    ("output_spec", "kinds"),
    [
        (OutputSpec(), KINDS),
        (WRITTEN, TEXT_KINDS),
        (LOGITS, ("classification", "embedding", "multi_label", "regression")),
        (STATES, ()),
        (OutputSpec(*attention_maps((0,))), ()),
        (ONLINE, ()),
        (WRITTEN.union(LOGITS), ()),
    ],
)
def test_what_models_that_split_text_differently_can_still_do(output_spec, kinds):
    """Windows of a long text differ in number, tokens in place: only whole rows correspond."""
    for kind in KINDS:
        if Generations() in output_spec and kind not in TEXT_KINDS:
            continue
        why = refused(output_spec, kind, **OTHER)
        assert (why == "") == (kind in kinds), (kind, why)
        assert not why or "teacher 'big' and student 'small' split text differently" in why
        assert refused(output_spec, kind) == "" or kind == "seq2seq"


def named_in(hint: str) -> set[str]:
    """The methods in brackets at the end of a hint."""
    actual = re.search(r"\((\w+(?:, \w+)*)\)$", hint)
    return set(actual[1].split(", ")) if actual else set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("same_tokens", [True, False])
def test_a_method_that_a_hint_names_serves_the_same_pair(kind, same_tokens):
    changes: Mapping[str, Any] = {} if same_tokens else OTHER
    of = setups.context(kind, **changes)
    hinted = set()
    for name in registry.names("methods"):
        method = registry.load("methods", name)
        if kind not in method.kinds:
            continue
        why = method(build(registry.params_of("methods", name), {}), of).refusal()
        hinted |= named_in(why.partition("\n")[2])
    for output_spec in (LOGITS, STATES, OutputSpec(*attention_maps((0,))), ONLINE):
        why = refused(output_spec, kind, **changes)
        hinted |= named_in(why.partition("\n")[2])
    assert hinted or same_tokens or kind in ("span", "masked_lm", "token_classification")
    for name in hinted:
        method = registry.load("methods", name)
        assert method(build(registry.params_of("methods", name), {}), of).refusal() == "", name


def test_text_that_the_student_writes_needs_the_teachers_tokens():
    for kind in KINDS:
        assert "split text differently" in refused(ONLINE, kind, **OTHER)


class Looks(TeacherAnalysis):
    """Looks at rows that both read."""

    def analyse(self, context: Any) -> Mapping[str, Any]:
        return {"nothing": np.zeros(1)}


def test_derived_teachers_need_rows_that_both_models_read():
    class Deriving(reading(LOGITS)):  # type: ignore[misc]
        def teacher_analysis(self) -> TeacherAnalysis:
            return Looks()

    assert Deriving(Nothing(), setups.context()).refusal() == ""
    assert "split text differently" in Deriving(Nothing(), setups.context(**OTHER)).refusal()


EXPLAINS = (PREDICT, EXPLAIN)


def test_a_teacher_that_reads_other_prompts_is_not_asked_about_those_of_the_student():
    for kind in TEXT_KINDS:
        assert refused(LOGITS, kind, teacher_views=EXPLAINS) == ""
        assert refused(ONLINE, kind, teacher_views=EXPLAINS, of=PREDICT) == ""
        why = refused(ONLINE, kind, teacher_views=EXPLAINS)
        assert "prompts that begin with 'predict: '" in why
        assert "teacher.finetune.explain" in why
        assert refused(ONLINE, kind, of=PREDICT) == ""
    assert "hidden states" in refused(STATES, "causal_lm", teacher_views=EXPLAINS)


def test_hidden_states_of_two_kinds_are_not_offered():
    assert "encoder and a decoder" in refused(STATES, "seq2seq")
    assert refused(STATES, "causal_lm") == ""


@pytest.mark.parametrize(
    ("output_spec", "online"),
    [
        (LOGITS, False), (WRITTEN, False), (ONLINE, True), (WRITTEN.union(LOGITS), True),
        (WRITTEN.union(STATES), True), (WRITTEN.union(OutputSpec(Rationales())), False),
    ],
)  # fmt: skip
def test_text_that_was_not_recorded_needs_the_running_teacher(output_spec, online):
    assert needs_running_model(output_spec) == online
