"""A whole sweep of language models on real local Ray, as `quickstart_lm` describes it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.spec.load import load_spec
from raykd.sweep.run import SweepOptions, run_sweep

FILE = Path(__file__).parents[2] / "search_spaces/quickstart_lm.yaml"


@pytest.mark.slow
def test_every_arm_of_the_quickstart_is_trained_scored_and_reported(
    cluster: None, cache_folder: Path, tmp_path: Path
) -> None:
    sets = [
        "data.student_rows=200", "data.limit=600", "teacher.finetune.epochs=2", "train.epochs=2",
        "search.trials=1", "search.scheduler=none", "confirm.seeds=[1]",
        "methods.seqkd={}", "methods.gkd={max_new_tokens: 8}",
        f"report.path={tmp_path / 'report.html'}",
    ]  # fmt: skip
    spec = load_spec(FILE, overrides=sets)
    options = SweepOptions(out=tmp_path / "runs", cache=cache_folder)
    result = load_results(run_sweep(spec, FILE.read_text(), options, lambda event: None))
    assert {t.arm for t in result.trials} == {
        "sft", "kd", "skew_kl", "minillm", "seqkd", "gkd",
    }  # fmt: skip
    assert all(t.status is Status.COMPLETED for t in result.trials)
    for trial in result.trials:
        assert math.isfinite(trial.metrics["log_likelihood"])
        if trial.stage == "confirm":
            assert {"test/accuracy", "test/teacher_kl"} <= set(trial.metrics)
            assert trial.metrics["test/teacher_kl"] > 0
    assert "minillm" in (tmp_path / "report.html").read_text()
