"""The event log: appends every event to ``events.jsonl`` and passes it to a listener, in order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from raykd.errors import SetupError
from raykd.secrets import record_without_secrets

Listener = Callable[[Mapping[str, Any]], None]


class EventLog:
    """Appends events; usable from several threads.

    Args:
        path: The file.
        listener: Called with each event after it is written.
    """

    def __init__(self, path: Path, listener: Listener) -> None:
        self._path = path
        self._listener = listener
        self._lock = threading.Lock()

    def emit(self, event: str, **what: Any) -> None:
        """Write one event; it is on its way to the disk when this returns.

        Secrets of addresses that stand in it are left out.

        Raises:
            SetupError: The disk is full or the file cannot be written.
        """
        entry = {"time": time.time(), "event": event, **record_without_secrets(what)}
        line = json.dumps(entry, default=str) + "\n"
        with self._lock:
            try:
                self._append(line.encode())
            except OSError as exc:
                raise SetupError.not_written(self._path, exc) from exc
            self._listener(entry)

    def _append(self, line: bytes) -> None:
        # A line that was cut by a full disk is completed with a line end, so that the next one
        # can be read.
        torn = self._path.exists() and self._path.stat().st_size > 0 and not self._ends_well()
        with self._path.open("ab") as file:
            file.write(b"\n" + line if torn else line)

    def _ends_well(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, 2)
            return file.read(1) == b"\n"
