"""What every registered task promises, checked on rows made up for it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import KINDS, NO_LABEL, DataSettings, Rows, Task
from raykd.data.classification import TextClassification
from raykd.data.collate import Collator
from raykd.data.files import FileTask
from raykd.data.table import Table
from raykd.models.tokenizers import train_tokenizer

TASKS = registry.variants("tasks")
NUM_ROWS = 12
# Raw columns of row i, for tasks that are read from more than texts and a label.
RAW: dict[str, Callable[[int], dict[str, Any]]] = {
    "super_glue/wsc": lambda i: {
        "text": f"Ann told Bea {i} that she won", "span1_text": "Ann", "span1_index": 0,
        "span2_text": "she", "span2_index": 5, "label": i % 2,
    },
    "super_glue/copa": lambda i: {
        "premise": f"It rained {i}.", "choice1": "She got wet.", "choice2": "He sang.",
        "question": ("cause", "effect")[i % 2], "label": i % 2,
    },
    "super_glue/multirc": lambda i: {
        "paragraph": "Ann won.", "question": f"Who won {i}?", "answer": "Ann", "label": i % 2,
    },
    "super_glue/record": lambda i: {
        "passage": f"Ann met Bea {i}.", "query": "@placeholder won.", "entities": ["Ann", "Bea"],
        "answers": [("Ann", "Bea")[i % 2]],
    },
    "text": lambda i: {"text": f"In the year {i} it was Ann who won the long race again."},
    "squad": lambda i: {
        "question": f"Who won {i}?", "context": f"In {i} it was Ann {i} who won.",
        "answers": {"text": [f"Ann {i}"], "answer_start": [len(f"In {i} it was ")]},
    },
}  # fmt: skip


@pytest.fixture(params=TASKS)
def task(request) -> Task:
    return registry.load("tasks", request.param)


@pytest.fixture
def rows(task) -> Rows:
    if not isinstance(task, FileTask):
        return task.load(task.splits(DataSettings())[0], DataSettings(limit=NUM_ROWS))
    if task.name in RAW:
        made = [RAW[task.name](i) for i in range(NUM_ROWS)]
        raw = {name: [row[name] for row in made] for name in made[0]}
        return task.read_table(Table(columns=raw, origin="made up"))
    assert isinstance(task, TextClassification)
    numbers = range(NUM_ROWS)
    low, high = task.span
    labels = [
        low + (high - low) * i / NUM_ROWS if task.kind == "regression" else i % task.num_labels
        for i in numbers
    ]
    columns = {name: [f"text {i} of {name}" for i in numbers] for name in task.texts}
    return task.read_table(Table(columns=columns | {task.label: labels}, origin="made up"))


@pytest.fixture
def encoded(task, rows):
    tokenizer = train_tokenizer([text for column in rows.texts for text in column], 200)
    return task.encode(rows, tokenizer, 32)


def perfect(task: Task, encoded) -> np.ndarray:
    """Logits that say what the labels say."""
    if task.kind == "regression":
        return encoded.labels[:, None]
    if encoded.token_labels:
        known = encoded.labels[encoded.labels != NO_LABEL]
        return 20 * np.eye(200, dtype=np.float32)[known]
    width = int(encoded.lengths().max()) if task.kind == "span" else task.num_labels
    return np.eye(width, dtype=np.float32)[encoded.labels]


def test_the_name_is_the_one_it_is_found_under(task):
    assert task.name in TASKS
    assert registry.load("tasks", task.name) is task
    assert task.about.endswith((".", "?"))


def test_the_deciding_metric_is_among_its_metrics(task):
    assert task.metric in task.metrics


def test_labels_fit_the_kind(task):
    assert task.kind in KINDS
    if task.kind in ("regression", "masked_lm"):
        assert task.labels == ()
        assert task.num_labels == 1
    else:
        assert task.num_labels == len(set(task.labels)) >= 2


def test_train_and_a_split_to_report_on_are_declared(task):
    splits = set(task.splits(DataSettings()))
    assert "train" in splits
    assert splits & {"validation", "test"}


def test_rows_have_texts_and_labels_of_one_length(task, rows):
    assert len(rows) == NUM_ROWS
    assert all(len(column) == NUM_ROWS for column in rows.texts)
    assert rows.labels.dtype == (np.float32 if task.kind == "regression" else np.int64)


def test_loss_is_a_finite_scalar_with_a_gradient(task, encoded):
    batch = Collator(0, max_length=32)(encoded, np.arange(len(encoded)))
    shape = perfect(task, encoded).shape
    if encoded.token_labels:
        shape = (int((batch.labels != NO_LABEL).sum()), shape[1])
    logits = torch.zeros(shape, requires_grad=True)
    loss = task.loss(logits, batch)
    loss.backward()
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0


def test_right_predictions_score_better_than_constant_ones(task, encoded):
    right = perfect(task, encoded)
    best = task.score(right, encoded)
    constant = task.score(np.zeros_like(right), encoded)
    assert set(best) == set(constant) == set(task.metrics)
    assert best[task.metric] == pytest.approx(1.0)
    assert constant[task.metric] < best[task.metric]
    assert all(np.isfinite(v) for v in constant.values())


def test_it_pickles(task):
    assert pickle.loads(pickle.dumps(task)) == task
