"""An MLflow server on this machine, in memory: as much of its REST interface as a logger needs.

It can go down in the middle, and come back with what it held.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_TAG = re.compile(r"tags\.[`\"]?([\w.]+)[`\"]? *= *'([^']*)'")


class MlflowServer(ThreadingHTTPServer):
    """The experiments and their runs.

    Attributes:
        experiments: Names in the order of their ids, from 1.
        runs: By id, as the interface has them.
        ends: How many runs may end before it goes down.
        is_down: Whether it closes every connection without an answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.experiments: list[str] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.ends = 10**9
        self.is_down = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def tags(self, run: str) -> dict[str, str]:
        return {tag["key"]: tag["value"] for tag in self.runs[run]["data"]["tags"]}

    def ended(self) -> list[str]:
        """The names of the runs that ended."""
        infos = [run["info"] for run in self.runs.values()]
        return [info["run_name"] for info in infos if info["status"] != "RUNNING"]


class _Handler(BaseHTTPRequestHandler):
    server: MlflowServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        self._answer({})

    def _answer(self, given: dict[str, Any]) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        given |= json.loads(self.rfile.read(length) or b"{}") if length else {}
        if self.server.is_down:
            self.close_connection = True
            return
        status, content = self._result(urlsplit(self.path).path.partition("/mlflow/")[2], given)
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _result(self, call: str, given: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        server = self.server
        if call == "experiments/get-by-name":
            if given["experiment_name"] not in server.experiments:
                return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is none"}
            place = server.experiments.index(given["experiment_name"]) + 1
            named = {"experiment_id": str(place), "name": given["experiment_name"]}
            return 200, {"experiment": {**named, "lifecycle_stage": "active"}}
        if call == "experiments/create":
            server.experiments.append(given["name"])
            return 200, {"experiment_id": str(len(server.experiments))}
        if call == "runs/create":
            run = uuid.uuid4().hex
            info = {"run_id": run, "run_uuid": run, "run_name": given.get("run_name", ""),
                    "experiment_id": given["experiment_id"], "status": "RUNNING",
                    "start_time": given.get("start_time", 0), "lifecycle_stage": "active",
                    }  # fmt: skip
            data = {"metrics": [], "params": [], "tags": list(given.get("tags", ()))}
            server.runs[run] = {"info": info, "data": data}
            return 200, {"run": server.runs[run]}
        if call == "runs/search":
            wanted = dict(_TAG.findall(given.get("filter", "")))
            found_runs = [run for run in server.runs if wanted.items() <= server.tags(run).items()]
            return 200, {"runs": [server.runs[run] for run in found_runs]}
        run = given["run_id"]
        if call == "runs/get":
            return 200, {"run": server.runs[run]}
        if call == "runs/log-batch":
            for kind, values in server.runs[run]["data"].items():
                values += given.get(kind, ())
            return 200, {}
        assert call == "runs/update", call
        server.runs[run]["info"] |= {k: given[k] for k in ("status", "end_time") if k in given}
        server.is_down = len(server.ended()) >= server.ends
        return 200, {"run_info": server.runs[run]["info"]}

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@contextmanager
def mlflow_server() -> Iterator[MlflowServer]:
    """One that answers until the block ends."""
    server = MlflowServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
