"""What an anonymous report leaves out, and what it keeps."""

import dataclasses
import json

import pytest

from raykd.report.build import render_page
from raykd.results.anonymous import ADDRESS, SOMEONE, anonymous
from raykd.results.export import as_csv, as_json
from raykd.results.merge import merge
from raykd.results.records import SweepResult
from raykd.results.store import load_results
from tests.synthetic_run import Builder, spec

SECRETS = ("mordor", "jdoe", "/home", "/scratch", "10.1.2.3", "fe80::1", "corp.example",
           "secretdir", "0123abcd", "raykd sweep", "raykd trial ", "raykd export", "my run",
           "6.1-corp", "checkpoints/", "outcomes/")  # fmt: skip
ERROR = (
    "OSError: mordor: cannot read /home/jdoe/secretdir/a.csv (jdoe@corp.example), "
    "10.1.2.3:6379, [fe80::1]:80, gpu.corp.example:8000 and http://corp.example/v1?key=jdoe"
)
TRACE = 'Traceback:\n  File "/home/jdoe/raykd/training/loop.py", line 3, in run\n' + ERROR


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> SweepResult:
    """A run whose records name a machine, a user and places wherever they can."""
    folder = tmp_path_factory.mktemp("runs") / "my run of jdoe"
    plan = spec(trials=2)
    plan = plan.model_copy(update={"description": "by jdoe, see /home/jdoe/notes", "tasks": ("t",)})
    env = {"host": "mordor.corp.example", "system": "Linux 6.1-corp x86_64", "cwd": "/home/jdoe",
           "resumed": [{"host": "isengard", "command": "raykd sweep --resume /home/jdoe/r"}],
           "hub models": {"/scratch/secretdir/bert": "c0ffee"}}  # fmt: skip
    builder = Builder(folder, plan, env)
    builder.start()
    builder.teacher("t", student="/scratch/secretdir/small student")
    for arm in ("none", "kd"):
        builder.trial("t", arm, 0, node="mordor.corp.example", params={"x": "data/jdoe/f.csv"})
        builder.trial("t", arm, 1, "failed", None, error=ERROR, traceback=TRACE, node="isengard")
        for seed in (11, 12, 13):
            builder.trial("t", arm, 0, confirm_seed=seed, test=0.7, node="mordor.corp.example",
                          checkpoint="checkpoints/t/kd/best")  # fmt: skip
    builder.event(
        "note", message="mordor left; isengard and C:\\Users\\jdoe\\x.txt stay at 12:30:45"
    )
    builder.finish()
    (folder / "resolved.yaml").write_text(
        "train: /home/jdoe/my data/rows.csv\nx: data/jdoe/f.csv\nurl: s3://corp.example/b\n"
    )
    plain = json.loads((folder / "resolved.json").read_text())
    plain["data"]["root"] = "data/jdoe/f.csv"
    (folder / "resolved.json").write_text(json.dumps(plain))
    return load_results(folder)


def test_nothing_says_whose_run_it_is(result: SweepResult):
    hidden = anonymous(result)
    written = render_page(hidden, "directory") + as_json(hidden) + as_csv(hidden)
    assert [secret for secret in SECRETS if secret in written] == []
    shown = render_page(result, "directory")
    assert [s for s in SECRETS if s not in shown and s not in ("0123abcd", "outcomes/")] == []


def test_what_was_found_is_still_told(result: SweepResult):
    hidden = anonymous(result)
    assert hidden.name == hidden.run == result.name
    assert [t.trial_id for t in hidden.trials] == [t.trial_id for t in result.trials]
    assert [t.metrics for t in hidden.trials] == [t.metrics for t in result.trials]
    assert {t.node for t in hidden.trials} == {"node 1", "node 2"}
    failed = next(t for t in hidden.trials if t.error)
    assert failed.error == (
        f"OSError: node 1: cannot read a.csv ({ADDRESS}), {ADDRESS}, [{ADDRESS}]:80, {ADDRESS} "
        f"and {ADDRESS}"
    )
    assert 'File "loop.py", line 3' in failed.traceback
    assert hidden.spec["description"] == f"by {SOMEONE}, see notes"
    assert hidden.spec_text == f"train: rows.csv\nx: f.csv\nurl: {ADDRESS}\n"
    assert hidden.env["packages"] == result.env["packages"]
    assert hidden.env["system"] == "Linux x86_64"
    assert hidden.notes == ("node 1 left; node 2 and x.txt stay at 12:30:45",)
    assert hidden.tasks[0].student == "small student"


def test_names_of_the_author_stay(result: SweepResult):
    names = dataclasses.replace(
        result, name="glue/rte and kd", notes=("kd 1/2, google-bert/bert-base, 3.5 and/or \\d+",)
    )
    hidden = anonymous(names)
    assert (hidden.name, hidden.notes) == (names.name, names.notes)


def test_runs_of_a_comparison_stay_apart(result: SweepResult):
    both = merge([anonymous(result), anonymous(result)])
    assert both.run == f"{result.name} + {result.name} (2)"
    assert [secret for secret in SECRETS if secret in render_page(both, "directory")] == []


def test_a_short_name_of_a_host_is_replaced_where_it_stands_alone(result: SweepResult):
    first = dataclasses.replace(result.trials[0], node="vm", error="vm: no kvm, and vmstat")
    hidden = anonymous(dataclasses.replace(result, trials=(first, *result.trials[1:])))
    assert (hidden.trials[0].node, hidden.trials[0].error) == ("node 1", first.error)
