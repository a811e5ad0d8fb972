"""Task-agnostic distillation end to end, in this process: text, then a task."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from raykd.models.tokenizers import save_tokenizer
from raykd.models.weights import save
from raykd.spec.load import spec_from_dict
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from tests.integration.conftest import TASK, tiny_spec

WORDS = ("cat", "dog", "fox", "hen")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "text"
    folder.mkdir(parents=True)
    lines = [f"the {a} saw the {b} and the {b} saw the {a}" for a in WORDS for b in WORDS] * 6
    for split in ("train", "validation"):
        (folder / f"{split}.txt").write_text("\n".join(lines))
    return folder.parent


def trial(spec, task: str, arm: str, folder: Path, save: Path | None = None, **given):
    config = trial_of(spec, folder / "run", task, arm, given)
    config = dataclasses.replace(config, save_path=str(save) if save else None)
    setup, prepared, _ = prepare_task(spec, task, folder / "cache", lambda *p: None)
    outcome = run_in_process(config, prepared, setup.task, lambda e: None)
    return setup, prepared, outcome


@pytest.mark.parametrize(("alpha", "serve"), [(0.0, "outputs"), (0.5, "outputs"), (0.5, "weights")])
def test_a_student_of_text_begins_a_task(root, tmp_path, alpha, serve):
    plain = tiny_spec().as_dict()
    arm = {
        "name": "ckd", "method": "ckd",
        "fixed": {"alpha": alpha, "ltrdist": 0.0, "ltrangle": 0.0, "window": 5},
    }  # fmt: skip
    general = tiny_spec(
        tasks=["text"],
        data={**plain["data"], "root": str(root), "limit": None, "student_rows": None,
              "report_on": {"split": "validation"}},
        teacher={**plain["teacher"], "serve": serve},
        methods={"ckd": arm},
    )  # fmt: skip
    folder = tmp_path / "student"
    setup, prepared, outcome = trial(general, "text", "ckd", tmp_path, save=folder)
    assert (prepared.cached_outputs is None) == (serve == "weights")
    if prepared.cached_outputs is not None:
        assert ("logits" not in prepared.cached_outputs.names) == (alpha == 0.0)
    assert {"wrdist", "wrangle"} <= set(outcome.evaluation.terms)
    assert -10 < outcome.metrics["test/masked_log_likelihood"] < 0
    assert 0 <= prepared.metrics["test/masked_accuracy"] <= 1
    assert outcome.student is not None
    save(outcome.student, folder)
    save_tokenizer(setup.tokenizers.student, folder)
    specific = spec_from_dict({**plain, "student": {"model": str(folder)}})
    _, _, end = trial(specific, TASK, "none", tmp_path)
    assert 0 <= end.metrics["test/accuracy"] <= 1
