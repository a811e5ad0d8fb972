"""A whole sweep with a teacher behind an address; and one served by Transformers itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raykd.errors import RaykdError
from raykd.models.signals.generations import Generations
from raykd.results.records import Status
from raykd.results.store import load_results
from raykd.spec.dump import to_yaml
from raykd.spec.load import spec_from_dict
from raykd.spec.schema import SweepSpec
from raykd.sweep.in_process import prepare_task
from raykd.sweep.run import SweepOptions, run_sweep
from tests.faulty_proxy import CUT, LATE, before
from tests.openai_server import KEY, MODEL, running
from tests.unit.task_setup import test_given_texts as given

SERVE_S = 120.0
"""Transformers has this long to start its server, on a busy machine."""
LATE_S = 5.0
"""How long an answer of a few tokens may take there."""
TURNS = "{% for m in messages %}{{ m.content }}{{ '' if loop.last else '\\n' }}{% endfor %}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model that writes text, with its tokenizer."""
    place = tmp_path_factory.mktemp("writer")
    prepare_task(given.sweep(place, given.MODEL, "kd", alpha=0.7), given.NAME, place / "cache",
                 lambda *_: None)  # fmt: skip
    (actual,) = (place / "cache").glob("*/teacher")
    return actual


def sweep_of(place: Path, url: str, model: str, **ask: Any) -> SweepSpec:
    teacher = {"endpoint": url, "model": model, "ask": {"max_new_tokens": 6, **ask}}
    plain = given.sweep(place, teacher, "seqkd").as_dict()
    return spec_from_dict({
        **plain,
        "methods": {**plain["methods"], "sft": {"name": "sft", "method": "sft"}},
        "search": {"trials": 1, "algorithm": {"name": "random"}, "scheduler": {"name": "none"}},
        "confirm": {"seeds": [1]}, "resources": {"cpus_per_worker": 0.5},
        "report": {"path": str(place / "report.html"), "baseline": "sft"},
    })  # fmt: skip


@pytest.mark.slow
def test_a_sweep_asks_once_and_says_nothing_of_the_key(
    cluster: None, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    events: list[Any] = []
    with running(folder) as server:
        spec = sweep_of(tmp_path, server.url, MODEL)
        options = SweepOptions(out=tmp_path / "runs", cache=tmp_path / "cache")
        result = load_results(run_sweep(spec, to_yaml(spec), options, events.append))
        requested = len(server.requests)
        # Another sweep with another student asks nothing.
        other = spec.as_dict()
        other["student"]["model"]["hidden"] = 16
        again = spec_from_dict(other)
        second = load_results(run_sweep(again, to_yaml(again), options, events.append))
        assert len(server.requests) == requested == given.ROWS
    for actual in (result, second):
        assert {t.arm for t in actual.trials} == {"seqkd", "sft"}
        assert all(t.status is Status.COMPLETED for t in actual.trials)
    first, then = result.teachers[0], second.teachers[0]
    assert (first.usage["requests"], then.usage["requests"]) == (given.ROWS, 0)
    assert first.usage["completion_tokens"] == then.usage["cached_completion_tokens"] > 0
    report = (tmp_path / "report.html").read_text()
    assert f"{given.ROWS} answers were there" in report
    asking = [e for e in events if e["event"] == "teacher_progress" and e["phase"] == "ask"]
    assert asking[-1]["done"] == asking[-1]["total"] == given.ROWS
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), file
    assert KEY not in str(events)


@contextmanager
def transformers_serve(model: Path) -> Iterator[str]:
    """The server of Transformers on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    start = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
    with subprocess.Popen([sys.executable, "-c", start, *command], env=env,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as server:  # fmt: skip
        try:
            url, until = f"http://127.0.0.1:{port}", time.monotonic() + SERVE_S
            while True:
                try:
                    urllib.request.urlopen(f"{url}/health", timeout=2).close()
                    break
                except OSError:
                    assert server.poll() is None, server.stderr and server.stderr.read()
                    assert time.monotonic() < until
                    time.sleep(0.2)
            yield f"{url}/v1"
        finally:
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[str]:
    """Its address; the model has a chat template that is nothing but the turns."""
    (folder / "chat_template.jinja").write_text(TURNS)
    with transformers_serve(folder) as url:
        yield url


def texts_of(setup: Any, ready: Any) -> list[str]:
    tokenizer, encoded = setup.tokenizers.student, ready.splits[Generations().texts]
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in encoded.label_rows()]
    return [text.strip() for text in texts]


def prepared(spec: SweepSpec, place: Path) -> tuple[Any, Any]:
    return prepare_task(spec, given.NAME, place / "cache", lambda *_: None)[:2]


def greedy(folder: Path, interface: str) -> list[str]:
    """Texts of the same model, as the server of these tests writes them."""
    with running(folder) as own:
        if interface == "chat":
            answers = [
                own.chat({"messages": [{"content": row["q"]}], "max_tokens": 6})
                for row in given.rows()
            ]
            return [answer["choices"][0]["message"]["content"].strip() for answer in answers]
        return [
            own.completions({"prompt": row["q"], "max_tokens": 6})["choices"][0]["text"].strip()
            for row in given.rows()
        ]


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["chat", "completions"])
def test_texts_of_the_server_of_transformers_outlast_failures(
    served: str, folder: Path, tmp_path: Path, interface: str
) -> None:
    with before(served, 429, 500, LATE, CUT, late_s=LATE_S + 1) as proxy:
        spec = sweep_of(tmp_path, proxy.url, str(folder), interface=interface, timeout=LATE_S,
                        wait=0.05, concurrent=3)  # fmt: skip
        setup, ready = prepared(spec, tmp_path)
    assert texts_of(setup, ready) == greedy(folder, interface)
    assert proxy.answered == setup.usage["requests"] == given.ROWS
    assert len(proxy.came_at) == given.ROWS + 4
    # The first request goes alone, and is not sent again before the server wants it.
    assert proxy.came_at[1] - proxy.came_at[0] >= float(proxy.retry_after)
    assert 0 < setup.usage["completion_tokens"] <= 6 * given.ROWS


@pytest.mark.slow
def test_what_the_server_of_transformers_has_answered_is_asked_once(
    served: str, folder: Path, tmp_path: Path
) -> None:
    with before(served) as proxy:
        proxy.always, proxy.after = 500, 5
        spec = sweep_of(tmp_path, proxy.url, str(folder), wait=0.01, retries=2, timeout=LATE_S)
        with pytest.raises(RaykdError, match=r"fails \(500: planted\), 3 times in a row"):
            prepared(spec, tmp_path)
        proxy.always = None
        setup, ready = prepared(spec, tmp_path)
        assert proxy.answered == given.ROWS
        assert (setup.usage["requests"], setup.usage["cached"]) == (given.ROWS - 5, 5)
    assert texts_of(setup, ready) == greedy(folder, "chat")


@pytest.mark.slow
def test_the_server_of_transformers_gives_no_log_probabilities(
    served: str, folder: Path, tmp_path: Path
) -> None:
    """It drops what asks for them; raykd says so, and teaches nothing wrong."""
    lines = [{"text": f"is {k} odd", "label": ("no", "yes")[k % 2]} for k in range(given.ROWS)]
    for split in ("train", "validation"):
        given.write(tmp_path / "classes" / f"{split}.jsonl", lines)
    own = {"name": given.NAME, "path": f"{tmp_path}/classes", "texts": ["text"],
           "labels": ["no", "yes"]}  # fmt: skip
    plain = sweep_of(tmp_path, served, str(folder)).as_dict()
    arm = {"kd": {"name": "kd", "method": "kd", "fixed": {"alpha": 0.7}}}
    none = "the server gave no log-probabilities"
    unknown = "refuses the request of row 1 (422: {'detail': \"Unexpected fields in the request"
    for task, ask, words in (
        (own, {"interface": "chat", "choices": {"no": "0", "yes": "1"}}, none),
        (own, {"interface": "completions"}, none),
        (plain["own_tasks"][given.NAME], {"interface": "completions", "top_logprobs": 5}, unknown),
    ):
        teacher = {"endpoint": served, "model": str(folder), "ask": ask}
        spec = spec_from_dict({**plain, "own_tasks": {given.NAME: task}, "methods": arm,
                               "teacher": teacher, "report": {"baseline": "kd"}})  # fmt: skip
        with pytest.raises(RaykdError) as caught:
            prepared(spec, tmp_path)
        assert words in caught.value.message
