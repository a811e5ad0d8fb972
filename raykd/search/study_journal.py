"""The journal of the studies: opened without what a full disk or a kill cut off."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from raykd.errors import SetupError
from raykd.whole_file import whole_file

_BEGINS = b'{"op_code":'

_NOT_REPLAYED = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError,
                 TypeError, ValueError)  # fmt: skip
"""What Optuna raises for operations that it did not write, or that do not follow each other."""


def open_journal(path: Path) -> tuple[JournalStorage, str]:
    """The storage in a journal file, without what was cut from its end.

    A file that Optuna cannot read is moved aside, and the storage begins empty.

    Args:
        path: The file; the caller is the only one that writes to it.

    Returns:
        The storage, and what was dropped, in words; empty for nothing.

    Raises:
        SetupError: The file cannot be read or written.
    """
    try:
        journal = StudyJournal(path)
        storage = JournalStorage(journal)
    except _NOT_REPLAYED:
        return _begin_anew(path)
    if not journal.dropped:
        return storage, ""
    lines = "a line" if journal.dropped == 1 else f"{journal.dropped} lines"
    return storage, f"{lines} of {path.name} had no end, as after a kill, and was left out"


def _begin_anew(path: Path) -> tuple[JournalStorage, str]:
    aside = path.with_name(path.name + ".unreadable")
    try:
        os.replace(path, aside)
    except OSError as exc:
        raise SetupError(
            f"{path} cannot be read, and not be moved to {aside.name}: {exc.strerror or exc}",
            hint="move it away; the studies are made again from events.jsonl",
        ) from exc
    note = f"{path.name} could not be read as the journal of the studies, and is now {aside.name}"
    return JournalStorage(StudyJournal(path)), note


class NotAJournal(ValueError):
    """A file holds something else than operations on studies."""


class StudyJournal(JournalFileBackend):
    """Optuna's journal file, repaired when it is opened and put back when a line does not fit.

    Optuna appends after what is there. To a line that was cut it would append the next one, and no
    reader could get past the two.

    Args:
        path: The file; the caller is the only one that writes to it.

    Attributes:
        dropped: Lines that were cut, and are not in it any more.

    Raises:
        NotAJournal: The file holds something else.
        SetupError: It cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.dropped = repair(path)
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
            raise SetupError.not_written(self._path, exc) from exc


def repair(path: Path) -> int:
    """Drop what was cut from a journal.

    A cut line may have had another one appended to it; that one is kept. After a power failure,
    what was cut may be zeros.

    Returns:
        Lines that were dropped or shortened.

    Raises:
        NotAJournal: A line holds something else than an operation, whole or cut.
        SetupError: The file cannot be read or written.
    """
    try:
        kept, torn = whole_lines(path.read_bytes() if path.exists() else b"")
        if torn:
            with whole_file(path) as part:
                part.write_bytes(kept)
    except OSError as exc:
        raise SetupError(
            f"cannot repair {path}, the end of which was cut: {exc.strerror or exc}",
            hint="free some space, or make the folder writable, and resume again",
        ) from exc
    return torn


def whole_lines(journal: bytes) -> tuple[bytes, int]:
    """The operations in a journal that are whole, and how many lines are not; see `repair`.

    Raises:
        NotAJournal: A line holds something else.
    """
    lines = journal.splitlines(keepends=True)
    kept = [_whole(line) for line in lines]
    return b"".join(kept), sum(line != left for line, left in zip(lines, kept, strict=True))


def _whole(line: bytes) -> bytes:
    """The operation in a line; of two that run into each other, the second; empty without any.

    Raises:
        NotAJournal: The line is none that was cut, either.
    """
    if not _may_be_cut(line):
        raise NotAJournal
    begin = 0
    while begin >= 0:
        if line.endswith(b"\n") and _is_operation(line[begin:]):
            return line[begin:]
        begin = line.find(_BEGINS, begin + 1)
    return b""


def _may_be_cut(line: bytes) -> bool:
    """Whether a line is an operation, or what is left of one."""
    begun = line.strip(b"\0\n")
    if not begun:
        return True
    try:
        return "op_code" in json.loads(begun)
    except (ValueError, TypeError, RecursionError):
        return _BEGINS.startswith(begun[: len(_BEGINS)]) or (
            begun.startswith(b"{") and _BEGINS in begun
        )


def _is_operation(line: bytes) -> bool:
    try:
        return "op_code" in json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return False
