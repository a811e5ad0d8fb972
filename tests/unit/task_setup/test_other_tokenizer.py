"""A student with a tokenizer of its own: the teacher reads its own tokens, and is learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from raykd.data.base import NO_LABEL
from raykd.errors import SpecError
from raykd.models.bpe import train_bpe
from raykd.models.signals.generations import Generations
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from tests.unit.task_setup.test_given_texts import NAME, ROWS, WRITER, rows, sweep

COLUMNS = {"uld": "token_pairs/place", "uld_aligned": "token_pairs/text", "gold": "token_spans"}


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> str:
    """A decoder whose tokenizer is not the teacher's."""
    folder = tmp_path_factory.mktemp("student")
    tokenizer = train_bpe([row["a"] for row in rows()], 290, ("<pad>", "<end>"))
    tokenizer.save_pretrained(folder)
    config = GPT2Config(
        n_layer=1, n_head=2, n_embd=8, n_positions=128, vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id, bos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


def trained(place: Path, student: str, method: str, serve: str, **arm: Any):
    teacher = {"model": {**WRITER, "hidden": 16}, "finetune": {"epochs": 1, "lr": 1e-2},
               "serve": serve, "dtype": "fp32"}  # fmt: skip
    spec = sweep(place, teacher, method, **arm)
    spec = spec.model_copy(
        update={"student": spec.student.model_copy(update={"model": student})}
    )  # fmt: skip
    setup, ready, _ = prepare_task(spec, NAME, place / "cache", lambda *_: None)
    assert not setup.tokenizers.same
    config = trial_of(spec, place, NAME, method, {"lr": 1e-2})
    actual = run_in_process(config, ready, setup.task, lambda _: None)
    return setup, ready, {**actual.metrics, **actual.evaluation.terms}


@pytest.mark.parametrize("method", ["uld", "uld_aligned", "gold"])
def test_a_recorded_and_a_running_teacher_teach_the_same(tmp_path, student, method):
    _, _, offline = trained(tmp_path, student, method, "outputs")
    setup, ready, online = trained(tmp_path, student, method, "weights")
    assert offline == pytest.approx(online, rel=1e-4, abs=1e-5)
    assert ready.teacher_train is setup.teacher_splits["train"] or np.array_equal(
        ready.teacher_train.input_ids, setup.teacher_splits["train"].input_ids
    )
    assert ready.teacher_vocabulary == len(setup.tokenizers.teacher)
    # Something is compared in every row, and the aligned one compares no more.
    aligned = setup.student_splits["train"].columns[COLUMNS[method]]
    assert ((aligned >= 0).reshape(ROWS, -1).sum(axis=1) >= 1).all()


def test_seqkd_encodes_the_texts_of_the_teacher_anew(tmp_path, student):
    setup, ready, _ = trained(tmp_path, student, "seqkd", "outputs")
    encoded, tokenizer = ready.splits[Generations().texts], setup.tokenizers.student
    assert len(encoded) == ROWS
    for row, line in enumerate(rows()):
        ids = encoded.input_ids[encoded.offsets[row] : encoded.offsets[row + 1]]
        assert tokenizer.decode(ids).startswith(line["q"])
    assert encoded.labels[encoded.labels != NO_LABEL].max() < len(tokenizer)


def test_methods_on_tokens_say_which_ones_cross_tokenizers(tmp_path, student):
    with pytest.raises(SpecError) as caught:
        trained(tmp_path, student, "kd", "outputs")
    assert "split text differently" in caught.value.problems()[0].message
    assert "(uld, uld_aligned, gold, seqkd)" in caught.value.problems()[0].hint


def test_both_sides_are_scored_in_bits_per_byte(tmp_path, student):
    _, ready, actual = trained(tmp_path, student, "uld", "outputs")
    mine, expected = actual["test/bits_per_byte"], ready.metrics["test/bits_per_byte"]
    assert 0 < mine < 20
    assert 0 < expected < 20
