from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from raykd.data.base import Batch, DataSettings, Examples, TokenizedDataset
from raykd.data.classification import TextClassification
from raykd.data.readers import HubReader, TsvLayout
from raykd.errors import DataError
from raykd.models.tokenizers import train_tokenizer

TASK = TextClassification(
    name="mine/pairs",
    about="A test.",
    texts=("a", "b"),
    labels=("no", "yes"),
    metric="accuracy",
    metrics=("accuracy",),
    hub=("owner/mine", "pairs"),
    tsv=TsvLayout(folders=("Pairs", "PAIRS"), columns={"a": "a", "b": "b", "label": "label"}),
)
SCORES = TextClassification(
    name="mine/scores",
    about="A test.",
    texts=("a",),
    kind="regression",
    span=(0, 5),
    metric="pearson",
    metrics=("pearson",),
    hub=("owner/mine", "scores"),
)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "mine" / "pairs"
    folder.mkdir(parents=True)
    rows = {"a": [f"a{i}" for i in range(50)], "b": ["b"] * 50, "label": [i % 2 for i in range(50)]}
    pq.write_table(pa.table(rows), folder / "train.parquet")
    return tmp_path


def batch_of(labels: list[float]) -> Batch:
    ids = torch.zeros(len(labels), 1, dtype=torch.int64)
    return Batch(
        input_ids=ids, attention_mask=ids, token_type_ids=ids, labels=torch.tensor(labels),
        index=ids[:, 0],
    )  # fmt: skip


def test_all_rows_come_in_file_order(root):
    rows = TASK.load("train", DataSettings(root=str(root)))
    assert rows.texts[0] == tuple(f"a{i}" for i in range(50))
    assert rows.labels.tolist() == [i % 2 for i in range(50)]


def test_limit_takes_rows_of_a_seeded_shuffle(root):
    def load(limit: int | None, seed: int = 0) -> tuple[str, ...]:
        return TASK.load("train", DataSettings(root=str(root), limit=limit, seed=seed)).texts[0]

    assert len(load(10)) == 10
    assert load(10) == load(10)
    assert load(10) != load(10, seed=1)
    assert load(10) == load(20)[:10]
    assert load(10) != tuple(f"a{i}" for i in range(10))
    assert load(99) == load(None)


def test_text_and_label_stay_together_under_a_limit(root):
    rows = TASK.load("train", DataSettings(root=str(root), limit=20))
    assert [int(text[1:]) % 2 for text in rows.texts[0]] == rows.labels.tolist()


def test_the_scripts_folder_is_found_under_either_name(tmp_path):
    (tmp_path / "PAIRS").mkdir()
    (tmp_path / "PAIRS" / "train.tsv").write_text("a\tb\tlabel\nx\ty\tyes\n")
    rows = TASK.load("train", DataSettings(root=str(tmp_path)))
    assert rows.labels.tolist() == [1]


def test_without_a_root_the_hub_is_read():
    reader = TASK.reader(DataSettings())
    assert reader == HubReader(path="owner/mine", config="pairs", names=TASK.hub_splits)


def test_a_root_that_is_no_folder(tmp_path):
    with pytest.raises(DataError, match="is not a folder"):
        TASK.load("train", DataSettings(root=str(tmp_path / "nope")))


def test_a_root_without_this_task_names_where_it_looked(tmp_path):
    with pytest.raises(DataError, match=r"looked for the folders mine/pairs, Pairs, PAIRS"):
        TASK.load("train", DataSettings(root=str(tmp_path)))


def test_classification_loss_is_cross_entropy():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    batch = batch_of([0, 1])
    expected = (np.log1p(np.exp(-2.0)) + np.log(2.0)) / 2
    assert TASK.loss(logits, batch).item() == pytest.approx(expected, rel=1e-6)


def test_regression_loss_is_the_squared_error_in_float32():
    loss = SCORES.loss(torch.tensor([[1.0], [4.0]], dtype=torch.bfloat16), batch_of([2.0, 2.0]))
    assert loss.dtype == torch.float32
    assert loss.item() == 2.5


def test_regression_has_one_logit():
    assert SCORES.num_labels == 1
    assert TASK.num_labels == 2


def labelled(labels) -> TokenizedDataset:
    none = np.zeros(0, np.int32)
    offsets = np.zeros(len(labels) + 1, np.int64)
    return TokenizedDataset(
        input_ids=none, token_type_ids=none, offsets=offsets, labels=np.array(labels)
    )


def test_score_gives_every_metric():
    logits = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert TASK.score(logits, labelled([0, 1])) == {"accuracy": 0.5}
    scores = SCORES.score(np.array([[1.0], [2.0], [4.0]]), labelled([1.0, 2.0, 4.0]))
    assert scores == {"pearson": pytest.approx(1.0)}


@pytest.mark.parametrize("label", [2, -1, -100])
def test_a_task_in_python_must_give_ids_of_its_classes(label):
    rows = Examples(texts=(("a", "b"),), labels=np.array([0, label]))
    with pytest.raises(DataError, match=f"1 of 2 labels are not class ids from 0 to 1.* {label}"):
        TASK.encode(rows, train_tokenizer(["a b"], 50), 8)


def test_columns_of_rows_are_equally_long():
    with pytest.raises(DataError, match="rows have 2 labels, but columns of 3 values"):
        Examples(texts=(("a", "b", "c"),), labels=np.zeros(2))
