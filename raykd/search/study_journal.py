"""The journal of the studies, without lines that a full disk or a kill cut off."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend

from raykd.errors import SetupError
from raykd.whole_file import whole_file

_BEGINS = b'{"op_code":'


class StudyJournal(JournalFileBackend):
    """Optuna's journal file, repaired when it is opened and put back when a line does not fit.

    Optuna appends after what is there. To a line that was cut it would append the next one, and no
    reader could get past the two.

    Args:
        path: The file; the caller is the only one that writes to it.
    """

    def __init__(self, path: Path) -> None:
        repair(path)
        # A driver that was killed while it appended leaves Optuna's own lock behind, for which the
        # next one would wait half a minute.
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        super().__init__(str(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append operations, all of them or none.

        Raises:
            SetupError: The disk is full or the file cannot be written.
        """
        whole = self._path.stat().st_size
        try:
            super().append_logs(logs)
        except OSError as exc:
            if self._path.stat().st_size > whole:
                os.truncate(self._path, whole)
            raise SetupError(
                f"cannot write {self._path}: {exc.strerror or exc}",
                hint="free some space; everything before it is kept, and "
                "raykd sweep --resume continues",
            ) from exc


def repair(path: Path) -> int:
    """Drop what was cut from a journal.

    A cut line may have had another one appended to it; that one is kept.

    Returns:
        Lines that were dropped or shortened.

    Raises:
        SetupError: The file cannot be read or written.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        kept = [_whole(line) for line in lines]
        torn = sum(line != left for line, left in zip(lines, kept, strict=True))
        if torn:
            with whole_file(path) as part:
                part.write_bytes(b"".join(kept))
    except OSError as exc:
        raise SetupError(
            f"cannot repair {path}, the end of which was cut: {exc.strerror or exc}",
            hint="free some space, or make the folder writable, and resume again",
        ) from exc
    return torn


def _whole(line: bytes) -> bytes:
    """The operation in a line; of two that run into each other, the second; empty without any."""
    begin = 0
    while begin >= 0:
        if line.endswith(b"\n") and _is_operation(line[begin:]):
            return line[begin:]
        begin = line.find(_BEGINS, begin + 1)
    return b""


def _is_operation(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError):
        return False
