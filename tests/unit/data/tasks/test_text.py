from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from raykd import registry
from raykd.data.base import NO_LABEL, DataSettings
from raykd.data.collate import Collator
from raykd.errors import DataError
from raykd.models.tokenizers import train_tokenizer

TASK = registry.load("tasks", "text")
LINES = [
    f"the {a} {b} ran over the {c} road again"
    for a in ("old", "red", "big", "wet")
    for b in ("cat", "dog", "fox")
    for c in ("long", "dark", "cold", "wide", "flat")
]
TOKENIZER = train_tokenizer(LINES, 200)


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "train.txt").write_text("\n\n".join(LINES) + "\n")
    return TASK.load("train", DataSettings(root=str(tmp_path)))


def test_lines_are_rows_and_empty_ones_are_left_out(rows):
    assert rows.texts == (tuple(LINES),)


def test_blocks_are_full_and_framed(rows):
    actual = TASK.encode(rows, TOKENIZER, 32)
    lengths = actual.lengths()
    assert (lengths[:-1] == 32).all()
    assert len(actual) == -(-sum(len(line.split()) for line in LINES) // 30)
    for i in range(len(actual)):
        row = actual.input_ids[actual.offsets[i] : actual.offsets[i + 1]]
        assert (row[0], row[-1]) == (TOKENIZER.cls_token_id, TOKENIZER.sep_token_id)


def test_about_15_percent_have_a_label_and_most_of_them_are_masked(rows):
    actual = TASK.encode(rows, TOKENIZER, 32)
    has = actual.labels != NO_LABEL
    assert 0.10 < has.mean() < 0.20
    masked = actual.input_ids == TOKENIZER.mask_token_id
    assert not (masked & ~has).any()
    assert 0.65 < masked[has].mean() < 0.95
    for i in range(len(actual)):
        assert has[actual.offsets[i] : actual.offsets[i + 1]].any()


def test_the_choice_is_the_same_every_time(rows):
    one, two = (TASK.encode(rows, TOKENIZER, 32) for _ in range(2))
    assert np.array_equal(one.input_ids, two.input_ids)
    assert np.array_equal(one.labels, two.labels)


def test_batches_carry_a_label_for_every_token(rows):
    actual = TASK.encode(rows, TOKENIZER, 32)
    batch = Collator(0, max_length=32)(actual, np.array([len(actual) - 1, 0]))
    assert batch.labels.shape == batch.input_ids.shape
    assert (batch.labels[batch.attention_mask == 0] == NO_LABEL).all()
    assert batch.labels[1].tolist() == actual.labels[:32].tolist()


def test_tallies_add_up_to_the_score(rows):
    actual = TASK.encode(rows, TOKENIZER, 32)
    known = int((actual.labels != NO_LABEL).sum())
    logits = torch.randn(known, 200, generator=torch.Generator().manual_seed(0))
    collate, total, begin = Collator(0, max_length=32), 0.0, 0
    for row in range(len(actual)):
        batch = collate(actual, np.array([row]))
        labels = batch.labels[batch.labels != NO_LABEL]
        count = len(labels)
        total = total + TASK.tally(logits[begin : begin + count], labels).double().numpy()
        begin += count
    whole = TASK.score(logits.numpy(), actual)
    assert TASK.tallied(total) == pytest.approx(whole, rel=1e-5)
    assert whole["masked_log_likelihood"] < 0


def test_texts_without_any_token_are_refused(rows):
    silent = replace(rows, texts=(("\u200d", "\u00ad"),), labels=rows.labels[:2])
    with pytest.raises(DataError, match="finds no token"):
        TASK.encode(silent, TOKENIZER, 16)
