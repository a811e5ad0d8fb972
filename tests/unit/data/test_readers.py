from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.arrow_writer import ArrowWriter

from raykd.data.class_names import class_ids
from raykd.data.folder_reader import FolderReader
from raykd.data.readers import BUFFER, HubReader, TsvLayout, TsvReader, draw
from raykd.errors import DataError, SetupError, Unreachable
from raykd.spec.reference import KEYS
from raykd.spec.schema import OwnTaskSpec

PAIR = TsvLayout(folders=("RTE",), columns={"one": "sentence1", "label": "label"})


def write_tsv(folder: Path, name: str, *lines: str, encoding: str = "utf-8") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding=encoding)


def test_parquet_columns_come_back_as_written(tmp_path):
    table = {"text": ["a", "b"], "label": [0, 1]}
    pq.write_table(pa.table(table), tmp_path / "train.parquet")
    actual = FolderReader(folder=tmp_path).read("train")
    assert actual.columns == table
    assert len(actual) == 2


def test_parquet_split_may_have_another_file_name(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "validation_matched.parquet")
    reader = FolderReader(folder=tmp_path, stems={"validation": "validation_matched"})
    assert reader.splits() == ("validation",)
    assert len(reader.read("validation")) == 1


def test_a_missing_split_names_the_splits_there_are(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"no split 'dev' \(splits: train\)"):
        FolderReader(folder=tmp_path).read("dev")


def test_a_broken_parquet_file_is_named(tmp_path):
    (tmp_path / "train.parquet").write_bytes(b"not parquet")
    with pytest.raises(DataError, match=r"train\.parquet is not a readable Parquet file"):
        FolderReader(folder=tmp_path).read("train")


def test_tsv_dev_is_validation_and_columns_get_the_tasks_names(tmp_path):
    write_tsv(tmp_path, "dev.tsv", "index\tsentence1\tlabel", "0\tsome text\tyes")
    reader = TsvReader(folder=tmp_path, layout=PAIR)
    assert reader.splits() == ("validation",)
    assert reader.read("validation").columns == {"one": ["some text"], "label": ["yes"]}


def test_tsv_quotes_are_ordinary_characters(tmp_path):
    lines = ('0\t"an open quote\tyes', '1\tclosed" here\tno')
    write_tsv(tmp_path, "train.tsv", "index\tsentence1\tlabel", *lines)
    actual = TsvReader(folder=tmp_path, layout=PAIR).read("train")
    assert actual.columns["one"] == ['"an open quote', 'closed" here']


def test_tsv_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    write_tsv(tmp_path, "train.tsv", "sentence1\tlabel", "a\tno", encoding="utf-8-sig")
    assert TsvReader(folder=tmp_path, layout=PAIR).read("train").columns["one"] == ["a"]


def test_tsv_without_header_uses_the_layouts_names(tmp_path):
    layout = TsvLayout(folders=("X",), columns={"t": "text"}, header=("id", "text"))
    write_tsv(tmp_path, "train.tsv", "7\tfirst", "8\tsecond")
    actual = TsvReader(folder=tmp_path, layout=layout).read("train")
    assert actual.columns["t"] == ["first", "second"]


def test_tsv_missing_column_names_what_is_there(tmp_path):
    write_tsv(tmp_path, "train.tsv", "index\ttext", "0\ta")
    with pytest.raises(DataError, match=r"no column 'sentence1' \(columns: index, text\)"):
        TsvReader(folder=tmp_path, layout=PAIR).read("train")


def test_few_broken_tsv_lines_are_left_out_with_a_warning(tmp_path, caplog):
    rows = [f"{i}\ttext {i}\tno" for i in range(200)]
    write_tsv(tmp_path, "train.tsv", "index\tsentence1\tlabel", *rows, "201\tcut off")
    assert len(TsvReader(folder=tmp_path, layout=PAIR).read("train")) == 200
    assert "1 lines with missing fields" in caplog.text


def test_many_broken_tsv_lines_are_an_error(tmp_path):
    write_tsv(tmp_path, "train.tsv", "index\tsentence1\tlabel", "0\ta\tno", "1\tcut off")
    with pytest.raises(DataError, match="1 of 2 lines have fewer than 3 fields"):
        TsvReader(folder=tmp_path, layout=PAIR).read("train")


def test_tsv_texts_hold_carriage_returns_long_texts_and_what_else_cuts_lines(tmp_path):
    texts = ["a\rb", "x" * 200_000, "c\u2028d\x85e\x0cf"]
    rows = [f"{k}\t{text}\tno" for k, text in enumerate(texts)]
    write_tsv(tmp_path, "train.tsv", "index\tsentence1\tlabel", *rows)
    actual = TsvReader(folder=tmp_path, layout=PAIR).read("train")
    assert actual.columns["one"] == texts
    assert actual.place(2) == "line 4"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    return tmp_path


def test_hub_without_network_says_so_at_once(offline):
    reader = HubReader(path="nyu-mll/glue", config="rte", names={"train": "train"})
    began = time.monotonic()
    with pytest.raises(SetupError) as caught:
        reader.read("train")
    assert time.monotonic() - began < 5
    assert str(caught.value) == (
        f"cannot reach nyu-mll/glue (rte): no network, and not in the local cache ({offline})"
    )
    assert "data.root" in caught.value.hint
    assert caught.value.exit_code == 4


def test_hub_without_network_reads_the_cache(offline):
    entry = offline / "nyu-mll___glue" / "rte" / "0.0.0" / "hash"
    entry.mkdir(parents=True)
    features = datasets.Features(label=datasets.Value("int64"))
    writer = ArrowWriter(path=str(entry / "glue-train.arrow"), features=features)
    writer.write({"label": 1})
    rows, size = writer.finalize()
    split = {"name": "train", "num_bytes": size, "num_examples": rows, "dataset_name": "glue"}
    datasets.DatasetInfo(
        features=features, dataset_name="glue", config_name="rte", version="0.0.0",
        splits={"train": split},
    ).write_to_directory(str(entry))  # fmt: skip
    reader = HubReader(path="nyu-mll/glue", config="rte", names={"train": "train"})
    assert reader.read("train").columns == {"label": [1]}


def test_hub_split_that_the_task_does_not_have(offline):
    reader = HubReader(path="nyu-mll/glue", config="rte", names={"train": "train"})
    with pytest.raises(DataError, match="splits: train"):
        reader.read("test")


def test_class_names_of_the_hub_come_along(offline):
    entry = offline / "me___own" / "default" / "0.0.0" / "hash"
    entry.mkdir(parents=True)
    features = datasets.Features(label=datasets.ClassLabel(names=["pos", "neg"]))
    writer = ArrowWriter(path=str(entry / "own-train.arrow"), features=features)
    writer.write({"label": 1})
    rows, size = writer.finalize()
    split = {"name": "train", "num_bytes": size, "num_examples": rows, "dataset_name": "own"}
    datasets.DatasetInfo(
        features=features, dataset_name="own", config_name="default", version="0.0.0",
        splits={"train": split},
    ).write_to_directory(str(entry))  # fmt: skip
    actual = HubReader(path="me/own", config="default", names={"train": "train"}).read("train")
    assert actual.class_names == {"label": ("pos", "neg")}
    assert class_ids(actual, "label", ("neg", "pos")).tolist() == [0]


@pytest.fixture
def streamed(monkeypatch, tmp_path):
    """A data set of four files in this folder, which `datasets` streams as one of the hub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("raykd.hub.reachable", lambda: True)
    # What `datasets` waits at the end of a stream, for Arrow's threads; older ones do not.
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0, raising=False)
    folder = tmp_path / "me" / "own"
    folder.mkdir(parents=True)
    features = datasets.Features(
        text=datasets.Value("string"), label=datasets.ClassLabel(names=["pos", "neg"])
    )
    for part in range(4):
        rows = {"text": [f"row {part} {k}" for k in range(50)], "label": [k % 2 for k in range(50)]}
        made = datasets.Dataset.from_dict(rows, features=features)
        made.to_parquet(folder / f"train-{part:05}-of-00004.parquet")
    return HubReader(path="me/own", config="default", names={"train": "train"}, stream=(20, 3))


def test_as_many_rows_of_the_hub_are_streamed_as_are_wanted(streamed):
    table = streamed.read("train")
    assert len(table) == 20
    assert table.class_names == {"label": ("pos", "neg")}
    texts = table.columns["text"]
    assert len(set(texts)) == 20
    assert len({text.split()[1] for text in texts}) > 1  # from several files
    assert streamed.read("train") == table
    other = replace(streamed, stream=(20, 4)).read("train")
    assert other.columns["text"] != texts
    assert len(replace(streamed, stream=(1_000, 3)).read("train")) == 200
    with pytest.raises(SetupError, match=r"cannot load me/own \(none\) from the hub"):
        replace(streamed, config="none").read("train")


def test_the_rest_of_a_stream_is_not_read():
    seen = []

    def rows():
        for k in range(10_000):
            seen.append(k)
            yield {"k": k}

    drawn = draw(datasets.IterableDataset.from_generator(rows), 5, 0, buffer=40)
    assert len({row["k"] for row in drawn}) == 5
    assert max(row["k"] for row in drawn) < 50
    assert len(seen) < 100


def test_the_reference_says_how_many_rows_of_a_stream_are_downloaded():
    seen = []

    def rows():
        for k in range(4 * BUFFER):
            seen.append(k)
            yield {"k": k}

    draw(datasets.IterableDataset.from_generator(rows), 50, 0)
    assert BUFFER <= len(seen) <= BUFFER + 50 + 1_000  # it arrives in blocks
    assert f"`data.limit` + {BUFFER:,} rows" in dict(KEYS[OwnTaskSpec])["stream"]


def test_streaming_needs_a_network(offline):
    reader = HubReader(path="a/b", config="c", names={"train": "train"}, stream=(5, 0))
    with pytest.raises(Unreachable, match="what is streamed is in no cache"):
        reader.read("train")
