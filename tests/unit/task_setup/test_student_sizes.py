"""The size of the student as something that is searched: read, checked, trained, saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from raykd.data.collate import Collator
from raykd.errors import SpecError
from raykd.models import weights
from raykd.models.signals.hidden_states import HiddenState
from raykd.spec.descriptions import describe_student
from raykd.spec.load import load_spec, to_yaml
from raykd.sweep.arm_studies import arm_studies, search_trial, study_space
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from raykd.task_setup.set_up import set_up_task
from tests.unit.spec.files import only
from tests.unit.sweep.specs import TASK

SHAPE = "family: bert, hidden: 16, heads: 2, vocabulary: 200, max_positions: 32"
SPACE = """\
name: sizes
tasks: [toy/sentiment]
data: {limit: 60, max_length: 24}
teacher:
  model: {SHAPE, layers: 4}
  finetune: {epochs: 1, lr: 1e-3}
student:
  MODEL
  keep_layers: KEPT
train: {epochs: 1, lr: 5e-2}
methods:
  none: {}
  METHODS
search: {trials: 4}
"""
OF_TEACHER = "from_teacher: {layers: [0, 1, 2, 3], weights: finetuned}"
SIZES = "model: {SHAPE, layers: 4}"


def text(kept: str = "{choice: [1, 2, 4]}", model: str = SIZES, methods: str = "kd: {}") -> str:
    actual = SPACE.replace("MODEL", model).replace("KEPT", kept).replace("METHODS", methods)
    return actual.replace("SHAPE", SHAPE)


def spec_of(folder: Path, *args: str):
    (folder / "f.yaml").write_text(text(*args))
    return load_spec(folder / "f.yaml")


def test_the_size_is_searched_by_every_arm_and_reaches_the_trial(tmp_path):
    spec = spec_of(tmp_path)
    for arm_study in arm_studies(spec):
        assert study_space(spec, arm_study).domains["keep_layers"].choices == (1, 2, 4)
        config = search_trial(spec, tmp_path, arm_study, 0, {"keep_layers": 2})
        assert config.train["keep_layers"] == 2
    (tmp_path / "again.yaml").write_text(to_yaml(spec))
    assert load_spec(tmp_path / "again.yaml") == spec
    start = "kd: {alpha: {uniform: [0, 1]}, start: [{keep_layers: 4}]}"
    assert spec_of(tmp_path, "{int: [1, 4]}", SIZES, start).methods["kd"].start == (
        {"keep_layers": 4},
    )


@pytest.mark.parametrize(
    ("kept", "path", "message"),
    [
        ("0", "student.keep_layers", "'keep_layers' must be >= 1, got 0"),
        ("1.5", "student.keep_layers", "'keep_layers' must be a whole number, got 1.5"),
        ("[1, 2]", "student.keep_layers", "must be one value or a domain, got the list"),
        ("{uniform: [1, 4]}", "student.keep_layers.uniform", "which uniform does not draw"),
        ("{int: [1, 400]}", "student.keep_layers", "takes 128 sizes at most"),
        ("{choice: [1, 2], when: {lr: 1}}", "student.keep_layers.when", "'when' refers to 'lr'"),
    ],
)
def test_bad_values_are_refused_at_their_place(tmp_path, kept, path, message):
    problem = only(tmp_path, text(kept))
    assert (problem.path, problem.line) == (path, 9)
    assert message in problem.message


@pytest.mark.parametrize(
    ("kept", "model", "methods", "path", "message"),
    [
        ("{choice: [2, 6]}", SIZES, "kd: {}", "student.keep_layers", "has 4 blocks, got 6"),
        ("{choice: [2, 6]}", OF_TEACHER, "kd: {}", "student.keep_layers", "has 4 blocks, got 6"),
        ("{choice: [2, 4]}", SIZES, "stark: {}", "methods.stark", "looks once at how the whole"),
        ("{choice: [4, 3]}", SIZES, "tinybert: {}", "methods.tinybert",
         "on toy/sentiment with student.keep_layers: 3: tinybert"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_a_size_is_refused_before_anything_runs(
    tmp_path, kept, model, methods, path, message
):
    with pytest.raises(SpecError) as caught:
        set_up_task(spec_of(tmp_path, kept, model, methods), TASK)
    (problem,) = caught.value.problems()
    assert problem.path == path
    assert message in problem.message


WIDE = "model: {family: bert, hidden: 32, heads: 4, layers: 2, intermediate: 48, vocabulary: 200}"


def narrow(heads: str, model: str = WIDE, methods: str = "kd: {}") -> str:
    return text("null\n  keep_heads: " + heads, model, methods)


def test_the_width_is_searched_together_with_the_depth(tmp_path):
    (tmp_path / "f.yaml").write_text(text("{choice: [1, 2]}\n  keep_heads: {int: [1, 4]}", WIDE))
    spec = load_spec(tmp_path / "f.yaml")
    for arm_study in arm_studies(spec):
        domains = study_space(spec, arm_study).domains
        assert (domains["keep_heads"].low, domains["keep_heads"].high) == (1, 4)
    (tmp_path / "again.yaml").write_text(to_yaml(spec))
    assert load_spec(tmp_path / "again.yaml") == spec
    assert describe_student(spec).endswith("1 or 2 of its blocks, 1 or 2 or 3 or 4 of its heads")


def test_a_narrower_student_is_trained_and_saved_as_narrow_as_it_is(tmp_path):
    (tmp_path / "f.yaml").write_text(narrow("{choice: [1, 3, 4]}"))
    spec = load_spec(tmp_path / "f.yaml")
    setup, prepared, _ = prepare_task(spec, TASK, tmp_path / "cache", lambda *progress: None)
    widths = {}
    for heads in (1, 3, 4):
        folder = tmp_path / f"student{heads}"
        config = trial_of(spec, tmp_path / "run", TASK, "kd", {"keep_heads": heads, "lr": 1e-3})
        outcome = run_in_process(
            replace(config, save_path=str(folder)), prepared, setup.task, lambda evaluation: None
        )
        weights.save(outcome.student, folder)
        opened = AutoModelForSequenceClassification.from_pretrained(folder).config
        widths[heads] = (opened.hidden_size, opened.num_attention_heads, opened.intermediate_size)
        parameters = sum(t.size for t in outcome.student.tensors.values())
        assert outcome.metrics["parameters"] == parameters
    assert widths == {1: (8, 1, 12), 3: (24, 3, 36), 4: (32, 4, 48)}


@pytest.mark.parametrize(
    ("heads", "model", "methods", "path", "message"),
    [
        ("{choice: [2, 8]}", WIDE, "kd: {}", "student.keep_heads", "a block has 4 heads, got 8"),
        ("1", OF_TEACHER, "kd: {}", "student.keep_heads", "only a student with random weights"),
        ("{choice: [1, 2]}", WIDE, "pkd: {}", "methods.pkd", "with student.keep_heads: 1: pkd"),
    ],
)
def test_widths_that_a_student_cannot_have_are_refused_before_anything_runs(
    tmp_path, heads, model, methods, path, message
):
    (tmp_path / "f.yaml").write_text(narrow(heads, model, methods))
    with pytest.raises(SpecError) as caught:
        set_up_task(load_spec(tmp_path / "f.yaml"), TASK)
    (problem,) = caught.value.problems()
    assert (problem.path, message in problem.message) == (path, True)


def test_too_many_sizes_are_refused_where_they_are_together(tmp_path):
    problem = only(tmp_path, text("{int: [1, 24]}\n  keep_heads: {int: [1, 12]}"))
    assert (problem.path, problem.line) == ("student.keep_heads", 10)
    assert problem.message == (
        "student.keep_layers and student.keep_heads give 288 sizes together, at most 128"
    )
    problem = only(tmp_path, text("{int: [1, 2]}\n  keep_heads: {int: [1, 400]}"))
    assert "'keep_heads' takes 128 sizes at most" in problem.message


def test_outputs_are_recorded_for_students_of_all_sizes(tmp_path):
    def layers(kept: str) -> set[int]:
        setup = set_up_task(spec_of(tmp_path, kept, SIZES, "pkd: {}"), TASK)
        return {signal.layer for signal in setup.output_spec if isinstance(signal, HiddenState)}

    assert (layers("2"), layers("4")) == ({2, 4}, {1, 2, 3, 4})
    assert layers("{choice: [2, 4]}") == layers("2") | layers("4")


@pytest.mark.parametrize("model", [SIZES, OF_TEACHER], ids=["sizes", "of the teacher"])
def test_students_of_all_sizes_learn_from_one_teacher_and_are_saved_as_large_as_they_are(
    tmp_path, model
):
    spec = spec_of(tmp_path, "{choice: [1, 2, 4]}", model, "pkd: {}")
    setup, prepared, _ = prepare_task(spec, TASK, tmp_path / "cache", lambda *progress: None)
    for kept in (2, 4):
        folder = tmp_path / f"student{kept}"
        config = trial_of(spec, tmp_path / "run", TASK, "pkd", {"keep_layers": kept, "lr": 1e-9})
        outcome = run_in_process(
            replace(config, save_path=str(folder)), prepared, setup.task, lambda evaluation: None
        )
        assert outcome.student is not None
        weights.save(outcome.student, folder)
        opened = AutoModelForSequenceClassification.from_pretrained(folder)
        assert opened.config.num_hidden_layers == kept
        batch = Collator(prepared.pad_id, max_length=24)(
            prepared.splits["test"], np.arange(len(prepared.splits["test"]))
        )
        with torch.no_grad():
            output = opened.eval()(batch.input_ids, batch.attention_mask).logits
        right = (output.argmax(dim=1) == batch.labels).float().mean().item()
        assert right == pytest.approx(outcome.metrics["test/accuracy"])
        if model == OF_TEACHER and kept == 2:  # hardly trained: blocks 1 and 3
            name = "bert.encoder.layer.{}.attention.self.query.weight"
            whole = prepared.student.state
            for own, taken in ((0, 1), (1, 3)):
                query = opened.state_dict()[name.format(own)].numpy()
                assert np.allclose(query, whole.tensors[name.format(taken)], atol=1e-6)
