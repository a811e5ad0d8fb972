"""What is worth knowing of data is a note, wherever the data are read."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from raykd.cli.main import main
from raykd.data.notes import listening, note
from raykd.results.event_log import EventLog
from raykd.spec.load import load_spec
from raykd.sweep.run import _warn
from raykd.task_setup.set_up import set_up_task, setup_notes
from tests import synthetic_run
from tests.cases.data_case import csv, jsonl

SPACE = """\
name: case
tasks: [{name: own, path: data, texts: [text], labels: [no, yes]}]
data: {max_length: 16}
teacher:
  model: {family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 200, max_positions: 32}
  finetune: {epochs: 1, batch_size: 8}
student:
  model: {family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 200, max_positions: 32}
train: {epochs: 1, batch_size: 8}
methods: {none: {}}
search: {trials: 1}
"""
NO_ROW = "data/validation.jsonl: 1 of 3 classes have no row: perhaps"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search space, rows without one of its classes, and a file that is not read."""
    rows = [(f"the film was {('bad', 'good')[k % 2]} {k}", ("no", "yes")[k % 2]) for k in range(12)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl").write_text(jsonl(rows))
    (tmp_path / "data/validation.jsonl").write_text(jsonl([(f"{t} x", y) for t, y in rows]))
    (tmp_path / "data/validation.json").write_text("[]")
    three = SPACE.replace("[no, yes]", "[no, yes, perhaps]")
    (tmp_path / "f.yaml").write_text(three)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [(["validate", "f.yaml"], f"note: own: {NO_ROW}"),
     (["sweep", "f.yaml", "--dry-run"], f"note: own: {NO_ROW}"),
     (["trial", "f.yaml", "--arm", "none"], f"note: {NO_ROW}"),
     (["teacher", "f.yaml"], f"note: {NO_ROW}")],
)  # fmt: skip
def test_every_command_says_it_once_and_no_log_line_does(folder, capsys, command, message):
    assert main(command) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines.count(message) == 1
    assert lines.count(message.replace(NO_ROW, "data/validation.jsonl is read, not validation.json "
                                    "next to it")) == 1  # fmt: skip
    assert not [line for line in lines if "WARNING" in line]


def test_a_sweep_keeps_them_among_its_events(folder):
    log: list[dict[str, object]] = []
    setups = {"own": set_up_task(load_spec("f.yaml"), "own")}
    _warn(setups, EventLog(folder / "events.jsonl", log.append), None)
    assert f"own: {NO_ROW}" in [event["message"] for event in log]
    assert all(event["event"] == "note" for event in log)


def test_rows_of_train_that_are_scored_are_reported_before_a_sweep(folder):
    text = (folder / "data/train.jsonl").read_text()
    (folder / "data/validation.jsonl").write_text(text)
    reported = setup_notes(set_up_task(load_spec("f.yaml"), "own"))
    assert any("11 of 12 test rows (92 %) occur among" in m for m, caveat in reported if caveat)


def test_a_column_of_one_score_is_reported(folder):
    space = SPACE.replace("labels: [no, yes]", "kind: regression")
    (folder / "f.yaml").write_text(space)
    for split in ("train", "validation"):
        (folder / f"data/{split}.jsonl").write_text(jsonl([(f"{split} {k}", 1) for k in range(9)]))
    notes = set_up_task(load_spec("f.yaml"), "own").notes
    assert (
        "data/train.jsonl: every row has the score 1: a correlation with it is undefined, and "
        "given as 0"
    ) in notes


def test_quotes_around_fields_of_a_tsv_are_reported(folder):
    for split in ("train", "validation"):
        (folder / f"data/{split}.jsonl").unlink()
        rows = [(f'"he said ""{split} {k}"""', ("no", "yes")[k % 2]) for k in range(9)]
        (folder / f"data/{split}.tsv").write_text(csv(rows).replace(",", "\t"))
    notes = set_up_task(load_spec("f.yaml"), "own").notes
    assert any(
        n.startswith("data/train.tsv: 9 rows have a field that begins and ends with a quote, "
                     "first: line 2") for n in notes
    )  # fmt: skip


def test_nobody_listens_outside_and_the_log_has_it(caplog):
    with listening() as heard:
        note("one")
        note("one")
    with caplog.at_level(logging.WARNING):
        note("two")
    assert heard == ["one"]
    assert [record.getMessage() for record in caplog.records] == ["two"]


@pytest.mark.parametrize(
    "command",
    [["validate", "f.yaml"], ["trial", "f.yaml", "--arm", "none"], ["teacher", "f.yaml"]],
)
def test_every_command_shows_the_place_in_the_file(folder, capsys, command):
    (folder / "f.yaml").write_text(SPACE.replace("texts: [text]", "texts: [body]"))
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "error: f.yaml:2:41: tasks[0].texts[0]: data/train.jsonl has no column 'body'" in err
    assert "     2 | tasks: [{name: own" in err


def test_sizes_that_cannot_be_are_shown_where_they_stand(folder, capsys):
    (folder / "f.yaml").write_text(SPACE.replace("vocabulary: 200", "vocabulary: 16"))
    assert main(["validate", "f.yaml"]) == 2
    assert "error: f.yaml:5:3: teacher.model: a vocabulary of 16" in capsys.readouterr().err


def test_a_task_that_is_not_in_the_file(folder, capsys):
    assert main(["trial", "f.yaml", "--arm", "none", "--task", "owl"]) == 2
    err = capsys.readouterr().err
    assert "the file has no task 'owl'" in err
    assert "did you mean 'own'?" in err


def test_no_more_configurations_are_confirmed_than_there_are_trials(folder):
    spec = load_spec("f.yaml", ["confirm={top_k: 5, seeds: [1, 2]}", "search.trials=3"])
    assert spec.confirm_runs == 6


@pytest.mark.parametrize("version", ["1.3", "2.0", "1.x", "9" * 5000 + ".1"])
def test_a_version_of_yaml_that_does_not_exist(folder, capsys, version):
    (folder / "f.yaml").write_text(f"%YAML {version}\n---\n{SPACE}")
    assert main(["validate", "f.yaml"]) == 2
    err = capsys.readouterr().err
    assert "YAML" in err
    assert "bug" not in err


def test_metrics_are_next_to_the_one_that_decides(folder):
    spec = load_spec("f.yaml", ["tasks[0].metrics=[f1_macro]"])
    assert spec.own_tasks["own"].all_metrics() == ("accuracy", "f1_macro")


@pytest.mark.parametrize("name", ["resolved.json", "resolved.yaml", "env.json"])
@pytest.mark.parametrize("state", ["a folder", "other bytes"])
def test_a_file_of_a_run_that_cannot_be_read_is_named(tmp_path, capsys, name, state):
    run = tmp_path / "run"
    run.mkdir()
    synthetic_run.write_run(run)
    content = (run / name).read_bytes()
    (run / name).unlink()
    if state == "a folder":
        (run / name).mkdir()
    else:
        (run / name).write_bytes(content + b"\xe9")
    assert main(["report", str(run)]) == 1
    err = capsys.readouterr().err
    assert f"error: {run / name} cannot be read: " in err
    assert "bug" not in err
