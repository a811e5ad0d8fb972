from __future__ import annotations

import json
import os
import platform

import pytest

from raykd.errors import SetupError, SpecError
from raykd.results.records import TaskRecord, TeacherRecord
from raykd.results.store import VERSION
from raykd.spec.load import load_spec
from raykd.sweep import run_folder
from tests.unit.sweep.specs import spec

SOURCE = "name: tiny  # as typed\n"


def made(folder, **changes):
    return run_folder.create(folder, spec(**changes), SOURCE, "raykd sweep tiny.yaml", "none")


def test_a_run_folder_tells_what_was_asked_what_it_means_and_where_it_runs(tmp_path):
    run = made(tmp_path / "runs")
    assert run.parent == tmp_path / "runs"
    assert run.name.startswith("tiny-")
    assert (run / "spec.yaml").read_text() == SOURCE
    assert load_spec(run / "resolved.yaml") == spec()
    env = json.loads((run / "env.json").read_text())
    assert (env["command"], env["baseline"]) == ("raykd sweep tiny.yaml", "none")
    assert env["version"] == VERSION
    assert set(run_folder.PACKAGES) == set(env["packages"])
    assert env["cpus"] > 0
    assert env["float32 products"] == "highest"
    assert sorted(p.name for p in run.iterdir() if p.is_dir()) == [
        "checkpoints", "state", "teachers",
    ]  # fmt: skip


def test_the_commits_of_models_from_the_hub_are_recorded_also_of_a_resumption(tmp_path):
    commits = [{"someone/model@main": digit * 40} for digit in "ab"]
    run = run_folder.create(tmp_path, spec(), SOURCE, "raykd sweep", "none", commits=commits[0])
    run_folder.write_resumption(run, spec(), "raykd sweep --resume", {}, commits[1])
    env = json.loads((run / "env.json").read_text())
    assert [env["hub models"], env["resumed"][0]["hub models"]] == commits


def test_two_sweeps_of_the_same_second_have_folders_of_their_own(tmp_path):
    runs = [made(tmp_path) for _ in range(4)]
    assert len(set(runs)) == 4


def test_a_run_folder_is_opened_again_as_it_was_made(tmp_path):
    run = made(tmp_path, search__trials=9)
    again, env = run_folder.reopen(run)
    assert again == spec(search__trials=9)
    assert env["baseline"] == "none"


@pytest.mark.parametrize("damage", ["missing", "no file", "torn"])
def test_what_is_no_run_folder_is_reported(tmp_path, damage):
    run = made(tmp_path)
    if damage == "missing":
        run = tmp_path / "nowhere"
    elif damage == "no file":
        (run / "env.json").unlink()
    else:
        (run / "resolved.json").write_text('{"name": ')
    with pytest.raises(SpecError, match="is not a run folder") as caught:
        run_folder.reopen(run)
    assert "run:" in caught.value.hint


@pytest.mark.parametrize("place", ["file", "file/runs"])
def test_a_place_that_cannot_be_written_is_reported(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot make a run folder") as caught:
        made(tmp_path / place)
    assert caught.value.hint == "choose another place with --out DIR"


def test_a_second_sweep_on_a_run_folder_is_refused_while_the_first_lives(tmp_path):
    run = made(tmp_path)
    with (
        run_folder.lock(run),
        pytest.raises(SetupError, match="another sweep is writing"),
        run_folder.lock(run),
    ):
        pass
    with run_folder.lock(run):
        pass


def test_a_sweep_of_another_machine_on_shared_storage_is_named(tmp_path, monkeypatch):
    run = made(tmp_path)
    monkeypatch.setattr(platform, "node", lambda: "another-host")
    with run_folder.lock(run):
        monkeypatch.undo()
        with (
            pytest.raises(SetupError, match=f"process {os.getpid()} on another-host"),
            run_folder.lock(run),
        ):
            pass
    with run_folder.lock(run):  # once it is over, what it wrote there is no obstacle
        assert "another-host" not in (run / "lock").read_text()


def test_a_lock_that_cannot_be_written_is_reported(tmp_path):
    with (
        pytest.raises(SetupError, match=r"cannot write to .*: No such file"),
        run_folder.lock(tmp_path / "gone"),
    ):
        pass


def test_a_lock_is_released_by_an_error(tmp_path):
    run = made(tmp_path)
    with pytest.raises(KeyboardInterrupt), run_folder.lock(run):
        raise KeyboardInterrupt
    with run_folder.lock(run):
        pass


def test_the_teacher_of_a_task_is_kept(tmp_path):
    run = made(tmp_path)
    teacher = TeacherRecord(
        task="glue/rte", model="m", fingerprint="f", rows=8, metrics={"validation/accuracy": 0.5},
        parameters=10, forwards=3, distinct=3, store_bytes=9, stored={"logits": 9}, seconds=1.0,
        cached=False,
    )  # fmt: skip
    record = TaskRecord(
        name="glue/rte", metric="accuracy", mode="max", metrics=("accuracy",), rows={"train": 3},
        select_on="10% of train", report_on="validation", data_fingerprint="d", truncated=0,
        student="s", student_parameters=4,
    )  # fmt: skip
    run_folder.write_teacher(run, "glue/rte", teacher, record)
    plain = json.loads((run / "teachers" / "glue-rte.json").read_text())
    assert plain["teacher"]["metrics"] == {"validation/accuracy": 0.5}
    assert plain["record"]["select_on"] == "10% of train"
