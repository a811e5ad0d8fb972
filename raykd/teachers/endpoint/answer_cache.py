"""Answers that were paid for, on disk: written one by one, and never requested again.

One file per address and model, with a line for every answer. Lines are appended whole, also by
several processes; what a crash left half written is passed over. Nothing prunes these files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raykd.errors import SetupError
from raykd.teachers.cache_index import ANSWERS
from raykd.teachers.endpoint.requests import Answer, Request


class AnswerCache:
    """The answers of one model behind one address; `open` it to add some.

    Args:
        folder: The cache of teachers.
        url: The address.
        model: The model.
    """

    def __init__(self, folder: Path, url: str, model: str) -> None:
        name = hashlib.sha256(json.dumps([url, model]).encode()).hexdigest()[:16]
        model_name = re.sub(r"[^A-Za-z0-9._-]+", "-", model)[:60]
        self.path = folder / ANSWERS / f"{model_name}.{name}.jsonl"
        self._lock = threading.Lock()
        self._file: int | None = None
        self._answers = _read(self.path)

    def make_ready(self) -> None:
        """Make sure that answers can be kept, before any is paid for.

        Raises:
            SetupError: The file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as exc:
            raise self._unwritable(exc) from exc

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def get(self, request: Request) -> Answer | None:
        """The answer to a request, None where there is none yet."""
        stored = self._answers.get(request.key())
        return None if stored is None else Answer(**stored)

    def put(self, request: Request, answer: Answer) -> None:
        """Keep an answer; when this returns, it outlives the process.

        Raises:
            SetupError: The disk is full.
        """
        key, plain = request.key(), asdict(answer)
        # A line of its own, whatever a crash left before it.
        assert self._file is not None
        line = f"\n{json.dumps({'key': key, 'answer': plain})}\n".encode()
        with self._lock:
            try:
                done = os.write(self._file, line)
                if done < len(line):
                    raise OSError(28, os.strerror(28))
            except OSError as exc:
                raise self._unwritable(exc) from exc
            self._answers[key] = plain

    def _unwritable(self, exc: OSError) -> SetupError:
        return SetupError(
            f"answers of the teacher cannot be kept in {self.path.parent}: {exc.strerror or exc}",
            hint="free some space, or choose another folder with RAYKD_CACHE; answers so far are "
            "kept",
        )


def _read(path: Path) -> dict[str, Mapping[str, Any]]:
    """Every answer of a file, by key; none where there is no such file."""
    answers: dict[str, Mapping[str, Any]] = {}
    if not path.is_file():
        return answers
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                entry = json.loads(line)
                Answer(**entry["answer"])
                answers[str(entry["key"])] = entry["answer"]
            except (ValueError, KeyError, TypeError):
                continue  # empty, or half of a line
    return answers
