"""Every key of a search space changes what it says; a key without such a test fails here.

A key has either another value that changes what is prepared and run, or the name of the test in
which it does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd.clusters import nodes
from raykd.clusters.capacity import survey
from raykd.data.base import DataSettings, Examples
from raykd.data.hold_out import fingerprint
from raykd.errors import RaykdError, SpecError
from raykd.models.tokenizers import train_tokenizer
from raykd.spec import schema, schema_stages
from raykd.spec.model_section import finetune_infos
from raykd.sweep.arm_studies import arm_studies, confirm_trial, search_trial, study_space
from raykd.task_setup.set_up import set_up_task
from raykd.task_setup.settings import augment_settings
from raykd.task_setup.tasks import task_of
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.augmented_rows import augmented
from tests.unit.sweep.specs import SHAPE, TASK, spec

ROOT = Path(__file__).parents[3]
SECTIONS = {
    "data": schema.DataSpec, "data.augment": schema.AugmentSpec,
    "data.rationales": schema.RationaleSpec, "teacher": schema.TeacherSpec,
    "teacher.outputs": schema.OutputsSpec, "teacher.ask": schema.AskSpec,
    "student": schema.StudentSpec, "student.from_teacher": schema.FromTeacher,
    "student.lora": schema.LoraSpec,
    "search": schema_stages.SearchSpec, "confirm": schema_stages.ConfirmSpec,
    "confirm.seeds": schema_stages.SeedPlan, "resources": schema_stages.ResourceSpec,
    "report": schema_stages.ReportSpec, "task": schema.OwnTaskSpec, "source": schema.SourceSpec,
    "model": schema.RandomInitSpec, "split": schema.SplitRef,
}  # fmt: skip
PLAIN_TOKENS = train_tokenizer(["one two train 0 1 2"] * 3, 60)
FROM_TEACHER = {"layers": [1], "weights": "finetuned"}
TEACHER = {**SHAPE, "hidden": 16}
SEEN: dict[str, tuple[dict[str, Any], str]] = {
    "data.limit": ({"data__limit": 60}, "rows"),
    "data.student_rows": ({"data__student_rows": 20}, "rows"),
    "data.max_length": ({"data__max_length": 6}, "tokens"),
    "data.select_on": ({"data__select_on": {"split": "train", "fraction": 0.2}}, "rows"),
    "data.report_on": ({"data__report_on": {"split": "test"}}, "rows"),
    "data.class_weights": ({"data__class_weights": "balanced"}, "rows"),
    "data.oversample": ({"data__oversample": "balanced"}, "rows"),
    "data.seed": ({"data__seed": 3}, "rows"),
    "split.split": ({"data__select_on": {"split": "test"}}, "rows"),
    "split.fraction": ({"data__select_on": {"split": "train", "fraction": 0.3}}, "rows"),
    "teacher.model": ({"teacher__model": {**TEACHER, "layers": 3}}, "models"),
    "teacher.finetune": ({"teacher__finetune": {"epochs": 2, "lr": 1e-3, "rows": 80}}, "finetune"),
    "teacher.serve": ({"teacher__serve": "weights"}, "serving"),
    "teacher.dtype": ({"teacher__dtype": "fp32"}, "serving"),
    "teacher.precision": ({"teacher__precision": "bf16"}, "serving"),
    "teacher.sharding": ({"teacher__sharding": "full", "resources__workers": 2}, "serving"),
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
    "search.repeats": ({"search__repeats": 2, "data__select_on": {"split": "test"}}, "rows"),
    "search.trials": ({"search__trials": 6}, "search"),
    "search.constraints": ({"search__constraints": [
        {"metric": "latency_ms", "relation": "<=", "bound": 5}]}, "search"),
    "search.objective": ({"search__objective": [{"metric": "f1_macro"}]}, "search"),
    "search.seed": ({"search__seed": 6}, "search"),
    "confirm.seeds": ({"confirm__seeds": [1, 3]}, "confirm"),
    "confirm.seeds.start": ({"confirm__seeds": {"start": 4, "then": [9]}}, "confirm"),
    "confirm.seeds.then": ({"confirm__seeds": {"start": 4, "then": [9]}}, "confirm"),
}  # fmt: skip
ELSEWHERE = {
    "student.lora": "task_setup/test_lora.py::test_what_is_searched_of_an_adapter_is_searched_by",
    "student.lora.targets": "models/test_lora.py::test_the_adapter_and_the_head_are_trained_and",
    "student.lora.save": "task_setup/test_lora.py::test_what_is_saved_of_a_trial_says_what_was",
    "data.augment": "task_setup/test_augmented_rows.py::test_only_the_students_train_rows_grow",
    "data.augment.model": "models/test_mlm_augmentation.py::test_they_are_what_the_model_puts",
    "data.rationales": "task_setup/test_rationales.py::test_rationales_of_a_file_take_the_place",
    "data.rationales.source": "task_setup/test_rationales.py::test_rationales_of_a_file_take_the",
    "data.rationales.as_input": "task_setup/test_rationales.py::test_rationales_in_prompts_are",
    "data.rationales.max_new_tokens": "task_setup/test_rationales.py::test_what_the_teacher_is",
    "data.unlabelled": "task_setup/test_unlabelled.py::test_the_teacher_is_trained_on_labels_and",
    "data.label_type": "task_setup/test_rationales.py::test_labels_of_a_model_are_those_of_train",
    **{
        f"teacher.{name}": "task_setup/test_given_teacher.py::test_a_file_next_to_the_rows_goes_by"
        for name in ("outputs", "outputs.logits", "outputs.path", "outputs.id")
    },
    "teacher.mean": "task_setup/test_named_teachers.py::test_a_mean_of_teachers_is_what_students",
    "teacher.by": "task_setup/test_named_teachers.py::test_rows_are_taught_by_the_teacher_of_their",
    "teacher.routes": "task_setup/test_named_teachers.py::test_rows_are_taught_by_the_teacher_of",
    "teacher.endpoint": "task_setup/test_endpoint_teacher.py::test_what_will_not_do",
    "teacher.ask": "task_setup/test_endpoint_teacher.py::test_a_setting_of_texts",
    "teacher.ask.key": "task_setup/test_endpoint_teacher.py::test_what_will_not_do",
    "teacher.ask.interface": "task_setup/test_endpoint_teacher.py::test_classes_are_scored",
    "teacher.ask.system": "task_setup/test_endpoint_teacher.py::test_a_setting_of_texts",
    "teacher.ask.prompt": "task_setup/test_endpoint_teacher.py::test_a_setting_of_texts",
    "teacher.ask.explain": "task_setup/test_endpoint_teacher.py::test_the_wording_for_rationales",
    "teacher.ask.choices": "task_setup/test_endpoint_teacher.py::test_classes_are_scored",
    "teacher.ask.score_by": "task_setup/test_endpoint_teacher.py::test_a_class_may_be_read",
    "teacher.ask.score_splits": "task_setup/test_endpoint_teacher.py::test_a_class_may_be_read",
    "teacher.ask.top_logprobs": "task_setup/test_endpoint_teacher.py::test_log_probabilities_teach",
    "teacher.ask.temperature": "task_setup/test_endpoint_teacher.py::test_a_setting_of_texts",
    "teacher.ask.seed": "task_setup/test_endpoint_teacher.py::test_a_setting_of_texts",
    "teacher.ask.max_new_tokens": "task_setup/test_endpoint_teacher.py::test_a_setting_of_texts",
    "teacher.ask.concurrent": "task_setup/test_endpoint_teacher.py::test_failures_that_pass",
    "teacher.ask.retries": "task_setup/test_endpoint_teacher.py::test_a_rate_limit_without_end",
    "teacher.ask.wait": "task_setup/test_endpoint_teacher.py::test_a_rate_limit_without_end",
    "teacher.ask.timeout": "task_setup/test_endpoint_teacher.py::test_failures_that_pass",
    "teacher.outputs.probabilities": "task_setup/test_given_teacher.py::test_probabilities_in_any",
    "teacher.outputs.responses": "task_setup/test_given_texts.py::test_seqkd_learns_the_given",
    "teacher.outputs.logprobs": "task_setup/test_given_texts.py::test_logprobs_teach_what_the",
    "teacher.checkpoint": "task_setup/test_set_up.py::test_a_checkpoint_is_known_by_its_weights",
    "student.from_teacher.weights": "task_setup/test_set_up.py::test_pretrained_layers_of_a",
    "confirm.top_k": "sweep/test_arm_studies.py::test_one_student_of_each_arm_is_kept",
    "confirm.keep": "sweep/test_arm_studies.py::test_students_of_all_seeds_are_kept",
    "search.algorithm": "search/algorithms/test_algorithms.py::test_tpe_moves_to_where_it_is_good",
    "search.control": "sweep/test_search.py::test_the_control_group_is_as_large_as_the_file_says",
    "search.lag": "sweep/test_search.py::test_the_lag_of_a_file_is_that_of_new_studies",
    "search.scheduler": "search/schedulers/test_schedulers.py::test_halving_stops_a_worse_trial_at",
    "resources.max_failures": "trial/test_coordinator.py::test_a_job_that_loses_its_worker_too",
    "report.margin": "../cases/test_verdict_cases.py::test_a_lead_below_the_margin_is_sure_and",
    "report.baseline": "spec/test_load.py::test_what_a_file_means",
    **{
        f"task.{key}": "task_setup/test_own_text_keys.py::test_every_key_of_a_text_task_changes"
        for key in schema.OwnTaskSpec.KEYS["text"]
    },
    "task.revision": "spec/test_own_tasks.py::test_where_rows_are_reaches_the_task",
    "source.hub": "spec/test_own_tasks.py::test_where_rows_are_reaches_the_task",
    "source.revision": "spec/test_own_tasks.py::test_where_rows_are_reaches_the_task",
    "source.stream": "data/test_readers.py::test_as_many_rows_of_the_hub_are_streamed",
    "task.stream": "data/test_readers.py::test_as_many_rows_of_the_hub_are_streamed",
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
        "finetune": (inputs.finetune, inputs.finetune_seed, inputs.explain,
                     inputs.finetune_search, inputs.finetune_seeds),
        "serving": (inputs.mode, inputs.dtype, inputs.frozen_precision, inputs.sharded),
        "search": (study_space(made, arm_study).budget, arm_study.metrics, arm_study.modes,
                   arm_study.constraints, search_trial(made, Path("r"), arm_study, 0, {}).costs,
                   search_trial(made, Path("r"), arm_study, 0, {}).seed),
        "confirm": [confirm_trial(made, Path("r"), arm_study, 0, seed, {}).seed
                    for seed in made.confirm.all_seeds],
    }  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return picture()


@pytest.mark.parametrize("key", SEEN)
def test_it_changes_what_it_says(plain, key):
    changes, what = SEEN[key]
    assert picture(**changes)[what] != plain[what]


# A task of the user's own, on files.

OWN = {"name": "own", "texts": ["title"], "labels": ["0", "1"], "path": "one",
       "splits": {"validation": "dev"}}  # fmt: skip
OF_A_TASK: dict[str, tuple[dict[str, Any], str]] = {
    "task.name": ({"name": "other"}, "names"),
    "task.texts": ({"texts": ["title", "body"]}, "texts"),
    "task.label": ({"label": "other"}, "labels"),
    "task.labels": ({"labels": ["1", "0"]}, "labels"),
    "task.kind": ({"kind": "regression", "labels": []}, "kind"),
    "task.metric": ({"metric": "matthews"}, "objective"),
    "task.metrics": ({"metrics": ["accuracy", "f1"]}, "scores"),
    "task.span": ({"kind": "regression", "labels": [], "span": [0, 0.5]}, "refused"),
    "task.path": ({"path": "two"}, "texts"),
    "task.sources": ({"path": None, "sources": [{"path": "two"}]}, "texts"),
    "source.path": ({"path": None, "splits": {}, "sources": [
        {"path": {"train": "two/t*.csv", "validation": "two/dev.csv"}}]}, "texts"),
    "source.weight": ({"path": None, "sources": [{"path": "one", "weight": 2.0}]}, "weights"),
    "task.hub": ({"path": None, "hub": "owner/rows:small"}, "refused"),
    "task.splits": ({"splits": {"validation": "train"}}, "held out"),
    "data.root": ({}, "texts"),
}  # fmt: skip


@pytest.fixture
def folders(tmp_path, monkeypatch) -> Path:
    """Folders ``one``, ``two`` and ``root/one`` of small files; the first is the current one's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("raykd.hub.reachable", lambda: False)
    for place in ("one", "two", "root/one", "root/glue/rte"):
        (tmp_path / place).mkdir(parents=True)
        for split, rows in (("train", 8), ("dev", 4), ("validation", 4)):
            lines = [f"{place} {split} {k},about {k},{k % 2},{(k + 1) % 2}" for k in range(rows)]
            text = "\n".join(["title,body,label,other", *lines])
            (tmp_path / place / f"{split}.csv").write_text(text)
    return tmp_path


def task_picture(root: str | None = None, **changes: Any) -> dict[str, Any]:
    """What an own task is, by what a key of its description may change of it."""
    own = OWN | changes
    made = spec(tasks=[own["name"]], own_tasks={own["name"]: own}, data__root=root)
    task, settings = task_of(made, own["name"]), DataSettings(root=root)
    actual: dict[str, Any] = {
        "refused": "", "names": made.tasks, "kind": (task.kind, task.num_labels),
        "objective": arm_studies(made)[0].metrics,
    }  # fmt: skip
    try:
        train, dev = (task.load(split, settings) for split in ("train", "validation"))
    except RaykdError as exc:
        return actual | {"refused": exc.message}
    logits = np.eye(2)[train.labels.astype(int)][:, : task.num_labels]
    encoded = task.encode(train, PLAIN_TOKENS, 8)
    return actual | {"weights": train.fields, "texts": train.texts, "held out": dev.texts,
                    "labels": train.labels.tolist(),
                    "scores": sorted(task.score(logits, encoded))}  # fmt: skip


@pytest.mark.parametrize("key", OF_A_TASK)
def test_a_key_of_an_own_task_changes_what_it_says(folders, key):
    changes, what = OF_A_TASK[key]
    plain = task_picture()
    assert plain["refused"] == ""
    if key == "data.root":
        (folders / "one").rename(folders / "gone")
        assert task_picture("root")["texts"][0][0] == "root/one train 0"
        assert plain["texts"][0][0] == "one train 0"
        return
    changed = task_picture(**changes)
    assert changed[what] != plain[what]
    if key == "task.span":
        assert task_picture(**changes | {"span": [0, 1]})["refused"] == ""


# More rows made of others.

OF_AUGMENTATION: dict[str, dict[str, Any]] = {
    "data.augment.vectors": {"vectors": "others.txt"},
    "data.augment.copies": {"copies": 2},
    "data.augment.probability": {"probability": 0.9},
    "data.augment.candidates": {"candidates": 1},
    "data.augment.seed": {"seed": 8},
}


@pytest.mark.parametrize("key", OF_AUGMENTATION)
def test_a_key_of_augmentation_changes_the_rows(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    words = {"soup": (1, 0), "stew": (0.9, 0.2), "broth": (0.8, 0.3), "bad": (0, 1),
             "awful": (0.1, 0.9), "poor": (0.2, 0.8)}  # fmt: skip
    for name, mark in (("words.txt", ""), ("others.txt", "x")):
        lines = [f"{w if w in ('soup', 'bad') else w + mark} {a} {b}" for w, (a, b) in
                 words.items()]  # fmt: skip
        Path(name).write_text("\n".join(lines) + "\n")
    rows = Examples(texts=(("the soup was bad", "bad soup"),), labels=np.array([0, 2]))

    def made(**changes: Any) -> tuple[Any, ...]:
        how = {"vectors": "words.txt", "copies": 6, "probability": 0.5, "candidates": 3}
        return augmented(task_of(spec(), TASK), rows, augment_settings(
            schema.AugmentSpec(**how | changes)), None).texts  # fmt: skip

    assert made() == made()
    assert made(**OF_AUGMENTATION[key]) != made()


# What is recorded of a teacher that writes.

WRITER = {"family": "gpt2", "layers": 1, "heads": 2, "vocabulary": 400, "max_positions": 64}
OF_TEXT: dict[str, dict[str, Any]] = {
    "teacher.cache": {"teacher__cache": "top_k"},
    "teacher.cache_size": {"teacher__cache": "sampled", "teacher__cache_size": 8},
}


@pytest.mark.parametrize("key", OF_TEXT)
def test_a_key_of_recorded_text_changes_what_is_kept(key):
    text = {
        "tasks": ["toy_text/replies"], "data__max_length": 64, "data__limit": 20,
        "data__student_rows": 10, "teacher__model": {**WRITER, "hidden": 16},
        "teacher__finetune": {"epochs": 1, "lr": 1e-3},
        "student__model": {**WRITER, "hidden": 8},
        "methods": {"kd": {"name": "kd", "method": "kd", "fixed": {"kd_ratio": 0.5}}},
        "report__baseline": "kd",
    }  # fmt: skip

    def kept(**changes: Any) -> str:
        made = spec(**text | changes)
        plan = plan_teacher(made, set_up_task(made, "toy_text/replies"), 1 << 30)
        (name,) = (s.name for s in plan.inputs.output_spec if s.kind == "tokens")
        return name

    names = {kept(**OF_TEXT[key]), kept(teacher__cache="sampled"), kept()}
    assert len(names) == 3


def test_what_is_recorded_of_text_is_refused_where_there_is_none():
    made = spec(teacher__cache="sampled")
    with pytest.raises(SpecError, match=r"a classification task \(toy/sentiment\) has none"):
        plan_teacher(made, set_up_task(made, TASK), 1 << 30)


@pytest.mark.parametrize(
    ("changes", "unused"),
    [
        ({}, False),
        ({"teacher__dtype": "fp32"}, True),
        ({"teacher__dtype": "fp32", "methods": {"pkd": {"name": "pkd", "method": "pkd"}},
          "student__model": {**SHAPE, "hidden": 16, "layers": 2}}, False),
        ({"teacher__dtype": "bf16", "teacher__serve": "weights"}, True),
    ],
)  # fmt: skip
def test_a_rounding_of_nothing_is_said_to_have_no_effect(changes, unused):
    made = spec(**changes | ({"report__baseline": "pkd"} if "methods" in changes else {}))
    serving = plan_teacher(made, set_up_task(made, TASK), 1 << 30).serving
    assert ("teacher.dtype" in serving and "has no effect" in serving) == unused


# What runs where.

OF_THE_CLUSTER: dict[str, tuple[dict[str, Any], str, Any]] = {
    "resources.workers": ({"resources": {"workers": 3}}, "slots", 4),
    "resources.cpus_per_worker": ({"resources": {"cpus_per_worker": 4}}, "slots", 3),
    "resources.gpus_per_worker": ({"resources": {"gpus_per_worker": 1}}, "slots", 2),
    "resources.labels": ({"resources": {"labels": {"kind": "fast"}}}, "slots", 4),
    "search.max_concurrent": ({"search__max_concurrent": 5}, "slots", 5),
}


@pytest.mark.parametrize("key", OF_THE_CLUSTER)
def test_a_key_of_resources_changes_what_fits(monkeypatch, key):
    there = (nodes.Node(cpus=8, gpus=0), nodes.Node(cpus=4, gpus=2, labels={"kind": "fast"}))
    monkeypatch.setattr(nodes, "alive", lambda: there)
    monkeypatch.setattr("raykd.clusters.capacity.built_for_gpus", lambda: True)
    changes, what, wanted = OF_THE_CLUSTER[key]
    none = {"gpus_per_worker": 0}
    changes = {**changes, "resources": none | changes.get("resources", {})}
    assert survey(spec(resources=none, search__trials=50)).slots == 12
    assert getattr(survey(spec(**changes, search__trials=50)), what) == wanted


FINETUNE = {
    "rows": 40, "seed": 7, "explain": 0.5, "search": 3, "seeds": 2, "epochs": 2, "batch_size": 8,
    "micro_batch": 3, "sharding": "full", "gradient_checkpointing": True, "attention": "eager",
    "compile": True,
    "packing": False, "optimizer": "sgd", "lr": 2e-3,
    "warmup_ratio": 0.3, "schedule": "constant", "weight_decay": 0.5, "adam_epsilon": 1e-4,
    "max_grad_norm": 2.0, "precision": "bf16", "dropout": 0.4, "length_grouping": False,
    "evals_per_epoch": 2, "eval_batch_size": 64,
}  # fmt: skip


def test_every_setting_of_fine_tuning_reaches_the_teacher(plain):
    assert set(FINETUNE) == set(finetune_infos())
    for name, value in FINETUNE.items():
        if name == "explain":  # which a task on classes refuses
            continue
        finetune = {"epochs": 1, "lr": 1e-3, "rows": 80, name: value}
        changed = picture(teacher__finetune=finetune, resources__workers=2)
        assert changed["rows" if name == "rows" else "finetune"] != plain[
            "rows" if name == "rows" else "finetune"]  # fmt: skip


# The processes of Ray that these change are started by a sweep alone.
STARTED = {
    "search.device_budget_s": "DeviceBudget(spec.search.device_budget_s",
    "search.trial_time_limit_s": "limit_s=spec.search.trial_time_limit_s",
    "search.time_budget_s": "SearchClock(spec.search.time_budget_s",
    "resources.isolate": "1 if spec.resources.isolate else None",
    "resources.memory_gb_per_worker": "memory_gb=None if memory is None else float(memory)",
    "report.path": "Path(spec.report.path.format(name=spec.name))",
}


@pytest.mark.parametrize(
    "key", [f"{section}.{name}" for section, part in SECTIONS.items() for name in part.model_fields]
)
def test_every_key_has_a_test_in_which_it_changes_something(key):
    if key in {*SEEN, *OF_A_TASK, *OF_AUGMENTATION, *OF_TEXT, *OF_THE_CLUSTER}:
        return
    if key in ELSEWHERE:
        place, _, name = ELSEWHERE[key].partition("::")
        text = (ROOT / "tests/unit" / place).read_text(encoding="utf-8")
        assert f"def {name}" in text
        return
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "raykd").glob("*/*.py")]
    assert any(STARTED[key] in source for source in sources)
