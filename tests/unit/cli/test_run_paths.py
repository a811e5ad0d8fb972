"""Commands on a run that a store keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import raykd
from raykd.cli.main import main
from raykd.errors import SpecError
from raykd.results.run_copy import RunCopy
from raykd.results.run_store import RunStore
from raykd.sweep import run_folder
from tests.synthetic_run import Builder
from tests.unit.sweep.specs import spec


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYKD_RUNS", str(tmp_path / "here"))


@pytest.fixture
def address(tmp_path):
    builder = Builder(tmp_path / "runs" / "tiny-1")
    builder.start()
    builder.teacher("glue/rte")
    builder.trial("glue/rte", "kd", 0)
    builder.finish()
    store = RunStore(f"file://{tmp_path}/store/tiny-1")
    RunCopy(store, builder.folder, {}).copy()
    return store.address


def test_a_run_of_a_store_is_reported_from_a_folder_of_this_machine(address, tmp_path, capsys):
    assert main(["report", address, "--plotlyjs", "directory"]) == 0
    page = Path(capsys.readouterr().out.removeprefix("report: ").strip())
    assert page.is_file()
    assert page.parent.name == "tiny-1"
    assert page.is_relative_to(tmp_path / "here")
    assert main(["report", address, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"][0]["trial_id"] == "glue-rte.kd.s000"


def test_a_run_of_a_store_is_planned_and_not_taken(tmp_path, capsys):
    run = run_folder.create(tmp_path, spec(search__trials=7), "", "", "none")
    (run / "events.jsonl").write_text('{"event": "sweep_started", "time": 1}\n')
    store = RunStore(f"file://{tmp_path}/store/{run.name}")
    RunCopy(store, run, {}).copy()
    before = store.listed()
    assert main(["sweep", "--resume", store.address, "--dry-run", "--no-data"]) == 0
    assert "7" in capsys.readouterr().out
    assert store.listed() == before


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["eval", "ADDRESS", "--predictions", "x.csv"], 2, "scores are written into the run"),
        (["export", "ADDRESS-2", "student"], 4, "there is no run at file://"),
        (["report", "s3://key:secret@bucket/x"], 2, "holds credentials"),
        (["sweep", "--resume", "ADDRESS-2"], 4, "there is no run at file://"),
        (["sweep", "x.yaml", "--start-from", "ADDRESS-2"], 4, "there is no run at file://"),
        (["sweep", "x.yaml", "--out", "foo://x/y"], 2, "foo://x/y is no address of a store"),
        (["sweep", "x.yaml", "--out", "ADDRESS", "--submit", "http://h"], 2, "--out is a folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_message(address, tmp_path, capsys, command, code, message):
    assert main([part.replace("ADDRESS", address) for part in command]) == code
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors
    assert "secret@" not in errors
    assert [file.name for file in (tmp_path / "store").iterdir()] == ["tiny-1"]


def test_a_notebook_keeps_its_runs_on_this_machine(tmp_path):
    with pytest.raises(SpecError, match=r"keeps runs on this machine, got out='s3://bucket/runs'"):
        raykd.sweep("search_spaces/quickstart.yaml", out="s3://bucket/runs")
