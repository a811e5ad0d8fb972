"""Methods on something that the rows of a task lack are refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raykd.data.answer_choices import CHOICE_POSITION
from raykd.errors import DataError
from raykd.models.signals.answer_choices import AnswerChoices
from raykd.task_setup.set_up import TaskSetup, set_up_task
from tests.unit.sweep.specs import spec

SHAPE = {"heads": 2, "layers": 1, "vocabulary": 300, "max_positions": 128, "dropout": 0.0}
FAMILIES = ("gpt2", "t5")


def setup_of(task: str, family: str, root: Path | None = None, **sinkd: Any) -> TaskSetup:
    model = {**SHAPE, "family": family}
    return set_up_task(
        spec(
            tasks=[task],
            data={
                "root": None if root is None else str(root), "limit": 60, "max_length": 128,
                "select_on": {"split": "train", "fraction": 0.1},
                "report_on": {"split": "validation"},
            },
            teacher={"model": {**model, "hidden": 16}, "finetune": {"epochs": 1}},
            student={"model": {**model, "hidden": 8}},
            methods={
                "sft": {"name": "sft", "method": "sft"},
                "sinkd": {"name": "sinkd", "method": "sinkd", "fixed": sinkd},
            },
            report={"baseline": "sft"},
        ),
        task,
    )  # fmt: skip


def copa(root: Path, second: str) -> Path:
    """Twenty rows, of which the second choices begin alike or not."""
    folder = root / "super_glue" / "copa"
    folder.mkdir(parents=True)
    rows = {
        "premise": [f"It rained {k} times." for k in range(20)],
        "choice1": ["She got wet."] * 20, "choice2": [second] * 20,
        "question": ["effect"] * 20, "label": [k % 2 for k in range(20)],
    }  # fmt: skip
    for split in ("train", "validation"):
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    return root


@pytest.mark.parametrize("family", FAMILIES)
def test_choices_that_begin_alike_are_told_apart_further_on(family, tmp_path):
    actual = setup_of("super_glue_prompts/copa", family, copa(tmp_path, "She got home."))
    assert AnswerChoices() in actual.output_spec
    for splits in (actual.teacher_splits, actual.student_splits):
        assert (splits["train"].columns[CHOICE_POSITION] > 0).all()
        assert splits["train"].references is None
        assert splits["validation"].references.candidates is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_choices_are_refused_and_named(family, tmp_path):
    root = copa(tmp_path, "She got wet.")
    with pytest.raises(DataError, match=r"row 0 of train has .* same token.*She got wet\., She"):
        setup_of("super_glue_prompts/copa", family, root)
    actual = setup_of("super_glue_prompts/copa", family, root, view="tokens")
    assert AnswerChoices() not in actual.output_spec


def test_rows_without_choices_are_refused_unless_tokens_are_viewed():
    with pytest.raises(DataError, match="rows of toy_text/replies have no answer choices") as info:
        setup_of("toy_text/replies", "gpt2")
    assert "view: tokens" in str(info.value.hint)
    assert setup_of("toy_text/replies", "gpt2", view="tokens").reads_scores


def explained(root: Path, answer: str, rationale: str = "Because.") -> Path:
    folder = root / "step_by_step" / "svamp"
    folder.mkdir(parents=True)
    rows = {
        "input": [f"How many are {k}?" for k in range(20)], "label": [answer] * 20,
        "llm_rationale": [rationale] * 20,
    }  # fmt: skip
    for split in ("train", "test"):
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    return root


def step_by_step(root: Path, family: str, length: int) -> TaskSetup:
    model = {**SHAPE, "family": family, "vocabulary": 262, "max_positions": 512}
    return set_up_task(
        spec(
            tasks=["step_by_step/svamp"],
            data={
                "root": str(root), "max_length": length,
                "select_on": {"split": "train", "fraction": 0.2}, "report_on": {"split": "test"},
            },
            teacher={"model": {**model, "hidden": 16}, "finetune": {"epochs": 1}},
            student={"model": {**model, "hidden": 8}},
            methods={
                "sft": {"name": "sft", "method": "sft"},
                "sbs": {"name": "sbs", "method": "step_by_step"},
            },
            report={"baseline": "sft"},
        ),
        "step_by_step/svamp",
    )  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_both_tasks_of_step_by_step_come_along(family, tmp_path):
    actual = step_by_step(explained(tmp_path, "( 1 )"), family, 512)
    for encoded in actual.student_splits.values():
        assert encoded.views["predict"].views["explain"].token_labels
    assert actual.student_splits["test"].views["predict"].references is not None


def test_rows_without_any_rationale_are_refused(tmp_path):
    with pytest.raises(DataError, match="no row of step_by_step/svamp has a rationale"):
        step_by_step(explained(tmp_path, "( 1 )", rationale=""), "t5", 512)


def test_responses_that_the_name_of_the_task_would_cut_are_refused(tmp_path):
    with pytest.raises(DataError, match="cut in other places"):
        step_by_step(explained(tmp_path, "1 + " * 90 + "1"), "gpt2", 300)
