"""A sweep on a run in a store whose machine is lost, and that another one continues."""

import json
import shutil
import time
from pathlib import Path

import pytest

from raykd.results.diagnose import diagnose
from raykd.results.run_copy import fetch
from raykd.results.run_store import RunStore
from raykd.results.store import load_results, read_events
from raykd.results.store_address import below
from raykd.results.store_lease import LEASE
from tests.integration.test_ends import SEARCH, _ended, _table
from tests.integration.test_sweep import _command, _file, _read_until
from tests.s3_server import ENVIRONMENT, s3_bucket


@pytest.mark.slow
def test_a_sweep_whose_machine_is_lost_ends_elsewhere_as_one_that_was_not(
    cache_folder: Path, prepared: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**ENVIRONMENT, "RAYKD_MIRROR_S": "0.5", "RAYKD_STATE_S": "0"}.items():
        monkeypatch.setenv(name, value)
    slow = {"fixed": {"epochs": 6, "batch_size": 4, "precision": "fp32"},
            "domains": {"lr": {"kind": "loguniform", "low": 1e-4, "high": 1e-2}}}  # fmt: skip
    file = _file(tmp_path, search=SEARCH, train=slow)
    whole = _command("sweep", str(file), "--out", str(tmp_path / "whole"), cache=cache_folder)
    assert _ended(whole)[0] == 0
    (reference,) = (tmp_path / "whole").iterdir()
    with s3_bucket() as address:
        monkeypatch.setenv("RAYKD_RUNS", str(tmp_path / "lost"))
        driver = _command("sweep", str(file), "--out", address, cache=cache_folder)
        _read_until(driver, "trial_finished", 3)
        _read_until(driver, "trial_report", 3)
        driver.kill()
        (run,) = (tmp_path / "lost").glob("*/tiny-*[0-9]")
        of_run = below(address, run.name)
        assert f"continue with: raykd sweep --resume '{of_run}'" in _ended(driver)[1]
        shutil.rmtree(tmp_path / "lost")
        monkeypatch.setenv("RAYKD_RUNS", str(tmp_path / "other"))
        refused = _command("sweep", "--resume", of_run, cache=cache_folder)
        code, errors = _ended(refused)
        # The machine may have taken longer to start it than the lost sweep is waited for.
        assert (code, "last heard of" in errors) == (4, True) or code == 0, errors
        if code:
            _wait_for_lease(of_run)
            code, errors = _ended(_command("sweep", "--resume", of_run, cache=cache_folder))
        assert code == 0, errors
        there = tmp_path / "there" / run.name
        fetch(RunStore(of_run), there)
    result = load_results(there)
    assert _table(result) == _table(load_results(reference))
    events, _ = read_events(there / "events.jsonl")
    resumed = next(k for k, e in enumerate(events) if e["event"] == "sweep_resumed")
    ends = [e["result"]["trial_id"] for e in events if e["event"] == "trial_finished"]
    assert len(ends) == len(set(ends)) == len(result.trials)
    ended_before = sum(e["event"] == "trial_finished" for e in events[:resumed])
    assert 1 <= ended_before < len(ends)
    assert not {c.code for c in diagnose(result)} & {"unfinished-trials", "unequal-trials"}
    assert not any("did not agree" in note for note in result.notes)
    assert json.loads((there / "env.json").read_text())["resumed"]
    assert not list((there / "state").iterdir())
    assert (there / "report.html").stat().st_size > 100_000


def _wait_for_lease(address: str) -> None:
    """Until the sweep that was killed was not heard of for long enough."""
    store = RunStore(address)
    while store.now() - (store.changed(LEASE) or 0.0) < 5.0:
        time.sleep(0.2)
