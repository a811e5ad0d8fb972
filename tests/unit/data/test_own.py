from __future__ import annotations

import json

import pytest

from raykd.data.base import DataSettings
from raykd.data.own import OwnTask
from raykd.errors import DataError

ROWS = [("fine, really", "pos"), ('a "bad" one', "neg")]


def task(path, **changes) -> OwnTask:
    values = {
        "name": "mine", "about": "A test.", "texts": ("text",), "label": "mood",
        "labels": ("neg", "pos"), "metric": "accuracy", "metrics": ("accuracy",),
        "hub": ("", "default"), "hub_splits": {}, "path": str(path),
    }  # fmt: skip
    return OwnTask(**(values | changes))


def write(folder, suffix: str, stem: str = "train"):
    if suffix == ".csv":
        lines = ["text,mood", *('"{}",{}'.format(t.replace('"', '""'), m) for t, m in ROWS)]
    elif suffix == ".tsv":
        lines = ["text\tmood", *(f"{t}\t{m}" for t, m in ROWS)]
    else:
        lines = [json.dumps({"text": t, "mood": m}) for t, m in ROWS]
    (folder / f"{stem}{suffix}").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_rows_are_read_from_any_of_the_formats(tmp_path, suffix):
    write(tmp_path, suffix)
    rows = task(tmp_path).load("train", DataSettings())
    assert rows.texts == (("fine, really", 'a "bad" one'),)
    assert rows.labels.tolist() == [1, 0]


def test_splits_may_have_other_names(tmp_path):
    write(tmp_path, ".csv")
    write(tmp_path, ".jsonl", "dev")
    own = task(tmp_path, hub_splits={"validation": "dev"})
    assert set(own.splits(DataSettings())) == {"train", "validation"}
    assert len(own.load("validation", DataSettings())) == 2


def test_a_relative_path_may_start_at_the_root(tmp_path):
    (tmp_path / "reviews").mkdir()
    write(tmp_path / "reviews", ".csv")
    own = task("reviews")
    assert len(own.load("train", DataSettings(root=str(tmp_path)))) == 2
    with pytest.raises(DataError, match="folder 'reviews' of task mine does not exist"):
        own.load("train", DataSettings())


def test_a_label_that_was_not_named_is_reported(tmp_path):
    write(tmp_path, ".csv")
    with pytest.raises(
        DataError, match=r"line 2: column 'mood' holds 'pos', expected one of neg, good"
    ):
        task(tmp_path, labels=("neg", "good")).load("train", DataSettings())


def test_a_split_that_is_not_there_is_reported(tmp_path):
    write(tmp_path, ".csv")
    with pytest.raises(DataError, match=r"has no split 'validation' \(splits: train\)"):
        task(tmp_path).load("validation", DataSettings())


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (".csv", "text,mood\na,b,neg\n", r"line 2: has 3 field\(s\), the header has 2"),
        (".jsonl", "[1]\n", "line 1: 1 is not a mapping of columns"),
        (".jsonl", "{\n", "line 1: no JSON"),
    ],
)
def test_broken_files_are_reported(tmp_path, suffix, text, message):
    (tmp_path / f"train{suffix}").write_text(text)
    with pytest.raises(DataError, match=message):
        task(tmp_path).load("train", DataSettings())


def test_an_address_is_no_folder():
    with pytest.raises(DataError, match="does not exist") as caught:
        task("s3://bucket/rows").load("train", DataSettings())
    assert "hub: OWNER/NAME" in caught.value.hint
    assert caught.value.problems()[0].path == ".path"
