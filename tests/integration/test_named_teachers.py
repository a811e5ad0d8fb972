"""A sweep with several teachers on real local Ray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.spec.dump import to_yaml
from raykd.sweep.run import SweepOptions, run_sweep
from tests.integration.conftest import TASK, tiny_spec


@pytest.mark.slow
def test_arms_with_teachers_of_their_own_a_mean_and_a_search_in_several_searches_resumed(
    cluster: None, tmp_path: Path, cache_folder: Path
) -> None:
    plain = tiny_spec().as_dict()
    one = plain["teacher"]
    other = {**one, "model": {**one["model"], "hidden": 16}}
    alpha = {"kind": "uniform", "low": 0.1, "high": 0.9}
    both = {"kind": "choice", "choices": ["one", "other", "both"]}
    arms = {
        "none": {"name": "none", "method": "none"},
        "kd": {"name": "kd", "method": "kd", "fixed": {"teacher": "other"},
               "domains": {"alpha": alpha}},
        "searched": {"name": "searched", "method": "kd", "fixed": {"alpha": 0.7},
                     "domains": {"teacher": both},
                     "start": [{"teacher": name} for name in ("one", "other", "both")]},
    }  # fmt: skip
    spec = tiny_spec(
        teachers={"one": one, "other": other, "both": {"mean": ["one", "other"]}},
        methods=arms, search={"trials": 3, "repeats": 2, "algorithm": {"name": "random"},
                              "scheduler": {"name": "none"}},
        confirm={"seeds": [1]}, resources={"cpus_per_worker": 0.5},
        report={"path": str(tmp_path / "report.html")},
    )  # fmt: skip
    events: list[Any] = []
    options = SweepOptions(out=tmp_path / "runs", cache=cache_folder, confirm=False)
    run = run_sweep(spec, to_yaml(spec), options, events.append)
    before = {t.trial_id: t for t in load_results(run).trials}
    assert {t.stage for t in before.values()} == {"search"}
    resumed = SweepOptions(out=tmp_path / "runs", cache=cache_folder, resume=run)
    run_sweep(spec, to_yaml(spec), resumed, lambda event: None)
    result = load_results(run)
    assert {t.trial_id: t for t in result.trials if t.stage == "search"} == before
    chosen = {(t.arm, t.repeat): t.params.get("teacher") for t in result.trials
              if t.stage == "confirm"}  # fmt: skip
    assert set(chosen) == {(arm, repeat) for arm in arms for repeat in (0, 1)}
    assert all(t.status is Status.COMPLETED for t in result.trials), result.trials
    by_arm = {arm: {t.params.get("teacher") for t in result.trials if t.arm == arm} for arm in arms}
    assert by_arm["none"] == {None}
    assert by_arm["kd"] == {"other"}
    assert by_arm["searched"] == {"one", "other", "both"}
    # Arms have the same budget, and every teacher was prepared once.
    counts = {arm: len(result.of(TASK, arm, "search")) for arm in arms}
    assert set(counts.values()) == {6}
    assert [(t.task, t.name) for t in result.teachers] == [
        (TASK, "one"), (TASK, "other"), (TASK, "both")
    ]  # fmt: skip
    ready = [e["teacher"]["name"] for e in events if e["event"] == "teacher_ready"]
    assert ready == ["one", "other", "both"]
    files = sorted((run / "teachers").glob("*.json"))
    assert {json.loads(file.read_text())["teacher"]["name"] for file in files} == set(ready)
    scores = {t.params["teacher"]: t.objective for t in result.of(TASK, "searched", "search")}
    assert len(scores) == 3
    report = (tmp_path / "report.html").read_text()
    assert "learnt from both" in report
    assert "the mean of 0.5 one + 0.5 other" in report
