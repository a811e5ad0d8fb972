"""Outcomes of confirm runs on the test rows: kept, read again, and counted in the verdict."""

import dataclasses

import numpy as np
import pytest

from raykd.results.diagnose import diagnose
from raykd.results.merge import merge
from raykd.results.row_outcomes import write_row_outcomes
from raykd.results.store import load_results
from raykd.results.summary import arm_summaries
from raykd.results.verdict import verdict
from tests.synthetic_run import Builder

TASK = "glue/rte"
ROWS = 277
SHARED = {"alpha": 0.5, "lr": 1e-4}


def of_rows(rng: np.random.Generator, share: float, item: np.ndarray) -> np.ndarray:
    """Right or wrong, with rows that are hard for every run of every arm."""
    return (rng.random(ROWS) < np.clip(share + item, 0, 1)).astype(np.float32)


def run_with_outcomes(builder: Builder, *, own: float) -> None:
    """Two arms of which one is better by 4 points, and differs on rows of its own.

    Args:
        builder: Writes the run.
        own: How much its difference varies from row to row.
    """
    builder.teacher(TASK)
    rng = np.random.default_rng(0)
    item, apart = rng.normal(0, 0.2, ROWS), rng.normal(0, own, ROWS)
    for seed in range(11, 19):
        for arm, share in (("kd", 0.66 + 0 * apart), ("ckd", 0.70 + apart)):
            values = of_rows(rng, share, item)
            trial_id = f"glue-rte.{arm}.c0.{seed}"
            name = write_row_outcomes(builder.folder, trial_id, SHARED, values)
            builder.trial(TASK, arm, 0, objective=0.7, params=SHARED, confirm_seed=seed,
                          test=float(values.mean()), row_outcomes=name)  # fmt: skip
    builder.finish()


def test_values_and_bits_are_read_as_they_were_written(builder: Builder):
    builder.teacher(TASK)
    bits = np.array([1, 0, 1, 1], np.float32)
    values = np.array([0.25, -3.5, 1.0], np.float32)
    for seed, written in ((11, bits), (12, values)):
        name = write_row_outcomes(builder.folder, f"glue-rte.kd.c0.{seed}", SHARED, written)
        builder.trial(TASK, "kd", 0, confirm_seed=seed, test=0.7, row_outcomes=name)
    (kd,) = arm_summaries(load_results(builder.folder), TASK)
    np.testing.assert_array_equal(kd.outcomes[11], bits)
    np.testing.assert_array_equal(kd.outcomes[12], values)


def test_ten_thousand_rows_that_are_right_or_wrong_take_little_room(tmp_path):
    bits = (np.random.default_rng(0).random(10_000) < 0.7).astype(np.float32)
    name = write_row_outcomes(tmp_path, "t", {}, bits)
    assert (tmp_path / name).stat().st_size < 3000


def test_another_configuration_of_the_same_id_has_a_file_of_its_own(tmp_path):
    one, other = (
        write_row_outcomes(tmp_path, "t", {"alpha": alpha}, np.ones(3, np.float32))
        for alpha in (0.1, 0.9)
    )
    assert one != other


def test_rows_are_a_second_source_of_chance(builder: Builder):
    """The same scores, but for a difference that is another one on every row."""
    run_with_outcomes(builder, own=0.35)
    result = load_results(builder.folder)
    ckd = next(a for a in arm_summaries(result, TASK) if a.name == "ckd")
    without = dataclasses.replace(result, row_outcomes={})
    alone = next(a for a in arm_summaries(without, TASK) if a.name == "ckd")
    assert ckd.versus.mean == alone.versus.mean
    assert ckd.versus.error.value > 1.2 * alone.versus.error.value
    assert "8 seeds and 277 rows" in verdict(result, TASK).headline
    assert "8 seeds, on these rows" in verdict(without, TASK).headline


def test_a_run_without_its_files_says_on_these_rows(builder: Builder):
    run_with_outcomes(builder, own=0.0)
    for file in (builder.folder / "row_outcomes").iterdir():
        if ".ckd." in file.name:
            file.write_bytes(b"cut")
    assert "on these rows" in verdict(load_results(builder.folder), TASK).headline
    assert diagnose(load_results(builder.folder))


@pytest.mark.parametrize("rows", ["d4ta", "other"])
def test_runs_that_are_merged_pair_rows_only_where_they_are_the_same(tmp_path, rows: str):
    results = []
    for name, arm, print_ in (("one", "kd", "d4ta"), ("two", "ckd", rows)):
        builder = Builder(tmp_path / name)
        builder.start()
        builder.teacher(TASK, data_fingerprint=print_)
        for seed in (11, 12, 13):
            values = np.random.default_rng(seed).random(ROWS) < 0.7
            written = write_row_outcomes(
                builder.folder, f"glue-rte.{arm}.c0.{seed}", SHARED, values.astype(np.float32)
            )
            builder.trial(TASK, arm, 0, params=SHARED, confirm_seed=seed,
                          test=float(values.mean()), row_outcomes=written)  # fmt: skip
        results.append(load_results(builder.folder))
    together = merge(results)
    versus = [a.versus for a in arm_summaries(together, TASK) if a.versus is not None]
    assert [d.error.rows for d in versus] == [ROWS if rows == "d4ta" else 0]
