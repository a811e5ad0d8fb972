"""Row counts and label balances of the real files are those of the benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from raykd import registry
from raykd.data.base import DataSettings
from raykd.data.tasks.glue import TASK
from tests.outside_data import outside_data


def load(task: str, split: str, inside: str = ""):
    root = outside_data("glue") / inside
    return registry.load("tasks", f"glue/{task}").load(split, DataSettings(root=str(root)))


@pytest.mark.parametrize(
    ("task", "split", "counts"),
    [
        ("cola", "train", [2528, 6023]),
        ("cola", "validation", [322, 721]),
        ("sst2", "validation", [428, 444]),
        ("qqp", "validation", [2199, 1301]),
        ("mnli", "validation", [373, 311, 316]),
        ("mnli", "validation_mismatched", [346, 319, 335]),
        ("qnli", "validation", [2702, 2761]),
        ("rte", "train", [1249, 1241]),
        ("wnli", "train", [323, 312]),
    ],
)
def test_label_counts(task, split, counts):
    assert np.bincount(load(task, split).labels).tolist() == counts


def test_stsb_scores():
    rows = load("stsb", "validation")
    assert len(rows) == 1500
    assert rows.labels.mean() == pytest.approx(2.364, abs=1e-3)


@pytest.mark.parametrize("task", ["cola", "rte", "stsb", "wnli"])
@pytest.mark.parametrize("split", ["train", "validation"])
def test_the_scripts_files_hold_the_rows_of_the_parquet_files(task, split):
    parquet, tsv = load(task, split), load(task, split, "glue_tsv")
    assert parquet.texts == tsv.texts
    assert np.array_equal(parquet.labels, tsv.labels)


def test_splits_are_those_there_are():
    settings = DataSettings(root=str(outside_data("glue")))
    assert TASK["mnli"].splits(settings) == ("validation", "validation_mismatched")
    assert TASK["qnli"].splits(settings) == ("validation",)


def test_a_hub_split_may_be_named_as_on_the_hub():
    assert len(load("mnli", "validation_matched")) == 1000
