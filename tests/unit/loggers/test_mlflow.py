"""The MLflow logger, on a database as MLflow makes it, and at an address where nobody is.

MLflow 3 keeps its local store in such a database: its store of files (``file:``) is deprecated.
"""

from __future__ import annotations

import contextlib
import io
import shutil

import pytest
from mlflow.tracking import MlflowClient

from raykd.errors import SetupError
from raykd.loggers.mlflow import LOGGER, Params
from tests.unit.loggers.messages import (
    CONFIRMED,
    POINTS,
    SEARCHED,
    TASK,
    VERDICT,
    attempt,
    deliver,
    logger_of,
)

KEYS = "raykd.trial"


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A database that the logger had MLflow make, which takes seconds, and what was printed."""
    folder = tmp_path_factory.mktemp("empty")
    with contextlib.chdir(folder), contextlib.redirect_stderr(io.StringIO()) as message:
        logger_of(
            "mlflow", folder, uri=f"sqlite:///{folder}/mlflow.db", experiment="other"
        ).connect({})
    return folder / "mlflow.db", message.getvalue()


@pytest.fixture
def uri(empty, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where MLflow would put artifacts
    shutil.copy(empty[0], tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def test_nothing_is_printed_into_the_live_view(empty):
    assert empty[1] == ""


def runs(uri):
    """The run of the sweep, and those of trials by name."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("mine")
    actual = {
        run.data.tags.get(KEYS, ""): run for run in client.search_runs([experiment.experiment_id])
    }
    return client, actual.pop(""), actual


def test_two_sessions_are_one_run_with_a_nested_run_for_each_trial(sweeping, uri):
    sweeping.first()
    first = deliver("mlflow", sweeping.run, uri=uri, experiment="mine")
    sweeping.second()
    record = deliver("mlflow", sweeping.run, uri=uri, experiment="mine")
    client, sweep, trials = runs(uri)
    assert first.place == record.place
    assert record.place == f"{uri}, experiment mine, run {sweep.info.run_id}"
    assert set(trials) == {SEARCHED, "glue-rte.kd.s001", CONFIRMED}
    assert {run.data.tags["mlflow.parentRunId"] for run in trials.values()} == {sweep.info.run_id}

    run = trials[SEARCHED]
    assert run.data.params == {"lr": "0.0001", "temperature": "2"}
    assert (run.data.tags["arm"], run.info.status) == ("kd", "FINISHED")
    history = client.get_metric_history(run.info.run_id, "validation/accuracy")
    assert [m.step for m in history] == [30 * k for k in range(1, POINTS + 1)]
    assert run.data.metrics["train/gradient_norm"] == 0.5
    failed = trials["glue-rte.kd.s001"]
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", "loss became NaN")
    steps = client.get_metric_history(failed.info.run_id, "train/lr")
    assert [m.step for m in steps] == [10, 20]
    assert trials[CONFIRMED].data.metrics["test/accuracy"] == 0.64

    assert sweep.info.status == "FINISHED"
    assert sweep.data.params["search.trials"] == "12"
    assert sweep.data.metrics[f"teacher/{TASK}/test/accuracy"] == 0.726
    assert VERDICT in sweep.data.tags["mlflow.note.content"]


def test_what_is_sent_twice_is_there_once(sweeping, uri):
    sweeping.first()
    deliver("mlflow", sweeping.run, uri=uri, experiment="mine")
    state = sweeping.run / "loggers" / "mlflow.json"
    kept = state.read_text()
    state.write_text(kept.replace('"read": ', '"read": 0, "was": '))  # killed before it was kept
    deliver("mlflow", sweeping.run, uri=uri, experiment="mine")
    client, _, trials = runs(uri)
    assert len(trials) == 2
    history = client.get_metric_history(trials[SEARCHED].info.run_id, "validation/accuracy")
    assert len(history) == POINTS


def test_names_and_long_values_that_mlflow_refuses_are_made_fit(sweeping, uri):
    sweeping.builder.trial(TASK, "kd", 0, params={"words": "x" * 9000, "a": None, "lr@1": 1.0})
    sweeping.builder.event("trial_steps", trial_id=SEARCHED, step=5, terms={"recall@5": 1.0},
                           values={})  # fmt: skip
    deliver("mlflow", sweeping.run, uri=uri, experiment="mine")
    _, _, trials = runs(uri)
    assert trials[SEARCHED].data.params["a"] == "null"
    assert trials[SEARCHED].data.metrics["loss/recall_5"] == 1.0


def test_a_server_that_is_not_there_is_one_error_soon(sweeping):
    logger = logger_of("mlflow", sweeping.run, uri="http://127.0.0.1:9", experiment="mine")
    with pytest.raises(Exception, match=r"127\.0\.0\.1"):
        logger.connect({})


def test_a_password_of_the_environment_is_in_no_record(sweeping, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    sweeping.first()
    message: list[str] = []
    record = attempt("mlflow", sweeping.run, message)
    assert (record.sent, record.why) == (0, message[0])
    assert "127.0.0.1" in record.why
    assert "hunter2" not in str(record)


def test_its_package_is_requested_by_the_name_of_the_extra(monkeypatch):
    monkeypatch.setattr(LOGGER, "needs", "no_such_package")
    with pytest.raises(
        SetupError, match="logger 'mlflow' needs the package no_such_pack"
    ) as caught:
        LOGGER.check(Params())
    assert "pip install 'raykd[mlflow]'" in caught.value.hint
