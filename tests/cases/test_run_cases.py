"""Small things that once lost a run, or made it say what was not so. None of them needs Ray."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from raykd import ray_private
from raykd.cli.main import main
from raykd.clusters import cluster_process, connection, local_cluster
from raykd.errors import ClusterLost, SetupError, SpecError, Stopped
from raykd.results.diagnose import diagnose
from raykd.results.event_log import EventLog
from raykd.results.records import Status
from raykd.results.store import load_results, read_events
from raykd.spec.load import load_spec, to_yaml
from raykd.sweep import input_hashes, run_folder
from raykd.sweep.loggers import Loggers
from raykd.sweep.run import Conclusion, SweepOptions, run_sweep
from raykd.task_setup.set_up import set_up_task
from tests.synthetic_run import Builder, write_run
from tests.synthetic_run import spec as search_space
from tests.unit.sweep.specs import TASK, spec

OWN = """
name: own
tasks:
  - name: mood
    path: {data}
    texts: [text]
    label: label
    labels: [bad, good]
data: {{max_length: 16, report_on: {{split: validation}}}}
teacher:
  model: {{family: bert, layers: 1, hidden: 16, heads: 2, vocabulary: 60}}
  finetune: {{epochs: 1, lr: 1e-3}}
student:
  model: {{family: bert, layers: 1, hidden: 8, heads: 2, vocabulary: 60}}
train: {{epochs: 1, lr: {{loguniform: [1e-4, 1e-2]}}}}
methods: {{none: {{}}, kd: {{}}}}
search: {{trials: 2}}
confirm: {{seeds: [1]}}
"""


def written(folder):
    """Every file of a folder, byte for byte."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def new_run(tmp_path, inputs=None, **changes):
    run = run_folder.create(tmp_path, spec(**changes), "", "raykd sweep", "none", inputs)
    log = EventLog(run / "events.jsonl", lambda event: None)
    log.emit("sweep_started", name="tiny", run=run.name, tasks=[TASK], arms=["none"], trials=4)
    return run


def options(tmp_path, run, **more):
    return SweepOptions(out=tmp_path, resume=run, cache=tmp_path / "cache", **more)


# Budgets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", ["whole", "torn", "missing"])
@pytest.mark.parametrize(
    ("trials", "wanted"),
    [
        ("0", ">= 1, got 0"),
        ("-3", ">= 1, got -3"),
        ("1000001", "<= 1000000, got 1000001"),
        ("9" * 20, f"<= 1000000, got {'9' * 20}"),
    ],
)
def test_a_resumption_with_no_budget_is_refused_and_leaves_the_run_as_it_was(
    tmp_path, capsys, trials, wanted, shown
):
    run = new_run(tmp_path)
    if shown == "torn":  # resolved.yaml is for people to read: nothing is decided by it
        (run / "resolved.yaml").write_text("name: [")
    elif shown == "missing":
        (run / "resolved.yaml").unlink()
    before = written(run)
    assert main(["sweep", "--resume", str(run), "--trials", trials]) == 2
    message = capsys.readouterr().err
    assert f"--trials: 'trials' must be {wanted}" in message
    assert "bug" not in message
    assert written(run) == before
    assert run_folder.reopen(run)[0] == spec()


def test_a_larger_budget_is_taken():
    assert run_folder.with_budget(spec(), 9) == spec(search__trials=9)


def test_a_search_space_cannot_be_given_a_budget_that_is_none():
    with pytest.raises(SpecError, match="'trials' must be >= 1, got 0"):
        spec().with_trials(0)


def test_nothing_is_written_that_could_not_be_read_again(tmp_path):
    run = new_run(tmp_path)
    before = written(run)
    unchecked = spec().search.model_copy(update={"trials": 0})
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        run_folder.write_spec(run, spec().model_copy(update={"search": unchecked}))
    assert written(run) == before


# Run folders that cannot be continued ----------------------------------------------------------


def test_a_run_folder_of_another_version_is_refused_and_left_as_it_was(tmp_path, capsys):
    run = new_run(tmp_path)
    env = json.loads((run / "env.json").read_text())
    (run / "env.json").write_text(json.dumps({**env, "version": 99}))
    before = written(run)
    assert main(["sweep", "--resume", str(run)]) == 2
    assert "run folder of version 99" in capsys.readouterr().err
    assert written(run) == before


@pytest.mark.parametrize("command", [["sweep", "--resume"], ["trial", "--trial", "t"]])
def test_runs_of_version_one_do_not_go_on_which_is_said_in_one_line(
    tmp_path, capsys, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    run = new_run(tmp_path / "runs").relative_to(tmp_path)
    env = json.loads((run / "env.json").read_text())
    (run / "env.json").write_text(json.dumps({**env, "version": 1}))
    before = written(run)
    assert main([*command, str(run)]) != 0
    out, err = capsys.readouterr()
    message = [line for line in (out + err).splitlines() if "is a run folder of" in line]
    assert len(message) == 1
    assert f"{run} is a run folder of version 1, this raykd continues 2" in message[0]
    assert written(run) == before


@pytest.mark.parametrize(
    ("place", "value", "named"),
    [
        (("search", "trials"), 0, "search.trials"),
        (("search", "trials"), "many", "search.trials"),
        (("train",), 3, "train"),
        (("resources", "workers"), None, "resources.workers"),
    ],
)
def test_a_value_of_a_run_folder_that_cannot_be_read_is_named(
    tmp_path, capsys, place, value, named
):
    run = new_run(tmp_path)
    plain = json.loads((run / "resolved.json").read_text())
    inner = plain
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (run / "resolved.json").write_text(json.dumps(plain))
    assert main(["sweep", "--resume", str(run)]) == 2
    message = capsys.readouterr().err
    assert "resolved.json" in message
    assert named in message
    assert "bug" not in message


def test_a_run_folder_that_is_something_else_altogether_is_reported(tmp_path, capsys):
    run = new_run(tmp_path)
    for content in ("[]", "3", '{"name": 1}'):
        (run / "resolved.json").write_text(content)
        assert main(["sweep", "--resume", str(run)]) == 2
        assert "bug" not in capsys.readouterr().err


def test_an_event_log_that_cannot_be_read_is_reported_before_anything_is_written(tmp_path):
    run = new_run(tmp_path)
    (run / "events.jsonl").write_text("something else\n")
    before = written(run)
    with pytest.raises(Exception, match="expected a JSON object"):
        run_sweep(spec(), "", options(tmp_path, run), lambda event: None)
    assert written(run).keys() - {"lock"} == before.keys()
    assert {k: v for k, v in written(run).items() if k != "lock"} == before


# Other data, models and versions ---------------------------------------------------------------


@pytest.fixture
def own(tmp_path):
    """A sweep on rows of the user's own, and the run folder that an earlier driver began."""
    data = tmp_path / "data"
    data.mkdir()
    for split, rows in (("train", 24), ("validation", 8)):
        with (data / f"{split}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "label"])
            table.writerows(
                [f"word{k % 7} of row {k}", ("bad", "good")[k % 2]] for k in range(rows)
            )
    file = tmp_path / "own.yaml"
    file.write_text(OWN.format(data=data))
    sweep = load_spec(file)
    inputs = {"mood": input_hashes.hash_inputs(set_up_task(sweep, "mood"))}
    run = run_folder.create(tmp_path, sweep, "", "raykd sweep", "none", inputs)
    EventLog(run / "events.jsonl", lambda event: None).emit(
        "sweep_started", name="own", run=run.name, tasks=["mood"], arms=["none"], trials=2
    )
    return sweep, run, data


def no_ray(address):
    """In place of a connection: everything that a resumption checks comes before it."""
    raise SetupError("here Ray would start")


def change_a_row(data, split="train", row=3, column=0, to="other words"):
    with (data / f"{split}.csv").open(newline="") as file:
        table = list(csv.reader(file))
    table[row][column] = to
    with (data / f"{split}.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table)


def test_a_resumption_on_the_same_data_continues(tmp_path, own, monkeypatch):
    sweep, run, _ = own
    monkeypatch.setattr("raykd.sweep.run.connected", no_ray)
    with pytest.raises(SetupError, match="here Ray would start"):
        run_sweep(sweep, "", options(tmp_path, run, command="again"), lambda event: None)
    env = json.loads((run / "env.json").read_text())
    assert [e["command"] for e in (env, *env["resumed"])] == ["raykd sweep", "again"]
    assert env["resumed"][0]["packages"] == env["packages"]
    resumed = next(e for e in read_events(run / "events.jsonl")[0] if e["event"] == "sweep_resumed")
    assert (resumed["changed"], resumed["versions"]) == ([], [])


@pytest.mark.parametrize(
    ("split", "column", "to"),
    [("train", 0, "other words"), ("train", 1, "good"), ("validation", 0, "other words")],
)
def test_a_resumption_on_changed_rows_is_refused(tmp_path, own, monkeypatch, split, column, to):
    sweep, run, data = own
    monkeypatch.setattr("raykd.sweep.run.connected", no_ray)
    change_a_row(data, split, row=1, column=column, to=to)
    before = written(run)
    with pytest.raises(SpecError, match="data rows of mood") as caught:
        run_sweep(sweep, "", options(tmp_path, run), lambda event: None)
    assert "--allow-changes" in caught.value.hint
    assert {k: v for k, v in written(run).items() if k != "lock"} == before


def test_a_resumption_on_changed_rows_continues_where_the_user_says_so(tmp_path, own, monkeypatch):
    sweep, run, data = own
    monkeypatch.setattr("raykd.sweep.run.connected", no_ray)
    change_a_row(data)
    (run / "state" / "mood.kd.s000.1.safetensors").write_text("of a trial on other rows")
    allowed = options(tmp_path, run, allow_changes=True)
    with pytest.raises(SetupError, match="here Ray would start"):
        run_sweep(sweep, "", allowed, lambda event: None)
    assert not list((run / "state").iterdir())
    notes = load_results(run).notes
    assert any("although inputs changed: data rows of mood" in note for note in notes)
    # From now on these are the rows that it continues with.
    with pytest.raises(SetupError, match="here Ray would start"):
        run_sweep(sweep, "", options(tmp_path, run), lambda event: None)


def test_a_resumption_on_changed_rows_does_not_begin_while_states_of_others_stay(
    tmp_path, own, monkeypatch
):
    sweep, run, data = own
    monkeypatch.setattr("raykd.sweep.run.connected", no_ray)
    change_a_row(data)
    (run / "state").rename(tmp_path / "elsewhere")
    (run / "state").symlink_to(tmp_path / "elsewhere")
    allowed = options(tmp_path, run, allow_changes=True)
    with pytest.raises(SetupError, match="inputs that changed, and cannot be deleted") as caught:
        run_sweep(sweep, "", allowed, lambda event: None)
    assert caught.value.hint == "delete it and resume again"
    (run / "state").unlink()
    with pytest.raises(SetupError, match="here Ray would start"):
        run_sweep(sweep, "", allowed, lambda event: None)


def test_another_teacher_is_refused():
    before = {"t": {"data rows": "1", "teacher": "2", "student": "3"}}
    assert input_hashes.changed_inputs(before, {"t": {**before["t"], "teacher": "4"}}) == (
        "teacher of t",
    )
    assert input_hashes.changed_inputs(before, before) == ()
    assert input_hashes.changed_inputs({}, before) == (), (
        "a run of an earlier raykd has nothing to compare"
    )


def test_other_versions_are_a_note(tmp_path, own, monkeypatch):
    sweep, run, _ = own
    env = json.loads((run / "env.json").read_text())
    env["packages"]["torch"] = "2.0.0"
    (run / "env.json").write_text(json.dumps(env))
    monkeypatch.setattr("raykd.sweep.run.connected", no_ray)
    for _ in range(2):
        with pytest.raises(SetupError, match="here Ray would start"):
            run_sweep(sweep, "", options(tmp_path, run), lambda event: None)
    notes = [n for n in load_results(run).notes if n.startswith("resumed with other versions")]
    assert len(notes) == 1, "the second resumption is on the versions of the first"
    assert "torch 2.0.0 -> " in notes[0]


# Trials that were cut --------------------------------------------------------------------------


def test_a_trial_that_ran_again_is_one_trial_and_no_caveat(tmp_path):
    builder = Builder(tmp_path)
    builder.teacher("glue/rte")
    for arm in ("none", "kd", "ckd"):
        for number in range(2):
            builder.trial("glue/rte", arm, number)
    lines = (builder.folder / "events.jsonl").read_text().splitlines()
    cut = next(
        k for k, line in enumerate(lines)
        if '"trial_finished"' in line and '"glue-rte.kd.s001"' in line
    )  # fmt: skip
    whole = load_results(builder.folder)
    # The driver died before that end; the next one ran the trial again, under the same name.
    again = [line for line in lines if "glue-rte.kd.s001" in line]
    resumed = json.dumps({"event": "sweep_resumed", "time": 1e9})
    text = "\n".join([*lines[:cut], resumed, *again, *lines[cut + 1 :]]) + "\n"
    (builder.folder / "events.jsonl").write_text(text)
    result = load_results(builder.folder)
    assert sorted(t.trial_id for t in result.trials) == sorted(t.trial_id for t in whole.trials)
    assert [t for t in result.trials if t.status is Status.INTERRUPTED] == []
    for trial in result.trials:
        assert [e.step for e in trial.history] == sorted({e.step for e in trial.history})
    codes = {c.code for c in diagnose(result)}
    assert not codes & {"unfinished-trials", "unequal-trials"}


def test_a_trial_that_was_cut_twice_keeps_the_evaluations_of_both(tmp_path):
    builder = Builder(tmp_path)
    builder.teacher("glue/rte")
    builder.trial("glue/rte", "kd", 0)
    lines = (builder.folder / "events.jsonl").read_text().splitlines()
    begin = next(line for line in lines if '"trial_started"' in line)
    reports = [line for line in lines if '"trial_report"' in line]
    text = [*lines[: lines.index(begin)], begin, *reports[:2], begin, *reports[1:3]]
    (builder.folder / "events.jsonl").write_text("\n".join(text) + "\n")
    (trial,) = load_results(builder.folder).trials
    assert [e.epoch for e in trial.history] == [1, 2, 3]


def test_what_was_said_of_an_end_is_not_said_of_a_run_that_continued(tmp_path):
    run = new_run(tmp_path)
    log = EventLog(run / "events.jsonl", lambda event: None)
    Conclusion(spec(), run, log, Loggers(spec(), run)).write(SetupError("no room\nfor anything"))
    assert [n.partition(";")[0] for n in load_results(run).notes] == [
        "the sweep ended with an error"
    ]
    end = read_events(run / "events.jsonl")[0][-1]
    assert (end["status"], end["error"]) == ("failed", "no room\nfor anything")
    log.emit("sweep_resumed")
    Conclusion(spec(), run, log, Loggers(spec(), run)).write(KeyboardInterrupt())
    result = load_results(run)
    assert (result.interrupted, result.notes) == (True, ())
    log.emit("sweep_resumed")
    Conclusion(spec(), run, log, Loggers(spec(), run)).write(None)
    result = load_results(run)
    assert (result.interrupted, result.notes) == (False, ())
    assert result.finished > 0


# Ends ------------------------------------------------------------------------------------------


def test_the_end_is_written_once(tmp_path):
    run = new_run(tmp_path)
    log = EventLog(run / "events.jsonl", lambda event: None)
    conclusion = Conclusion(spec(), run, log, Loggers(spec(), run))

    def ended_twice():
        with conclusion:
            conclusion.write(KeyboardInterrupt())
            (run / "ray" / "late").mkdir(parents=True)  # by what still runs
            raise Stopped(signal.SIGTERM)

    with pytest.raises(Stopped):
        ended_twice()
    ends = [e for e in read_events(run / "events.jsonl")[0] if e["event"] == "sweep_finished"]
    assert [e["status"] for e in ends] == ["interrupted"]
    assert not (run / "ray").exists()


def test_states_of_trials_whose_end_is_on_record_go_with_the_next_end(tmp_path):
    builder = write_run(tmp_path / "run", search_space("two", trials=2))
    state, log = builder.folder / "state", EventLog(builder.folder / "events.jsonl", print)
    state.mkdir(exist_ok=True)
    ended = [t.trial_id for t in load_results(builder.folder).trials]
    names = [f"{ended[0]}.0000abcd.bf16.1", f"{ended[1]}.0000abcd.2", f"{ended[0]}9.0000abcd.1"]
    for name in names:
        (state / f"{name}.safetensors").write_bytes(b"state")
    with Conclusion(spec(), builder.folder, log, Loggers(spec(), builder.folder)) as conclusion:
        conclusion.write(KeyboardInterrupt())
    assert [path.stem for path in state.iterdir()] == names[2:]  # of one that has not ended


@pytest.mark.parametrize("done", [True, False])
def test_a_cluster_that_is_lost_after_the_end_ends_nothing_more(tmp_path, done):
    run = new_run(tmp_path)
    log = EventLog(run / "events.jsonl", lambda event: None)
    conclusion = Conclusion(spec(), run, log, Loggers(spec(), run))
    conclusion.write(None if done else KeyboardInterrupt())

    def left():
        with conclusion.is_kept():
            raise ClusterLost("the GCS has ended")

    if done:
        left()
    else:
        with pytest.raises(ClusterLost):
            left()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_both_signals_are_an_interruption_with_an_exit_code_of_their_own(
    number, code, monkeypatch, tmp_path
):
    def stopped(*arguments, **given):
        raise Stopped(number)

    monkeypatch.setattr("raykd.sweep.run.run_sweep", stopped)
    file = tmp_path / "tiny.yaml"
    file.write_text(to_yaml(spec()))
    assert issubclass(Stopped, KeyboardInterrupt)
    assert main(["sweep", str(file)]) == code


@pytest.mark.parametrize(
    ("error", "begun", "stays"),
    [(SpecError, False, False), (SpecError, True, True), (SetupError, False, True)],
)
def test_a_sweep_that_is_refused_leaves_no_run_folder(
    error, begun, stays, monkeypatch, tmp_path, capsys
):
    run = tmp_path / "run"

    def refused(spec, source, options, listener):
        run.mkdir()
        of_all = {"time": 0.0, "folder": str(run), "name": "tiny", "tasks": [], "arms": []}
        listener({"event": "sweep_started", "trials": 1, **of_all})
        if begun:
            listener({"event": "teacher_ready", "task": "t", "cached": True, **of_all})
        end = {"status": "failed", "seconds": 1.0, "error": "too large"}
        listener({"event": "sweep_finished", **of_all, **end})
        raise error("too large", hint="lower it")

    monkeypatch.setattr("raykd.sweep.run.run_sweep", refused)
    file = tmp_path / "tiny.yaml"
    file.write_text(to_yaml(spec()))
    assert main(["sweep", str(file), "--format", "json"]) == error.exit_code
    assert run.exists() == stays
    assert (f"continue with: raykd sweep --resume {run}" in capsys.readouterr().err) == stays


HELD = """
import os, signal, subprocess, sys, time
from raykd.cli.signals import Signals
from raykd.clusters.processes import descendants
from raykd.errors import Stopped
from raykd.own_folder import own_folder
child = subprocess.Popen(["sleep", "300"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
assert child.pid in descendants(os.getpid())
with Signals(lambda: "continue with: raykd sweep --resume RUN"):
    try:
        print("ready", child.pid, own_folder("weights"), flush=True)
        time.sleep(300)
    except Stopped as exc:
        print("first", exc.exit_code, flush=True)
        if sys.argv[1] == "once":
            sys.exit(exc.exit_code)
    while True:
        time.sleep(1)
"""


def held(how):
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, how], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    _, child, temporary = process.stdout.readline().split()
    return process, int(child), Path(temporary)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_first_signal_raises_and_lets_the_sweep_end(number, code):
    process, child, temporary = held("once")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, f"first {code}\n"), err
    assert not temporary.exists()
    os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_everything_at_once_and_says_how_to_continue(number):
    process, child, temporary = held("twice")
    process.send_signal(number)
    assert process.stdout.readline().startswith("first")
    began_at = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == "continue with: raykd sweep --resume RUN\n"
    assert not temporary.exists()
    assert time.monotonic() - began_at < 30
    until = time.monotonic() + 30
    while _lives(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not _lives(child)


def _lives(process):
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


WATCHED = """
import os, signal
from raykd.cli.watchdog import Watchdog
with Watchdog() as watchdog:
    watchdog.watch("continue with: raykd sweep --resume RUN")
    {end}
"""


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "continue with: raykd sweep --resume RUN\n"),
        ("os._exit(1)", "continue with: raykd sweep --resume RUN\n"),
        ("pass", ""),
    ],
)
def test_an_end_without_a_word_gets_one(end, message):
    program = [sys.executable, "-c", WATCHED.format(end=end)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == message


def begun_session(folder, number):
    """What Ray makes before it starts anything."""
    session = folder / "ray" / f"session_{number}_{os.getpid()}"
    (session / "logs").mkdir(parents=True)
    (session / "gcs_server_port").touch()
    return session


def test_a_slow_start_of_ray_is_tried_again(monkeypatch, tmp_path):
    tries, begun = [], []
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))

    def start():
        tries.append(begun_session(tmp_path, len(tries)))
        if len(tries) < 3:
            begun.append(subprocess.Popen(["sleep", "300"]))
            raise Exception("The current node timed out during startup.")
        return "10.0.0.1:6379"

    monkeypatch.setattr(ray_private, "start_local_cluster", start)
    monkeypatch.setattr(cluster_process, "START_PAUSE_S", 0.0)
    assert cluster_process.start() == "10.0.0.1:6379"
    assert len(tries) == 3
    for process in begun:
        assert process.wait(30) == -signal.SIGKILL, "what a try began does not stay"
    assert list((tmp_path / "ray").iterdir()) == tries[2:]


def test_a_start_of_ray_that_fails_for_good_says_what_helps_on_this_machine(monkeypatch, tmp_path):
    tries = []
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))

    def fail(**given):
        tries.append(begun_session(tmp_path, len(tries)))
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray_private, "start_local_cluster", fail)
    monkeypatch.setattr(cluster_process, "START_PAUSE_S", 0.0)
    with pytest.raises(SetupError, match="tried 3 times: The current node") as caught:
        cluster_process.start()
    assert "busy" in caught.value.hint
    assert caught.value.hint.endswith(f"Ray's own words are in {tries[2] / 'logs'}")
    assert [*tmp_path.glob("ray/*"), *tmp_path.glob("ray/*/*")] == [tries[2], tries[2] / "logs"]
    monkeypatch.setattr(connection.ray, "init", fail)
    monkeypatch.setattr(connection.ray, "is_initialized", lambda: False)
    with pytest.raises(SetupError) as caught, connection.connected("10.0.0.1:6379"):
        pass
    assert "ray status --address 10.0.0.1:6379" in caught.value.hint


@pytest.fixture
def broken_ray(tmp_path):
    """Processes that are started in a test cannot import Ray."""
    before = dict(os.environ)
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "__init__.py").write_text("raise ImportError('broken')")
    os.environ["PYTHONPATH"] = f"{tmp_path}:{before.get('PYTHONPATH', '')}"
    yield
    os.environ.clear()
    os.environ.update(before)


def test_a_local_cluster_that_cannot_start_is_one_message(broken_ray):
    cluster = local_cluster.LocalCluster()
    try:
        with pytest.raises(SetupError, match=r"raykd does not work with Ray .*, which lacks ray\."):
            cluster.address()
    finally:
        cluster.end()


@pytest.mark.parametrize("end", ["cluster.end()", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_local_cluster_that_nobody_waits_for_ends(end):
    program = (
        "import os, signal\n"
        "from raykd.clusters.local_cluster import LocalCluster\n"
        "cluster = LocalCluster()\n"
        "print(cluster._process.pid, flush=True)\n"
        f"{end}\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    starter = int(ended.stdout)
    until = time.monotonic() + 60
    while is_alive(starter) and time.monotonic() < until:
        time.sleep(0.1)
    assert not is_alive(starter)


def is_alive(process):
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def test_the_handlers_of_the_caller_are_put_back_after_those_of_ray(monkeypatch):
    def init(**given):
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(9))

    mine = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: mine.append(number))
    monkeypatch.setattr(connection.ray, "init", init)
    monkeypatch.setattr(connection.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(connection, "require_head", lambda: None)
    unwatched = SimpleNamespace(lost="", leave=lambda: None)
    monkeypatch.setattr(connection, "GivenCluster", lambda: unwatched)
    try:
        with connection.connected("10.0.0.1:6379"):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert mine == [signal.SIGTERM]
