"""The runs of a comparison."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from raykd.report.build import build_report
from raykd.report.sections import runs, verdict
from raykd.results.merge import merge
from raykd.results.records import SweepResult
from tests.synthetic_run import spec, write_run


def test_what_differs_between_runs_stands_side_by_side(result: SweepResult):
    changed = {**result.spec, "search": {**result.spec["search"], "trials": 99}}
    env = {**result.env, "packages": {"raykd": "0.1.0", "torch": "2.14.0"}}
    other = dataclasses.replace(result, run="other", spec=changed, env=env)
    actual = runs.record(merge([result, other]))
    assert actual is not None
    rows = {row[0]: row[1:] for row in actual.rows}
    assert actual.columns == ("what", result.run, "other")
    assert rows["search.trials"] == ("12", "99")
    assert rows["versions of packages torch"] == ("2.13.0", "2.14.0")
    assert rows["trials"] == (str(len(result.trials)),) * 2
    assert rows["arms"] == ("none, kd, ckd",) * 2
    assert "search.seed" not in rows
    assert actual.heading == "2 runs that differ in 2 settings"


def test_what_is_copied_of_a_comparison_is_for_the_run_that_it_is_of(result: SweepResult):
    kept = tuple(
        dataclasses.replace(t, sweep="other", checkpoint="checkpoints/glue-rte/ckd/best")
        if (t.arm, t.stage) == ("ckd", "confirm")
        else t
        for t in result.trials
    )
    other = dataclasses.replace(result, run="other", trials=kept)
    card = verdict.record(merge([other, result])).tasks[0]
    assert card.verdict.leader == "other/ckd"
    assert card.config.startswith("methods:\n  ckd:\n    lr: ")
    command = dict(card.student)["to use it"]
    assert command == "raykd export runs/other DIR --task glue/mrpc --arm ckd"


def test_a_single_run_has_no_such_section(result: SweepResult):
    assert runs.record(result) is None
    assert runs.record(merge([result])) is None


def test_runs_of_the_same_settings_say_so(tmp_path: Path):
    folders = [write_run(tmp_path / name, spec(trials=4)).folder for name in ("a", "b")]
    page = build_report(folders, tmp_path / "page.html").read_text()
    assert "2 runs of the same settings" in page
