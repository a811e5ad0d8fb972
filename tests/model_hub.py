"""A model hub on this machine: as much of its HTTP interface as an upload needs.

Files above a size go where the hub says first (git-lfs), the others with the commit, as there.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_writes"
LARGE = 200
"""Bytes from which a file is uploaded on its own."""


class ModelHub(ThreadingHTTPServer):
    """The repositories and their files.

    Attributes:
        repositories: Visibility by name.
        files: Bytes by repository and path.
        answers: What a path that contains a word is answered with: status and headers.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, str] = {}
        self.files: dict[tuple[str, str], bytes] = {}
        self.objects: dict[str, bytes] = {}
        self.answers: dict[str, tuple[int, dict[str, str]]] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ModelHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(200, b"")

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse_token()
            return
        name = self.path.removeprefix("/api/models/")
        if self.path == "/api/whoami-v2":
            self._json(200, {"name": "me"})
        elif name in self.server.repositories:
            self._json(200, {"id": name, "private": True, "tags": [], "siblings": []})
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def do_PUT(self) -> None:
        content, oid = self._body(), self.path.rpartition("/")[2]
        assert hashlib.sha256(content).hexdigest() == oid
        self.server.objects[oid] = content
        self._answer(200, b"")

    def do_POST(self) -> None:
        body = self._body()
        for word, (status, headers) in self.server.answers.items():
            if word in self.path:
                self._answer(status, b"{}", headers)
                return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse_token()
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":  # the head of a card
            self._json(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            self._json(200, {"files": [
                {"path": f["path"], "shouldIgnore": False,
                 "uploadMode": "lfs" if f["size"] >= LARGE else "regular"} for f in files
            ]})  # fmt: skip
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            self._json(200, {"transfer": "basic", "objects": [
                {**o, "actions": {"upload": {"href": f"{self.server.address}/lfs/{o['oid']}"}}}
                for o in objects
            ]})  # fmt: skip
        elif "/commit/" in self.path:
            self._commit(body)
        else:
            self._json(404, {"error": f"no such path: {self.path}"})

    def _refuse_token(self) -> None:
        self._answer(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})

    def _create(self, requested: dict[str, Any]) -> None:
        name = f"{requested.get('organization') or 'me'}/{requested['name']}"
        if name in self.server.repositories:
            self._json(409, {"error": "You already created this model repo"})
            return
        self.server.repositories[name] = requested.get("visibility", "public")
        self._json(200, {"url": f"{self.server.address}/{name}"})

    def _commit(self, body: bytes) -> None:
        name = self.path.removeprefix("/api/models/").partition("/commit/")[0]
        for line in body.decode().splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                content = base64.b64decode(value["content"])
                self.server.files[name, value["path"]] = content
            elif entry["key"] == "lfsFile":
                self.server.files[name, value["path"]] = self.server.objects[value["oid"]]
        address = f"{self.server.address}/{name}/commit/1"
        self._json(200, {"commitUrl": address, "commitOid": "1", "success": True})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, status: int, content: dict[str, Any]) -> None:
        self._answer(status, json.dumps(content).encode())

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def model_hub() -> Iterator[ModelHub]:
    """One that answers until the block ends."""
    hub = ModelHub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
