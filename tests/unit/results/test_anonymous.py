"""What an anonymous report leaves out, and what it keeps."""

import dataclasses
import json

import pytest

from raykd.report.build import render_page
from raykd.results.anonymous import ADDRESS, SOMEONE, anonymous
from raykd.results.export import as_csv, as_json
from raykd.results.logger_record import LoggerRecord
from raykd.results.merge import merge
from raykd.results.records import SweepResult
from raykd.results.store import load_results
from raykd.results.verdict import verdict
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


def with_first(result: SweepResult, **changes) -> SweepResult:
    """The run with another first trial."""
    first = dataclasses.replace(result.trials[0], **changes)
    return dataclasses.replace(result, trials=(first, *result.trials[1:]))


@pytest.mark.parametrize(
    "word", ["test", "search", "confirm", "data", "train", "torch", "max", "kd", "choice"]
)
def test_users_and_hosts_that_are_called_as_raykd_calls_things_change_nothing(
    word: str, result: SweepResult
):
    plain = anonymous(result)
    of = with_first(result, node=word, error=f"OSError: no /home/{word}/a.csv, nor host='{word}'")
    hidden = anonymous(of)
    assert verdict(hidden, "t") == verdict(plain, "t") == verdict(result, "t")
    assert hidden.env == plain.env
    assert hidden.tasks == plain.tasks
    assert hidden.spec == plain.spec
    for field in ("metrics", "params", "stage", "method", "trial_id", "precision", "searched"):
        assert [getattr(t, field) for t in hidden.trials] == [
            getattr(t, field) for t in plain.trials
        ]
    assert (hidden.trials[0].node, hidden.trials[0].error) == (
        "node 1", f"OSError: no a.csv, nor host='{ADDRESS}'"
    )  # fmt: skip


def test_a_host_that_is_called_as_a_key_leaves_a_whole_report(result: SweepResult):
    assert render_page(anonymous(with_first(result, node="data")), "directory")


def test_keys_that_are_paths_or_models_are_changed_like_the_rest(result: SweepResult):
    models = {"/home/jdoe/bert": "c0ffee", "jdoe/small": "beef"}
    spec = {**result.spec, "own_tasks": {"/home/jdoe/t.csv": {"/x/y": "test"}}}
    hidden = anonymous(dataclasses.replace(result, env={"hub models": models}, spec=spec))
    assert hidden.env == {"hub models": {"bert": "c0ffee", f"{SOMEONE}/small": "beef"}}
    assert hidden.spec["own_tasks"] == {"t.csv": {"y": "test"}}


@pytest.mark.parametrize("node", ["127.0.0.1", "127.example", "127"])
def test_the_first_number_of_an_ip_is_no_host(node: str, result: SweepResult):
    error = f"{node}: max_length: 127, 0.127, ~0.5 and 0.5"
    text = "max_length: 127\nx: 0.127\n"
    hidden = anonymous(dataclasses.replace(with_first(result, node=node, error=error),
                                           spec_text=text))  # fmt: skip
    assert hidden.trials[0].node == "node 1"
    assert hidden.trials[0].error.endswith(": max_length: 127, 0.127, ~0.5 and 0.5")
    assert hidden.spec_text == text


def test_what_loggers_were_told_names_no_server_and_nobody(result: SweepResult):
    logger = {"name": "wandb", "params": {"entity": "lab-x", "project": "distil"}}
    why = (
        "ConnectionError: HTTPConnectionPool(host='mlflow.inside', port=5000): Max retries: "
        "cannot resolve mlflow.inside, see http://user:word@mlflow.deep/x - mlflow.deep is down"
    )
    record = LoggerRecord(name="wandb", place="project lab-x/distil, group g", sent=1, unsent=2,
                          why=why)  # fmt: skip
    hidden = anonymous(
        dataclasses.replace(
            result, spec={**result.spec, "loggers": [logger]}, loggers={"wandb": record},
            spec_text="loggers: [{wandb: {entity: lab-x, project: distil}}]\n",
        )
    )  # fmt: skip
    assert hidden.loggers["wandb"].name == "wandb"
    assert hidden.loggers["wandb"].place == f"project {SOMEONE}/distil, group g"
    assert hidden.loggers["wandb"].why == (
        f"ConnectionError: HTTPConnectionPool(host='{ADDRESS}', port=5000): Max retries: "
        f"cannot resolve {ADDRESS}, see {ADDRESS} - {ADDRESS} is down"
    )
    assert hidden.spec["loggers"] == [
        {"name": "wandb", "params": {"entity": SOMEONE, "project": "distil"}}
    ]
    assert hidden.spec_text == f"loggers: [{{wandb: {{entity: {SOMEONE}, project: distil}}}}]\n"


def test_logins_and_hosts_without_a_port_are_addresses(result: SweepResult):
    spec = {**result.spec, "student": {**result.spec["student"], "model": "gpt2@main"}}
    notes = (
        "ssh ann@gpu07, then ann@gpu08.",
        "gpu07.cs.uni.edu is full.",
        "gpt2@main and google/bert@main, self.student.net in torch.nn.functional, 3.5 in a.py",
    )
    hidden = anonymous(dataclasses.replace(result, spec=spec, notes=notes))
    assert hidden.notes == (
        f"ssh {ADDRESS}, then {ADDRESS}.", f"{ADDRESS} is full.", notes[2]
    )  # fmt: skip
    assert hidden.spec["student"]["model"] == "gpt2@main"


def test_users_are_known_by_their_folders_on_clusters(result: SweepResult):
    notes = (
        "no room in /scratch/ann; 3 files of ann/small, in /lustre/lustre/bob/x.csv; see data/bob.",
        "no room in /gpfs/work-eve, nor in data/work-eve",
        "that /users/eve is eve's, /scratch/shared/a.csv and shared words are nobody's",
    )
    hidden = anonymous(dataclasses.replace(result, notes=notes))
    assert hidden.notes == (
        f"no room in {SOMEONE}; 3 files of {SOMEONE}/small, in x.csv; see data/{SOMEONE}.",
        f"no room in {SOMEONE}, nor in data/{SOMEONE}",
        f"that {SOMEONE} is {SOMEONE}'s, a.csv and shared words are nobody's",
    )


def test_projects_on_clusters_are_no_users_in_sentences(result: SweepResult):
    notes = (
        "cannot read /lustre/sweep/rows.csv: the sweep continues",
        "of /lustre/rows.csv and rows.csv, /data/lustre/room/a.csv: no room in room/a",
    )
    hidden = anonymous(dataclasses.replace(result, notes=notes))
    assert hidden.notes == (
        "cannot read rows.csv: the sweep continues",
        "of rows.csv and rows.csv, a.csv: no room in room/a",
    )  # fmt: skip


def test_who_ran_the_sweep_is_known_wherever_the_folder_was(result: SweepResult):
    env = {**result.env, "user": "ann", "resumed": [{"user": "bob"}]}
    notes = ("/p/project-7/ann is full, says bob",)
    hidden = anonymous(dataclasses.replace(result, env=env, notes=notes))
    assert hidden.notes == (f"{SOMEONE} is full, says {SOMEONE}",)
    assert "user" not in hidden.env
    page = render_page(dataclasses.replace(result, env=env, notes=()), "directory")
    assert [name for name in (">ann<", '"ann"', "bob") if name in page] == []
