"""What is shown and recorded holds no secret of an address."""

from __future__ import annotations

import json
import time
from pathlib import PurePosixPath

import pytest

from raykd.cli.main import main
from raykd.cli.output import Format, Output
from raykd.errors import Problem, SetupError, SpecError
from raykd.results.event_log import EventLog
from raykd.secrets import without_secrets
from raykd.spec.addresses import SECRET
from raykd.spec.load import load_spec, to_yaml
from raykd.sweep import run_folder
from raykd.trial.failures import failure
from tests.unit.sweep.specs import spec


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("http://me:pw@host:5000/a", "http://***@host:5000/a"),
        ("postgresql+psycopg2://me:p:w@host/db failed", "postgresql+psycopg2://***@host/db failed"),
        ("see 'https://tok@host' and https://h/?a=1&api_key=x&b=2",
         "see 'https://***@host' and https://h/?a=1&api_key=***&b=2"),
        ("https://host/@user?a=1", "https://host/@user?a=1"),
        ("https://host?mail=me@host#b@c", "https://host?mail=me@host#b@c"),
        ("http://host:8000/a?mail=me@host", "http://host:8000/a?mail=me@host"),
        ("http://[::1]:8000/@user", "http://[::1]:8000/@user"),
        ("http://me:80/p@host", "http://me:80/p@host"),  # nobody can tell
        ("http://me:p/w?#d@host/a?mail=b@c", "http://***@host/a?mail=b@c"),
        ("https://h/#access_token=x", "https://h/#access_token=***"),
        ("jdbc:db://h/a;password=x", "jdbc:db://h/a;password=***"),
        ("https://h/?X-Amz-Credential=x&x%2Dauth[0]=y&a.sas=z&Signature=w&Authorization=v",
         "https://h/?X-Amz-Credential=***&x%2Dauth[0]=***&a.sas=***&Signature=***"
         "&Authorization=***"),
        ("https://h/?author=ann", "https://h/?author=ann"),
        ("sqlite:////tmp/mlflow.db", "sqlite:////tmp/mlflow.db"),
        ("mail me@host", "mail me@host"),
    ],
)  # fmt: skip
def test_user_password_and_keys_of_addresses_are_left_out(text, kept):
    assert without_secrets(text) == kept


PLANTED = "planted-5f1c"
URL = f"https://bob:{PLANTED}@host/x?access_token={PLANTED}"


@pytest.mark.parametrize("text", ["?token" * 20_000, "://" * 40_000, "?" + "key" * 40_000,
                                  "://a:" * 20_000, "&#;key" * 20_000])  # fmt: skip
def test_long_texts_take_no_time(text):
    began = time.process_time()
    assert without_secrets(text) == text
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("style", Format)
def test_results_and_the_log_of_a_command_show_none(style, tmp_path, capsys):
    output = Output()
    output.configure(format=style, log_file=str(tmp_path / "log.txt"))
    output.text(f"from {URL}")
    output.note(f"from {URL}")
    output.record({"from": [URL], "path": PurePosixPath("a"), "error": ValueError(URL)})
    output.table(["from", "n"], [[URL, "1"]])
    output.facts({"from": URL})
    output.close()
    shown = "".join(capsys.readouterr()) + (tmp_path / "log.txt").read_text()
    assert PLANTED not in shown
    assert shown.count("https://***@host/x?access_token=***") == 9


@pytest.mark.parametrize("at", [0, 50, 400])
def test_an_error_shows_none(at):
    error = SetupError(f"cannot reach {URL}", hint=f"look at {URL}")
    line = "x" * at + f"root: {URL}"
    shown = [Problem(message="wrong", file=URL, line=1, column=at + 1, source=line).render()]
    shown += [str(error), error.message, *(repr(problem) for problem in error.problems())]
    assert not [text for text in shown if PLANTED in text]
    assert "https://***@host/x?access_token=***" in str(error)


def test_a_trial_that_failed_is_recorded_without(tmp_path):
    heard = []
    log = EventLog(tmp_path / "events.jsonl", heard.append)
    try:
        raise RuntimeError(f"GET {URL} failed")
    except RuntimeError as exc:
        log.emit("trial_finished", result={"errors": [failure(exc, 1)], "seconds": 2.0})
    (event,) = heard
    assert event["result"]["errors"][0]["error"] == (
        "RuntimeError: GET https://***@host/x?access_token=*** failed"
    )
    assert json.loads((tmp_path / "events.jsonl").read_text()) == event
    assert PLANTED not in str(event)


def test_the_command_of_a_run_is_recorded_without(tmp_path):
    run = run_folder.create(tmp_path, spec(), "", f"raykd sweep f.yaml --address {URL}", "none")
    run_folder.write_resumption(run, spec(), f"raykd sweep --address {URL}", {}, {})
    assert not [p for p in run.rglob("*") if p.is_file() and PLANTED in p.read_text()]


@pytest.mark.parametrize(
    "override",
    [
        f"description=see {URL}", f"data.root={URL}", f"teacher.model={URL}",
        f"report.path={URL}", f"tasks=[{{name: a, kind: text, path: ['{URL}']}}]",
        f"methods.kd.alpha={{choice: ['{URL}', b]}}",
    ],
)  # fmt: skip
def test_a_search_space_holds_none(tmp_path, override, capsys):
    path = tmp_path / "tiny.yaml"
    path.write_text(to_yaml(spec()))
    with pytest.raises(SpecError) as caught:
        load_spec(path, [override])
    assert SECRET in [problem.message for problem in caught.value.problems()]
    for style in ("plain", "json"):
        assert main(["sweep", str(path), "--dry-run", "--set", override, "--format", style]) == 2
        shown = "".join(capsys.readouterr())
        assert SECRET in shown
        assert PLANTED not in shown
