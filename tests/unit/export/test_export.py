"""A student is exported whole with a card of what it is, or one message says why not."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from safetensors.numpy import load_file, save_file

from raykd.cli.main import main
from raykd.export.chosen import choose
from raykd.export.licences import base_model
from raykd.export.model_card import NO_LICENCE
from raykd.models import shards
from raykd.results.public import public, public_name
from raykd.results.records import Status
from raykd.spec.schema import ArmSpec
from tests.synthetic_run import SEEDS, Builder, write_run
from tests.synthetic_run import spec as search_space

SAVED = f".c0.{SEEDS[0]}"
CONFIG = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}


def with_students(folder: Path, **env) -> Path:
    """A run whose confirmed arms have files of a student each."""
    builder = write_run(folder, **env)
    for trial in builder.trials:
        if trial.stage == "confirm" and trial.trial_id.endswith(SAVED):
            saved = folder / place_of(trial.task, trial.arm)
            saved.mkdir(parents=True)
            (saved / "config.json").write_text(json.dumps(CONFIG))
            save_file({trial.arm: np.zeros(2, "float32")}, saved / "model.safetensors")
    lines = []
    for line in (folder / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "trial_finished" and event["result"]["trial_id"].endswith(SAVED):
            result = event["result"]
            result["checkpoint"] = place_of(result["task"], result["arm"])
        lines.append(json.dumps(event))
    (folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def place_of(task: str, arm: str) -> str:
    return f"checkpoints/{task.replace('/', '-')}/{arm}/best"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return with_students(tmp_path_factory.mktemp("runs") / "ckd_glue-20260101-000000")


def reported(capsys) -> str:
    return capsys.readouterr().err


def test_the_folder_has_the_files_of_the_student_and_where_it_comes_from(run, tmp_path, capsys):
    to = tmp_path / "student"
    arguments = ["export", str(run), str(to), "--task", "glue/rte", "--arm", "ckd"]
    assert main([*arguments, "--licence", "apache-2.0"]) == 0
    assert str(to) in capsys.readouterr().out
    assert set(load_file(to / "model.safetensors")) == {"ckd"}
    assert {p.name for p in to.iterdir()} == {
        "config.json", "model.safetensors", "README.md", "raykd.json"
    }  # fmt: skip
    actual = json.loads((to / "raykd.json").read_text())
    student = choose(run, "glue/rte", "ckd")
    assert (actual["arm"], actual["seed"]) == ("ckd", SEEDS[0])
    assert actual["parameters"] == dict(student.trial.params)
    assert actual["score"] == student.trial.metrics["test/accuracy"]
    assert list(actual["scores_by_seed"]) == [str(seed) for seed in SEEDS]
    assert actual["verdict"][0] == student.verdict.headline
    assert actual["data"]["fingerprint"]
    assert not list(tmp_path.glob(".student*"))


def test_large_weights_are_exported_in_several_files(tmp_path, capsys, monkeypatch):
    run = with_students(tmp_path / "run")
    saved = run / place_of("glue/rte", "kd") / "model.safetensors"
    save_file({name: np.full(500, k, "float32") for k, name in enumerate("abc")}, saved)
    monkeypatch.setattr(shards, "SHARD_BYTES", 4000)
    arguments = ["export", str(run), str(tmp_path / "out"), "--task", "glue/rte", "--arm", "kd"]
    assert main([*arguments, "--dry-run", "--format", "json"]) == 0
    planned = json.loads(capsys.readouterr().out)["files"]
    assert main(arguments) == 0
    written = {p.name: p.stat().st_size for p in (tmp_path / "out").iterdir()}
    assert written == planned
    assert set(written) == {
        "config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
        "model.safetensors.index.json", "README.md", "raykd.json",
    }  # fmt: skip


def test_model_hubs_read_the_card(run, tmp_path):
    to = tmp_path / "student"
    arguments = ["export", str(run), str(to), "--task", "glue/rte", "--arm", "ckd"]
    assert main([*arguments, "--licence", "apache-2.0"]) == 0
    card = ModelCard.load(to / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    assert "ckd" in card.data.tags
    (result,) = card.data.eval_results
    trial = choose(run, "glue/rte", "ckd").trial
    assert (result.metric_type, result.dataset_name) == ("accuracy", "glue/rte")
    assert result.metric_value == trial.metrics["test/accuracy"]
    for part in ("How it scores", "Before you trust this", "Data", "apache-2.0", "wrdist"):
        assert part in card.text
    assert NO_LICENCE not in card.text
    lines = card.text.splitlines()
    (seeds,) = (line for line in lines if line.startswith("| its seeds |"))
    assert [f"{seed}: " in seeds for seed in SEEDS] == [True] * len(SEEDS)
    others = [line for line in lines if line.startswith("| the arm ")]
    assert len(others) > 2
    assert all("95 % CI" in line for line in others)


def test_licences_of_teacher_and_data_are_in_the_card_or_not_stated(run, tmp_path):
    of = ["--task", "glue/rte", "--arm", "ckd"]
    named = ["--teacher-licence", "mit", "--data-licence", "cc-by-4.0"]
    assert main(["export", str(run), str(tmp_path / "one"), *of, *named]) == 0
    text = (tmp_path / "one" / "README.md").read_text()
    for row in ("| this student | not stated |", "| its teacher | mit |", "| its data | cc-by-4.0"):
        assert row in text
    assert NO_LICENCE in text
    facts = json.loads((tmp_path / "one" / "raykd.json").read_text())
    assert facts["licences"] == {"student": None, "teacher": "mit", "data": "cc-by-4.0"}


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"student": {"model": "google/small"}, "teacher": {"model": "google/large"}},
         "google/small"),
        ({"student": {"from_teacher": {"layers": [0]}}, "teacher": {"model": "google/large"}},
         "google/large"),
        ({"student": {"from_teacher": {"layers": [0]}}, "teacher": {"model": "/home/me/large"}},
         None),
        ({"student": {"model": "models/of/mine"}}, None), ({"student": {"model": "tests"}}, None),
        ({"student": {"model": {"family": "bert"}}}, None), ({}, None),
    ],
)  # fmt: skip
def test_the_model_that_a_student_began_from_is_named_where_the_hub_has_it(spec, name, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[3])
    assert base_model(spec) == name


def test_the_arm_that_the_verdict_takes_is_exported_and_without_one_the_command_wants_a_name(
    run, tmp_path, capsys
):
    actual = choose(run, "glue/rte")
    assert actual.verdict.decided
    assert actual.trial.arm == actual.verdict.leader
    open_run = tied(tmp_path / "tied")
    assert main(["export", str(open_run), str(tmp_path / "out")]) == 2
    assert "no arm is better than all others" in (output := reported(capsys))
    assert "--arm " in output
    assert not (tmp_path / "out").exists()


def tied(folder: Path) -> Path:
    """A run whose two arms are equal."""
    arms = {name: ArmSpec(name=name, method=name) for name in ("none", "kd")}
    builder = Builder(
        folder, search_space(trials=1).model_copy(update={"methods": arms, "tasks": ("glue/rte",)})
    )
    builder.start()
    builder.teacher("glue/rte", score=0.8)
    for arm in arms:
        builder.trial("glue/rte", arm, 0, objective=0.7)
    for k, seed in enumerate(SEEDS):
        for arm, shift in (("none", 0.01), ("kd", -0.01)):
            value = 0.7 + shift * (-1) ** k
            builder.trial("glue/rte", arm, 0, objective=value, confirm_seed=seed, test=value)
    builder.finish()
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arm", "ckd"], "the run has 2 tasks"),
        (["--task", "glue/rt", "--arm", "ckd"], "did you mean 'glue/rte'"),
        (["--task", "glue/rte", "--arm", "cdk"], "did you mean 'ckd'"),
    ],
)
def test_what_is_not_there_is_one_message(run, tmp_path, capsys, arguments, message):
    assert main(["export", str(run), str(tmp_path / "out"), *arguments]) == 2
    assert message in (output := reported(capsys))
    assert "Traceback" not in output
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_left_alone(run, tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    of = ["--task", "glue/rte", "--arm", "kd"]
    assert main(["export", str(run), str(tmp_path), *of]) == 4
    assert "is not empty" in reported(capsys)
    assert main(["export", str(run), str(tmp_path), *of, "--dry-run"]) == 4
    assert "is not empty" in reported(capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "empty").mkdir()
    assert main(["export", str(run), str(tmp_path / "empty"), *of]) == 0
    assert (tmp_path / "empty" / "config.json").is_file()


def test_a_place_that_cannot_be_written_leaves_nothing(run, tmp_path, capsys):
    of = ["--task", "glue/rte", "--arm", "kd"]
    (tmp_path / "file").write_text("")
    assert main(["export", str(run), str(tmp_path / "file" / "below"), *of]) == 4
    assert "cannot write the student" in reported(capsys)


def test_an_arm_without_a_student_says_why(tmp_path, capsys):
    arms = {name: ArmSpec(name=name, method=name) for name in ("none", "kd")}
    builder = Builder(
        tmp_path / "run",
        search_space(trials=1).model_copy(update={"methods": arms, "tasks": ("glue/rte",)}),
    )
    builder.start()
    builder.teacher("glue/rte", score=0.8)
    for arm in arms:
        builder.trial("glue/rte", arm, 0, objective=0.7)
    builder.trial("glue/rte", "none", 0, Status.FAILED, None, confirm_seed=11, error="ran out")
    builder.finish()
    out = str(tmp_path / "out")
    assert main(["export", str(tmp_path / "run"), out, "--arm", "kd"]) == 2
    assert "'kd' was not confirmed on glue/rte" in reported(capsys)
    assert main(["export", str(tmp_path / "run"), out, "--arm", "none"]) == 2
    assert "ran out" in reported(capsys)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "where there is nothing now"),
        (lambda saved: os.remove(saved / "config.json"), "config.json cannot be read"),
        (lambda saved: os.remove(saved / "model.safetensors"), "no weights that are read"),
        (lambda saved: os.truncate(saved / "model.safetensors", 60), "is not whole: "),
        (lambda saved: os.truncate(saved / "model.safetensors", 0), "is empty"),
        (lambda saved: (saved / "config.json").write_text('{"arch'), "is not JSON"),
    ],
)
def test_a_student_that_would_not_be_loaded_is_not_exported(damage, message, tmp_path, capsys):
    run = with_students(tmp_path / "run")
    damage(run / place_of("glue/rte", "kd"))
    of = ["--task", "glue/rte", "--arm", "kd"]
    assert main(["export", str(run), str(tmp_path / "out"), *of]) == 2
    assert message in (output := reported(capsys))
    assert "raykd sweep --resume RUN trains it again" in output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("google-bert/bert-base-uncased", "google-bert/bert-base-uncased"),
        ("/home/Jane Doe/models/teacher/", "teacher"), ("~jane/models/teacher", "teacher"),
        ("../secret/a.csv", "a.csv"), ("file:///home/j/x.csv", "x.csv"), ("C:\\jane\\x", "x"),
        ("https://example.org/some/file", "https://example.org/some/file"), ("1/2", "1/2"),
    ],
)  # fmt: skip
def test_paths_are_cut_to_their_last_part(name, shown):
    assert public_name(name) == shown
    reported = "(address)" if "https:" in shown else shown
    assert public({"train": [name, 3], "x": {"y": name}}) == {
        "train": [reported, 3],
        "x": {"y": reported},
    }


def test_the_folder_in_use_can_be_the_target(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), ".", "--task", "glue/rte", "--arm", "kd"]) == 0
    assert (tmp_path / "config.json").is_file()


def test_nothing_of_the_machine_is_in_the_card(tmp_path):
    run = with_students(tmp_path / "run", host="somehost", command="raykd sweep /home/me/x.yaml")
    to = tmp_path / "out"
    assert main(["export", str(run), str(to), "--task", "glue/rte", "--arm", "kd"]) == 0
    written = (to / "README.md").read_text() + (to / "raykd.json").read_text()
    assert "somehost" not in written
    assert "/home/me" not in written
    assert str(tmp_path) not in written
    assert "\nraykd sweep x.yaml\n" in written


def test_no_server_of_the_inside_is_published(tmp_path):
    run = with_students(tmp_path / "run")
    plain = json.loads((run / "resolved.json").read_text())
    plain["teacher"]["endpoint"] = "http://10.1.2.3:8000/v1"
    plain["loggers"] = [{"name": "mlflow", "params": {"uri": "http://mlflow.inside:5000"}}]
    (run / "resolved.json").write_text(json.dumps(plain))
    events = (run / "events.jsonl").read_text()
    (run / "events.jsonl").write_text(events.replace("BERT <", "llm at http://10.1.2.3:8000/v1 <"))
    to = tmp_path / "out"
    assert main(["export", str(run), str(to), "--task", "glue/rte", "--arm", "kd"]) == 0
    facts = json.loads((to / "raykd.json").read_text())
    assert facts["search_space"]["teacher"]["endpoint"] == "(address)"
    assert "loggers" not in facts["search_space"]
    assert facts["teacher"]["model"].startswith("llm at (address) ")
    written = (to / "README.md").read_text() + (to / "raykd.json").read_text()
    assert [of for of in ("10.1.2.3", "mlflow.inside") if of in written] == []
    assert "llm at (address)" in written
