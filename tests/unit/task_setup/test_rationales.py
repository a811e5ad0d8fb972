"""Rationales from where a search space says: as rows are read, and as a teacher writes them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from raykd.data.base import NO_LABEL, Examples, TokenizedDataset
from raykd.data.rationales import rationales_as_input
from raykd.errors import DataError, SpecError
from raykd.spec.schema import RationaleSpec
from raykd.task_setup.set_up import TaskSetup, set_up_task
from raykd.task_setup.teacher_plan import plan_teacher
from raykd.teachers.prepare import prepare
from raykd.teachers.prepared_task import PreparedTask
from raykd.training.device import DistributedContext
from tests.unit.sweep.specs import spec

NAME = "step_by_step/svamp"
SHAPE = {"heads": 2, "layers": 1, "vocabulary": 262, "max_positions": 512, "dropout": 0.0}
FAMILIES = ("gpt2", "t5")
ROWS = 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "step_by_step" / "svamp"
    folder.mkdir(parents=True)
    rows = {
        "input": [f"How many are {k}?" for k in range(ROWS)], "label": ["( 1 )"] * ROWS,
        "llm_rationale": [f"Number {k}." for k in range(ROWS)],
        "llm_label": ["( 2 )" if k % 2 else "" for k in range(ROWS)],
    }  # fmt: skip
    for split in ("train", "test"):
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    return tmp_path


def setup_of(
    root: Path, family: str, finetune: dict[str, Any] | None = None,
    sbs: dict[str, Any] | None = None, **data: Any,
) -> TaskSetup:  # fmt: skip
    model = {**SHAPE, "family": family}
    more = {**data, "rationales": RationaleSpec(**data.get("rationales", {})).model_dump()}
    return set_up_task(
        spec(
            tasks=[NAME],
            data={
                "root": str(root), "max_length": 480,
                "select_on": {"split": "train", "fraction": 0.2}, "report_on": {"split": "test"},
                **more,
            },
            teacher={"model": {**model, "hidden": 16},
                     "finetune": {"epochs": 1, "batch_size": 4, **(finetune or {})}},
            student={"model": {**model, "hidden": 8}},
            methods={
                "seqkd": {"name": "seqkd", "method": "seqkd"},
                "sbs": {"name": "sbs", "method": "step_by_step", "fixed": sbs or {}},
            },
            report={"baseline": "seqkd"},
        ),
        NAME,
    )  # fmt: skip


def prepared(actual: TaskSetup) -> PreparedTask:
    inputs = plan_teacher(actual.spec, actual, 1 << 30).inputs
    made = prepare(inputs, DistributedContext(device=torch.device("cpu")), lambda *args: None)
    assert made is not None
    return made[0]


def explain(train: TokenizedDataset) -> TokenizedDataset:
    return train.views["predict"].views["explain"]


def reported(actual: TaskSetup, encoded: TokenizedDataset) -> list[str]:
    """The labels of every row as text."""
    borders = encoded.offsets if encoded.label_offsets is None else encoded.label_offsets
    rows = [encoded.labels[a:b] for a, b in itertools.pairwise(borders)]
    return [
        actual.tokenizers.student.decode(row[row != NO_LABEL], skip_special_tokens=True)
        for row in rows
    ]


@pytest.mark.parametrize(("family", "source"), [("gpt2", "teacher_posthoc"), ("t5", "teacher")])
def test_the_teacher_writes_rationales_once_and_students_are_not_told_the_answer(
    family, source, root
):
    actual = setup_of(root, family, rationales={"source": source, "max_new_tokens": 8})
    one, two = prepared(actual), prepared(actual)
    plain = explain(actual.student_splits["train"])
    written = explain(one.splits["train"])
    assert len(written) == len(plain)
    for row in range(len(written)):
        if written.label_counts()[row]:
            assert np.array_equal(written.prompt(row), plain.prompt(row))
    assert written.label_counts().max() <= 9
    assert reported(actual, written) != reported(actual, plain)
    assert np.array_equal(written.labels, explain(two.splits["train"]).labels)
    # What is learnt as the response is the data's.
    result, expected = (p.splits["train"].views["predict"].labels for p in (one, two))
    assert np.array_equal(result, expected)
    requested = actual.own_prompts["rationales"]
    assert requested is not None
    text = actual.tokenizers.teacher.decode(requested.teacher_prompts.prompt(0))
    assert ("( 1 )" in text) == (source == "teacher_posthoc")


def test_what_the_teacher_is_asked_is_part_of_the_identity(root):
    prints = set()
    for rationales in (
        {}, {"source": "teacher"}, {"source": "teacher_posthoc"},
        {"source": "teacher", "max_new_tokens": 9},
    ):  # fmt: skip
        actual = setup_of(root, "t5", rationales=rationales)
        prints.add(plan_teacher(actual.spec, actual, 1 << 30).inputs.fingerprint)
    assert len(prints) == 4


def test_rationales_of_a_file_take_the_place_of_those_of_the_data(root, tmp_path):
    path = tmp_path / "why.jsonl"
    path.write_text(json.dumps({"id": 3, "rationale": "Three."}) + "\n")
    actual = setup_of(root, "t5", rationales={"source": str(path)})
    told_now = [text for text in reported(actual, explain(actual.student_splits["train"])) if text]
    in_train = "How many are 3?" in actual.rows["train"].texts[0]
    assert told_now == (["Three."] if in_train else [])


@pytest.mark.parametrize("family", FAMILIES)
def test_rationales_in_prompts_are_there_in_every_role(family, root):
    actual = setup_of(root, family, rationales={"as_input": True})
    for rows in actual.rows.values():
        assert all("\nNumber " in prompt for prompt in rows.texts[0])


def test_labels_of_a_model_are_those_of_train_alone(root):
    actual = setup_of(root, "t5", label_type="llm")
    assert set(actual.rows["train"].texts[1]) == {"( 2 )"}
    assert set(actual.rows["test"].texts[1]) == {"( 1 )"}
    assert actual.rows["train"].left_out + len(actual.rows["train"]) == len(actual.rows["finetune"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_teacher_that_learns_to_explain_reads_the_names_of_the_tasks(family, root):
    same = {"kappa_l": 0.5, "kappa_r": 0.5, "teacher_prompt": "same"}
    actual = setup_of(root, family, finetune={"explain": 0.5}, sbs=same)
    for role, encoded in actual.teacher_splits.items():
        assert "predict: " in actual.tokenizers.teacher.decode(encoded.prompt(0)), role
    assert "predict: " not in actual.tokenizers.student.decode(
        actual.student_splits["train"].prompt(0)
    )
    ready = prepared(actual)
    assert ready.teacher is not None
    terms = ready.history[-1].terms
    assert {"label", "rationale"} <= set(terms)
    # What it wrote follows the prompts that students read.
    plain, written = ready.splits["train"], ready.splits["teacher_text"]
    assert np.array_equal(written.prompt(1), plain.prompt(1))


def test_shares_that_the_teacher_cannot_give_are_refused(root):
    with pytest.raises(SpecError) as info:
        setup_of(root, "t5", sbs={"kappa_r": 0.5})
    assert "teacher_prompt: same" in str(info.value.problems()[0].hint)
    with pytest.raises(SpecError) as info:
        setup_of(root, "t5", sbs={"kappa_l": 0.5, "teacher_prompt": "same"})
    assert "finetune.explain" in str(info.value.problems()[0].hint)


def test_a_task_on_classes_has_no_rationales():
    plain = Examples(texts=(("a",),), labels=np.zeros(1, np.int64))
    with pytest.raises(DataError, match="not a task that is answered in text"):
        rationales_as_input(plain, "glue/rte")
