"""What every registered task promises, checked on rows made up for it."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import KINDS, NO_LABEL, TEXT_KINDS, TOKEN_KINDS, DataSettings, Examples, Task
from raykd.data.classification import TextClassification
from raykd.data.collate import Collator
from raykd.data.files import FileTask
from raykd.data.table import Table
from raykd.models.bpe import train_bpe
from raykd.models.tokenizers import train_tokenizer
from tests.contracts.matrix import Case, over

TASKS = registry.variants("tasks")
SCORES = ("regression", "embedding")
NUM_ROWS = 12
LENGTH, VOCABULARY = 64, 400
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
    "dolly": lambda i: {
        "instruction": f"Name {i} rivers.", "context": ("", "In Europe.")[i % 2],
        "response": f"The Rhine and {i} others.",
    },
    "step_by_step/cqa": lambda i: {
        "question": f"Where is river {i}?", "choices": ["in a bed", "in a sea"],
        "answer": ("in a bed", "in a sea")[i % 2], "llm_rationale": "Rivers have beds.",
    },
    "step_by_step/svamp": lambda i: {
        "input": f"Ann has {i} apples and eats 1.\nHow many are left?", "label": f"( {i} - 1 )",
        "llm_output": f"She eats one. The answer is ({i} - 1).\n\nQ: next",
    },
    "step_by_step/esnli": lambda i: {
        "premise": f"Ann sees {i} cats.", "hypothesis": "Ann sees cats.", "label": i % 3,
        "llm_rationale": "Cats are cats.",
    },
    "step_by_step/anli_r1": lambda i: {
        "premise": f"Ann saw {i} cats.", "hypothesis": "Ann saw cats.", "label": i % 3,
        "llm_rationale": "",
    },
    "super_glue_prompts/cb": lambda i: {
        "premise": f"Ann may have seen {i} cats.", "hypothesis": "Ann saw cats", "label": i % 3,
    },
    "super_glue_prompts/rte": lambda i: {
        "premise": f"Ann saw {i} cats.", "hypothesis": "Ann saw cats.", "label": i % 2,
    },
    "super_glue_prompts/boolq": lambda i: {
        "question": f"did ann win in {i}", "passage": f"It was Ann who won in {i}.", "label": i % 2,
    },
    "super_glue_prompts/wic": lambda i: {
        "word": "bank", "sentence1": f"Bank {i}.", "sentence2": "A river bank.", "label": i % 2,
    },
    "toy_text/replies": lambda i: {"text": f"the film {i} was good", "label": i % 2},
    "text": lambda i: {"text": f"In the year {i} it was Ann who won the long race again."},
    "squad": lambda i: {
        "question": f"Who won {i}?", "context": f"In {i} it was Ann {i} who won.",
        "answers": {"text": [f"Ann {i}"], "answer_start": [len(f"In {i} it was ")]},
    },
}  # fmt: skip
# The same rows, put into words.
RAW |= {f"super_glue_prompts/{name}": RAW[f"super_glue/{name}"] for name in ("wsc", "copa")}


@pytest.fixture(params=TASKS)
def task(request) -> Task:
    return registry.load("tasks", request.param)


@pytest.fixture
def rows(task) -> Examples:
    return rows_of(task.name)


@pytest.fixture
def encoded(task):
    return encoded_of(task.name)


def each_task(names: Sequence[str]) -> Iterator[Case]:
    """A case for each."""
    return ({"name": name} for name in names)


@functools.cache
def rows_of(name: str) -> Examples:
    """Some rows of a task, made up unless it makes its own."""
    task: Task = registry.load("tasks", name)
    if not isinstance(task, FileTask):
        return task.load(task.splits(DataSettings())[0], DataSettings(limit=NUM_ROWS))
    if name in RAW:
        made = [RAW[name](i) for i in range(NUM_ROWS)]
        raw = {column: [row[column] for row in made] for column in made[0]}
        return task.read_table(Table(columns=raw, origin="made up"))
    assert isinstance(task, TextClassification)
    numbers = range(NUM_ROWS)
    low, high = task.span
    labels = [
        low + (high - low) * i / NUM_ROWS if task.kind in SCORES else i % task.num_labels
        for i in numbers
    ]
    columns = {column: [f"text {i} of {column}" for i in numbers] for column in task.texts}
    return task.read_table(Table(columns=columns | {task.label: labels}, origin="made up"))


@functools.cache
def encoded_of(name: str) -> Any:
    """The same rows, encoded."""
    task = registry.load("tasks", name)
    return task.encode(rows_of(name), tokenizer_for(task, rows_of(name)), LENGTH)


def tokenizer_for(task: Task, rows: Examples) -> Any:
    texts = tuple(text for column in rows.texts for text in column)
    return tokenizer_of(texts, task.kind in TEXT_KINDS)


@functools.cache
def tokenizer_of(texts: tuple[str, ...], writes: bool) -> Any:
    if writes:
        return train_bpe(texts, VOCABULARY, ("<pad>", "</s>"))
    return train_tokenizer(texts, VOCABULARY)


def perfect(task: Task, encoded) -> np.ndarray:
    """Logits that say what the labels say."""
    if task.kind in SCORES:
        return encoded.labels[:, None]
    if encoded.token_labels:
        known = encoded.labels[encoded.labels != NO_LABEL]
        return 20 * np.eye(VOCABULARY, dtype=np.float32)[known]
    width = int(encoded.lengths().max()) if task.kind == "span" else task.num_labels
    return np.eye(width, dtype=np.float32)[encoded.labels]


@over(TASKS, each_task, together=True)
def test_the_name_is_the_one_it_is_found_under(name):
    task = registry.load("tasks", name)
    assert task.name == name
    assert registry.load("tasks", name) is task
    assert task.about.endswith((".", "?"))


@over(TASKS, each_task, together=True)
def test_the_deciding_metric_is_among_its_metrics(name):
    task = registry.load("tasks", name)
    assert task.metric in task.metrics


@over(TASKS, each_task, together=True)
def test_labels_fit_the_kind(name):
    task = registry.load("tasks", name)
    assert task.kind in KINDS
    if task.kind in (*SCORES, *TOKEN_KINDS):
        assert task.labels == ()
        assert task.num_labels == 1
    else:
        assert task.num_labels == len(set(task.labels)) >= 2


@over(TASKS, each_task, together=True)
def test_train_and_a_split_to_report_on_are_declared(name):
    splits = set(registry.load("tasks", name).splits(DataSettings()))
    assert "train" in splits
    assert splits & {"validation", "test"}


@over(TASKS, each_task, together=True)
def test_it_pickles(name):
    task = registry.load("tasks", name)
    assert pickle.loads(pickle.dumps(task)) == task


def test_rows_have_texts_and_labels_of_one_length(task, rows):
    assert len(rows) == NUM_ROWS
    assert all(len(column) == NUM_ROWS for column in rows.texts)
    assert rows.labels.dtype == (np.float32 if task.kind in SCORES else np.int64)


def test_loss_is_a_finite_scalar_with_a_gradient(task, encoded):
    batch = Collator(0, max_length=LENGTH)(encoded, np.arange(len(encoded)))
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
    counted = set(task.metrics) - set(task.text_metrics)
    assert set(best) == set(constant) == counted
    deciding = next(m for m in (task.metric, "log_likelihood") if m in counted)
    # A likelihood is at most 1, of which the logarithm is 0.
    highest = 0.0 if deciding == "log_likelihood" else 1.0
    assert best[deciding] == pytest.approx(highest, abs=1e-4)
    assert constant[deciding] < best[deciding]
    assert all(np.isfinite(v) for v in constant.values())


@pytest.mark.parametrize("task", TASKS, indirect=True)
def test_every_metric_is_the_mean_of_what_the_rows_add_to_it(task, encoded):
    """But for the bias of the jackknife, which few rows make large: it is zero for equal rows."""
    right = perfect(task, encoded)
    actual = task.score(right, encoded)
    for metric in () if encoded.token_labels else task.metrics:
        outcomes = task.row_outcomes(metric, right, encoded)
        assert outcomes.ndim == 1
        assert len(outcomes) <= len(encoded)
        assert outcomes.mean() == pytest.approx(actual[metric], abs=0.1), metric


@pytest.mark.parametrize("task", TASKS, indirect=True)
def test_what_is_predicted_is_reported_in_words_for_each_row_that_has_an_outcome(task, encoded):
    if encoded.token_labels:
        return  # those that write a text are asked for it, see test_text_metrics
    right = perfect(task, encoded)
    predictions = task.row_predictions(right, encoded)
    assert len(predictions) == len(task.row_outcomes(task.metrics[0], right, encoded))
    if task.has_row_classes:
        assert predictions == [task.labels[k] for k in encoded.labels]
    elif task.kind in SCORES:
        assert [float(p) for p in predictions] == pytest.approx(encoded.labels, abs=1e-4)
    else:
        assert any(predictions)


WRITING = [name for name in TASKS if registry.load("tasks", name).kind in TEXT_KINDS]


@pytest.fixture(params=TEXT_KINDS)
def writing(task, request) -> Task:
    return task.read_by(request.param)


@pytest.mark.parametrize("task", WRITING, indirect=True)
def test_what_is_accepted_is_scored_as_right_and_other_text_as_wrong(writing, rows):
    actual = writing.encode(rows, tokenizer_for(writing, rows), LENGTH)
    assert actual.references is not None
    answers = actual.references.answers
    right = writing.score_texts([accepted[0] for accepted in answers], actual.references)
    wrong = writing.score_texts(["xyzzy"] * len(answers), actual.references)
    assert set(right) == set(writing.text_metrics)
    assert all(value == pytest.approx(1.0) for value in right.values())
    assert all(value == 0.0 for value in wrong.values())


@pytest.mark.parametrize("task", WRITING, indirect=True)
def test_labels_are_the_response_and_its_end(writing, rows):
    tokenizer = tokenizer_for(writing, rows)
    actual = writing.encode(rows, tokenizer, 4 * LENGTH)
    assert actual.references is not None
    assert actual.references.tokens is not None
    offsets = actual.label_offsets if writing.kind == "seq2seq" else actual.offsets
    for row in range(len(rows)):
        labels = actual.labels[offsets[row] : offsets[row + 1]]
        message = labels[labels != NO_LABEL]
        assert message[-1] == tokenizer.eos_token_id
        assert actual.references.tokens.decode([message]) == [rows.texts[1][row]]
        assert tokenizer.decode(actual.prompt(row)).strip() in rows.texts[0][row]


@pytest.mark.parametrize("task", WRITING, indirect=True)
def test_other_readings_name_their_task_and_keep_the_labels(writing, rows):
    tokenizer = tokenizer_for(writing, rows)
    plain = writing.encode(rows, tokenizer, 4 * LENGTH)
    predict = writing.views(rows, tokenizer, 4 * LENGTH)["predict"]
    explain = predict.views["explain"]
    known = [e.labels[e.labels != NO_LABEL].tolist() for e in (plain, predict)]
    assert known[0] == known[1]
    has_rationale = any(rows.fields["rationales"])
    assert bool((explain.labels != NO_LABEL).any()) == has_rationale
    named = [("predict", predict)] + [("explain", explain)] * has_rationale
    for name, reading in named:
        assert f"{name}: " in tokenizer.decode(reading.prompt(0))
