from __future__ import annotations

from dataclasses import replace

import pytest

from raykd.errors import SpecError
from raykd.models.sharding import SHARDING
from raykd.task_setup.sharding_checks import check_sharded_arms, check_sharding
from tests.unit.methods.setups import context
from tests.unit.sweep.specs import spec

CONTEXT = context("classification")
SHARDED = {"fixed": {"sharding": "full"}}
MUON = {"fixed": {"sharding": "full", "optimizer": "muon"}}
COST = {"metric": "memory_mb", "mode": "min"}
SEARCHED = {"domains": {"optimizer": {"kind": "choice", "choices": ["adamw", "adafactor"]}}}


@pytest.mark.parametrize(
    ("changes", "key", "message", "hint"),
    [
        (
            {"train": SHARDED},
            "train.sharding",
            "train.sharding is full, .* resources.workers is 1",
            "2 or more",
        ),
        (
            {"train": MUON, "resources__workers": 2},
            "train.sharding",
            "train.optimizer muon",
            "adamw or sgd",
        ),
        (
            {"train": SHARDED | SEARCHED, "resources__workers": 4},
            "train.sharding",
            "adafactor does not",
            "adamw or",
        ),
        (
            {"train": {"fixed": {"sharding": "full", "compile": True}}, "resources__workers": 2},
            "train.sharding",
            "train.compile is true",
            "auto or false",
        ),
        (
            {"train": SHARDED, "resources__workers": 2, "search__objective": [COST]},
            "train.sharding",
            "search measures memory_mb",
            "bound parameters",
        ),
        (
            {"teacher__finetune": {"sharding": "full"}},
            "teacher.finetune.sharding",
            "teacher.finetune.sharding is full",
            "leave",
        ),
    ],
)
def test_sharding_that_cannot_be_is_refused_before_the_first_trial(changes, key, message, hint):
    with pytest.raises(SpecError, match=message) as caught:
        check_sharding(spec(**changes))
    (problem,) = caught.value.problems()
    assert problem.path == key
    assert hint in problem.hint


def test_sharding_over_several_workers_is_fine():
    check_sharding(spec(train=SHARDED, resources__workers=2))


def test_arms_with_subnets_are_refused_on_sharded_students():
    arms = {name: {"name": name, "method": name} for name in ("none", "ckd_adaptive")}
    with pytest.raises(SpecError, match="arm 'ckd_adaptive' runs subnets of") as caught:
        check_sharded_arms(spec(train=SHARDED, resources__workers=2, methods=arms), CONTEXT)
    assert caught.value.problems()[0].path == "train.sharding"


SPREAD = {"teacher__sharding": "full", "resources__workers": 2}


@pytest.mark.parametrize(
    ("kind", "method", "fixed", "message"),
    [
        ("classification", "stark", {}, "arm 'stark' derives other teachers"),
        ("causal_lm", "minillm", {}, "arm 'minillm' draws from it as the student writes"),
    ],
)
def test_arms_that_need_all_of_a_teacher_are_refused_where_it_is_sharded(
    kind, method, fixed, message
):
    arms = {name: {"name": name, "method": name, "fixed": fixed} for name in (method,)}
    with pytest.raises(SpecError, match=message) as caught:
        check_sharded_arms(spec(methods=arms, **SPREAD), context(kind))
    (problem,) = caught.value.problems()
    assert problem.path == "teacher.sharding"
    assert problem.hint == "leave out teacher.sharding, or the arm"


def test_a_policy_without_the_teacher_may_have_a_sharded_one():
    arms = {
        "minillm": {"name": "minillm", "method": "minillm", "fixed": {"teacher_mixed_alpha": 0}}
    }
    check_sharded_arms(spec(methods=arms, **SPREAD), context("causal_lm"))


FINETUNED = {"teacher__finetune": {"sharding": "full"}, "resources__workers": 2}


@pytest.mark.parametrize(
    ("side", "changes", "setting"),
    [
        ("student", {"train": SHARDED, "resources__workers": 2}, "train"),
        ("teacher", FINETUNED, "teacher.finetune"),
        ("teacher", SPREAD, "teacher"),
    ],
)
def test_models_whose_weights_cannot_be_spread_are_refused_with_the_reason(side, changes, setting):
    reason = "weights of its blocks are read when no block is called"
    sizes = replace(getattr(CONTEXT, side), lacks=((SHARDING, reason),))
    with pytest.raises(SpecError) as caught:
        check_sharded_arms(spec(**changes), replace(CONTEXT, **{side: sizes}))
    message = f"{setting}.sharding is full, but the weights of the {side} cannot be spread: "
    (problem,) = caught.value.problems()
    assert problem.message == message + reason
    other = "student" if side == "teacher" else "teacher"
    sizes = replace(getattr(CONTEXT, other), lacks=((SHARDING, reason),))
    check_sharded_arms(spec(**changes), replace(CONTEXT, **{other: sizes}))


def test_pruning_a_sharded_teacher_is_refused():
    part = {"from_teacher": {"sparsity": 20, "weights": "finetuned"}}
    with pytest.raises(SpecError, match=r"student\.from_teacher\.sparsity prunes"):
        check_sharded_arms(spec(student=part, **SPREAD), CONTEXT)
