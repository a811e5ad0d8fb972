"""Responses and log-probabilities of tokens that a teacher gave elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd.data.base import NO_LABEL, PADDED
from raykd.data.token_texts import TokenTexts
from raykd.errors import DataError, SpecError
from raykd.models.signals.generations import Generations
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from raykd.task_setup.set_up import TaskSetup, set_up_task
from raykd.teachers.prepared_task import PreparedTask
from tests.unit.sweep.specs import PLAIN

NAME, ROWS, COUNT = "own", 14, 5
WRITER = {"family": "gpt2", "layers": 1, "heads": 2, "vocabulary": 320, "max_positions": 128}
MODEL = {
    "model": {**WRITER, "hidden": 16}, "finetune": {"epochs": 2, "lr": 1e-2},
    "cache": "top_k", "cache_size": COUNT, "dtype": "fp32",
}  # fmt: skip
ARRAYS = ("tokens/ids", "tokens/log_probabilities")
Lines = Sequence[Mapping[str, Any]]


def write(path: Path, lines: Lines) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def rows() -> list[dict[str, Any]]:
    return [
        {"id": k, "q": f"what is {k}", "a": f"it is {k} ☃", "said": f"surely {k}, " * (1 + k % 3)}
        for k in range(ROWS)
    ]


def sweep(place: Path, teacher: Mapping[str, Any], method: str, **arm: Any) -> SweepSpec:
    write(place / "rows" / "validation.jsonl", rows()[:4])
    if not (place / "rows" / "train.jsonl").exists():
        write(place / "rows" / "train.jsonl", rows())
    own = {"name": NAME, "kind": "text", "prompt": "q", "response": "a", "path": f"{place}/rows"}
    return spec_from_dict({
        **PLAIN,
        "tasks": [NAME], "own_tasks": {NAME: own},
        "data": {"max_length": 96, "select_on": {"split": "validation"}},
        "teacher": teacher, "student": {"model": {**WRITER, "hidden": 8}},
        "methods": {method: {"name": method, "method": method, "fixed": arm}},
        "report": {"baseline": method},
    })  # fmt: skip


def prepared(spec: SweepSpec, place: Path) -> tuple[TaskSetup, PreparedTask]:
    return prepare_task(spec, NAME, place / "cache", lambda *_: None)[:2]


def trained(spec: SweepSpec, place: Path) -> dict[str, float]:
    setup, ready = prepared(spec, place)
    config = trial_of(spec, place, NAME, next(iter(spec.methods)), {"lr": 1e-3})
    actual = run_in_process(config, ready, setup.task, lambda _: None)
    seen = {**actual.metrics, **actual.evaluation.terms}
    return {name: value for name, value in seen.items() if name != "test/teacher_kl"}


def entry(texts: TokenTexts, own: int, ids: Sequence[int], logs: Sequence[float], *, by_id: bool):
    """A token as a server returns it."""

    def one(token: int, log: float) -> dict[str, Any]:
        return {"id": token, "logprob": log} if by_id else {"token": name(token), "logprob": log}

    def name(token: int) -> str:
        text = texts.texts[token]
        names = {number: name for name, number in texts.names.items()}
        return text if texts.id_of(text) == token else names[token]

    top = dict(zip(ids, logs, strict=True))
    return {**one(own, top.get(own, -30.0)), "top_logprobs": [one(*pair) for pair in top.items()]}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[list[list[Any]], list[list[Any]], dict[str, float]]:
    """The top tokens of a teacher that runs here, by id and by text, and what a student learns."""
    place = tmp_path_factory.mktemp("recorded")
    spec = sweep(place, MODEL, "kd", alpha=0.7)
    setup, ready = prepared(spec, place)
    assert ready.cached_outputs is not None
    references = setup.student_splits["validation"].references
    assert references is not None
    assert references.tokens is not None
    texts = TokenTexts(references.tokens)
    encoded, parts = setup.student_splits["train"], ready.cached_outputs.parts
    actual: list[list[list[Any]]] = [[], []]
    for row in range(ROWS):
        labels = encoded.labels[encoded.offsets[row] : encoded.offsets[row + 1]]
        own = labels[labels != NO_LABEL].tolist()
        ids, logs = (parts[name].rows(np.asarray([row]))[0] for name in ARRAYS)
        for k, by_id in enumerate((True, False)):
            tokens = zip(own, ids.tolist(), logs.astype(float).tolist(), strict=True)
            actual[k].append([entry(texts, *token, by_id=by_id) for token in tokens])
    return actual[0], actual[1], trained(spec, place)


def test_logprobs_teach_what_the_recorded_top_tokens_do(recorded, tmp_path):
    by_id, by_text, expected = recorded
    for name, tokens in (("id", by_id), ("text", by_text)):
        lines = [{"id": k, "lp": {"content": row}} for k, row in enumerate(tokens)]
        path = write(tmp_path / f"{name}.jsonl", lines)
        outputs = {"logprobs": "lp", "path": str(path), "id": "id"}
        actual = trained(sweep(tmp_path, {"outputs": outputs}, "kd", alpha=0.7), tmp_path)
        # The token that was written is one more alternative where it is not among the top ones.
        assert actual == pytest.approx(expected, abs=5e-3), name


def given_of(place: Path, tokens: Sequence[Any]) -> TaskSetup:
    write(place / "rows" / "train.jsonl", [{**r, "lp": t} for r, t in zip(rows(), tokens)])  # noqa: B905
    return set_up_task(sweep(place, {"outputs": {"logprobs": "lp"}}, "kd", alpha=0.7), NAME)


def test_a_row_without_its_last_token_ends_for_certain(recorded, tmp_path):
    by_id, _, _ = recorded
    setup = given_of(tmp_path, [row[:-1] for row in by_id])
    assert setup.given is not None
    assert setup.given.recorded is not None
    parts = setup.given.recorded.parts
    end = setup.tokenizers.student.eos_token_id
    ids, logs = (parts[name].rows(np.asarray([3]))[0][-1] for name in ARRAYS)
    assert (ids[0], logs[0]) == (end, 0)
    assert (logs[1:] == PADDED).all()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda row: row[:2], "line 4: 2 tokens, and the response has"),
        (lambda row: [{**row[0], "id": 5}, *row[1:]], "line 4: token 1 is 5, and that of the row"),
        (lambda row: [{"token": "foreign™", "logprob": -1}, *row[1:]],
         "line 4: token 1: 'foreign™' is not a token of the tokenizer"),
        (lambda row: [{**row[0], "id": 10**6}, *row[1:]], "token 1: 1000000 is not a token"),
        (lambda row: [{**row[0], "logprob": 0.5}, *row[1:]], "0.5 is not a logarithm"),
        (lambda row: [{**row[0], "logprob": float("nan")}, *row[1:]], "is not a logarithm"),
        (lambda row: [{"id": 5, "logprob": -0.1, "top_logprobs": [{"id": 6, "logprob": -0.1}]}],
         "token 1: probabilities add up to 1.81"),
        (lambda row: [{"id": 5, "logprob": -0.1, "top_logprobs": [{"id": 6, "logprob": -9},
                                                                  {"id": 6, "logprob": -9}]}],
         "6 is among top_logprobs twice"),
        (lambda row: None, "line 4: column 'lp' holds nothing"),
        (lambda row: [3], "token 1: holds 3"),
        (lambda row: "[", "which is not JSON"),
    ],
)  # fmt: skip
def test_log_probabilities_that_do_not_belong_to_the_row_are_named(
    recorded, tmp_path, spoil, words
):
    by_id = list(recorded[0])
    by_id[3] = spoil(by_id[3])
    with pytest.raises(DataError) as caught:
        given_of(tmp_path, by_id)
    assert words in caught.value.message
    assert caught.value.problems()[0].path == "teacher.outputs.logprobs"


def test_methods_that_need_more_than_the_top_tokens_are_refused(recorded, tmp_path):
    write(tmp_path / "rows" / "train.jsonl",
          [{**r, "lp": t} for r, t in zip(rows(), recorded[0], strict=True)])  # fmt: skip
    outputs = {"outputs": {"logprobs": "lp"}}
    with pytest.raises(SpecError, match=r"with teacher.outputs.logprobs: reverse_kl needs every"):
        prepared(sweep(tmp_path, outputs, "reverse_kl"), tmp_path)
    with pytest.raises(SpecError, match="reads generated text of the teacher, and "):
        set_up_task(sweep(tmp_path, outputs, "seqkd"), NAME)
    with pytest.raises(SpecError, match="gkd reads the running model of the teacher"):
        set_up_task(sweep(tmp_path, outputs, "gkd"), NAME)


def test_seqkd_learns_the_given_responses(tmp_path):
    outputs = {"outputs": {"responses": "said"}}
    spec = sweep(tmp_path, outputs, "seqkd")
    setup, ready = prepared(spec, tmp_path)
    encoded, tokenizer = ready.splits[Generations().texts], setup.tokenizers.student
    for row, line in enumerate(rows()):
        labels = encoded.labels[encoded.offsets[row] : encoded.offsets[row + 1]]
        written = labels[labels != NO_LABEL]
        assert tokenizer.decode(written[:-1]).strip() == line["said"].strip()
        assert written[-1] == tokenizer.eos_token_id
    assert trained(spec, tmp_path) != trained(sweep(tmp_path, outputs, "sft"), tmp_path)


def test_responses_that_do_not_fit_are_named(tmp_path):
    cases = [("x " * 200, "line 6: its response does not fit 96 tokens"), ("", "line 6"),
             (None, "line 6: column 'said' holds nothing, expected a text")]  # fmt: skip
    for text, words in cases:
        lines = rows()
        lines[5]["said"] = text
        write(tmp_path / "rows" / "train.jsonl", lines)
        with pytest.raises(DataError) as caught:
            set_up_task(sweep(tmp_path, {"outputs": {"responses": "said"}}, "seqkd"), NAME)
        assert words in caught.value.message
        assert caught.value.problems()[0].path == "teacher.outputs.responses"
