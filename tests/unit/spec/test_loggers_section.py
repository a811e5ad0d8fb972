"""Loggers in the search space: what is read, what is refused, and secrets that are not shown."""

from __future__ import annotations

import pytest

from raykd.errors import SpecError
from raykd.spec.json_schema import file_schema
from raykd.spec.load import load_spec, to_yaml
from tests.unit.spec.files import HEAD

MLFLOW = "{mlflow: {uri: 'http://host:5000', experiment: mine}}"


def load(tmp_path, *lines, overrides=()):
    path = tmp_path / "x.yaml"
    path.write_text(HEAD + "\n".join(("methods: {none: {}}", *lines, "")))
    return load_spec(path, overrides)


def problems(tmp_path, *lines, overrides=()):
    with pytest.raises(SpecError) as caught:
        load(tmp_path, *lines, overrides=overrides)
    return caught.value.problems()


def test_names_and_names_with_parameters(tmp_path):
    actual = load(tmp_path, f"loggers: [csv, {MLFLOW}, {{wandb: {{}}}}]", "log_every: 7")
    assert [logger.name for logger in actual.loggers] == ["csv", "mlflow", "wandb"]
    assert actual.loggers[1].params == {"uri": "http://host:5000", "experiment": "mine"}
    assert (actual.log_every, actual.step_interval) == (7, 7)
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(actual))
    assert load_spec(again) == actual


def test_without_loggers_no_step_is_measured(tmp_path):
    assert load(tmp_path).step_interval == 0
    assert load(tmp_path, "loggers:").loggers == ()
    assert load(tmp_path, "loggers: [csv]").step_interval == 50
    assert load(tmp_path, "loggers: [csv]", "log_every: null").step_interval == 0


def test_who_is_told_does_not_decide_the_results(tmp_path):
    plain = load(tmp_path)
    logged = load(tmp_path, "loggers: [csv]", "log_every: 3")
    assert plain.fingerprint() == logged.fingerprint()


@pytest.mark.parametrize(
    ("line", "where", "message", "hint"),
    [
        ("loggers: csv", "loggers", "must be a list, got csv", "for example loggers: [csv"),
        ("loggers: [mlfow]", "loggers[0]", "unknown logger 'mlfow'", "did you mean 'mlflow'?"),
        ("loggers: [csv, {tensorbord: {}}]", "loggers[1].tensorbord",
         "unknown logger 'tensorbord'", "did you mean 'tensorboard'?"),
        ("loggers: [csv, csv]", "loggers[1]", "logger 'csv' is listed twice", "keep one"),
        ("loggers: [{mlflow: {url: a}}]", "loggers[0].mlflow.url",
         "logger 'mlflow' has no parameter 'url'", "did you mean 'uri'?"),
        ("loggers: [{wandb: {mode: online?}}]", "loggers[0].wandb.mode",
         "'mode' must be auto or online or offline, got online?", ""),
        ("loggers: [{mlflow: {uri: 3}}]", "loggers[0].mlflow.uri", "must be text, got 3", "quote"),
        ("loggers: [{csv: {}, wandb: {}}]", "loggers[0]", "a logger is a name, or {NAME:", ""),
        ("loggers: [{mlflow: here}]", "loggers[0]", "a logger is a name, or {NAME:", ""),
        ("loggers: [3]", "loggers[0]", "a logger is a name, or {NAME: {parameters}}, got 3", ""),
        ("log_every: 0", "log_every", "'log_every' must lie in [1, 1000000], got 0", ""),
        ("log_every: often", "log_every", "must be a whole number, got often", ""),
        ("report_to: [csv]", "report_to", "unknown key 'report_to'", "did you mean 'loggers'?"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_place(tmp_path, line, where, message, hint):
    (problem,) = problems(tmp_path, line)
    assert problem.path == where
    assert message in problem.message
    assert hint in problem.hint


def test_log_every_is_no_setting_of_training(tmp_path):
    (problem,) = problems(tmp_path, overrides=["train.log_every=5"])
    assert problem.hint == "'log_every' is a key of the file itself"


@pytest.mark.parametrize(
    "uri", ["http://me:hunter2@host", "postgresql://me:hunter2@host/db", "https://h/?token=hunter2"]
)
def test_an_address_with_a_secret_is_refused_and_not_shown(tmp_path, uri):
    for lines, overrides in (
        ([f"loggers: [{{mlflow: {{uri: '{uri}'}}}}]"], []),
        ([], [f"loggers=[{{mlflow: {{uri: '{uri}'}}}}]"]),
    ):
        (problem,) = problems(tmp_path, *lines, overrides=overrides)
        assert problem.path == "loggers[0].mlflow.uri"
        assert "may hold no user, password" in problem.message
        assert "hunter2" not in problem.render()


def test_editors_know_the_loggers(tmp_path):
    schema = file_schema()["properties"]
    names = schema["loggers"]["anyOf"][0]["items"]["anyOf"][0]["enum"]
    assert names == ["csv", "mlflow", "tensorboard", "wandb"]
    assert schema["log_every"]["anyOf"][0]["minimum"] == 1
