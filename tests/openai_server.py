"""A server with OpenAI's interface around a real small model, which fails on request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL, KEY = "tiny", "sk-planted-9f27c1"


@dataclass
class Faults:
    """What goes wrong; changed while the server runs.

    Attributes:
        next: Statuses of the next requests, each once; 0 answers too late.
        always: Status of every request after those, None to answer.
        after: Requests that are answered before `always` holds.
        retry_after: What a status 429 asks to wait.
        late_s: How late is too late.
        body: What a failure says.
        answer: Replaces the answer to every request.
        only_new_limit: Whether ``max_tokens`` is refused as models that reason do.
    """

    next: list[int] = field(default_factory=list)
    always: int | None = None
    after: int = 0
    retry_after: str = ""
    late_s: float = 2.0
    body: str = ""
    answer: Any = None
    only_new_limit: bool = False


class OpenAIServer:
    """The server; `requests` is what it was asked and answered, `seen` counts whatever came."""

    def __init__(self, folder: Path) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval().float()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.faults = Faults()
        self.requests: list[Mapping[str, Any]] = []
        self.seen = self.busy = self.busiest = 0
        self.lock = threading.Lock()
        self.url = ""

    # ---- answers

    def completions(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """An answer of the older interface; log-probabilities of the prompt with ``echo``."""
        prompt = body["prompt"]
        ids = self.tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else list(prompt)
        written = self.written(ids, body["max_tokens"])
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        choice: dict[str, Any] = {"text": text, "index": 0, "finish_reason": self.finish(written)}
        if body.get("echo"):
            as_ids = bool(body.get("return_tokens_as_token_ids"))
            choice["text"] = self.tokenizer.decode(ids) + text
            choice["logprobs"] = self.scored([*ids, *written], body["logprobs"], as_ids)
        return self.answer(choice, ids, written)

    def chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """An answer of the chat interface, whose template is nothing but the turns."""
        ids = self.tokenizer("\n".join(m["content"] for m in body["messages"]))["input_ids"]
        written = self.written(ids, body.get("max_completion_tokens") or body["max_tokens"])
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        message = {"role": "assistant", "content": text}
        choice = {"message": message, "index": 0, "finish_reason": self.finish(written)}
        if body.get("logprobs"):
            logs = self.logs(ids)[-1]
            top = [
                {"token": self.tokenizer.decode([k]), "logprob": v}
                for v, k in zip(*(t.tolist() for t in logs.topk(body["top_logprobs"])), strict=True)
            ]
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        return self.answer(choice, ids, written)

    def answer(self, choice: Any, ids: list[int], written: list[int]) -> dict[str, Any]:
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(written)}
        return {"id": "x", "object": "x", "model": MODEL, "choices": [choice], "usage": usage}

    def logs(self, ids: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            logits = self.model(torch.tensor([ids])).logits[0].double()
        return torch.log_softmax(logits[:, : len(self.tokenizer)], -1)

    def written(self, ids: list[int], count: int) -> list[int]:
        """The likeliest tokens, up to the one that ends a text."""
        whole = list(ids)
        for _ in range(count):
            whole.append(int(self.logs(whole)[-1].argmax()))
            if whole[-1] == self.tokenizer.eos_token_id:
                break
        return whole[len(ids) :]

    def finish(self, written: list[int]) -> str:
        return "stop" if written[-1:] == [self.tokenizer.eos_token_id] else "length"

    def name(self, token: int, as_ids: bool) -> str:
        return f"token_id:{token}" if as_ids else self.tokenizer.decode([token])

    def scored(self, ids: list[int], count: int, as_ids: bool) -> dict[str, Any]:
        logs = self.logs(ids)[:-1]
        own = [None, *logs[range(len(ids) - 1), ids[1:]].tolist()]
        tops: list[Any] = [None]
        for row in logs:
            values, tokens = (of.tolist() for of in row.topk(count))
            pairs = zip(values, tokens, strict=True)
            tops.append({self.name(token, as_ids): value for value, token in pairs})
        places = [len(self.tokenizer.decode(ids[:k])) for k in range(len(ids))]
        return {
            "tokens": [self.name(k, as_ids) for k in ids], "token_logprobs": own,
            "top_logprobs": tops, "text_offset": places,
        }  # fmt: skip

    # ---- requests

    def status(self, headers: Any, body: Mapping[str, Any]) -> int:
        """200, or what goes wrong."""
        with self.lock:
            self.seen += 1
            if headers["Authorization"] != f"Bearer {KEY}":
                return 401
            if body["model"] != MODEL:
                return 404
            if self.faults.next:
                return self.faults.next.pop(0)
            if self.faults.only_new_limit and "max_tokens" in body:
                return 400
            if self.faults.always is not None and len(self.requests) >= self.faults.after:
                return self.faults.always
            self.requests.append(body)
            return 200


def _handler(server: OpenAIServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                server.busy += 1
                server.busiest = max(server.busiest, server.busy)
            try:
                self.respond(body)
            finally:
                with server.lock:
                    server.busy -= 1

        def respond(self, body: Mapping[str, Any]) -> None:
            status = server.status(self.headers, body)
            if status == 0:
                time.sleep(server.faults.late_s)
                status = 500
            if status == 200:
                is_chat = self.path.endswith("/chat/completions")
                made = server.chat(body) if is_chat else server.completions(body)
                self.send(200, server.faults.answer or made)
                return
            output = server.faults.body or f"failure {status} for {self.headers['Authorization']}"
            self.send(status, {"error": {"message": output, "type": "x", "code": None}})

        def send(self, status: int, plain: Any) -> None:
            data = json.dumps(plain).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                if status == 429 and server.faults.retry_after:
                    self.send_header("Retry-After", server.faults.retry_after)
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                return  # nobody waits for it any more

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def running(folder: Path) -> Iterator[OpenAIServer]:
    """The server around the model in a folder, on a free port of this machine."""
    server = OpenAIServer(folder)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
