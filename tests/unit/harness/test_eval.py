"""Confirmed students are evaluated with a local task, and their scores are in the report."""

import dataclasses
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from raykd.cli.main import main
from raykd.harness import lm_eval as harness
from raykd.harness.students import saved_students
from raykd.report.sections import benchmarks
from raykd.results.alpha_spending import Look
from raykd.results.confirmed import configuration_key
from raykd.results.export import as_data
from raykd.results.merge import merge
from raykd.results.outside import compare_outside, read_outside, write_outside
from raykd.results.outside_score import OutsideScore
from raykd.results.store import load_results
from raykd.results.student_mark import mark
from tests.cases.model_folders import bpe_tokenizer, write_decoder, write_encoder
from tests.synthetic_run import Builder, spec

TASK = """
task: colours
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
metadata: {version: 3}
"""
SEEDS = (11, 12)


def decoder(folder: Path, seed: int) -> None:
    write_decoder(folder, bpe_tokenizer(["the film was good"]), seed=seed)


def with_students(folder: Path, write=decoder) -> Path:
    """A run of two arms with a saved student of each of two seeds."""
    arms = {name: arm for name, arm in spec().methods.items() if name in ("none", "kd")}
    plan = spec(trials=1).model_copy(update={"tasks": ("t",), "methods": arms})
    builder = Builder(folder, plan)
    builder.start()
    builder.teacher("t")
    for arm in arms:
        for seed in SEEDS:
            place = f"checkpoints/t/{arm}/{'best' if seed == SEEDS[0] else f'seed-{seed}'}"
            (folder / place).mkdir(parents=True)
            write(folder / place, seed=seed)
            builder.trial("t", arm, 0, confirm_seed=seed, test=0.7, checkpoint=place)
    builder.finish()
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    rows = [{"question": f"the {k} was", "choices": ["good", "bad"], "answer": k % 2}
            for k in range(6)]  # fmt: skip
    data = folder / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    (folder / "colours.yaml").write_text(TASK.replace("DATA", str(data)))
    return folder


def score(arm: str, seed: int, value: float, **changes) -> OutsideScore:
    fields = {"task": "t", "arm": arm, "seed": seed, "repeat": 0, "trial_id": f"t.{arm}.c0.{seed}",
              "benchmark": "colours", "metric": "acc", "value": value, "rows": 6, "shots": 0,
              "mode": "max", "harness": "lm-evaluation-harness 0, task version 3"}  # fmt: skip
    return OutsideScore(**{**fields, **changes})


@pytest.mark.slow
def test_every_saved_student_is_scored_and_the_report_compares_arms(
    tasks, tmp_path, capfd, monkeypatch
):
    run = with_students(tmp_path / "run")
    command = ["eval", str(run), "--include-path", str(tasks), "--", "colours"]
    monkeypatch.chdir(tmp_path)  # no checkout of git
    capfd.readouterr()  # of the making of the students
    assert main(command) == 0, capfd.readouterr().err
    ids = [f"t.{arm}.c0.{seed}" for arm in ("none", "kd") for seed in SEEDS]
    lines = [f"evaluating {of} ({k} of 4)" for k, of in enumerate(ids, start=1)]
    assert capfd.readouterr().err.splitlines() == lines  # nothing of the harness
    actual = read_outside(run)
    assert [(s.arm, s.seed) for s in actual] == [(a, s) for a in ("none", "kd") for s in SEEDS]
    assert {(s.benchmark, s.metric, s.rows, s.shots, s.mode) for s in actual} == {
        ("colours", "acc", 6, 0, "max")
    }
    assert all(0 <= s.value <= 1 for s in actual)
    assert [s.outcomes.mean() for s in actual] == pytest.approx([s.value for s in actual])
    assert actual[0].harness.endswith("task version 3")
    assert main(command) == 0  # again replaces
    assert len(read_outside(run)) == len(actual)
    assert main(["report", str(run), "--plotlyjs", "directory"]) == 0
    page = (run / "report.html").read_text("utf-8")
    assert "4 confirmed students on colours" in page


def test_the_harness_is_quiet_outside_a_checkout(tmp_path, capfd):
    with harness._quiet():
        subprocess.run(["git", "describe", "--always"], cwd=tmp_path)
        list(tqdm(range(2)))
    assert "".join(capfd.readouterr()) == ""
    subprocess.run(["git", "describe", "--always"], cwd=tmp_path)
    assert "not a git repository" in capfd.readouterr().err  # what would be shown


def test_arms_are_compared_by_seed(tmp_path):
    seeds = (1, 2, 3, 4, 5)
    scores = [score("none", s, 0.5 + s / 100) for s in seeds]
    scores += [score("kd", s, 0.6 + s / 100 + (s % 2) / 1000) for s in seeds]
    none, kd = compare_outside(scores, ("none", "kd"), "none")
    assert none.versus is None
    assert kd.versus.mean == pytest.approx(0.1006)
    assert kd.versus.better
    assert kd.p_holm < 0.001
    assert (kd.mean.n, kd.mean.mean) == (5, pytest.approx(0.6306))
    # Of a plan that stopped at its first look, each p value counts four times.
    first = compare_outside(scores, ("none", "kd"), "none", Look(looks=(5, 10, 20), number=0))[1]
    assert first.p_holm == pytest.approx(4 * kd.p_holm, rel=0.01)
    assert first.versus.corrected_alpha == pytest.approx(0.0125, rel=0.01)
    # Lower is better: the sign turns.
    turned = [score(s.arm, s.seed, s.value, mode="min") for s in scores]
    assert compare_outside(turned, ("none", "kd"), "none")[1].versus.mean < 0


def by_row(arm: str, seed: int, right: int, of: int = 20) -> OutsideScore:
    outcomes = np.array([1.0] * right + [0.0] * (of - right), np.float32)
    return score(arm, seed, right / of, rows=of, outcomes=outcomes)


def test_rows_are_a_sample_as_on_the_test_split(tmp_path):
    scores = [by_row("none", s, 10 if s == 1 else 9) for s in range(5)]
    scores += [by_row("kd", s, 12) for s in range(5)]
    alone = [dataclasses.replace(of, outcomes=None) for of in scores]
    assert compare_outside(alone, ("none", "kd"), "none")[1].versus.better  # three rows of twenty
    write_outside(tmp_path, scores)
    kept = read_outside(tmp_path)
    assert [of.outcomes.tolist() for of in kept] == [of.outcomes.tolist() for of in scores]
    _, kd = compare_outside(kept, ("none", "kd"), "none")
    assert kd.versus.mean == pytest.approx(0.14)
    assert kd.versus.undecided
    assert kd.versus.error.rows == 20
    assert kd.mean.high - kd.mean.low > 0.3
    assert kd.versus.bounds == (-1, 1)


def test_rows_of_another_evaluation_do_not_count(tmp_path):
    write_outside(tmp_path, [by_row("kd", 1, 12)])
    write_outside(tmp_path, [score("kd", 1, 0.5, rows=30)])
    assert [of.outcomes for of in read_outside(tmp_path)] == [None]
    names = {p.name for p in (tmp_path / "evaluation_rows").iterdir()}
    again = by_row("kd", 1, 11)
    write_outside(tmp_path, [again, dataclasses.replace(again, benchmark="a/b c")])
    kept = read_outside(tmp_path)
    assert [int(of.outcomes.sum()) for of in kept] == [11, 11]
    assert len({p.name for p in (tmp_path / "evaluation_rows").iterdir()} - names) == 1


def test_several_searches_are_one_value_each():
    scores = [score("kd", s, r + s / 10, repeat=r) for r in (0, 1, 2) for s in (1, 2)]
    (kd,) = compare_outside(scores, ("none", "kd"), "none")
    assert (kd.mean.n, kd.mean.mean) == (3, pytest.approx(1.15))
    by_search = [dataclasses.replace(by_row(arm, s, right + s), repeat=r) for r in (0, 1, 2)
                 for s in (1, 2) for arm, right in (("none", 8), ("kd", 12))]  # fmt: skip
    versus = compare_outside(by_search, ("none", "kd"), "none")[1].versus
    assert (versus.n, versus.error.rows, versus.mean) == (3, 20, pytest.approx(0.2))


def test_scores_are_kept_and_replaced_one_by_one(tmp_path):
    write_outside(tmp_path, [score("kd", 1, 0.5), score("kd", 2, 0.5)])
    write_outside(tmp_path, [score("kd", 1, 0.75)])
    assert [(s.seed, s.value) for s in read_outside(tmp_path)] == [(1, 0.75), (2, 0.5)]


def test_the_section_says_what_few_seeds_are_worth(tmp_path):
    run = with_students(tmp_path / "run", lambda folder, seed: None)
    assert benchmarks.record(load_results(run)) is None
    write_outside(run, [score("none", 11, 0.5), score("kd", 11, 0.75)])
    record = benchmarks.record(load_results(run))
    (table,) = record.tables
    assert "confirm.keep: all" in table.caption
    assert table.rows[1][0:2] == ("kd", "0.75")
    assert table.rows[0][5] == "+0.25 (one seed, not told apart)" or table.rows[1][5] == "baseline"
    assert "colours: acc" in benchmarks.render(record)
    assert "Intervals are over seeds alone" in table.caption
    write_outside(run, [by_row("none", 11, 9), by_row("kd", 11, 12)])
    (table,) = benchmarks.record(load_results(run)).tables
    assert "Intervals are over seeds and rows" in table.caption
    json.dumps(as_data(load_results(run))["outside"])


def test_scores_of_a_student_that_was_replaced_are_left_out(tmp_path):
    run = with_students(tmp_path / "run", lambda folder, seed: None)
    keys = {t.trial_id: configuration_key(t.params) for t in load_results(run).trials}
    own = score("kd", 11, 0.75, params=keys["t.kd.c0.11"])
    write_outside(run, [own, score("kd", 12, 0.5, params="0ther"), score("none", 11, 0.5),
                        score("kd", 11, 0.5, trial_id="t.kd.c1.11")])  # fmt: skip
    assert load_results(run).outside == (own, score("none", 11, 0.5))  # of old files, too
    assert len(read_outside(run)) == 4
    students = saved_students(load_results(with_students(tmp_path / "whole")), tmp_path / "whole")
    actual = {"results": {"colours": {"acc,none": 0.5}}, "higher_is_better": {}, "versions": {},
             "n-samples": {}, "n-shot": {}}  # fmt: skip
    (made,) = harness._scores(students[0], actual)
    assert made.params == configuration_key(students[0].trial.params)


def test_an_old_score_does_not_count_where_two_configurations_bore_its_id(tmp_path):
    builder = Builder(tmp_path / "run", spec(trials=1))
    builder.start()
    builder.teacher("glue/rte")
    for alpha in (0.1, 0.2):
        builder.trial("glue/rte", "kd", 0, confirm_seed=11, test=0.7, params={"alpha": alpha})
    builder.finish()
    fields = {"task": "glue/rte", "trial_id": "glue-rte.kd.c0.11"}
    write_outside(builder.folder, [score("kd", 11, 0.5, **fields)])
    assert load_results(builder.folder).outside == ()
    new = score("kd", 11, 0.5, **fields, params=configuration_key({"alpha": 0.2}))
    write_outside(builder.folder, [new])
    assert load_results(builder.folder).outside == (new,)


def test_scores_over_other_rows_are_another_table(tmp_path):
    run = with_students(tmp_path / "run", lambda folder, seed: None)
    write_outside(run, [score("none", 11, 0.5), score("kd", 11, 0.75, rows=2)])
    tables = benchmarks.record(load_results(run)).tables
    assert [[row[0] for row in table.rows] for table in tables] == [["none"], ["kd"]]
    assert [table.caption.split("; ")[1][:6] for table in tables] == ["6 rows", "2 rows"]


def test_students_of_two_runs_are_counted_apart(tmp_path):
    results = []
    for name in ("one", "two"):
        run = with_students(tmp_path / name, lambda folder, seed: None)
        write_outside(run, [score("kd", 11, 0.5), score("kd", 12, 0.5)])
        results.append(load_results(run))
    assert benchmarks.record(merge(results)).heading == "4 confirmed students on colours"


def test_a_file_that_was_edited_is_one_message(tmp_path, capsys):
    run = with_students(tmp_path / "run", lambda folder, seed: None)
    (run / "evaluations.json").write_text('{"scores": [{"arm": 3}]}')
    assert main(["report", str(run)]) == 1
    assert "evaluations.json cannot be understood" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "no task was named"),
        pytest.param(["--", "nosuchtask"], 2, "the harness has no task 'nosuchtask'",
                     marks=pytest.mark.slow),  # it reads all tasks that it has
        (["--arm", "ckd", "--", "colours"], 2, "the run has no arm 'ckd'"),
    ],
)  # fmt: skip
def test_each_mistake_is_one_message(arguments, code, message, tmp_path, capsys):
    run = with_students(tmp_path / "run")
    assert main(["eval", str(run), *arguments]) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_students_that_write_no_text_are_refused(tmp_path, capsys):
    run = with_students(tmp_path / "run", write_encoder)
    assert main(["eval", str(run), "--", "colours"]) == 2
    assert "is a BertForSequenceClassification" in " ".join(capsys.readouterr().err.split())


def test_an_arm_whose_student_was_replaced_is_named(tmp_path, capsys):
    run = with_students(tmp_path / "run", write_encoder)
    (run / "checkpoints/t/none/best/model.safetensors").unlink()
    for student in saved_students(load_results(run), run, ("kd",)):
        mark(student.folder, student.trial.trial_id, {"alpha": 0.123})
    assert main(["eval", str(run), "--", "colours"]) == 2  # one that is left writes no text
    shown = " ".join("".join(capsys.readouterr()).split())
    for seed in SEEDS:
        assert f"left out: the student of 'kd' on t with seed {seed} was replaced in" in shown
    assert f"left out: the student of 'none' on t with seed {SEEDS[0]} is not there in" in shown
    assert shown.count("left out: ") == 3
    assert main(["eval", str(run), "--arm", "none", "--arm", "kd", "--", "colours"]) == 2
    shown = " ".join(capsys.readouterr().err.split())
    assert "the student of 'kd' on t with seed 11 was replaced in" in shown


def test_a_run_without_students_is_refused(tmp_path, capsys):
    run = with_students(tmp_path / "run", lambda folder, seed: None)
    shutil.rmtree(run / "checkpoints")
    assert main(["eval", str(run), "--", "colours"]) == 2
    assert "no confirmed student whose files are whole" in " ".join(capsys.readouterr().err.split())


def test_without_the_harness_one_message_says_what_to_install(tmp_path, monkeypatch, capsys):
    run = with_students(tmp_path / "run")
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    assert main(["eval", str(run), "--", "colours"]) == 4
    assert "raykd[eval]" in capsys.readouterr().err
