"""Requests of several threads at once to a server that wants another name for a limit."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from raykd.teachers.endpoint.client import EndpointClient, EndpointSettings
from raykd.teachers.endpoint.requests import CHAT, Request

REFUSAL = {"error": {"message": "Unsupported parameter. Use 'max_completion_tokens' instead."}}
ANSWER = {
    "id": "x",
    "object": "x",
    "model": "m",
    "choices": [
        {"message": {"role": "assistant", "content": "yes"}, "index": 0, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}


class _Handler(BaseHTTPRequestHandler):
    both = threading.Barrier(2)
    first_again = threading.Event()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        is_old = "max_tokens" in body
        if not is_old:
            self.first_again.set()
        elif self.both.wait(20) == 1:  # refused when the other one was sent again
            assert self.first_again.wait(20)
        reply = json.dumps(REFUSAL if is_old else ANSWER).encode()
        self.send_response(400 if is_old else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *args):
        """Nothing is printed."""


def test_requests_that_are_refused_together_are_all_sent_again():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings = EndpointSettings(
        url=f"http://127.0.0.1:{server.server_port}/v1", model="m", key="", key_name="KEY",
        retries=0, wait_s=0.0, timeout_s=20.0,
    )  # fmt: skip
    client = EndpointClient(settings)
    body = {"messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
    request = Request(interface=CHAT, body=body, place="row 1")
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(client.ask, [request, request]))
    client.close()
    server.shutdown()
    server.server_close()
    assert len(answers) == 2
