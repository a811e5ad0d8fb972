"""Files of tagged words: what separates fields and sentences, and what is no sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykd.data.folder_reader import FolderReader
from raykd.data.guess_task import guess_task
from raykd.data.table import Table
from raykd.errors import DataError

OF_2003 = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
rejects VBZ B-VP O

Peter NNP B-NP B-PER
Blackburn NNP I-NP I-PER
"""


def read(folder: Path, text: str, name: str = "train.conll") -> Table:
    (folder / name).write_bytes(text.encode())
    return FolderReader(folder=folder).read("train")


def test_first_and_last_fields_are_words_and_tags(tmp_path):
    table = read(tmp_path, OF_2003)
    assert table.columns == {
        "tokens": [["EU", "rejects"], ["Peter", "Blackburn"]],
        "column2": [["NNP", "VBZ"], ["NNP", "NNP"]],
        "column3": [["B-NP", "B-VP"], ["B-NP", "I-NP"]],
        "tags": [["B-ORG", "O"], ["B-PER", "I-PER"]],
    }
    assert [table.place(row) for row in range(2)] == ["line 3", "line 6"]
    found = guess_task({"train": table})
    assert found.keys == {
        "texts": ["tokens"], "label": "tags", "labels": ["O", "B-ORG", "B-PER", "I-PER"],
    }  # fmt: skip


def test_blanks_belong_to_words_where_every_line_has_tabs(tmp_path):
    text = "New York\tB-LOC\n#1\tO\n\n\n \nis\tO\n"
    table = read(tmp_path, text, "train.bio")
    assert table.columns["tokens"] == [["New York", "#1"], ["is"]]
    mixed = read(tmp_path, "a  b\tB-LOC\nis x O", "train.bio")
    assert mixed.columns["column2"] == [["b", "x"]]


def test_comments_are_lines_with_other_fields_than_the_rest(tmp_path):
    text = "# id 17\tdomain=train of many\nOslo _ _ B-LOC\n# _ _ O\n"
    assert read(tmp_path, text).columns["tokens"] == [["Oslo", "#"]]


@pytest.mark.parametrize(
    "comment",
    ["# sent_id = 1", "#id=1 a b c", "# text = Oslo", "# newdoc id =", "# global.columns = A"],
)
@pytest.mark.parametrize("width", [2, 3, 4, 5])
def test_comments_that_state_something_are_none_whatever_their_fields(comment, width, tmp_path):
    middle = " _" * (width - 2)
    text = f"{comment}\nOslo{middle} B-LOC\n\n{comment}\n{comment}\n\n#1{middle} O\n"
    assert read(tmp_path, text).columns["tokens"] == [["Oslo"], ["#1"]]


def test_a_word_that_begins_like_a_comment_is_one_where_tabs_separate(tmp_path):
    table = read(tmp_path, "#win\t=\tO\nOslo\t_\tB-LOC\n")
    assert table.columns["tokens"] == [["#win", "Oslo"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\tO\nb\n\nc\tO", "line 2: has the word 'b' and no tag"),
        ("a O\nb O\nNew York O\n", "line 3: has 3 fields, and most lines have 2"),
        ("a\nb\n\nc\n", "3 lines have no tag, first: .*line 1"),
        ("\n\n", "has no rows"),
        ("-DOCSTART- O\n", "has no rows"),
    ],
)
def test_lines_that_are_unlike_the_others_are_named(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, text)
