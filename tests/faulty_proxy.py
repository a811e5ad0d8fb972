"""Stands before a server with OpenAI's interface, and fails when it is told to."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LATE, CUT = 0, -1
"""An answer that comes too late; one whose connection ends in the middle of it."""


@dataclass
class FaultyProxy:
    """What goes wrong, changed while it runs, and what was seen of requests.

    Attributes:
        upstream: Where requests go, up to ``/v1``.
        next: What becomes of the next requests, each once: a status, `LATE` or `CUT`.
        always: What becomes of every request after `after` that went well; None: nothing.
        after: See `always`.
        retry_after: Seconds that a status 429 asks to wait.
        late_s: How late is too late.
        url: Its own address, up to ``/v1``.
        came_at: When each request came, in seconds.
        answered: How many went well.
    """

    upstream: str
    next: list[int] = field(default_factory=list)
    always: int | None = None
    after: int = 0
    retry_after: str = "1"
    late_s: float = 1.5
    url: str = ""
    came_at: list[float] = field(default_factory=list)
    answered: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self) -> int | None:
        """What goes wrong with a request that comes now, None: nothing."""
        with self.lock:
            self.came_at.append(time.monotonic())
            if self.next:
                return self.next.pop(0)
            if self.always is not None and self.answered >= self.after:
                return self.always
            self.answered += 1
            return None


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            fault = proxy.fault()
            if fault == LATE:
                time.sleep(proxy.late_s)
            if fault in (None, CUT, LATE):
                status, answer = self.forwarded(body)
                self.send(status, answer, whole=fault != CUT)
            else:
                self.send(fault, b'{"error": {"message": "planted", "type": "x", "code": null}}')

        def forwarded(self, body: bytes) -> tuple[int, bytes]:
            """What the server answers."""
            headers = {"Content-Type": "application/json",
                       "Authorization": self.headers["Authorization"]}  # fmt: skip
            address = proxy.upstream + self.path.removeprefix("/v1")
            request = urllib.request.Request(address, body, headers)
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    return reply.status, reply.read()
            except urllib.error.HTTPError as exc:
                return exc.code, exc.read()

        def send(self, status: int, answer: bytes, *, whole: bool = True) -> None:
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                if status == 429:
                    self.send_header("Retry-After", proxy.retry_after)
                self.end_headers()
                self.wfile.write(answer if whole else answer[: len(answer) // 2])
            except OSError:
                return  # nobody waits for it any more

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def before(
    upstream: str, *faults: int, retry_after: str = "1", late_s: float = 1.5
) -> Iterator[FaultyProxy]:
    """A proxy before a server, on a free port of this machine."""
    proxy = FaultyProxy(upstream, list(faults), retry_after=retry_after, late_s=late_s)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    http.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
