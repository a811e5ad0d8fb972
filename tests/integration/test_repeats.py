"""A sweep of several searches an arm, from its YAML to the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.results.summary import arm_summaries
from raykd.spec.dump import to_yaml
from raykd.sweep.run import SweepOptions, run_sweep
from tests.integration.conftest import TASK, tiny_spec


@pytest.mark.slow
def test_searches_are_repeated_confirmed_and_gone_on_with(
    cluster: None, cache_folder: Path, tmp_path: Path
) -> None:
    def spec(trials: int):
        return tiny_spec(
            search={"repeats": 3, "trials": trials}, confirm={"seeds": [1]},
            report={"path": str(tmp_path / "report.html")},
        )  # fmt: skip

    options = SweepOptions(out=tmp_path / "runs", cache=cache_folder)
    run = run_sweep(spec(1), to_yaml(spec(1)), options, lambda event: None)
    first = load_results(run)
    assert [t.status for t in first.trials] == [Status.COMPLETED] * 12
    for arm in arm_summaries(first, TASK):
        assert sorted(arm.seeds) == [1, 2, 3]
        assert all(len(rows) == first.tasks[0].rows["test"] for rows in arm.outcomes.values())
    assert len({t.seed for t in first.trials if t.stage == "search"}) == 6
    folders = sorted(p.name for p in (run / "checkpoints").glob("*/kd/*"))
    assert folders == ["best", "best-2", "best-3"]
    # Resumed with one trial more: each search goes on with its own.
    more = SweepOptions(out=tmp_path / "runs", cache=cache_folder, resume=run)
    run_sweep(spec(2), to_yaml(spec(2)), more, lambda event: None)
    second = load_results(run)
    search = [t for t in second.trials if t.stage == "search"]
    assert sorted((t.arm, t.repeat, t.number) for t in search) == [
        (arm, repeat, number) for arm in ("kd", "none") for repeat in range(3) for number in (0, 1)
    ]
    for trial in first.trials:
        same = next(
            t for t in second.trials if (t.trial_id, t.params) == (trial.trial_id, trial.params)
        )
        assert same.metrics == trial.metrics
