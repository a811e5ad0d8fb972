"""Five commands lead from ugly files and a teacher on disk to a student that anyone opens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import pipeline

from raykd.cli.main import main
from raykd.results.records import Status
from raykd.results.store import load_results
from tests.cases.own_desk import INTENTS, NAMES, write_desk, write_intents

QUICK = {
    "search.trials": 1, "confirm.seeds": "[1]", "train.epochs": 1, "train.lr": 1e-3,
    "resources.cpus_per_worker": 0.5,
}  # fmt: skip


DESKS = {
    "my reviews.csv": ("my-reviews.yaml", set(NAMES)),
    "my intents": ("my-intents.yaml", {str(k) for k in range(1, INTENTS + 1)}),
}


@pytest.mark.slow
@pytest.mark.parametrize("data", DESKS)
def test_init_validate_sweep_report_export(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], data: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("raykd.hub.reachable", lambda: False)
    write_desk(tmp_path)
    write_intents(tmp_path)
    file, names = DESKS[data]
    changes = [part for key, value in QUICK.items() for part in ("--set", f"{key}={value}")]
    assert main(["init", "--from", data, "--teacher", "teacher"]) == 0
    assert main(["validate", file, *changes]) == 0
    capsys.readouterr()
    assert main(["sweep", file, *changes, "--format", "json"]) == 0
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
    assert message[0]["label"] in names
