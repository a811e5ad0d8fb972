"""What changes the name of a teacher, what that of its parts, and what neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raykd.data.base import NO_LABEL
from raykd.methods.base import OutputSpec
from raykd.methods.ckd import WordGram
from raykd.models.signals.features import Transformed
from raykd.models.signals.logits import Logits
from raykd.models.student_from_teacher import StudentFromTeacher
from raykd.models.weights import ModelState
from raykd.teachers import cache_keys
from raykd.teachers.cache_keys import SPEED, cache_keys_of
from raykd.training.settings import TrainSettings
from tests.unit.teachers import tiny

FINETUNE = tiny.given().finetune
SPLITS = tiny.given().teacher_splits


def with_rows(role: str, **changes):
    return {"teacher_splits": {**SPLITS, role: replace(SPLITS[role], **changes)}}


def flipped(role: str):
    labels = SPLITS[role].labels.copy()
    labels[3] = (labels[3] + 1) % 3
    return with_rows(role, labels=labels)


def checkpoint(**changes) -> dict:
    """The teacher as a checkpoint with some of its state changed."""
    model = tiny.pretrained(tiny.given().teacher)
    state: ModelState = model.state
    config = {**state.config, **changes.pop("config", {})}
    return {"teacher": replace(model, state=replace(state, config=config, **changes))}


STATE = checkpoint()["teacher"].state
ONE_BIT = {n: a.copy() for n, a in STATE.tensors.items()}
ONE_BIT["classifier.bias"][0] = np.nextafter(ONE_BIT["classifier.bias"][0], np.float32(9))

ANOTHER_TEACHER = {
    "rate": {"finetune": replace(FINETUNE, lr=2e-3)},
    "epochs": {"finetune": replace(FINETUNE, epochs=2)},
    "batch size": {"finetune": replace(FINETUNE, batch_size=8)},
    "dropout": {"finetune": replace(FINETUNE, dropout=0.0)},
    "seed": {"finetune_seed": 4},
    "rationales": {"explain": 0.5},
    "precision": {"precision": "bf16", "finetune": replace(FINETUNE, precision="bf16")},
    "a label it is trained on": flipped("finetune"),
    "a token it is trained on": with_rows(
        "finetune", input_ids=np.roll(SPLITS["finetune"].input_ids, 1)
    ),
    "the order of rows": {"teacher_splits": {**SPLITS, "finetune": SPLITS["train"]}},
    "padding token": {"teacher_pad": 1},
    "its size": {"teacher": tiny.factory(300, layers=1, hidden=16)},
    "another family's head": {"teacher": replace(tiny.given().teacher, num_labels=4)},
}
OTHER_PARTS = {
    "a label that is scored": (flipped("validation"), {"scores/validation"}),
    "rows of the report": (
        {"teacher_splits": {**SPLITS, "test": SPLITS["validation"]}}, {"scores/test"}
    ),
    "another layer": (
        {"output_spec": tiny.output_spec((0, 1, 2))}, {"recorded/hidden_states/1"}
    ),
    "precision of hidden states": (
        {"dtype": "bf16"}, {"recorded/hidden_states/0", "recorded/hidden_states/2"}
    ),
    "context_padding": (
        {"output_spec": tiny.output_spec(context_padding=1)},
        {"recorded/hidden_states/0", "recorded/hidden_states/2"},
    ),
    "a student made of it": ({"student": StudentFromTeacher(layers=(0,), weights="finetuned")},
                             {"student", SPEED}),
}  # fmt: skip
NOTHING = {
    "another student": {"student": tiny.factory(300, layers=1, hidden=4)},
    "the order of layers": {"output_spec": tiny.output_spec((2, 0))},
    "fewer layers": {"output_spec": tiny.output_spec((2,))},
    "served by weights": {"mode": "weights"},
    "student's padding": {"student_pad": 2},
    "students that split text alike or not": {"same_tokens": False},
    "how many are evaluated at once, in training": {},
}


def keys(**changes):
    return cache_keys_of(tiny.inputs(**changes), tiny.words())


@pytest.mark.parametrize("change", ANOTHER_TEACHER)
def test_what_decides_the_weights_is_another_teacher(change):
    one, two = keys(), keys(**ANOTHER_TEACHER[change])
    assert one.teacher != two.teacher
    assert {n for n in one.identity if one.identity[n] != two.identity[n]}


def test_every_setting_of_fine_tuning_is_another_teacher():
    others = {
        "epochs": 9, "batch_size": 9, "micro_batch": 5, "gradient_checkpointing": True,
        "attention": "eager", "optimizer": "sgd", "lr": 9e-9, "warmup_ratio": 0.9,
        "schedule": "constant", "weight_decay": 0.9, "adam_epsilon": 1e-3,
        "max_grad_norm": 9.0, "dropout": 0.9, "length_grouping": False,
        "evals_per_epoch": 9, "eval_batch_size": 9, "packing": True, "compile": True,
    }  # fmt: skip
    apart = {"precision", "sharding"}
    assert TrainSettings.__dataclass_fields__.keys() - apart == others.keys()
    assert keys(finetune=replace(FINETUNE, sharding="full")).teacher == keys().teacher
    actual = {keys(finetune=replace(FINETUNE, **{n: v})).teacher for n, v in others.items()}
    assert len(actual | {keys().teacher}) == len(others) + 1


@pytest.mark.parametrize("change", OTHER_PARTS)
def test_what_decides_a_part_is_another_part_of_the_same_teacher(change):
    changes, parts = OTHER_PARTS[change]
    one, two = keys(), keys(**changes)
    assert one.teacher == two.teacher
    assert {n for n, key in two.parts.items() if one.parts.get(n) != key} == parts


@pytest.mark.parametrize("change", NOTHING)
def test_what_is_of_students_and_arms_changes_nothing(change):
    one, two = keys(), keys(**NOTHING[change])
    assert one.teacher == two.teacher
    assert {n for n, key in two.parts.items() if one.parts[n] != key} <= {SPEED}


CHECKPOINTS = {
    "one bit of a weight": {"tensors": ONE_BIT},
    "the order of classes": {"config": {"id2label": {"0": "b", "1": "a", "2": "c"}}},
    "dropout": {"config": {"hidden_dropout_prob": 0.3}},
    "which tensors are bf16": {"bf16": ("classifier.bias",)},
}


@pytest.mark.parametrize("finetuned", [True, False])
@pytest.mark.parametrize("change", CHECKPOINTS)
def test_a_checkpoint_is_known_by_all_of_its_content(change, finetuned):
    more = {} if finetuned else {"finetune": None}
    one, two = keys(**checkpoint(), **more), keys(**checkpoint(**CHECKPOINTS[change]), **more)
    assert one.identity["teacher"] != two.identity["teacher"]
    assert one.teacher != two.teacher


@pytest.mark.parametrize(
    "config", [{"_name_or_path": "elsewhere"}, {"transformers_version": "9"}, {}]
)
def test_where_a_checkpoint_comes_from_does_not_count(config):
    assert keys(**checkpoint(config=config)).teacher == keys(**checkpoint()).teacher


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_another_version_of_a_library_is_another_teacher(name, monkeypatch):
    before = keys()
    version = cache_keys.package_version
    monkeypatch.setattr(
        cache_keys, "package_version", lambda n: "0.0.1" if n == name else version(n)
    )
    assert keys().teacher != before.teacher


def test_other_code_is_another_teacher_or_another_part(monkeypatch):
    before = keys()
    original = cache_keys.code_digest

    def changed(where):
        return lambda *names: "changed" if where in names else original(*names)

    monkeypatch.setattr(cache_keys, "code_digest", changed("raykd.data.kinds.classification"))
    assert keys().teacher != before.teacher
    monkeypatch.setattr(cache_keys, "code_digest", changed("raykd.teachers.finetune"))
    assert keys().teacher != before.teacher
    assert keys().parts == before.parts
    monkeypatch.setattr(cache_keys, "code_digest", changed("raykd.teachers.prepare"))
    assert keys().teacher == before.teacher
    assert {n for n, key in keys().parts.items() if before.parts[n] == key} == {SPEED}


def test_other_code_of_a_reduction_is_another_recording_of_it_alone(monkeypatch):
    """It may be of a method of one's own, which the preparation does not import."""
    transformed = tiny.OUTPUT_SPEC.union(
        OutputSpec(Transformed(WordGram((0, 2), tiny.OUTPUT_SPEC.context_padding)))
    )
    before = keys(output_spec=transformed)
    original = cache_keys.code_digest

    def changed(*names):
        return "changed" if WordGram.__module__ in names else original(*names)

    monkeypatch.setattr(cache_keys, "code_digest", changed)
    after = keys(output_spec=transformed)
    assert after.teacher == before.teacher
    differ = {n for n, key in after.parts.items() if before.parts[n] != key}
    assert differ == {"recorded/feature_transforms/WordGram(layers=(0, 2), context_padding=2)"}


def test_another_tokenizer_is_another_teacher_and_its_use_is_not():
    before = keys()
    tokenizer = tiny.words()
    tokenizer("some text", truncation=True, max_length=3, padding="max_length")
    assert keys().teacher == before.teacher
    assert cache_keys_of(tiny.inputs(), tiny.words(200)).teacher != before.teacher


def test_labels_of_tokens_count():
    encoded = replace(
        SPLITS["finetune"], token_labels=True, labels=SPLITS["finetune"].input_ids.astype(np.int64)
    )
    labels = encoded.labels.copy()
    labels[5] = NO_LABEL
    actual = {
        keys(teacher_splits={**SPLITS, "finetune": rows}).teacher
        for rows in (encoded, replace(encoded, labels=labels), replace(encoded, truncated=9))
    }
    assert len(actual) == 3


def test_signals_of_nothing_are_logits_where_rows_have_one_label():
    assert "recorded/logits" in keys(output_spec=OutputSpec()).parts


def test_signals_of_nothing_are_nothing_where_tokens_have_labels():
    rows = replace(
        SPLITS["train"], token_labels=True, labels=SPLITS["train"].input_ids.astype(np.int64)
    )
    given = {"teacher_splits": {**SPLITS, "train": rows}}
    assert not tiny.inputs(**given, output_spec=OutputSpec()).records()
    assert not any(
        name.startswith("recorded") for name in keys(**given, output_spec=OutputSpec()).parts
    )
    assert tiny.inputs(**given, output_spec=OutputSpec(Logits())).records()
