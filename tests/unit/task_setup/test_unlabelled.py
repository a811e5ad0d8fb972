"""Rows without a label: the teacher alone teaches there, and arms may leave them out."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd.data.batch import LABELLED, ROW_WEIGHT
from raykd.data.unlabelled import labelled_count, labelled_rows, weighted_by_batch
from raykd.errors import DataError, SpecError
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from raykd.sweep.preflight import preflight
from raykd.sweep.task_records import task_record
from raykd.task_setup.data_overview import data_overview
from raykd.task_setup.set_up import set_up_task
from tests.unit.sweep.specs import PLAIN
from tests.unit.task_setup.test_given_teacher import LABELS, MODEL, NAME, folder, texts, write_csv

MORE = 25
LABELLED_ROWS = 60


def unlabelled(place: Path, **extra: Any) -> str:
    """A file of texts; what it has in place of a label is not read."""
    rows = [{"text": f"unseen {k}: {text}", **extra} for k, (text, _) in enumerate(texts(MORE))]
    write_csv(place / "more.csv", rows)
    return str(place / "more.csv")


def sweep(place: Path, arms: Mapping[str, Any], more: str | None, **changes: Any) -> SweepSpec:
    own = {"name": NAME, "path": f"{place}/rows", "texts": ["text"], "labels": LABELS}
    methods = {n: {"name": n, "method": arm.pop("method", n), **arm} for n, arm in arms.items()}
    data = {"max_length": 32, "select_on": {"split": "validation", "fraction": 0.5},
            "report_on": {"split": "validation"}, "unlabelled": more}  # fmt: skip
    return spec_from_dict({
        **PLAIN, "tasks": [NAME], "own_tasks": {NAME: own}, "data": data, "teacher": MODEL,
        "methods": methods, "report": {"baseline": next(iter(arms))}, **changes,
    })  # fmt: skip


def trained(spec: SweepSpec, place: Path, arm: str) -> dict[str, float]:
    setup, prepared, _ = prepare_task(spec, NAME, place / "cache", lambda *_: None)
    config = trial_of(spec, place, NAME, arm, {"lr": 1e-3})
    actual = run_in_process(config, prepared, setup.task, lambda _: None)
    return {**actual.metrics, **actual.evaluation.terms}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder(tmp_path / "rows")
    return tmp_path


def arms() -> dict[str, Any]:
    return {
        "none": {}, "kd": {"fixed": {"alpha": 0.7}},
        "kd-without": {"method": "kd", "fixed": {"alpha": 0.7, "unlabelled": False}},
    }  # fmt: skip


def test_an_arm_without_them_is_what_it_is_where_there_are_none(place):
    more = unlabelled(place)
    there, not_there = sweep(place, arms(), more), sweep(place, arms(), None)
    assert trained(there, place, "none") == trained(not_there, place, "none")
    # The teacher reads rows in other batches, which rounds its outputs otherwise.
    expected = pytest.approx(trained(not_there, place, "kd-without"), abs=1e-6)
    assert trained(there, place, "kd-without") == expected
    assert trained(there, place, "kd") != trained(not_there, place, "kd")


def test_the_teacher_is_trained_on_labels_and_recorded_on_all_rows(place):
    setup = set_up_task(sweep(place, arms(), unlabelled(place)), NAME)
    assert len(setup.rows["finetune"]) == LABELLED_ROWS
    assert len(setup.rows["train"]) == LABELLED_ROWS + MORE
    encoded = setup.teacher_splits["train"]
    assert labelled_count(encoded) == LABELLED_ROWS
    assert encoded.columns[LABELLED].tolist() == [1.0] * LABELLED_ROWS + [0.0] * MORE
    first = labelled_rows(encoded)
    plain = set_up_task(sweep(place, arms(), None), NAME).teacher_splits["train"]
    assert np.array_equal(first.labels, plain.labels)
    assert np.array_equal(first.input_ids, plain.input_ids)
    assert np.array_equal(first.offsets, plain.offsets)
    assert first.columns == plain.columns == {}
    assert labelled_rows(plain) is plain


def test_weights_make_the_mean_over_a_batch_one_over_its_labelled_rows(place):
    encoded = set_up_task(sweep(place, arms(), unlabelled(place)), NAME).student_splits["train"]
    order = np.random.default_rng(0).permutation(len(encoded))
    batches = [*np.split(order, [16, 32, 48, 64])]
    weights = weighted_by_batch(encoded, batches).columns[ROW_WEIGHT]
    marks = encoded.columns[LABELLED]
    losses = np.random.default_rng(1).random(len(encoded))
    for rows in batches:
        labelled = rows[marks[rows] == 1]
        assert (weights[rows] * losses[rows]).mean() == pytest.approx(losses[labelled].mean())
    only = np.flatnonzero(marks == 0)[:4]
    assert weighted_by_batch(encoded, [only]).columns[ROW_WEIGHT][only].tolist() == [0.0] * 4


def test_weights_of_classes_stay_what_they_are(place):
    data = {"max_length": 32, "class_weights": "balanced", "unlabelled": unlabelled(place),
            "select_on": {"split": "validation", "fraction": 0.5},
            "report_on": {"split": "validation"}}  # fmt: skip
    encoded = set_up_task(sweep(place, arms(), None, data=data), NAME).student_splits["train"]
    actual = weighted_by_batch(encoded, [np.arange(len(encoded))]).columns[ROW_WEIGHT]
    scale = (LABELLED_ROWS + MORE) / LABELLED_ROWS
    assert actual[:LABELLED_ROWS] == pytest.approx(
        encoded.columns[ROW_WEIGHT][:LABELLED_ROWS] * scale
    )
    assert (actual[LABELLED_ROWS:] == 0).all()


def test_the_record_says_who_learnt_from_them(place):
    both = {"both": {"method": "kd", "domains": {"unlabelled": {"kind": "choice", "choices": [True, False]}}}}  # fmt: skip  # noqa: E501
    spec = sweep(place, {**arms(), **both}, unlabelled(place))
    setup, prepared, _ = prepare_task(spec, NAME, place / "cache", lambda *_: None)
    record = task_record(setup, prepared)
    assert record.unlabelled == {"none": "no", "kd": "yes", "kd-without": "no", "both": "some"}
    assert record.rows["without a label"] == MORE
    assert "train with another label" not in record.shared


def test_they_count_for_no_class_and_it_is_reported_who_learns_from_them(place):
    arms_ = {
        **arms(),
        "both": {
            "method": "kd",
            "domains": {"unlabelled": {"kind": "choice", "choices": [True, False]}},
        },
    }
    spec = sweep(place, arms_, unlabelled(place))
    shown = data_overview(spec, NAME)
    assert shown.without_label == {"train": MORE}
    assert shown.rows["train"] == LABELLED_ROWS + MORE
    assert {name: of["train"] for name, of in shown.classes.items()} == dict.fromkeys(LABELS, 30)
    (seen,), _ = preflight(spec)
    assert (seen.rows["train"], seen.without_label) == (LABELLED_ROWS + MORE, MORE)
    words = (
        "data.unlabelled has 25 rows without labels: kd learns from them; both learns from them in "
        "some trials; none and kd-without leave them out"
    )
    assert words in seen.notes
    assert words in shown.notes


def test_outputs_made_elsewhere_are_wanted_of_these_rows_too(place):
    soft = {"p": [json.dumps([0.4, 0.6])] * LABELLED_ROWS}
    folder(place / "rows", soft)
    given = {"teacher": {"outputs": {"probabilities": "p"}}}
    setup = set_up_task(sweep(place, arms(), unlabelled(place, p="[0.1, 0.9]"), **given), NAME)
    assert setup.given is not None
    assert setup.given.recorded is not None
    actual = np.exp(setup.given.recorded.all_logits()[:, 1])
    assert actual == pytest.approx([0.6] * LABELLED_ROWS + [0.9] * MORE)
    with pytest.raises(DataError, match="has no column 'p'"):
        set_up_task(sweep(place, arms(), unlabelled(place), **given), NAME)


def test_what_changes_nothing_is_reported_or_refused(place):
    both = {"kind": "choice", "choices": [True, False]}
    searched = {"kd": {"domains": {"unlabelled": both}}}
    with pytest.raises(SpecError, match="there are no rows without a label"):
        set_up_task(sweep(place, searched, None), NAME)
    with pytest.raises(SpecError, match="it learns of labels alone"):
        set_up_task(
            sweep(place, {"none": {"domains": {"unlabelled": both}}}, unlabelled(place)), NAME
        )
    notes = set_up_task(sweep(place, arms(), None), NAME).notes
    assert any("methods.kd-without.unlabelled: false has no effect" in note for note in notes)


def test_bad_files_are_named_with_their_key(place):
    cases = {
        "nowhere.csv": "no file matches 'nowhere.csv'",
        str(place): "no file matches",
    }
    for more, words in cases.items():
        with pytest.raises(DataError, match=words) as caught:
            set_up_task(sweep(place, arms(), more), NAME)
        assert caught.value.problems()[0].path == "data.unlabelled"
    with (place / "bad.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["words"], ["a"]])
    with pytest.raises(DataError, match="has no column 'text'"):
        set_up_task(sweep(place, arms(), str(place / "bad.csv")), NAME)
