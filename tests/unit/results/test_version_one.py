"""Run folders of version 1 are read, of one that the raykd of then wrote (shortened)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raykd.cli.ls import meaning_of
from raykd.cli.main import main
from raykd.report.build import build_report
from raykd.report.markdown import render_markdown
from raykd.results.merge import load_runs
from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.results.summary import best_trial
from raykd.results.verdict import verdict
from raykd.results.version_one import LACKS, current_events
from raykd.spec.load import load_spec
from raykd.sweep.warm_start import started_from
from tests.synthetic_run import write_run

RUN = Path(__file__).parents[2] / "cases" / "run_of_version_one"
TASK = "toy/sentiment"


def test_arms_metrics_and_splits_have_the_names_of_now():
    result = load_results(RUN)
    assert result.arms == ("none", "kd", "ckd")
    assert {t.arm for t in result.trials} == set(result.arms)
    confirmed = result.of(TASK, "kd", "confirm")
    assert [t.metrics["test/accuracy"] for t in confirmed] == [0.784, 0.731, 0.7855]
    assert result.task(TASK).rows == {
        "teacher": 10_000, "train": 1_000, "validation": 2_000, "test": 2_000
    }  # fmt: skip
    (teacher,) = result.teachers
    assert set(teacher.metrics) == {"validation/accuracy", "test/accuracy"}
    assert (teacher.speed, confirmed[0].row_outcomes, confirmed[0].confusion) == (None, "", ())


def test_a_trial_that_was_cut_short_is_interrupted_in_its_arm():
    cut = next(t for t in load_results(RUN).trials if t.status is Status.INTERRUPTED)
    assert (cut.arm, cut.trial_id, len(cut.history)) == ("ckd", "toy-sentiment.ckd.s002", 1)


def test_the_verdict_is_over_seeds_and_the_report_says_what_is_lacking(tmp_path: Path):
    result = load_results(RUN)
    assert verdict(result, TASK).headline == (
        "kd and ckd cannot be told apart: kd is ahead by 4.8 points, but the interval contains "
        "zero (95 % CI -1.9 to 11.4, 3 seeds, on these rows)."
    )
    assert LACKS in result.notes
    text = render_markdown(result)
    assert LACKS in text
    assert "How much faster the student is was not measured" in text
    pages = [build_report(RUN, tmp_path / f"{k}.html").read_bytes() for k in (1, 2)]
    assert pages[0] == pages[1]
    assert meaning_of("runs", str(RUN)).endswith(verdict(result, TASK).headline)


def test_it_stands_next_to_a_run_of_now(tmp_path: Path):
    other = write_run(tmp_path / "now")
    merged = load_runs([RUN, other.folder])
    assert f"{RUN.name}: {LACKS}" in merged.notes


def test_its_best_configurations_begin_another_search():
    spec = load_spec(Path(__file__).parents[3] / "search_spaces/quickstart.yaml")
    started = started_from(spec, RUN)
    best = best_trial(load_results(RUN).of(TASK, "kd", "search"), "max")
    assert best is not None
    (point,) = started.methods["kd"].start
    assert point == {name: best.params[name] for name in ("alpha", "temperature", "lr")}
    assert all(len(arm.start) == 1 for arm in started.methods.values())


def test_its_student_is_exported(tmp_path: Path):
    run = shutil.copytree(RUN, tmp_path / "run")
    saved = run / "checkpoints/toy-sentiment/kd/best"
    saved.mkdir(parents=True)
    config = {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}
    (saved / "config.json").write_text(json.dumps(config))
    save_file({"weight": np.zeros(2, "float32")}, saved / "model.safetensors")
    assert main(["export", str(run), str(tmp_path / "out"), "--arm", "kd"]) == 0
    assert set(load_file(tmp_path / "out/model.safetensors")) == {"weight"}
    actual = json.loads((tmp_path / "out/raykd.json").read_text())
    assert (actual["arm"], actual["seed"], actual["score"]) == ("kd", 1, 0.784)
    assert actual["scores_by_seed"] == {"1": 0.784, "2": 0.731, "3": 0.7855}
    card = (tmp_path / "out/README.md").read_text()
    assert "| next to the teacher | 4.5 times smaller |" in card
    assert "| this student, seed 1 | 78.4 |" in card


def test_what_has_the_names_of_now_stays_as_it_is(tmp_path: Path):
    events = [json.loads(line) for line in (RUN / "events.jsonl").read_text().splitlines()]
    now = [dict(event) for event in current_events(events)]
    assert list(current_events(now)) == now != events
    assert not any("label" in event for event in now)


@pytest.mark.parametrize("part", ["result", "record", "teacher"])
def test_an_event_that_lost_a_part_is_told_as_in_any_run(tmp_path: Path, part: str):
    run = shutil.copytree(RUN, tmp_path / "run")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    for event in events:
        event.pop(part, None)
    (run / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    with pytest.raises(Exception, match="holds an event that cannot be understood"):
        load_results(run)
