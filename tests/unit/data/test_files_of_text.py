"""Lines, JSON and separated fields, as files hold them."""

from __future__ import annotations

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raykd.data.folder_reader import FolderReader, user_path
from raykd.data.json_files import read_json, read_json_rows
from raykd.data.separated import read_csv, read_tsv
from raykd.data.text_files import lines_of, read_text
from raykd.errors import DataError

# Everything that str.splitlines cuts at, and a line feed that files do end lines with.
CUTS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r") | st.sampled_from(CUTS))
ON_A_LINE = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\t") | st.sampled_from(CUTS), min_size=1
)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5)


def write(folder, name: str, content: str | bytes):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@given(st.lists(ON_A_LINE, max_size=6), st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_lines_end_at_line_feeds_only(lines, end, is_ended):
    text = end.join(lines) + (end if is_ended and lines else "")
    assert lines_of(text) == lines


def test_the_lines_of_a_text_file_are_rows(tmp_path):
    write(tmp_path, "train.txt", f"first {CUTS} line\n\nthird\n")
    table = FolderReader(folder=tmp_path).read("train")
    assert table.columns == {"text": [f"first {CUTS} line", "", "third"]}
    assert table.place(2) == "line 3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@given(ROWS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_csv_is_read_as_it_was_written(folder, rows):
    # A carriage return within quotes is one, too.
    rows = [(f"{a}\r{b}", b) for a, b in rows]
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("a", "b"), *rows])
    table = read_csv(write(folder, "t.csv", file.getvalue()))
    assert list(zip(*table.columns.values(), strict=True)) == rows


@given(st.lists(st.tuples(ON_A_LINE, ON_A_LINE), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_tsv_is_read_as_it_was_written(folder, rows):
    table = read_tsv(write(folder, "t.tsv", "".join(f"{a}\t{b}\n" for a, b in [("a", "b"), *rows])))
    assert list(zip(*table.columns.values(), strict=True)) == rows


@given(ROWS, st.booleans(), st.sampled_from([None, 1]), st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_json_is_read_as_it_was_written(folder, rows, is_escaped, indent, is_array):
    objects = [{"a": a, "b": b} for a, b in rows]
    if is_array:
        text = json.dumps(objects, ensure_ascii=is_escaped, indent=indent)
    else:
        text = "\n".join(json.dumps(o, ensure_ascii=is_escaped, indent=indent) for o in objects)
    table = read_json_rows(write(folder, "t.json", text))
    assert list(zip(*table.columns.values(), strict=True)) == rows


def test_lines_of_csv_are_counted_as_an_editor_counts_them(tmp_path):
    text = 'text,label\n"one\ntwo",a\n\n"three\nfour\nfive",b\nsix,c\n'
    table = read_csv(write(tmp_path, "t.csv", text))
    assert [table.place(row) for row in range(3)] == ["line 2", "line 5", "line 8"]


def test_objects_know_the_line_they_begin_in(tmp_path):
    one = write(tmp_path, "t.jsonl", '\n{"a": 1}\n\n{"a": 2}\n')
    assert read_json_rows(one).numbers == [2, 4]
    array = write(tmp_path, "t.json", '[\n {"a": 1},\n\n {"a":\n 2}, {"a": 3}]')
    assert read_json_rows(array).numbers == [2, 4, 5]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1}\n{"a": \n{"b": 2}\n', 2),
        ('[{"a": 1},\n{"a": 1},\n', 3),
        ('[{"a": 1}\n{"a": 1}]', 2),
        ('[{"a": 1}]\n[{"a": 1}]', 2),
        ('[{"a": 1},\n7]', 2),
        ('{"a": 1}\n7\n', 2),
    ],
)
def test_the_line_of_what_is_no_json_is_reported(tmp_path, text, line):
    with pytest.raises(DataError, match=rf"t\.json line {line}: "):
        read_json_rows(write(tmp_path, "t.json", text))


def test_one_value_of_a_file(tmp_path):
    assert read_json(write(tmp_path, "t.json", "\ufeff\n[1]")) == [1]
    with pytest.raises(
        DataError, match=r"line [23]: no JSON: (Expecting value|Illegal trailing comma)"
    ):
        read_json(write(tmp_path, "t.json", "[1,\n2,\n]"))


def test_all_lines_that_are_not_utf_8_are_counted(tmp_path):
    path = write(tmp_path, "t.csv", b"a,b\n\xe9,1\nx,2\n\xfc,3\n")
    with pytest.raises(DataError, match=r"2 lines are not UTF-8, first: .*t\.csv line 2: .* 0xe9"):
        read_text(path)


def test_a_pointer_of_git_lfs_is_called_so(tmp_path):
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n"
    for name in ("train.csv", "dev.parquet"):
        write(tmp_path, name, text)
        with pytest.raises(DataError, match="is a pointer of git-lfs") as caught:
            FolderReader(folder=tmp_path).read(name.partition(".")[0])
        assert "git lfs pull" in caught.value.hint


def test_files_of_any_format_and_case_are_splits_and_others_are_not(tmp_path):
    for name in ("a.csv", "b.TSV", "c.jsonl.gz", "d.Json", "e.txt", "f.ndjson", "g.parquet"):
        write(tmp_path, name, "")
    for name in ("h.xlsx", "i.parquet.gz", "._a.csv", "csv", "j.csv.zip"):
        write(tmp_path, name, "")
    assert sorted(FolderReader(folder=tmp_path).splits()) == [*"abcdefg"]


def test_of_two_files_of_a_split_it_is_reported_which_is_read(tmp_path, caplog):
    write(tmp_path, "train.jsonl", '{"text": "of jsonl"}\n')
    pq.write_table(pa.table({"text": ["of parquet"]}), tmp_path / "train.parquet")
    assert FolderReader(folder=tmp_path).read("train").columns["text"] == ["of parquet"]
    assert "train.parquet is read, not train.jsonl next to it" in caplog.text


def test_parts_of_a_split_are_joined_in_order(tmp_path):
    for k, text in [(1, "c"), (0, "a"), (2, None)]:
        rows = {"text": [text, "b"], "label": [k, k]} if text else {"text": ["d"]}
        pq.write_table(pa.table(rows), tmp_path / f"train-{k:05}-of-00003.parquet")
    reader = FolderReader(folder=tmp_path)
    assert reader.splits() == ("train",)
    table = reader.read("train")
    assert table.columns == {"text": [*"abcbd"], "label": [0, 0, 1, 1, None]}
    assert f"{table.origin} {table.place(4)}" == f"{tmp_path}/train-*-of-00003 row 5"
    (tmp_path / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(
        DataError, match=r"train has 2 of 3 parts \(train-00000-of-00003\.parquet, "
    ):
        reader.read("train")


def test_packed_files_are_read(tmp_path):
    write(tmp_path, "train.tsv.gz", gzip.compress(b"a\tb\n1\t2\n"))
    assert FolderReader(folder=tmp_path).read("train").columns == {"a": ["1"], "b": ["2"]}


def test_times_that_python_has_no_type_for_are_texts(tmp_path):
    times = pa.array([2**60], pa.timestamp("us"))
    pq.write_table(pa.table({"when": times, "text": ["x"]}), tmp_path / "a.parquet")
    table = FolderReader(folder=tmp_path).read("a")
    assert table.columns["text"] == ["x"]
    assert isinstance(table.columns["when"][0], str)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_files_that_were_put_together_with_their_first_lines_are_refused(tmp_path, mark):
    for name, sign, read in (("a.csv", ",", read_csv), ("a.tsv", "\t", read_tsv)):
        one = f"text{sign}label\nx{sign}y\n"
        (tmp_path / name).write_text(one + mark + one + mark + one)
        with pytest.raises(DataError, match=r"2 lines repeat the names .* line 3: repeats") as e:
            read(tmp_path / name)
        assert "put together" in e.value.hint


def test_a_first_line_of_one_field_is_shown(tmp_path):
    (tmp_path / "a.csv").write_text("# made by a program\ntext,label\nx,y\n")
    with pytest.raises(DataError, match=r"header has 1: '# made by a program'") as caught:
        read_csv(tmp_path / "a.csv")
    assert caught.value.hint == "the first line must be the names of the columns"


def test_the_limit_of_other_readers_of_csv_stays(tmp_path):
    before = csv.field_size_limit()
    read_csv(write(tmp_path, "t.csv", "a\n" + "x" * 200_000 + "\n"))
    assert csv.field_size_limit() == before


def test_a_home_that_nobody_has_is_reported():
    with pytest.raises(DataError, match="nobody-has-this-name") as caught:
        user_path("~nobody-has-this-name/data")
    assert "without '~'" in caught.value.hint


def test_half_characters_are_replaced_and_counted_also_within_lists(tmp_path, caplog):
    text = '{"a": ["x", "\\ud800y"], "b": {"c": "z\\udc00"}}\n{"a": ["x"], "b": null}\n'
    table = read_json_rows(write(tmp_path, "t.jsonl", text)).well_formed()
    assert table.columns == {"a": [["x", "\ufffdy"], ["x"]], "b": [{"c": "z\ufffd"}, None]}
    assert "1 rows held half of a character (a lone surrogate), first: line 1" in caplog.text


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("train.csv", gzip.compress(b"text,label\n"), "is a gzip file, not text",
         "call it train.csv.gz"),
        ("train.csv.gz", gzip.compress(gzip.compress(b"a")), "is a gzip file, not text", "unpack"),
        ("train.csv.gz", gzip.compress(b"text,label\n" * 9)[:20], "cannot be read: ", "cut off"),
        ("train.csv.gz", b"text,label\na,b\n", "Not a gzipped file", "call it train.csv"),
        ("train.csv", b"PK\x03\x04\x14\x00", "is a zip archive", "unpack it"),
        ("train.jsonl", b"BZh91AY&SY", "is a bzip2 file", "unpack it"),
        ("train.jsonl", b"\xfd7zXZ\x00\x00", "is an xz file", "unpack it"),
        ("train.jsonl", b"\x28\xb5\x2f\xfd\x00", "is a Zstandard file", "unpack it"),
        ("train.tsv", b"PAR1\x15\x04", "is a Parquet file", "end with .parquet"),
    ],
    # Not the bytes: a gzip file holds the time at which it was made.
    ids=["gzip", "gzip twice", "cut off", "not packed", "zip", "bzip2", "xz", "zstd", "parquet"],
)  # fmt: skip
def test_files_of_another_kind_are_named(tmp_path, name, content, message, hint):
    write(tmp_path, name, content)
    with pytest.raises(DataError, match=message) as caught:
        FolderReader(folder=tmp_path).read("train")
    assert hint in caught.value.hint
