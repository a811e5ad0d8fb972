"""Outcomes of every confirm run on every test row, as one table."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from raykd.cli.main import main
from raykd.results.row_outcomes import write_row_outcomes
from tests.synthetic_run import SEEDS, Builder

RIGHT = {"kd": [1, 0, 1], "ckd": [0.5, 0.25, 0.75]}
PREDICTED = {"kd": ["entailment", "entailment", "not_entailment"], "ckd": None}


@pytest.fixture
def run(tmp_path):
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher("glue/rte")
    for arm, values in RIGHT.items():
        for seed in (11, 12):
            place = write_row_outcomes(
                builder.folder, f"glue-rte.{arm}.c0.{seed}", {}, np.array(values, np.float32),
                PREDICTED[arm],
            )  # fmt: skip
            builder.trial("glue/rte", arm, 0, confirm_seed=seed, test=0.7, row_outcomes=place)
    builder.trial("glue/rte", "none", 0, confirm_seed=11, test=0.7)  # which kept none
    builder.finish()
    return builder.folder


def test_a_row_for_each_run_and_test_row(run, tmp_path, capsys):
    out = tmp_path / "rows.parquet"
    assert main(["eval", str(run), "--predictions", str(out)]) == 0
    assert f"predictions: {out} (12 rows)" in capsys.readouterr().out
    rows = pq.read_table(out).to_pylist()
    assert list(rows[0]) == ["task", "arm", "method", "repeat", "seed", "trial_id", "metric", "row",
                             "prediction", "outcome"]  # fmt: skip
    kd = [(r["seed"], r["row"], r["outcome"]) for r in rows if r["arm"] == "kd"]
    assert kd == [(seed, k, v) for seed in (11, 12) for k, v in enumerate(RIGHT["kd"])]
    assert {r["outcome"] for r in rows if r["arm"] == "ckd"} == {0.5, 0.25, 0.75}
    assert [r["prediction"] for r in rows if r["arm"] == "kd"] == 2 * PREDICTED["kd"]
    assert {r["prediction"] for r in rows if r["arm"] == "ckd"} == {None}  # it was not kept
    assert {
        (r["task"], r["metric"], r["method"], r["repeat"]) for r in rows if r["arm"] == "kd"
    } == {("glue/rte", "accuracy", "kd", 0)}


def test_a_run_that_kept_none_is_refused(tmp_path, capsys):
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.finish()
    assert main(["eval", str(builder.folder), "--predictions", str(tmp_path / "x")]) == 2
    assert "has no outcomes of test rows" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_message(run, tmp_path, capsys):
    assert main(["eval", str(run), "--predictions", str(tmp_path / "no" / "x")]) == 4
    shown = " ".join(capsys.readouterr().err.split())
    assert f"cannot write {tmp_path / 'no' / 'x'}: No such file or directory" in shown
    assert "a folder that exists" in shown


def test_runs_that_no_arm_is_reported_by_are_left_out(tmp_path):
    builder = Builder(tmp_path / "run")
    builder.start()
    builder.teacher("glue/rte")
    for rank, params, value in ((0, {"alpha": 0.1}, 0), (0, {"alpha": 0.2}, 1), (1, {}, 0)):
        name = f"glue-rte.kd.c{rank}.11"
        place = write_row_outcomes(builder.folder, name, params, np.full(3, value, np.float32))
        for seed in (11, *SEEDS[1:]):
            kept = {"row_outcomes": place} if seed == 11 else {}
            builder.trial("glue/rte", "kd", rank, objective=0.5 + 0.1 * value, params=params,
                          confirm_seed=seed, test=value, **kept)  # fmt: skip
    builder.finish()
    out = tmp_path / "rows.parquet"
    assert main(["eval", str(builder.folder), "--predictions", str(out)]) == 0
    rows = pq.read_table(out).to_pylist()
    assert [(r["trial_id"], r["seed"], r["outcome"]) for r in rows] == 3 * [
        ("glue-rte.kd.c0.11", 11, 1.0)
    ]
