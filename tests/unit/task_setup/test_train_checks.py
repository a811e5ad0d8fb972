from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch

from raykd import registry
from raykd.errors import SetupError, SpecError
from raykd.methods.base import OutputSpec
from raykd.models.architectures import tried
from raykd.models.families.base import family_named
from raykd.models.packing import PACKING
from raykd.models.signals.hidden_states import hidden_states
from raykd.models.signals.logits import Logits
from raykd.task_setup.train_checks import check_arms, check_models, check_training, training_notes
from tests.unit.methods.setups import context
from tests.unit.sweep.specs import spec

CONTEXT = context("classification")
ARMS = {name: {"name": name, "method": name} for name in ("none", "kd", "sinkd", "one_to_one")}
CHOICE = {"kind": "choice", "choices": ["auto", 4]}


@pytest.mark.parametrize("train", [{}, {"fixed": {"micro_batch": "auto"}}])
def test_batches_that_are_cut_only_in_need_are_no_note(train):
    assert training_notes(spec(train=train, methods=ARMS), CONTEXT) == ()


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"fixed": {"micro_batch": 4}}, "train.micro_batch is 4; "),
        ({"domains": {"micro_batch": CHOICE}}, "train.micro_batch is choice [auto, 4]; "),
    ],
)
def test_arms_that_compare_within_a_batch_are_named_where_the_file_cuts_it(train, words):
    actual = training_notes(spec(train=train, methods=ARMS), CONTEXT)
    assert len(actual) == 2
    assert all(note.startswith(words) for note in actual)
    assert "in arm 'sinkd' predictions are transported within each micro batch" in actual[0]
    assert "in arm 'one_to_one' neurons are correlated" in actual[1]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"train": {"fixed": {"batch_size": 16, "micro_batch": 5}}},
         "train.micro_batch: 5 does not divide the 16 rows of a batch, which are computed in 4 "
         "passes of 4"),
        ({"train": {"fixed": {"micro_batch": 12}}, "resources": {"workers": 2}},
         "train.micro_batch: 12 does not divide the 16 rows of a batch on a worker, which are "
         "computed in 2 passes of 8"),
        ({"train": {"fixed": {"batch_size": 14}, "domains": {"micro_batch": {
            "kind": "choice", "choices": ["auto", 4, 7, 64]}}}},
         "train.micro_batch: 4 does not divide the 14 rows of a batch, which are computed in 4 "
         "passes of 3 or 4; 64 is more than the 14 rows of a batch, which are computed in one "
         "pass"),
        ({"teacher__finetune": {"micro_batch": 33}},
         "teacher.finetune.micro_batch: 33 is more than the 32 rows of a batch, which are computed "
         "in one pass"),
    ],
)  # fmt: skip
def test_micro_batches_that_do_not_divide_a_batch_are_noted(changes, note):
    arms = {"none": ARMS["none"], "kd": ARMS["kd"]}
    assert training_notes(spec(methods=arms, **changes), CONTEXT) == (note,)


@pytest.mark.parametrize("rows", [1, 4, 32])
def test_micro_batches_that_divide_a_batch_are_no_note(rows):
    arms = {"none": ARMS["none"], "kd": ARMS["kd"]}
    train = {"fixed": {"micro_batch": rows}}
    assert training_notes(spec(train=train, methods=arms), CONTEXT) == ()


@pytest.mark.parametrize(("name", "count"), [("auto", 0), ("eager", 0), ("sdpa", 1)])
def test_arms_that_need_another_attention_are_named(name, count):
    arms = {n: {"name": n, "method": n} for n in ("none", "kd", "tinybert", "pkd")}
    actual = training_notes(spec(train={"fixed": {"attention": name}}, methods=arms), CONTEXT)
    assert len(actual) == count
    assert all("train.attention is sdpa; arm 'tinybert' reads attention maps" in n for n in actual)


FLASH = "flash_attention_2"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"train": {"fixed": {"attention": FLASH}}}, "train.attention"),
        ({"train": {"domains": {"attention": {"kind": "choice", "choices": ["auto", FLASH]}}}},
         "train.attention"),
        ({"teacher__finetune": {"attention": FLASH}}, "teacher.finetune.attention"),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("gpus", "message"),
    [(False, "runs on GPUs only"), (True, "flash-attn, which is not installed")],
)
def test_flash_attention_is_refused_before_the_first_trial(changes, key, gpus, message):
    with pytest.raises(SetupError, match=message) as caught:
        check_training(spec(**changes), gpus=gpus)
    (problem,) = caught.value.problems()
    assert problem.path == key
    assert f"set {key} to auto or sdpa" in problem.hint
    check_training(spec(), gpus=gpus)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"train": {"fixed": {"optimizer": "adamw_8bit"}}}, "train.optimizer"),
        ({"train": {"domains": {"optimizer": {"kind": "choice", "choices": ["adamw_8bit"]}}}},
         "train.optimizer"),
        ({"teacher__finetune": {"optimizer": "adamw_8bit"}}, "teacher.finetune.optimizer"),
    ],
)  # fmt: skip
def test_an_optimizer_whose_package_is_missing_is_refused_before_the_first_trial(
    changes, key, monkeypatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match="package bitsandbytes is not installed") as caught:
        check_training(spec(**changes))
    (problem,) = caught.value.problems()
    assert problem.path == key
    assert f"'raykd[bitsandbytes]', or set {key} to adamw" in problem.hint
    check_training(spec())


def test_subnets_are_refused_where_blocks_are_computed_again():
    arms = {n: {"name": n, "method": n} for n in ("ckd", "ckd_adaptive")}
    train = {"domains": {"gradient_checkpointing": {"kind": "choice", "choices": [False, True]}}}
    with pytest.raises(SpecError, match="arm 'ckd_adaptive' runs subnets of the student") as caught:
        check_arms(spec(train=train, methods=arms), CONTEXT)
    assert caught.value.problems()[0].path == "train.gradient_checkpointing"
    check_arms(spec(methods=arms), CONTEXT)
    check_arms(spec(train=train, methods={"ckd": arms["ckd"]}), CONTEXT)


def test_what_a_model_cannot_do_is_refused_before_the_first_trial():
    """Some models of the library only log that their attention is left as it is."""
    with torch.device("meta"):
        bert, deberta, gemma2, mpnet = (
            family_named(name).head_class("classification")(tried.config(name, "classification"))
            for name in ("bert", "deberta", "gemma2", "mpnet")
        )
    sdpa, again = {"attention": "sdpa"}, {"gradient_checkpointing": True}
    for model in (deberta, gemma2):
        with pytest.raises(SpecError, match="does not have sdpa") as caught:
            check_models(spec(train={"fixed": sdpa}), bert, model)
        assert caught.value.problems()[0].path == "train.attention"
        check_models(spec(train={"fixed": {"attention": "eager"}}), bert, model)
    with pytest.raises(SpecError, match="cannot compute its blocks again") as caught:
        check_models(spec(train={"fixed": again}), bert, mpnet)
    assert caught.value.problems()[0].path == "train.gradient_checkpointing"
    with pytest.raises(SpecError, match="does not have sdpa") as caught:
        check_models(spec(teacher__finetune=sdpa), deberta, bert)
    assert caught.value.problems()[0].path == "teacher.finetune.attention"
    check_models(spec(teacher__finetune=again, train={"fixed": sdpa | again}), bert, bert)
    check_models(spec(), deberta, mpnet)


def lacking(reason):
    of = context("causal_lm")
    return replace(of, student=replace(of.student, lacks=((PACKING, reason),)))


PACKED = {"fixed": {"packing": True}}
TEXT = {name: {"name": name, "method": name} for name in ("sft", "kd", "gkd")}


@pytest.mark.parametrize(
    ("train", "of", "message"),
    [
        (PACKED, CONTEXT, "the student cannot: it reads rows of a classification task"),
        (PACKED, context("seq2seq"), "the student cannot: it reads rows of a seq2seq task"),
        (PACKED, lacking("texts see each other"), "the student cannot: texts see each other"),
        ({"fixed": {"packing": True, "attention": FLASH}}, context("causal_lm"),
         "train.attention is flash_attention_2: flash_attention_2 has no masks"),
        ({"domains": {"packing": {"kind": "choice", "choices": [False, True]}}}, CONTEXT,
         r"train.packing is choice \[false, true\], but the student cannot"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_packed_are_refused_where_the_file_insists(train, of, message):
    with pytest.raises(SpecError, match=message) as caught:
        check_arms(spec(train=train, methods=TEXT), of)
    (problem,) = caught.value.problems()
    assert problem.path == "train.packing"
    assert "packing: auto packs only" in problem.hint


def test_rows_are_packed_where_they_can_be():
    check_arms(spec(train=PACKED, methods=TEXT), context("causal_lm"))
    for packing in ("auto", False):
        check_arms(spec(train={"fixed": {"packing": packing}}, methods=TEXT), CONTEXT)


def test_a_teacher_that_cannot_pack_is_refused_where_its_fine_tuning_insists():
    with pytest.raises(
        SpecError, match=r"teacher\.finetune\.packing is true, but the teacher cannot"
    ) as caught:
        check_arms(spec(teacher__finetune={"packing": True}), CONTEXT)
    assert caught.value.problems()[0].path == "teacher.finetune.packing"
    check_arms(spec(teacher__finetune={"packing": True}), context("causal_lm"))


def test_arms_that_read_positions_are_not_packed(monkeypatch):
    kd = registry.load("methods", "kd")
    reads = OutputSpec(Logits(), *hidden_states((1,)))
    monkeypatch.setattr(kd, "student_outputs", lambda self: reads)
    with pytest.raises(SpecError, match="arm 'kd' reads hidden states by position"):
        check_arms(spec(train=PACKED, methods=TEXT), context("causal_lm"))


COMPILED = {"fixed": {"compile": True}}


@pytest.mark.parametrize(
    ("arm", "what"),
    [
        ("tinybert", "attention maps"),
        ("minilmv2", "attention projections"),
        ("ckd_adaptive", "subnets"),
    ],
)
def test_arms_that_look_into_blocks_are_refused_where_they_are_compiled(arm, what):
    arms = {name: {"name": name, "method": name} for name in ("kd", "pkd", arm)}
    with pytest.raises(SpecError, match=f"arm '{arm}' reads .*{what}") as caught:
        check_arms(spec(train=COMPILED, methods=arms), CONTEXT)
    (problem,) = caught.value.problems()
    assert problem.path == "train.compile"
    assert "train.compile to auto" in problem.hint
    check_arms(spec(train={"fixed": {"compile": "auto"}}, methods=arms), CONTEXT)
    del arms[arm]
    check_arms(spec(train=COMPILED, methods=arms), CONTEXT)


def test_blocks_that_are_in_no_list_are_not_compiled():
    albert = replace(CONTEXT, student=replace(CONTEXT.student, family="albert"))
    with pytest.raises(SpecError, match="blocks of a student of the family 'albert'"):
        check_arms(spec(train=COMPILED, methods=ARMS), albert)
    teacher = replace(CONTEXT, teacher=replace(CONTEXT.teacher, family="albert"))
    with pytest.raises(SpecError, match="blocks of a teacher of the family 'albert'") as caught:
        check_arms(spec(teacher__finetune={"compile": True}, methods=ARMS), teacher)
    assert caught.value.problems()[0].path == "teacher.finetune.compile"
