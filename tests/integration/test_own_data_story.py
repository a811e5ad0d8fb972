"""Five commands lead from an ugly file and a teacher on disk to a student that anyone opens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import pipeline

from raykd.cli.main import main
from raykd.results.records import Status
from raykd.results.store import load_results
from tests.cases.own_desk import NAMES, write_desk

QUICK = {
    "search.trials": 1, "confirm.seeds": "[1]", "train.epochs": 1, "train.lr": 1e-3,
    "resources.cpus_per_worker": 0.5,
}  # fmt: skip


@pytest.mark.slow
def test_init_validate_sweep_report_export(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("raykd.hub.reachable", lambda: False)
    write_desk(tmp_path)
    changes = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    assert main(["init", "--from", "my reviews.csv", "--teacher", "teacher"]) == 0
    assert main(["validate", "my-reviews.yaml", *changes]) == 0
    capsys.readouterr()
    assert main(["sweep", "my-reviews.yaml", *changes, "--format", "json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]
    run = next(e["folder"] for e in events if e["event"] == "sweep_started")
    result = load_results(Path(run))
    assert all(t.status is Status.COMPLETED for t in result.trials)
    assert main(["report", run, "--out", "again.html"]) == 0
    assert (tmp_path / "again.html").stat().st_size > 100_000
    arm = next(name for name in result.arms if name != "none")
    assert main(["export", run, "student", "--arm", arm]) == 0
    assert (tmp_path / "student" / "README.md").is_file()
    assert str(tmp_path) not in (tmp_path / "student" / "README.md").read_text()
    message = pipeline("text-classification", model="student")("the film\u2028was good; 3\nor so")
    assert message[0]["label"] in NAMES
