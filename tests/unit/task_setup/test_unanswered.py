"""Prompts without responses: the teacher writes what is learnt there, others leave them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd.data.batch import LABELLED
from raykd.data.unlabelled import labelled_rows
from raykd.errors import DataError, SpecError
from raykd.models.signals.generations import Generations
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.task_setup.set_up import set_up_task
from tests.unit.task_setup import test_given_texts as given

NAME, ROWS, MORE = given.NAME, given.ROWS, 6


def unanswered(place: Path, **extra: Any) -> str:
    lines = [{"q": f"and what is {k + 100}", **extra} for k in range(MORE)]
    return str(given.write(place / "more.jsonl", lines))


def sweep(place: Path, methods: dict[str, Any], more: str | None, **own: Any) -> SweepSpec:
    plain = given.sweep(place, given.MODEL, "seqkd").as_dict()
    return spec_from_dict({
        **plain, "data": {**plain["data"], "unlabelled": more},
        "own_tasks": {NAME: {**plain["own_tasks"][NAME], **own}},
        "methods": {n: {"method": n, **arm, "name": n} for n, arm in methods.items()},
        "report": {"baseline": next(iter(methods))},
    })  # fmt: skip


@pytest.mark.parametrize("extra", [{}, {"a": "not read"}])
def test_rows_without_a_response_are_prompts_alone(tmp_path, extra):
    setup = set_up_task(sweep(tmp_path, {"seqkd": {}}, unanswered(tmp_path, **extra)), NAME)
    train = setup.student_splits["train"]
    assert len(train) == ROWS + MORE
    assert len(setup.rows["finetune"]) == ROWS
    assert train.columns[LABELLED].tolist() == [1.0] * ROWS + [0.0] * MORE
    assert (train.label_counts()[:ROWS] > 0).all()
    assert not train.label_counts()[ROWS:].any()
    tokenizer = setup.tokenizers.student
    for k in range(MORE):
        read = tokenizer.decode(train.prompt(ROWS + k).tolist()).strip()
        assert read.endswith(f"and what is {k + 100}")
        assert "not read" not in read
    plain = set_up_task(sweep(tmp_path, {"seqkd": {}}, None), NAME).student_splits["train"]
    left = labelled_rows(train)
    assert np.array_equal(left.input_ids, plain.input_ids)
    assert np.array_equal(left.labels, plain.labels)
    assert np.array_equal(left.offsets, plain.offsets)
    assert LABELLED not in left.columns


def test_the_teacher_writes_responses_to_all_of_them_and_arms_may_leave_them_out(tmp_path):
    more = unanswered(tmp_path)
    spec = sweep(tmp_path, {"seqkd": {}}, more)
    _, ready = given.prepared(spec, tmp_path)
    written = ready.splits[Generations().texts]
    assert len(written) == ROWS + MORE
    assert (written.label_counts() > 0).all()
    with_them = given.trained(spec, tmp_path)
    arms = {"less": {"method": "seqkd", "fixed": {"unlabelled": False}}, "seqkd": {}}
    without = given.trained(sweep(tmp_path, arms, more), tmp_path)
    assert with_them["task"] != without["task"]


def test_methods_on_given_responses_learn_what_they_learn_without_them(tmp_path):
    arms = {"kd": {"fixed": {"alpha": 0.7}}, "sft": {}, "seqkd": {}}
    spec, alone = (sweep(tmp_path, arms, more) for more in (unanswered(tmp_path), None))
    actual = [given.trained(of, tmp_path) for of in (spec, alone)]
    assert actual[0] == pytest.approx(actual[1], abs=1e-5)


def test_an_encoder_and_decoder_reads_them_too(tmp_path):
    plain = sweep(tmp_path, {"seqkd": {}}, unanswered(tmp_path)).as_dict()
    shape = {**given.WRITER, "family": "t5", "hidden": 8}
    teacher = {**plain["teacher"], "model": shape}
    spec = spec_from_dict({**plain, "teacher": teacher, "student": {"model": shape}})
    train = set_up_task(spec, NAME).student_splits["train"]
    assert not train.label_counts()[ROWS:].any()
    assert len(labelled_rows(train)) == ROWS
    assert labelled_rows(train).label_counts().all()


@pytest.mark.parametrize("last", ["user", "assistant"])
def test_of_messages_those_before_the_response_are_read(tmp_path, last):
    def turns(k: int, *, whole: bool) -> list[dict[str, str]]:
        output = [{"role": "user", "content": f"what is {k}"}]
        return output + [{"role": "assistant", "content": f"it is {k}"}] * whole

    for split in ("train", "validation"):
        lines = [{"m": turns(k, whole=True)} for k in range(ROWS)]
        given.write(tmp_path / "rows" / f"{split}.jsonl", lines)
    lines = [{"m": turns(k + 100, whole=last == "assistant")} for k in range(MORE)]
    more = str(given.write(tmp_path / "more.jsonl", lines))
    plain = sweep(tmp_path, {"seqkd": {}}, more).as_dict()
    own = {"name": NAME, "kind": "text", "messages": "m", "path": f"{tmp_path}/rows"}
    for split in ("train", "validation"):  # `given.sweep` wrote its own
        lines = [{"m": turns(k, whole=True)} for k in range(ROWS)]
        given.write(tmp_path / "rows" / f"{split}.jsonl", lines)
    setup = set_up_task(spec_from_dict({**plain, "own_tasks": {NAME: own}}), NAME)
    train, tokenizer = setup.student_splits["train"], setup.tokenizers.student
    assert not train.label_counts()[ROWS:].any()
    labelled = tokenizer.decode(train.prompt(0).tolist())
    read = tokenizer.decode(train.prompt(ROWS).tolist())
    assert read == labelled.replace("what is 0", "what is 100")


def test_arms_that_leave_them_out_are_named_at_the_start(tmp_path):
    arms = {"seqkd": {}, "sft": {}, "gkd": {}, "minillm": {}}
    own = {"unlabelled": False}
    less = {"gkd": {"fixed": own}, "minillm": {}, "seqkd": {}}
    output = [
        [note for note in set_up_task(of, NAME).notes if note.startswith("data.unlabelled")]
        for of in (
            sweep(tmp_path, arms, unanswered(tmp_path)),
            sweep(tmp_path, less, unanswered(tmp_path)),
            sweep(tmp_path, arms, None),
        )
    ]
    assert output == [
        ["data.unlabelled has 6 prompts without responses: seqkd learns from them; sft, gkd and "
         "minillm leave them out"],
        ["data.unlabelled has 6 prompts without responses: seqkd learns from them; gkd and minillm "
         "leave them out"],
        [],
    ]  # fmt: skip


def test_what_cannot_be_is_one_message(tmp_path):
    more = unanswered(tmp_path)
    with pytest.raises(SpecError) as none:
        set_up_task(sweep(tmp_path, {"sft": {}, "kd": {"fixed": {"alpha": 0.7}}}, more), NAME)
    (problem,) = none.value.problems()
    assert problem.path == "data.unlabelled"
    assert "no arm learns from prompts without responses" in problem.message
    lines = [{"m": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}] * 8
    for split in ("train", "validation"):
        given.write(tmp_path / "chat" / f"{split}.jsonl", lines)
    plain = sweep(tmp_path, {"seqkd": {}}, more).as_dict()
    own = {"name": NAME, "kind": "text", "messages": "m", "loss_on": "all",
           "path": f"{tmp_path}/chat"}  # fmt: skip
    with pytest.raises(DataError) as refused:
        set_up_task(spec_from_dict({**plain, "own_tasks": {NAME: own}}), NAME)
    (problem,) = refused.value.problems()
    assert problem.path == "data.unlabelled"
    assert "loss_on: all" in problem.message
