"""Where rows come from: files, patterns, splits by name, one set of rows, several sources."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raykd.data.base import DataSettings
from raykd.data.conversations import conversations
from raykd.data.file_lists import ROWS, CarvedReader, FilesReader, split_rows
from raykd.data.notes import listening
from raykd.data.own import OwnTask
from raykd.data.user_rows import WEIGHT, RowSource
from raykd.errors import DataError

WHERE = DataSettings()


def task(path=None, **changes) -> OwnTask:
    values = {
        "name": "mine", "about": "A test.", "texts": ("text",), "label": "mood",
        "labels": ("neg", "pos"), "metric": "accuracy", "metrics": ("accuracy",),
        "hub": ("", "default"), "hub_splits": {}, "path": path,
    }  # fmt: skip
    return OwnTask(**(values | changes))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """``a.csv`` and ``b.jsonl`` with ten rows each, ``sub/c.csv`` with two."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name, count in (("a.csv", 10), ("sub/c.csv", 2)):
        lines = [f"{name} {k},{('neg', 'pos')[k % 2]}" for k in range(count)]
        (tmp_path / name).write_text("\n".join(["text,mood", *lines]))
    rows = [{"text": f"b {k}", "mood": ("neg", "pos")[k % 2]} for k in range(10)]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def read(own: OwnTask) -> dict[str, tuple[str, ...]]:
    return {split: own.load(split, WHERE).texts[0] for split in own.splits(WHERE)}


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("a.csv", 10), (("a.csv", "b.jsonl"), 20), ("*.csv", 10), ("**/*.csv", 12),
        ("[ab].*", 20), (("sub/*", "a.csv"), 12),
    ],
)  # fmt: skip
def test_one_set_of_rows_is_split_and_a_note_says_so(folder, path, count):
    with listening() as heard:
        actual = read(task(path))
    assert set(actual) == {"train", "validation"}
    assert len({*actual["train"], *actual["validation"]}) == count
    assert len(actual["train"]) == pytest.approx(0.8 * count, abs=0.6)
    assert "split into train 80%, validation 20%" in heard[0]
    absolute = f"{folder}/{path}" if isinstance(path, str) else tuple(f"{folder}/{p}" for p in path)
    assert read(task(absolute)) == actual


def test_shares_say_how_a_set_is_split_and_the_seed_which_rows(folder):
    own = task("[ab].*", fractions={"train": 0.5, "validation": 0.2, "test": 0.2})
    with listening() as heard:
        actual = read(own)
    assert not heard
    assert {split: len(texts) for split, texts in actual.items()} == {
        "train": 10, "validation": 4, "test": 4,
    }  # fmt: skip
    assert len({text for texts in actual.values() for text in texts}) == 18
    other = own.load("train", DataSettings(seed=1)).texts[0]
    assert set(other) != set(actual["train"])


def test_rows_that_are_alike_go_to_one_split():
    keys = [f"k{k % 7}" for k in range(70)]
    parts = split_rows(keys, [0.6, 0.4], 0)
    owners = [{keys[row] for row in part} for part in parts]
    assert not owners[0] & owners[1]
    assert sorted(np.concatenate(parts)) == list(range(70))
    assert split_rows(keys, [0.6, 0.4], 0)[0].tolist() == parts[0].tolist()


def test_too_few_rows_for_all_splits_are_reported(folder):
    own = task("sub/c.csv", fractions={"train": 0.5, "validation": 0.3, "test": 0.2})
    with pytest.raises(DataError, match=r"c.csv has 2 rows, too few for splits of train: 0.5"):
        read(own)


def test_rows_that_are_alike_are_counted_and_rows_of_nothing_are_no_repetition(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "x\n" * 40)
    own = FilesReader(files={ROWS: [tmp_path / "a.csv"]}, name="a")
    fractions = {"train": 0.8, "validation": 0.2}
    with pytest.raises(DataError, match=r"40 rows \(1 of them different\), too few"):
        CarvedReader(own=own, fractions=fractions, seed=0).read("train")
    for nothing in ("[]", '""', '"[]"', "null"):
        (tmp_path / "b.jsonl").write_text(f'{{"m": {nothing}}}\n' * 40)
        own = FilesReader(files={ROWS: [tmp_path / "b.jsonl"]}, name="b")
        table = CarvedReader(own=own, fractions=fractions, seed=0).read("train")
        assert len(table) == 32
        with pytest.raises(DataError, match=r"32 rows have an empty conversation, first: .* line"):
            conversations(table, "m")


def test_splits_may_be_lists_of_files(folder):
    actual = read(task({"train": ("a.csv", "sub/*.csv"), "validation": "b.jsonl"}))
    assert {split: len(texts) for split, texts in actual.items()} == {"train": 12, "validation": 10}


def test_several_sources_are_put_together_and_their_weights_are_kept(folder):
    (folder / "own").mkdir()
    for split in ("train", "validation"):
        (folder / "own" / f"{split}.csv").write_text(f"text,mood\n{split} one,neg\n")
    own = task(sources=(RowSource(path="own", weight=3.0), RowSource(path={"train": "a.csv"})))
    train = own.load("train", WHERE)
    assert train.texts[0][:2] == ("train one", "a.csv 0")
    assert train.fields[WEIGHT] == (3.0,) + (1.0,) * 10
    assert own.load("validation", WHERE).texts[0] == ("validation one",)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none.csv", "the folder 'none.csv' of task mine does not exist"),
        ("none*.csv", r"no file matches 'none\*.csv'"),
        (("a.csv", "none.csv"), "no file matches 'none.csv'"),
        ("notes.docx", "notes.docx is of no kind that is read"),
        ("empty.csv", "empty.csv has no rows"),
    ],
)
def test_files_that_cannot_be_read_are_reported(folder, path, words):
    (folder / "notes.docx").write_text("x")
    (folder / "empty.csv").write_text("text,mood\n")
    with pytest.raises(DataError, match=words) as caught:
        task(path).load("train", WHERE)
    assert caught.value.hint
    assert caught.value.problems()[0].path == ".path"


def test_a_folder_may_have_brackets_in_its_name(folder):
    (folder / "rows [v1]").mkdir()
    (folder / "a.csv").rename(folder / "rows [v1]" / "train.csv")
    assert task("rows [v1]").splits(WHERE) == ("train",)


def test_a_path_of_windows_and_a_link_to_nothing_are_reported(folder):
    with pytest.raises(DataError) as caught:
        task("sub\\c.csv").load("train", WHERE)
    assert caught.value.hint.startswith("write / between the names of folders, not \\;")
    (folder / "sub" / "test.csv").symlink_to("moved.csv")
    with pytest.raises(DataError, match=r"test.csv is a link to moved.csv, which is not there"):
        task("sub").splits(WHERE)


def test_files_with_other_columns_are_reported_in_one_message(folder):
    (folder / "d.csv").write_text("content,mood\nx,neg\n")
    with pytest.raises(DataError, match=r"a.csv has no column 'content', which other files of"):
        task(("a.csv", "d.csv"), texts=("content",)).load("train", WHERE)


def test_the_place_of_a_row_is_its_line_in_its_file(folder):
    (folder / "e.csv").write_text("text,mood\nx,neg\ny,none\n")
    with pytest.raises(DataError, match=r"e.csv line 3\): has no label"):
        task({"train": ("a.csv", "e.csv")}).load("train", WHERE)
