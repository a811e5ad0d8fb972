"""Every key of a search space changes what it says; a key that nothing reads fails here.

A key has either another value that changes what is prepared and run, or the name of the test in
which it does.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from raykd.data.hold_out import fingerprint
from raykd.spec import schema
from raykd.spec.model_section import finetune_infos
from raykd.sweep.arm_studies import arm_studies, confirm_trial, search_trial, study_space
from raykd.sweep.task_setup import set_up_task
from raykd.sweep.teacher_plan import plan_teacher
from tests.unit.sweep.specs import SHAPE, TASK, spec

ROOT = Path(__file__).parents[3]
SECTIONS = {
    "data": schema.DataSpec, "data.augment": schema.AugmentSpec,
    "data.rationales": schema.RationaleSpec, "teacher": schema.TeacherSpec,
    "student": schema.StudentSpec, "student.from_teacher": schema.FromTeacher,
    "search": schema.SearchSpec, "confirm": schema.ConfirmSpec, "resources": schema.ResourceSpec,
    "report": schema.ReportSpec, "task": schema.OwnTaskSpec, "model": schema.RandomInitSpec,
    "split": schema.SplitRef,
}  # fmt: skip
FROM_TEACHER = {"layers": [1], "weights": "finetuned"}
TEACHER = {**SHAPE, "hidden": 16}
SEEN: dict[str, tuple[dict[str, Any], str]] = {
    "data.limit": ({"data__limit": 60}, "rows"),
    "data.student_rows": ({"data__student_rows": 20}, "rows"),
    "data.max_length": ({"data__max_length": 6}, "tokens"),
    "data.select_on": ({"data__select_on": {"split": "train", "fraction": 0.2}}, "rows"),
    "data.report_on": ({"data__report_on": {"split": "test"}}, "rows"),
    "data.seed": ({"data__seed": 3}, "rows"),
    "split.split": ({"data__select_on": {"split": "test"}}, "rows"),
    "split.fraction": ({"data__select_on": {"split": "train", "fraction": 0.3}}, "rows"),
    "teacher.model": ({"teacher__model": {**TEACHER, "layers": 3}}, "models"),
    "teacher.finetune": ({"teacher__finetune": {"epochs": 2, "lr": 1e-3, "rows": 80}}, "finetune"),
    "teacher.serve": ({"teacher__serve": "weights"}, "serving"),
    "teacher.dtype": ({"teacher__dtype": "fp32"}, "serving"),
    "student.model": ({"student__model": {**SHAPE, "hidden": 12, "layers": 1}}, "models"),
    "student.from_teacher": ({"student": {"from_teacher": FROM_TEACHER}}, "models"),
    "student.from_teacher.layers": ({"student": {"from_teacher": {**FROM_TEACHER, "layers": [0]}}},
                                    "models"),
    "student.from_teacher.sparsity": (
        {"student": {"from_teacher": {"sparsity": 50.0, "weights": "finetuned"}}}, "models"),
    "student.from_teacher.sort_by_importance": (
        {"student": {"from_teacher": {**FROM_TEACHER, "sort_by_importance": True}}}, "models"),
    "model.family": ({"student__model": {**SHAPE, "hidden": 8, "layers": 1,
                                         "family": "distilbert"}}, "models"),
    "model.layers": ({"student__model": {**SHAPE, "hidden": 8, "layers": 2}}, "models"),
    "model.hidden": ({"student__model": {**SHAPE, "hidden": 10, "layers": 1}}, "models"),
    "model.heads": ({"student__model": {**SHAPE, "hidden": 8, "layers": 1, "heads": 4}}, "models"),
    "model.intermediate": ({"student__model": {**SHAPE, "hidden": 8, "layers": 1,
                                               "intermediate": 11}}, "models"),
    "model.vocabulary": ({"teacher__model": {**TEACHER, "vocabulary": 60}}, "tokens"),
    "model.max_positions": ({"student__model": {**SHAPE, "hidden": 8, "layers": 1,
                                                "max_positions": 40}}, "models"),
    "model.dropout": ({"student__model": {**SHAPE, "hidden": 8, "layers": 1, "dropout": 0.3}},
                      "models"),
    "search.trials": ({"search__trials": 6}, "search"),
    "search.objective": ({"search__objective": [{"metric": "f1_macro"}]}, "search"),
    "search.seed": ({"search__seed": 6}, "search"),
    "confirm.seeds": ({"confirm__seeds": [1, 3]}, "confirm"),
}  # fmt: skip
ELSEWHERE = {
    "data.root": "data/test_classification.py::test_all_rows_come_in_file_order",
    "data.augment": "sweep/test_augmented_rows.py::test_only_the_students_train_rows_grow",
    "data.augment.vectors": "sweep/test_augmented_rows.py::test_rows_are_made_once_and_then_read",
    "data.rationales": "sweep/test_rationales.py::test_rationales_of_a_file_take_the_place",
    "data.rationales.source": "sweep/test_rationales.py::test_rationales_of_a_file_take_the_place",
    "data.rationales.as_input": "sweep/test_rationales.py::test_rationales_in_prompts_are_there",
    "data.rationales.max_new_tokens": "sweep/test_rationales.py::test_what_the_teacher_is_asked",
    "data.label_type": "sweep/test_rationales.py::test_labels_of_a_model_are_those_of_train_alone",
    "teacher.checkpoint": "sweep/test_task_setup.py::test_a_checkpoint_is_known_by_its_weights",
    "student.from_teacher.weights": "sweep/test_task_setup.py::test_pretrained_layers_of_a",
    "confirm.top_k": "sweep/test_arm_studies.py::test_one_student_of_each_arm_is_kept",
    "report.baseline": "spec/test_load.py::test_what_a_file_means",
}


def picture(**changes: Any) -> dict[str, Any]:
    """What is prepared and run, by what a key may change of it."""
    made = spec(**changes)
    setup = set_up_task(made, TASK)
    inputs = plan_teacher(made, setup, 1 << 30).inputs
    arm_study = arm_studies(made)[-1]
    splits = {**setup.teacher_splits, "s": setup.student_splits["train"]}
    return {
        "rows": {role: fingerprint({"x": rows}) for role, rows in setup.rows.items()},
        "tokens": {role: split.input_ids.tolist() for role, split in splits.items()},
        "models": repr((inputs.teacher.random_init, setup.student if not hasattr(
            setup.student, "random_init") else setup.student.random_init)),
        "finetune": (inputs.finetune, inputs.finetune_seed, inputs.explain),
        "serving": (inputs.mode, inputs.dtype),
        "search": (study_space(made, arm_study).budget, arm_study.metrics, arm_study.modes,
                   search_trial(made, Path("r"), arm_study, 0, {}).seed),
        "confirm": [confirm_trial(made, Path("r"), arm_study, 0, seed, {}).seed
                    for seed in made.confirm.seeds],
    }  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return picture()


@pytest.mark.parametrize("key", SEEN)
def test_it_changes_what_it_says(plain, key):
    changes, what = SEEN[key]
    assert picture(**changes)[what] != plain[what]


FINETUNE = {"rows": 40, "seed": 7, "explain": 0.5, "epochs": 2, "batch_size": 8, "lr": 2e-3,
            "warmup_ratio": 0.3, "schedule": "constant", "weight_decay": 0.5, "adam_epsilon": 1e-4,
            "max_grad_norm": 2.0, "precision": "bf16", "dropout": 0.4, "length_grouping": False,
            "evals_per_epoch": 2, "eval_batch_size": 64}  # fmt: skip


def test_every_setting_of_fine_tuning_reaches_the_teacher(plain):
    assert set(FINETUNE) == set(finetune_infos())
    for name, value in FINETUNE.items():
        if name == "explain":  # which a task on classes refuses
            continue
        finetune = {"epochs": 1, "lr": 1e-3, "rows": 80, name: value}
        changed = picture(teacher__finetune=finetune)
        assert changed["rows" if name == "rows" else "finetune"] != plain[
            "rows" if name == "rows" else "finetune"]  # fmt: skip


def read_by_the_code(key: str) -> bool:
    """Whether the name of a key occurs as an attribute outside of what reads and shows files."""
    name = key.rpartition(".")[2]
    sources = [p for p in (ROOT / "raykd").rglob("*.py")
               if not re.search(r"/raykd/(spec|cli)/", str(p))]  # fmt: skip
    used = re.compile(rf"\.{name}\b|how\.model_dump|\"{name}\"")
    return any(used.search(path.read_text(encoding="utf-8")) for path in sources)


@pytest.mark.parametrize(
    "key", [f"{section}.{name}" for section, part in SECTIONS.items() for name in part.model_fields]
)
def test_every_key_is_read(key):
    if key in SEEN:
        return
    if key in ELSEWHERE:
        place, _, name = ELSEWHERE[key].partition("::")
        text = (ROOT / "tests/unit" / place).read_text(encoding="utf-8")
        assert f"def {name}" in text
        return
    assert read_by_the_code(key)
