"""Sweeps that are ended from outside: what is written and printed, and that they can continue."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raykd.results.diagnose import diagnose
from raykd.results.records import Status, SweepResult, TrialResult
from raykd.results.store import load_results, read_events
from tests.integration.test_sweep import RESOURCES, _command, _file, _read_until

SEARCH = {"trials": 4, "algorithm": {"name": "tpe"}, "max_concurrent": 1}


def _busy(tmp_path: Path, how: str, slots: int, resources: Any = RESOURCES, **search: Any) -> Path:
    """A sweep whose second arm never comes back from a step."""
    stuck = {
        "name": "stuck", "method": "tests.integration.stuck_method", "fixed": {"how": how},
    }  # fmt: skip
    methods = {"none": {"name": "none", "method": "none"}, "stuck": stuck}
    return _file(
        tmp_path, methods=methods, resources=resources,
        search={**SEARCH, "max_concurrent": slots, **search},
    )  # fmt: skip


def _until_stuck(process: subprocess.Popen[str]) -> None:
    """Read events until one trial is over and one of the arm that gets stuck has begun."""
    assert process.stdout is not None
    missing = {"trial_finished", "trial_started"}
    for line in process.stdout:
        event = json.loads(line) if line.startswith("{") else {"event": ""}
        if event["event"] == "trial_finished" or event.get("arm") == "stuck":
            missing.discard(event["event"])
        if not missing:
            return
    pytest.fail(f"the sweep ended early: {process.stderr.read() if process.stderr else ''}")


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=300)
    return process.returncode, errors


@pytest.mark.parametrize(
    ("number", "code", "how", "slots"),
    [
        (signal.SIGINT, 130, "loop", 1),
        (signal.SIGTERM, 143, "loop", 1),
        (signal.SIGINT, 130, "sleep", 2),
    ],
)
@pytest.mark.slow
def test_a_signal_while_a_slot_is_busy_ends_the_sweep_well(
    cache_folder: Path, prepared: object, tmp_path: Path,
    number: signal.Signals, code: int, how: str, slots: int,
) -> None:  # fmt: skip
    out = tmp_path / "runs"
    file = _busy(tmp_path, how, slots)
    driver = _command("sweep", str(file), "--out", str(out), "--allow-imports", cache=cache_folder)
    _until_stuck(driver)
    time.sleep(1.0)
    began = time.monotonic()
    driver.send_signal(number)
    returned, errors = _ended(driver)
    assert returned == code, errors
    assert time.monotonic() - began < 60
    (run,) = out.iterdir()
    assert f"continue with: raykd sweep --resume {run}" in errors
    result = load_results(run)
    assert result.interrupted
    assert result.finished
    assert pq.read_table(run / "trials.parquet").num_rows == len(result.trials) >= 2
    assert (run / "report.html").stat().st_size > 100_000
    assert "Traceback" not in errors
    assert "core_worker" not in errors


def _failed(file: Path, cache: Path) -> TrialResult:
    """The trial of the arm that gets stuck, which failed while the other arm continued."""
    out = file.parent / "runs"
    driver = _command("sweep", str(file), "--out", str(out), "--allow-imports", cache=cache)
    returned, errors = _ended(driver)
    assert returned == 3, errors  # an arm without a completed trial
    (run,) = out.iterdir()
    result = load_results(run)
    done = [t for t in result.trials if t.arm == "none" and t.status is Status.COMPLETED]
    assert len(done) == 3
    (stuck,) = result.of("toy/sentiment", "stuck", "search")
    assert stuck.status is Status.FAILED
    return stuck


@pytest.mark.slow
def test_a_trial_that_never_ends_fails_with_where_it_was_and_the_sweep_continues(
    cache_folder: Path, prepared: object, tmp_path: Path
) -> None:
    file = _busy(tmp_path, "loop", 1, trials=1, trial_time_limit_s=8.0)
    stuck = _failed(file, cache_folder)
    assert stuck.error.startswith("took longer than search.trial_time_limit (8 s)")
    assert "stuck_method.py" in stuck.traceback


@pytest.mark.slow
def test_a_trial_that_takes_all_memory_fails_with_the_figure_and_the_sweep_continues(
    cache_folder: Path, prepared: object, tmp_path: Path
) -> None:
    limited = {**RESOURCES, "memory_gb_per_worker": 1.5}
    file = _busy(tmp_path, "eat", 1, trials=1, resources=limited)
    eater = _failed(file, cache_folder)
    assert re.match(
        r"took (1\.[5-9]|2\.\d) GiB of memory, of 1\.5 GiB that it may have", eater.error
    )


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_says_how_to_continue(
    cache_folder: Path, prepared: object, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    driver = _command(
        "sweep",
        str(_busy(tmp_path, "sleep", 1)),
        "--out",
        str(out),
        "--allow-imports",
        cache=cache_folder,
    )
    _until_stuck(driver)
    driver.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    driver.send_signal(signal.SIGINT)
    returned, errors = _ended(driver)
    assert (returned, time.monotonic() - began < 10) == (130, True), errors
    (run,) = out.iterdir()
    assert f"continue with: raykd sweep --resume {run}" in errors


def _what(trial: TrialResult) -> dict[str, Any]:
    """A trial without times and places."""
    return {
        "number": trial.number, "seed": trial.seed, "params": dict(trial.params),
        "status": trial.status, "metrics": dict(trial.metrics),
        "history": [(e.step, e.metrics, e.terms) for e in trial.history],
    }  # fmt: skip


def _table(result: SweepResult) -> dict[str, dict[str, Any]]:
    return {t.trial_id: _what(t) for t in result.trials}


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_as_one_that_was_not(
    cache_folder: Path, prepared: object, tmp_path: Path
) -> None:
    """With one slot every trial, and what is searched after the kill, is the same to the bit."""
    halving = {"name": "asha", "params": {"grace_period": 1, "reduction_factor": 2}}
    slow = {"fixed": {"epochs": 6, "batch_size": 4, "precision": "fp32"},
            "domains": {"lr": {"kind": "loguniform", "low": 1e-4, "high": 1e-2}}}  # fmt: skip
    file = _file(tmp_path, search={**SEARCH, "scheduler": halving}, train=slow)
    whole = _command("sweep", str(file), "--out", str(tmp_path / "whole"), cache=cache_folder)
    cut = tmp_path / "cut"
    assert _ended(whole)[0] == 0
    driver = _command("sweep", str(file), "--out", str(cut), cache=cache_folder)
    _read_until(driver, "trial_finished", 3)
    _read_until(driver, "trial_report", 1)
    driver.kill()
    assert "continue with: raykd sweep --resume" in _ended(driver)[1]
    (run,) = cut.iterdir()
    resumed = _command("sweep", "--resume", str(run), cache=cache_folder)
    returned, errors = _ended(resumed)
    assert returned == 0, errors
    (reference,) = (tmp_path / "whole").iterdir()
    result = load_results(run)
    assert _table(result) == _table(load_results(reference))
    again = [e for e in read_events(run / "events.jsonl")[0] if e.get("retry_of")]
    assert again
    assert all(e["retry_of"] == e["trial_id"] for e in again)
    assert not {c.code for c in diagnose(result)} & {"unfinished-trials", "unequal-trials"}
    assert json.loads((run / "env.json").read_text())["resumed"]
    assert not list((run / "state").iterdir())


@pytest.mark.slow
def test_two_slots_search_what_one_searches(
    cache_folder: Path, prepared: object, tmp_path: Path
) -> None:
    """Suggestions of TPE, what ASHA stops, and every score, to the bit."""
    actual = []
    for slots in (1, 2):
        folder = tmp_path / str(slots)
        folder.mkdir()
        search = {
            "trials": 8, "max_concurrent": slots,
            "algorithm": {"name": "tpe", "params": {"startup_trials": 2}},
            "scheduler": {"name": "asha", "params": {"grace_period": 1, "reduction_factor": 2}},
        }  # fmt: skip
        short = {"fixed": {"epochs": 3, "batch_size": 8, "precision": "fp32"},
                 "domains": {"lr": {"kind": "loguniform", "low": 1e-4, "high": 1e-2}}}  # fmt: skip
        file = _file(folder, search=search, train=short)
        sweep = _command("sweep", str(file), "--out", str(folder / "runs"), cache=cache_folder)
        code, errors = _ended(sweep)
        assert code == 0, errors
        (run,) = (folder / "runs").iterdir()
        actual.append(load_results(run))
    one, two = actual
    assert _table(one) == _table(two)
    assert {t.slot for t in two.trials} == {0, 1}
    assert Status.PRUNED in {t.status for t in one.trials}
    assert set(one.lags.values()) == set(two.lags.values())
