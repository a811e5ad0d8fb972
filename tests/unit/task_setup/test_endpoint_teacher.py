"""A teacher behind an address: what it says is what a teacher here says, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raykd.data.base import EXPLAIN, PREDICT
from raykd.errors import RaykdError
from raykd.models.signals.generations import Generations
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task, run_in_process, trial_of
from raykd.task_setup.named_teachers import set_up_all
from raykd.task_setup.set_up import set_up_task, setup_notes
from raykd.teachers.prepared_task import PreparedTask
from tests.faulty_proxy import CUT, before
from tests.openai_server import KEY, MODEL, Faults, OpenAIServer, running
from tests.unit.sweep.specs import PLAIN
from tests.unit.task_setup import test_given_teacher as scores
from tests.unit.task_setup import test_given_texts as given

NAME, ROWS = given.NAME, given.ROWS
LABELS = ("no", "yes")


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """A folder with a teacher that was fine-tuned here, and what a student learns of it."""
    place = tmp_path_factory.mktemp("here")
    learnt = given.trained(given.sweep(place, given.MODEL, "kd", alpha=0.7), place)
    (folder,) = (place / "cache").glob("*/teacher")
    return folder, learnt


@pytest.fixture(scope="module")
def opened(here) -> Iterator[OpenAIServer]:
    with running(here[0]) as server:
        yield server


@pytest.fixture
def server(opened, monkeypatch, tmp_path) -> OpenAIServer:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("RAYKD_CACHE", str(tmp_path / "cache"))
    opened.faults, opened.requests = Faults(), []
    opened.seen = opened.busiest = 0
    return opened


def teacher(server: OpenAIServer, **ask: Any) -> Mapping[str, Any]:
    quick = {"wait": 0.01, "timeout": 30.0, "retries": 3, "max_new_tokens": 6}
    return {"endpoint": server.url, "model": MODEL, "ask": {**quick, **ask}}


def of_text(place: Path, server: OpenAIServer, method: str = "seqkd", **ask: Any) -> SweepSpec:
    arm = {"alpha": 0.7} if method == "kd" else {}
    return given.sweep(place, teacher(server, **ask), method, **arm)


def of_classes(place: Path, server: OpenAIServer, **ask: Any) -> SweepSpec:
    lines = [{"text": f"is {k} odd", "label": LABELS[k % 2]} for k in range(ROWS)]
    for split in ("train", "validation"):
        given.write(place / "rows" / f"{split}.jsonl", lines)
    own = {"name": NAME, "path": f"{place}/rows", "texts": ["text"], "labels": LABELS}
    return spec_from_dict({
        **PLAIN, "tasks": [NAME], "own_tasks": {NAME: own},
        "data": {"max_length": 32, "select_on": {"split": "validation"}},
        "teacher": teacher(server, **ask),
        "methods": {"kd": {"name": "kd", "method": "kd", "fixed": {"alpha": 0.7}}},
        "report": {"baseline": "kd"},
    })  # fmt: skip


def prepared(spec: SweepSpec, place: Path, notes: list[str] | None = None):
    note = (lambda text: None) if notes is None else notes.append
    return prepare_task(spec, NAME, place / "cache", lambda *_: None, note)


def fails(spec: SweepSpec, place: Path) -> RaykdError:
    with pytest.raises(RaykdError) as caught:
        prepared(spec, place)
    return caught.value


# ---- what it says


def test_log_probabilities_teach_what_the_teacher_here_does(here, server, tmp_path):
    spec = of_text(tmp_path, server, "kd", interface="completions", top_logprobs=given.COUNT)
    setup, ready, _ = prepared(spec, tmp_path)
    config = trial_of(spec, tmp_path, NAME, "kd", {"lr": 1e-3})
    actual = run_in_process(config, ready, setup.task, lambda _: None)
    learnt = {**actual.metrics, **actual.evaluation.terms}
    assert learnt == pytest.approx(here[1], abs=5e-3)
    assert len(server.requests) == ROWS
    assert all(request["echo"] for request in server.requests)


def test_responses_take_the_place_of_the_rows_own(server, tmp_path):
    setup, ready, _ = prepared(of_text(tmp_path, server), tmp_path)
    encoded, tokenizer = ready.splits[Generations().texts], setup.tokenizers.student
    requested = {r["messages"][-1]["content"]: r for r in server.requests}
    assert set(requested) == {row["q"] for row in given.rows()}
    output = [server.chat(requested[row["q"]])["choices"][0] for row in given.rows()]
    for labels, one in zip(encoded.label_rows(), output, strict=True):
        ended = labels[-1] == tokenizer.eos_token_id
        text = tokenizer.decode(labels[: len(labels) - ended])
        assert text.strip() == one["message"]["content"].strip()
        assert ended == (one["finish_reason"] == "stop")  # a text that was cut has no end
    assert encoded.truncated == sum(one["finish_reason"] == "length" for one in output)


@pytest.mark.parametrize(
    ("ask", "requested"),
    [
        ({"interface": "chat", "choices": {"no": "0", "yes": "1"}}, ROWS),
        ({"interface": "completions"}, 2 * ROWS),
    ],
    ids=["first token", "choices"],
)
def test_classes_are_scored(server, tmp_path, ask, requested):
    _, ready, _ = prepared(of_classes(tmp_path, server, top_logprobs=200, **ask), tmp_path)
    assert ready.cached_outputs is not None
    logits = ready.cached_outputs.all_logits()
    assert len(server.requests) == requested
    assert np.allclose(np.exp(logits).sum(1), 1, atol=1e-5)
    assert len({row.tobytes() for row in logits}) > 1
    # By hand, for the first row.
    prompt = "is 0 odd\n\nAnswer with one of: {}.\nAnswer:"
    if requested == ROWS:
        logs = server.logs(server.tokenizer(prompt.format("0, 1"))["input_ids"])[-1]
        tokens = logs.topk(200).indices.tolist()
        texts = [server.tokenizer.decode([k]).strip() for k in tokens]
        own = [
            sum(np.exp(float(logs[k])) for k, t in zip(tokens, texts, strict=True) if t == answer)
            for answer in ("0", "1")
        ]
    else:
        before = server.tokenizer(prompt.format("no, yes"))["input_ids"]
        own = []
        for answer in LABELS:
            whole = server.tokenizer(f"{prompt.format('no, yes')} {answer}")["input_ids"]
            logs, later = server.logs(whole), range(len(before), len(whole))
            own.append(np.exp(sum(float(logs[k - 1, whole[k]]) for k in later)))
    assert np.allclose(np.exp(logits[0]), np.asarray(own) / sum(own), atol=1e-3)


def test_a_class_may_be_read_from_the_text(server, tmp_path):
    output = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}
    server.faults.answer = output
    spec = of_classes(tmp_path, server, score_by="text", score_splits=True)
    _, ready, _ = prepared(spec, tmp_path)
    assert ready.cached_outputs is not None
    assert (ready.cached_outputs.all_logits().argmax(1) == 1).all()
    assert ready.metrics["validation/accuracy"] == ready.metrics["test/accuracy"] == 0.5


# ---- nothing is asked twice


def test_a_second_sweep_asks_nothing_and_gives_the_same(server, tmp_path, monkeypatch):
    notes: list[str] = []
    spec = of_text(tmp_path, server)
    first, one, _ = prepared(spec, tmp_path, notes)
    assert [note for note in notes if "was sent" in note] == [
        f"{MODEL} was sent {ROWS} requests: it read {first.usage['prompt_tokens']} tokens "
        f"and wrote {first.usage['completion_tokens']}"
    ]
    assert first.usage["completion_tokens"] == sum(
        server.chat(request)["usage"]["completion_tokens"] for request in server.requests
    )
    monkeypatch.delenv("OPENAI_API_KEY")  # not even a key is needed
    again, two, _ = prepared(spec, tmp_path, notes)
    assert len(server.requests) == server.seen == ROWS
    assert one.fingerprint == two.fingerprint
    assert again.usage["requests"] == 0
    assert again.usage["cached"] == ROWS
    assert again.usage["cached_prompt_tokens"] == first.usage["prompt_tokens"]


def test_what_was_answered_before_a_failure_is_not_asked_again(server, tmp_path):
    server.faults = Faults(always=500, after=5)
    error = fails(of_text(tmp_path, server, concurrent=2), tmp_path)
    assert "fails (500" in error.message
    assert "4 times in a row" in error.message
    assert "answers so far are kept" in error.hint
    assert len(server.requests) == 5
    (file,) = (tmp_path / "cache" / "answers").iterdir()
    with file.open("a") as text:
        text.write('\n{"key": "half of a line')  # a crash
    server.faults = Faults()
    setup, _, _ = prepared(of_text(tmp_path, server), tmp_path)
    assert len(server.requests) == ROWS
    assert setup.usage["cached"] == 5


def test_what_it_will_cost_is_reported_before_anything_is_asked(server, tmp_path):
    setup = set_up_task(of_text(tmp_path, server), NAME)
    (note,) = [note for note, _ in setup_notes(setup) if "is queried" in note]
    tokens = sum(len(setup.tokenizers.student.tokenize(row["q"])) for row in given.rows())
    assert f"is queried {ROWS} times: about {tokens} tokens to read" in note
    assert f"at most {6 * ROWS} to write" in note
    assert server.seen == 0
    # What is known already is counted in the cache that the sweep uses.
    prepared(of_text(tmp_path, server), tmp_path / "elsewhere")
    there = f"{ROWS} of them are answered already"
    for folder, known in ((None, False), (tmp_path / "elsewhere" / "cache", True)):
        (note,) = [note for note, _ in setup_notes(setup, folder) if "is queried" in note]
        assert (there in note) == known


# ---- failures


def test_failures_that_pass_are_waited_for(server, tmp_path):
    server.faults = Faults(next=[429, 500, 503, 0], late_s=1.5)
    prepared(of_text(tmp_path, server, concurrent=4, retries=6, timeout=1.0), tmp_path)
    assert len(server.requests) == ROWS
    assert server.seen == ROWS + 4
    assert 1 < server.busiest <= 4 + 1  # the one that was too late is still at it


def test_a_connection_cut_in_an_answer_is_opened_again(server, tmp_path):
    """However often the first request fails in that way or another: the server is there."""
    with before(server.url, CUT, 429, CUT, retry_after="0.2") as proxy:
        spec = of_text(tmp_path, server, concurrent=1).as_dict()
        spec["teacher"]["endpoint"] = proxy.url
        setup, _, _ = prepared(spec_from_dict(spec), tmp_path)
    assert proxy.answered == setup.usage["requests"] == ROWS
    assert len(proxy.came_at) == ROWS + 3
    assert proxy.came_at[2] - proxy.came_at[1] >= 0.2


def test_a_connection_that_is_always_cut_is_said(server, tmp_path):
    with before(server.url) as proxy:
        proxy.always = CUT
        spec = of_text(tmp_path, server).as_dict()
        spec["teacher"]["endpoint"] = proxy.url
        error = fails(spec_from_dict(spec), tmp_path)
    assert f"{proxy.url} breaks the connection off, 4 times in a row" in error.message


def test_models_that_want_another_name_for_the_most_tokens_get_it(server, tmp_path):
    server.faults.only_new_limit = True
    server.faults.body = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
        "'max_completion_tokens' instead."
    )
    spec = of_text(tmp_path, server, concurrent=1)
    _, ready, _ = prepared(spec, tmp_path)
    assert [request["max_completion_tokens"] for request in server.requests] == [6] * ROWS
    assert server.seen == ROWS + 1  # refused once, and no request is lost
    server.faults, count = Faults(), server.seen
    again = prepared(spec, tmp_path)[1]  # the same requests, whatever the limit was called
    assert server.seen == count
    texts = [of.splits[Generations().texts].label_rows() for of in (ready, again)]
    assert all(map(np.array_equal, *texts))


def test_another_refusal_is_no_reason_to_call_it_otherwise(server, tmp_path):
    server.faults.always, server.faults.body = 400, "max_tokens is too large"
    error = fails(of_text(tmp_path, server), tmp_path)
    assert "max_tokens is too large" in error.message
    assert server.seen == 1


def test_a_rate_limit_without_end_ends(server, tmp_path):
    server.faults = Faults(always=429, retry_after="0")
    error = fails(of_text(tmp_path, server), tmp_path)
    assert "limits the rate (429" in error.message
    assert "4 times in a row" in error.message
    assert server.seen == 4  # the first request alone
    server.faults = Faults(always=429, retry_after="86400")
    error = fails(of_text(tmp_path, server), tmp_path)
    assert "it asks to wait 86,400 s" in error.message
    assert server.seen == 5


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"key": "OTHER_KEY"}, "teacher.ask.key", "refuses the key (401"),
        ({"model": "gpt-9"}, "teacher.model", "does not know 'gpt-9' (404"),
        ({"endpoint": "http://127.0.0.1:9/v1"}, "teacher.endpoint", "cannot be reached"),
    ],
    ids=["key", "model", "down"],
)
def test_what_will_not_do_is_one_message_after_one_request(server, tmp_path, change, path, words):
    requested = dict(teacher(server))
    if "key" in change:
        requested["ask"] = {**requested["ask"], **change}
    else:
        requested |= change
    error = fails(given.sweep(tmp_path, requested, "seqkd"), tmp_path)
    (problem,) = error.problems()
    assert problem.path == path
    assert words in problem.message
    assert KEY not in problem.message + problem.hint
    assert server.seen <= 1


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, "maximum context length", "refuses the request of row 1 (400: maximum context"),
        (418, "no coffee", "refuses the request of row 1 (418: no coffee"),
    ],
)
def test_a_refusal_says_which_row(server, tmp_path, status, body, words):
    server.faults = Faults(always=status, body=body)
    assert words in fails(of_text(tmp_path, server), tmp_path).message


def test_an_answer_that_is_none_is_reported(server, tmp_path):
    server.faults.answer = {"hello": "world"}
    error = fails(of_text(tmp_path, server), tmp_path)
    assert "something else than OpenAI's interface" in error.message
    assert "/v1" in error.hint


def test_empty_answers_are_counted_and_kept(server, tmp_path):
    server.faults.answer = {"choices": [{"message": {"content": " "}, "finish_reason": "length"}]}
    error = fails(of_text(tmp_path, server), tmp_path)
    assert error.message.startswith(f"{ROWS} answers are empty, first: {MODEL} at ")
    requested = len(server.requests)
    fails(of_text(tmp_path, server), tmp_path)
    assert len(server.requests) == requested


def test_answers_that_name_no_class_are_counted(server, tmp_path):
    output = {"choices": [{"message": {"content": "perhaps"}, "finish_reason": "stop"}]}
    server.faults.answer = output
    error = fails(of_classes(tmp_path, server, score_by="text"), tmp_path)
    assert f"{ROWS} answers name no class, first" in error.message
    assert "the answer 'perhaps' names none of no, yes" in error.message


def test_a_server_without_log_probabilities_is_reported(server, tmp_path):
    server.faults.answer = {"choices": [{"text": "a", "finish_reason": "stop"}]}
    error = fails(of_text(tmp_path, server, "kd", interface="completions"), tmp_path)
    assert "the server gave no log-probabilities" in error.message


def test_an_answer_cache_that_cannot_be_written_is_reported_before_any_question(server, tmp_path):
    (tmp_path / "cache").write_text("a file")
    error = fails(of_text(tmp_path, server), tmp_path)
    assert "cannot be" in error.message
    assert server.seen == 0


def test_kd_on_tokens_needs_the_interface_that_scores_prompts(server, tmp_path):
    error = fails(of_text(tmp_path, server, "kd"), tmp_path)
    assert "there are generations only" in error.message


# ---- the key


def test_the_key_is_in_no_file_note_or_message(server, tmp_path):
    notes: list[str] = []
    spec = of_text(tmp_path, server)
    prepared(spec, tmp_path, notes)
    server.faults = Faults(always=500)  # says the header with the key
    error = fails(of_text(tmp_path, server, max_new_tokens=7), tmp_path)
    output = "\n".join([*notes, error.message, error.hint, json.dumps(spec.as_dict()), repr(spec)])
    assert "***" in error.message
    assert KEY not in output
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file


@pytest.mark.parametrize("key", ["sk-gehe\u00efm", "sk-two\nlines"])
def test_a_key_that_cannot_be_sent_is_reported_before_anything_is_asked(
    server, tmp_path, monkeypatch, key
):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    (problem,) = fails(of_text(tmp_path, server), tmp_path).problems()
    assert problem.path == "teacher.ask.key"
    assert "the key in OPENAI_API_KEY has characters that cannot be sent" in problem.message
    assert key not in problem.message + problem.hint
    assert server.seen == 0


def test_without_a_key_what_a_server_says_is_left_as_it_is(server, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    server.faults = Faults(always=418, body="no-coffee - ever")
    assert "no-coffee - ever" in fails(of_text(tmp_path, server), tmp_path).message


# ---- several teachers


def test_a_teacher_that_is_only_combined_with_others_is_asked(server, tmp_path):
    plain = of_classes(tmp_path, server, interface="completions").as_dict()
    requested, arm = plain["teacher"], plain["methods"]["kd"]
    learns = {**arm, "fixed": {**arm["fixed"], "teacher": "both"}}
    spec = spec_from_dict({
        **plain, "methods": {"kd": learns},
        "teachers": {"asked": requested, "here": scores.MODEL, "both": {"mean": ["asked", "here"]}},
    })  # fmt: skip
    ready, asked_alone, here = (
        prepare_task(spec, NAME, tmp_path / "cache", lambda *_: None, name=name)[1]
        for name in ("both", "asked", "here")
    )
    assert len({r["prompt"] for r in server.requests}) == len(server.requests) == 2 * ROWS

    def probable(prepared: PreparedTask) -> np.ndarray:
        assert prepared.cached_outputs is not None
        logits = prepared.cached_outputs.all_logits().astype(float)
        return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)

    wanted = (probable(asked_alone) + probable(here)) / 2
    assert np.allclose(probable(ready), wanted, atol=1e-5)


def test_a_teacher_that_says_nothing_to_combine_is_refused_before_it_is_asked(server, tmp_path):
    for split in ("train", "validation"):
        lines = [{"text": f"is {k} odd", "label": k / 10} for k in range(ROWS)]
        given.write(tmp_path / "rows" / f"{split}.jsonl", lines)
    own = {"name": NAME, "path": f"{tmp_path}/rows", "texts": ["text"],
           "kind": "regression", "span": [0, 5]}  # fmt: skip
    fixed = {"teacher": "both", "alpha": 0.7}
    spec = spec_from_dict({
        **PLAIN, "tasks": [NAME], "own_tasks": {NAME: own}, "report": {"baseline": "kd"},
        "data": {"max_length": 32, "select_on": {"split": "validation"}},
        "teachers": {
            "here": scores.MODEL, "asked": teacher(server), "both": {"mean": ["asked", "here"]},
        },
        "methods": {"kd": {"name": "kd", "method": "kd", "fixed": fixed}},
    })  # fmt: skip
    with pytest.raises(RaykdError) as failed:
        set_up_all(spec)
    (problem,) = failed.value.problems()
    assert problem.path == "teachers.asked.endpoint"
    assert "a regression task" in problem.message
    assert server.seen == 0


# ---- rationales


@pytest.mark.parametrize("source", ["teacher", "teacher_posthoc"])
def test_rationales_are_requested(server, tmp_path, source):
    plain = of_text(tmp_path, server).as_dict()
    spec = spec_from_dict({
        **plain,
        "data": {**plain["data"], "rationales": {"source": source}},
        "methods": {"step_by_step": {"name": "step_by_step", "method": "step_by_step"}},
        "report": {"baseline": "step_by_step"},
    })  # fmt: skip
    reported = {"choices": [{"message": {"content": " so it is "}, "finish_reason": "stop"}]}
    server.faults.answer = reported
    setup, ready, _ = prepared(spec, tmp_path)
    requested = [request["messages"][-1]["content"] for request in server.requests]
    assert len(requested) == ROWS
    count = sum(f"The answer is: {row['a']}" in "".join(requested) for row in given.rows())
    assert count == (ROWS if source == "teacher_posthoc" else 0)
    explained = ready.splits["train"].views[PREDICT].views[EXPLAIN]
    tokenizer = setup.tokenizers.student
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in explained.label_rows()]
    assert {text.strip() for text in texts} == {"so it is"}


# ---- settings


@pytest.mark.parametrize(
    ("ask", "reads"),
    [
        ({"system": "Be brief."}, lambda body: body["messages"][0]),
        ({"prompt": "Q: {text} A:"}, lambda body: body["messages"][-1]["content"]),
        ({"temperature": 0.7}, lambda body: body["temperature"]),
        ({"seed": 5}, lambda body: body["seed"]),
        ({"max_new_tokens": 3}, lambda body: body["max_tokens"]),
        ({"interface": "completions"}, lambda body: body["prompt"]),
    ],
    ids=lambda of: next(iter(of)) if isinstance(of, dict) else "",
)
def test_a_setting_of_texts_is_in_every_request(server, tmp_path, ask, reads):
    server.faults.answer = {"choices": [{"text": "so it is", "finish_reason": "stop"}]}
    prepared(of_text(tmp_path, server, **ask), tmp_path)
    wanted = {
        "system": {"role": "system", "content": "Be brief."}, "prompt": "Q: what is 3 A:",
        "interface": "what is 3",
    }  # fmt: skip
    ((name, value),) = ask.items()
    actual = [reads(body) for body in server.requests]
    assert len(actual) == ROWS
    assert wanted.get(name, value) in actual
    # Another setting is another question.
    prepared(of_text(tmp_path, server), tmp_path)
    assert len(server.requests) == 2 * ROWS


def test_the_wording_for_rationales_is_a_setting(server, tmp_path):
    plain = of_text(tmp_path, server, explain="Why {response}?").as_dict()
    spec = spec_from_dict({
        **plain,
        "data": {**plain["data"], "rationales": {"source": "teacher_posthoc"}},
        "methods": {"step_by_step": {"name": "step_by_step", "method": "step_by_step"}},
        "report": {"baseline": "step_by_step"},
    })  # fmt: skip
    setup = set_up_task(spec, NAME)
    assert setup.questions is not None
    output = {request.body["messages"][-1]["content"] for request in setup.questions.all()}
    assert output == {f"{row['q']}\n\nWhy {row['a']}?" for row in given.rows()}
