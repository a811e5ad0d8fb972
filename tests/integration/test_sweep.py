"""Whole sweeps on real local Ray: early stopping, budgets, records, resuming, interrupting.

Each sweep starts its own slots, which is what it costs; several tests therefore look at one sweep.
"""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow.parquet as pq
import pytest
import ray
from optuna.trial import TrialState

import raykd
from raykd import registry
from raykd.cli.main import main
from raykd.notebook.run import Run
from raykd.notebook.sweep import read
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.row_outcomes import read_predictions
from raykd.results.store import load_results, read_events
from raykd.results.verdict import verdict
from raykd.spec.dump import to_yaml
from raykd.spec.load import spec_from_dict
from raykd.sweep.run import SweepOptions, run_sweep
from raykd.sweep.search import open_storage
from raykd.task_setup.set_up import set_up_task
from raykd.teachers.prepared_task import PreparedTask
from tests.integration.conftest import run_here, tiny_spec
from tests.snippets import link, run_block, run_page

RESOURCES = {"cpus_per_worker": 0.5}
TRIALS, EPOCHS = 5, 9


def _run(tmp_path: Path, cache_folder: Path, **changes: Any) -> SweepResult:
    report = {"path": str(tmp_path / "report.html")}
    spec = tiny_spec(**{"resources": RESOURCES, "report": report, **changes})
    options = SweepOptions(out=tmp_path / "runs", cache=cache_folder)
    return load_results(run_sweep(spec, to_yaml(spec), options, lambda event: None))


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """A sweep whose driver was killed, and that was resumed.

    Attributes:
        folder: Where its runs and its report are.
        run: Its run folder.
        before: What was over when the driver was killed.
        result: What came out in the end.
    """

    folder: Path
    run: Path
    before: dict[str, TrialResult]
    result: SweepResult


def _killed_and_resumed(folder: Path, cache: Path, slots: int) -> Resumed:
    """Early stopping, a method from outside the package, and a driver that is killed.

    The driver is a process of its own, on a cluster that outlives it.
    """
    methods = {
        **tiny_spec().as_dict()["methods"],
        "mine": {
            "name": "mine", "method": "tests.integration.foreign_method",
            "domains": {"pull": {"kind": "loguniform", "low": 0.1, "high": 10.0}},
        },
    }  # fmt: skip
    search = {
        "trials": TRIALS, "algorithm": {"name": "tpe"}, "max_concurrent": slots,
        "lag": 1, "control": 0.0,
        "scheduler": {"name": "asha", "params": {"grace_period": 1, "reduction_factor": 3}},
    }  # fmt: skip
    slow = {"fixed": {"epochs": EPOCHS, "batch_size": 8, "precision": "fp32"},
            "domains": {"lr": {"kind": "loguniform", "low": 1e-4, "high": 1e-2}}}  # fmt: skip
    loggers = [{"name": name} for name in ("csv", "tensorboard")]
    file = _file(folder, methods=methods, search=search, train=slow, loggers=loggers, log_every=7)
    out = folder / "runs"
    address = ray.get_runtime_context().gcs_address
    driver = _command(
        "sweep", str(file), "--out", str(out), "--address", address, "--allow-imports", cache=cache
    )
    _read_until(driver, "trial_finished", 4)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    (run,) = out.iterdir()
    before = {t.trial_id: t for t in load_results(run).trials if t.status != "interrupted"}
    assert len(before) >= 4
    code, errors = run_here("sweep", "--resume", str(run), cache=cache)
    assert code == 0, errors
    return Resumed(folder=folder, run=run, before=before, result=load_results(run))


@pytest.fixture(scope="module")
def killed(
    cluster: None,
    prepared: PreparedTask,
    cache_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Resumed:
    return _killed_and_resumed(tmp_path_factory.mktemp("killed"), cache_folder, slots=1)


@pytest.fixture(scope="module")
def stopped_early(killed: Resumed) -> tuple[SweepResult, Path]:
    """A sweep with early stopping on one slot, with a method from outside the package."""
    return killed.result, killed.folder


def test_early_stopping_on_one_slot_never_blocks_the_next_trial(
    stopped_early: tuple[SweepResult, Path],
) -> None:
    result, _ = stopped_early
    for arm in ("none", "kd", "mine"):
        trials = result.of("toy/sentiment", arm, "search")
        assert len(trials) == TRIALS, "every arm has the same budget"
        assert {t.status for t in trials} <= {Status.COMPLETED, Status.PRUNED}
    searched = [t for t in result.trials if t.stage == "search"]
    pruned = [t for t in searched if t.status is Status.PRUNED]
    assert pruned
    for trial in searched:
        epochs = trial.history[-1].epoch
        assert (epochs < EPOCHS) == (trial.status is Status.PRUNED)


def test_studies_hold_stopped_trials_as_pruned(stopped_early: tuple[SweepResult, Path]) -> None:
    result, folder = stopped_early
    run = folder / "runs" / result.run
    notified = {Status.COMPLETED: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED}
    for arm in ("none", "kd", "mine"):
        study = optuna.load_study(study_name=f"toy/sentiment {arm}", storage=open_storage(run))
        trials = {t.number: t for t in result.of("toy/sentiment", arm, "search")}
        assert len(study.trials) == TRIALS
        for trial in study.trials:
            actual = trials[trial.number]
            assert trial.state is notified[actual.status]
            assert trial.params == {k: actual.params[k] for k in actual.searched}
            reported = [e.metrics["accuracy"] for e in actual.history]
            assert list(trial.intermediate_values.values()) == reported


def test_loggers_have_everything_once_also_what_came_before_the_kill(
    killed: Resumed,
) -> None:
    result, place = killed.result, killed.run / "loggers"
    with (place / "csv" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    for trial in result.trials:
        notified = [row for row in rows if row["trial"] == trial.trial_id]
        evaluated = [int(r["step"]) for r in notified if r["name"] == "validation/accuracy"]
        assert evaluated == [e.step for e in trial.history]
        steps = [int(row["step"]) for row in notified if row["name"] == "train/tokens_per_s"]
        assert steps == sorted(set(steps))
        if trial.trial_id in killed.before:
            due = list(range(7, trial.history[-1].step + 1, 7))
            assert steps[: len(due)] == due
    events = [p for p in (place / "tensorboard").iterdir() if list(p.glob("events.out.*"))]
    assert {p.name for p in events} == {t.trial_id for t in result.trials} | {"sweep"}
    with (place / "csv" / "verdicts.csv").open() as file:
        (message,) = csv.DictReader(file)
    assert message["verdict"].startswith(verdict(result, "toy/sentiment").headline)
    assert {logger.unsent for logger in result.loggers.values()} == {0}
    report = (killed.folder / "report.html").read_text()
    assert "Everything was logged: csv, tensorboard" in report


def test_run_folder_is_complete(stopped_early: tuple[SweepResult, Path]) -> None:
    result, folder = stopped_early
    run = folder / "runs" / result.run
    assert (folder / "report.html").read_bytes() == (run / "report.html").read_bytes()
    assert pq.read_table(run / "trials.parquet").num_rows == len(result.trials)
    for name in ("spec.yaml", "resolved.yaml", "env.json", "teachers/toy-sentiment.json"):
        assert (run / name).is_file()
    assert not list((run / "state").iterdir()), "states of finished trials are gone"
    events, torn = read_events(run / "events.jsonl")
    assert not torn
    # Slots are sent home afterwards: nothing that is written waits for them.
    ends = [e for e in events if e["event"] in ("sweep_finished", "report_written")]
    assert [e["event"] for e in ends] == ["sweep_finished", "report_written"]
    assert ends[0]["status"] == "done"
    assert {e["event"] for e in events[events.index(ends[1]) + 1 :]} <= {"slot", "node"}


def test_teacher_runs_once_per_row_and_confirm_pairs_seeds(
    stopped_early: tuple[SweepResult, Path],
) -> None:
    result, _ = stopped_early
    (teacher,) = result.teachers
    assert teacher.forwards == teacher.distinct == 96 + 240 + 240
    assert teacher.speed is not None
    assert teacher.speed.rows == 30
    assert teacher.speed.teacher_bytes > teacher.speed.student_bytes > 0
    assert teacher.speed.teacher_ms > 0
    assert teacher.speed.student_ms > 0
    confirmed = [t for t in result.trials if t.stage == "confirm"]
    assert len(confirmed) == 3 * 2
    assert all("test/accuracy" in t.metrics for t in confirmed)
    by_seed = Counter(t.seed for t in confirmed)
    assert list(by_seed.values()) == [3, 3], "all arms share the seeds"


def test_the_exported_student_gives_the_recorded_predictions(
    stopped_early: tuple[SweepResult, Path], tmp_path: Path
) -> None:
    from transformers import pipeline

    result, folder = stopped_early
    run, to = folder / "runs" / result.run, tmp_path / "student"
    assert main(["export", str(run), str(to), "--arm", "kd"]) == 0
    assert "| next to the teacher | 2.7 times smaller, " in (to / "README.md").read_text()
    exported = json.loads((to / "raykd.json").read_text())["trial"]
    (trial,) = (t for t in result.trials if t.trial_id == exported)
    rows = set_up_task(spec_from_dict(result.spec), trial.task).rows["test"]
    answers = pipeline("text-classification", model=str(to))(list(rows.texts[0]))
    labels = registry.load("tasks", trial.task).labels
    right = [a["label"] == labels[k] for a, k in zip(answers, rows.labels, strict=True)]
    assert right == result.row_outcomes[trial.row_outcomes].astype(bool).tolist()
    assert [a["label"] for a in answers] == read_predictions(run, trial)
    assert np.mean(right) == trial.metrics["test/accuracy"]


def _opened_in_place_of_a_sweep(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`raykd.sweep` reads what it is given as it does, and returns a run that is there."""

    def sweep(source: Any, *, overrides: Any = (), progress: bool | None = None) -> Run:
        read(source, overrides)
        return Run(run)

    monkeypatch.setattr(raykd, "sweep", sweep)


def test_the_python_of_the_documents_works_on_it(
    killed: Resumed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    _opened_in_place_of_a_sweep(killed.run, monkeypatch)
    headline = verdict(killed.result, "toy/sentiment").headline
    shown = run_page("docs/how-to/notebook.md", tmp_path)
    assert shown["run"].folder == killed.run
    assert set(shown["scores"]["arm"]) >= {"none", "kd"}
    assert capsys.readouterr().out.count(headline) == 1
    link(tmp_path / "search_spaces", Path(__file__).parents[2] / "search_spaces")
    run_block("docs/reference/python-api.md", 0, tmp_path)
    assert capsys.readouterr().out.splitlines() == [headline]


def test_the_rows_of_the_document_are_read(
    killed: Resumed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    link(tmp_path / "runs/RUN", killed.run)
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "runs/RUN", "--predictions", "rows.parquet"]) == 0
    by_row = run_block("docs/how-to/evaluate.md", 0, tmp_path)["by_row"]
    assert set(by_row.columns) == {"kd", "mine", "none"}
    confirmed = [t for t in killed.result.trials if t.stage == "confirm" and t.arm == "kd"]
    mean = np.mean([t.metrics["test/accuracy"] for t in confirmed])
    assert by_row["kd"].mean() == pytest.approx(mean)


@dataclass(frozen=True, kw_only=True)
class Interrupted:
    """A sweep that Ctrl-C ended.

    Attributes:
        code: What the command ended with.
        seconds: What it took to end.
        message: What it wrote to stderr.
        folder: Where its runs and its report are.
        run: Its run folder.
        result: What is in there.
    """

    code: int
    seconds: float
    message: str
    folder: Path
    run: Path
    result: SweepResult


@pytest.fixture(scope="module")
def interrupted(
    stopped_early: tuple[SweepResult, Path],
    cache_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Interrupted:
    """A sweep with one arm more than `stopped_early`, interrupted after two trials of many."""
    folder = tmp_path_factory.mktemp("interrupted")
    shape = {"family": "bert", "heads": 2, "layers": 1, "vocabulary": 400, "max_positions": 64}
    methods = {
        "pkd": {"name": "pkd", "method": "pkd"}, **tiny_spec().as_dict()["methods"],
    }  # fmt: skip
    file = _file(
        folder, methods=methods, student={"model": {**shape, "hidden": 32}},
        search={"trials": 200, "algorithm": {"name": "random"}, "max_concurrent": 1},
    )  # fmt: skip
    out = folder / "runs"
    with _ctrl_c_after(out, "trial_finished", 2) as sent:
        code, message = run_here("sweep", str(file), "--out", str(out), cache=cache_folder)
    seconds = time.monotonic() - sent[0]
    (run,) = out.iterdir()
    return Interrupted(
        code=code,
        seconds=seconds,
        message=message,
        folder=folder,
        run=run,
        result=load_results(run),
    )


@pytest.mark.slow
def test_one_arm_more_records_what_is_missing_and_trains_no_teacher_again(
    stopped_early: tuple[SweepResult, Path], interrupted: Interrupted
) -> None:
    first, result = stopped_early[0].teachers[0], interrupted.result
    (teacher,) = result.teachers
    assert teacher.weights == first.weights
    assert teacher.history == first.history
    assert teacher.metrics == first.metrics
    assert not teacher.cached
    # The rows of training once more, for the hidden states.
    assert teacher.forwards == teacher.distinct + 96
    assert "hidden_states" in teacher.stored
    assert any(
        "what is missing is made: recorded of hidden_states" in n for n in result.teacher_notes
    )
    assert {t.precision for t in result.trials} == {"fp32"}


@pytest.mark.slow
def test_two_objectives_are_searched_together(
    cluster: None, cache_folder: Path, tmp_path: Path
) -> None:
    search = {
        "trials": 2, "algorithm": {"name": "tpe"}, "max_concurrent": 1,
        "objective": [{"metric": "accuracy"}, {"metric": "latency_ms"}],
    }  # fmt: skip
    result = _run(tmp_path, cache_folder, search=search, confirm={"seeds": []})
    run = tmp_path / "runs" / result.run
    study = optuna.load_study(study_name="toy/sentiment kd", storage=open_storage(run))
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    for trial in study.trials:
        assert trial.state is TrialState.COMPLETE
        assert trial.values[1] > 0


@contextlib.contextmanager
def _ctrl_c_after(out: Path, kind: str, count: int) -> Iterator[list[float]]:
    """Interrupt this process once the only run in a folder has had `count` events of a kind.

    Gives the time of the interrupt, which is nobody's when the block ends before.
    """
    sent: list[float] = []
    over = threading.Event()

    def seen() -> int:
        logs = list(out.glob("*/events.jsonl"))
        return sum(e["event"] == kind for log in logs for e in read_events(log)[0])

    def watch() -> None:
        while not over.wait(0.05):
            if seen() >= count:
                sent.append(time.monotonic())
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield sent
    finally:
        over.set()
        watcher.join()


def _command(*arguments: str, cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "RAYKD_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "raykd", *arguments, "--format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def _read_until(process: subprocess.Popen[str], kind: str, count: int) -> None:
    """Read events until `count` of a kind were seen."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{") and json.loads(line)["event"] == kind:
            count -= 1
            if count == 0:
                return
    pytest.fail(f"the sweep ended early: {process.stderr.read() if process.stderr else ''}")


def _file(tmp_path: Path, **changes: Any) -> Path:
    report = {"path": str(tmp_path / "report.html")}
    spec = tiny_spec(**{"resources": RESOURCES, "report": report, **changes})
    path = tmp_path / "tiny.yaml"
    path.write_text(to_yaml(spec))
    return path


def test_killed_driver_loses_nothing_and_repeats_nothing(killed: Resumed) -> None:
    check_nothing_lost(killed)


@pytest.mark.slow
def test_killed_driver_of_two_slots_loses_nothing_and_repeats_nothing(
    cluster: None, prepared: PreparedTask, cache_folder: Path, tmp_path: Path
) -> None:
    check_nothing_lost(_killed_and_resumed(tmp_path, cache_folder, slots=2))


def check_nothing_lost(of: Resumed) -> None:
    run, result = of.run, of.result
    ended = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    finished = Counter(
        e["result"]["trial_id"] for e in ended
        if e["event"] == "trial_finished" and e["result"]["status"] != "interrupted"
    )  # fmt: skip
    assert set(finished.values()) == {1}, "nothing that ended ran again"
    after = {t.trial_id: t for t in result.trials}
    assert {k: after[k] for k in of.before} == of.before
    for arm in ("none", "kd", "mine"):
        study = optuna.load_study(study_name=f"toy/sentiment {arm}", storage=open_storage(run))
        assert not [t for t in study.trials if not t.state.is_finished()]
        counted = [
            t for t in result.of("toy/sentiment", arm, "search")
            if t.status in (Status.COMPLETED, Status.PRUNED)
        ]  # fmt: skip
        assert len(counted) == TRIALS
        assert len(result.of("toy/sentiment", arm, "confirm")) == 2


def test_a_sweep_finds_the_teacher_that_another_process_made_in_the_cache(
    killed: Resumed, prepared: PreparedTask
) -> None:
    (teacher,) = killed.result.teachers
    assert teacher.cached
    assert teacher.fingerprint == prepared.fingerprint


@pytest.mark.slow
def test_interrupt_keeps_results_and_writes_the_report(interrupted: Interrupted) -> None:
    assert interrupted.code == 130, interrupted.message
    assert interrupted.seconds < 60
    result = interrupted.result
    assert result.interrupted
    assert len([t for t in result.trials if t.status is Status.COMPLETED]) >= 2
    assert (interrupted.folder / "report.html").stat().st_size > 100_000
    assert f"raykd sweep --resume {interrupted.run}" in interrupted.message


def test_request_that_no_node_can_hold_is_refused_with_the_arithmetic(
    cluster: None, cache_folder: Path, tmp_path: Path
) -> None:
    file = _file(tmp_path, resources={"cpus_per_worker": 999})
    code, errors = run_here("sweep", str(file), "--out", str(tmp_path / "runs"), cache=cache_folder)
    assert code == 2
    assert "resources.cpus_per_worker" in errors
    assert "999" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_confirm_runs_by_a_plan_keep_their_rows_and_a_lost_one_runs_once_more(
    cluster: None, tmp_path: Path, cache_folder: Path
) -> None:
    methods = {
        **{k: v for k, v in tiny_spec().as_dict()["methods"].items() if k == "none"},
        "once": {
            "name": "once", "method": "tests.integration.fails_once",
            "fixed": {"counted": str(tmp_path / "counted")},
        },
    }  # fmt: skip
    train = {"fixed": {"epochs": 1, "batch_size": 32, "precision": "fp32", "lr": 3e-3}}
    result = _run(
        tmp_path, cache_folder, methods=methods, train=train,
        search={"trials": 1, "algorithm": {"name": "random"}, "max_concurrent": 1},
        confirm={"seeds": {"start": 3, "then": [4]}},
    )  # fmt: skip
    run = tmp_path / "runs" / result.run
    events, _ = read_events(run / "events.jsonl")
    kinds = [e["event"] for e in events]
    first = next(k for k, e in enumerate(events) if e.get("stage") == "confirm")
    assert kinds.index("seed_plan") < first
    failed = [e["result"] for e in events if e["event"] == "trial_finished"
              and e["result"]["status"] == "failed"]  # fmt: skip
    assert ["a bad node" in r["error"] for r in failed] == [True]
    again = [e["trial_id"] for e in events if e.get("retry_of")]
    assert again == [failed[0]["trial_id"]]
    confirmed = [t for t in result.trials if t.stage == "confirm"]
    assert all(t.status is Status.COMPLETED for t in confirmed)
    for trial in confirmed:
        outcomes = result.row_outcomes[trial.row_outcomes]
        assert len(outcomes) == 240
        assert outcomes.mean() == pytest.approx(trial.metrics["test/accuracy"], abs=1e-6)
        assert sum(map(sum, trial.confusion)) == 240
        assert sum(row[k] for k, row in enumerate(trial.confusion)) == outcomes.sum()
    (plan,) = result.seed_plans.values()
    assert plan.ended
    assert len({t.seed for t in confirmed}) == plan.seeds
    assert f"{plan.seeds} seeds and 240 rows" in verdict(result, result.tasks[0].name).headline
