"""Sweeps of architectures without a family file, on real rows, from a YAML file alone.

The best student of every arm is opened by the automatic classes of Transformers, reads the test
rows with its own tokenizer, and gives what was recorded, bit for bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from raykd.cli.main import main
from raykd.data.collate import Collator
from raykd.results.records import SweepResult, TrialResult
from raykd.results.store import load_results
from raykd.spec.load import load_spec, spec_from_dict
from raykd.task_setup.set_up import set_up_task
from raykd.training.device import DistributedContext
from raykd.training.evaluate import score_by_row
from raykd.training.inference import InferenceSetup
from raykd.training.settings import TrainSettings
from tests.integration.conftest import run_here
from tests.outside_data import outside_data

FILES = sorted((Path(__file__).parent / "model_sweeps").glob("*.yaml"))
OPENED: dict[str, Any] = {
    "classification": AutoModelForSequenceClassification, "causal_lm": AutoModelForCausalLM,
}  # fmt: skip


def test_each_file_can_be_used():
    specs = [load_spec(file) for file in FILES]
    assert [spec.name for spec in specs] == [file.stem for file in FILES]
    assert all(spec.search.trials <= 2 for spec in specs)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_best_students_open_elsewhere_and_give_what_was_recorded(
    file: Path, cluster: None, cache_folder: Path, tmp_path: Path
) -> None:
    (task,) = load_spec(file).tasks
    page = tmp_path / "report.html"
    code, errors = run_here(
        "sweep", str(file), "--set", f"data.root={outside_data(task)}",
        "--set", f"report.path={page}", "--set", "resources.cpus_per_worker=0.5",
        "--out", str(tmp_path / "runs"), cache=cache_folder,
    )  # fmt: skip
    assert code == 0, errors
    (run,) = (tmp_path / "runs").iterdir()
    result = load_results(run)
    bf16 = result.spec["teacher"]["precision"] == "bf16"
    assert ("it runs in bf16, which changes" in page.read_text(encoding="utf-8")) == bf16
    for arm in result.spec["methods"]:
        to = tmp_path / arm
        assert main(["export", str(run), str(to), "--arm", arm]) == 0
        trial_id = json.loads((to / "raykd.json").read_text(encoding="utf-8"))["trial"]
        (trial,) = (t for t in result.trials if t.trial_id == trial_id)
        check_recorded(result, trial, to)


def check_recorded(result: SweepResult, trial: TrialResult, folder: Path) -> None:
    """What a saved student gives for the test rows is what is on record of its trial."""
    spec = spec_from_dict(result.spec)
    setup = set_up_task(spec, trial.task)
    task, rows = setup.task, setup.rows["test"]
    model = OPENED[task.kind].from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = task.encode(rows, tokenizer, spec.data.max_length)
    inference = InferenceSetup(
        TrainSettings(precision="fp32"),
        Collator(tokenizer.pad_token_id, max_length=spec.data.max_length),
        DistributedContext(device=torch.device("cpu")),
    )
    scored = score_by_row(model, task, encoded, inference, task.metric)
    assert scored.outcomes is not None
    assert np.array_equal(scored.outcomes, result.row_outcomes[trial.row_outcomes])
    for name, value in scored.metrics.items():
        assert trial.metrics[f"test/{name}"] == value, name
