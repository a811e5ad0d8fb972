"""Which errors are the machine's, and what is said of them."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import sqlite3
import subprocess
import sys

import pytest
import ray.exceptions
import torch
from safetensors import SafetensorError

from raykd.cli.machine import fault_of_the_machine

FULL = "No space left on device"


def full(file: str | bytes | int | None = "/data/file") -> OSError:
    return OSError(errno.ENOSPC, FULL, file)


def said(error: BaseException) -> tuple[str, str]:
    fault = fault_of_the_machine(error)
    assert fault is not None, error
    return fault.message, fault.hint


def raised_while_handling(error: BaseException, *, hides: bool = False) -> BaseException:
    try:
        try:
            raise error
        except type(error):
            if hides:
                raise RuntimeError("cannot write") from None
            raise RuntimeError("cannot write")  # noqa: B904
    except RuntimeError as exc:
        return exc


def test_an_error_that_was_raised_while_a_full_disk_was_handled_is_said_too():
    message, hint = said(raised_while_handling(full()))
    assert message == f"{FULL}: /data/file; then RuntimeError: cannot write"
    assert "free some space" in hint
    assert fault_of_the_machine(raised_while_handling(full(), hides=True)) is None


def test_errors_that_refer_to_each_other_have_an_end():
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__context__ = other, one
    assert fault_of_the_machine(one) is None
    other.__cause__ = full()
    assert said(one)[0] == f"{FULL}: /data/file"


@pytest.mark.parametrize("alike", [True, False])
def test_a_disk_that_is_full_on_another_machine(alike):
    # As it arrives: through bytes, and as an error that is an OSError as well, without a number.
    failed = ray.exceptions.RayTaskError("write", "trace", pickle.loads(pickle.dumps(full())))
    error = failed.as_instanceof_cause() if alike else failed
    assert not getattr(error, "errno", None)
    assert said(error)[0] == f"{FULL}: /data/file"


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError(f"Error while serializing: I/O error: {FULL} (os error 28)"),
        RuntimeError(f"cannot write: [Errno 28] {FULL}: '/data/file'"),
    ],
)
def test_the_number_in_a_message_of_a_library(error):
    message, hint = said(error)
    assert message == str(error)
    assert "df -h" in hint


def test_a_message_with_another_number_is_no_fault_of_the_machine():
    for error in (
        SafetensorError("no (os error 2)"),
        RuntimeError("28"),
        RuntimeError("[Errno 2]"),
    ):
        assert fault_of_the_machine(error) is None


def test_a_full_database():
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        made.execute("pragma max_page_count = 2")
        made.execute("create table t (x)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            made.execute("insert into t values (zeroblob(100000))")
    assert said(caught.value)[0] == "database or disk is full"
    assert fault_of_the_machine(sqlite3.OperationalError("no such table: t")) is None


class Full:
    """A file on a full disk, which has room for a part."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, part: bytes) -> int:
        self.room -= len(part)
        if self.room < 0:
            raise full(None)
        return len(part)

    def flush(self) -> None:
        pass


def test_weights_that_torch_cannot_write_to_a_file():
    with pytest.raises(RuntimeError) as caught:
        torch.save({"a": torch.zeros(100_000)}, "/dev/full")
    message, hint = said(caught.value)
    assert message.startswith("PyTorch could not write a file: ")
    assert "whether a disk is full" in hint


def test_weights_that_torch_cannot_write_to_an_open_file():
    with pytest.raises((RuntimeError, OSError)) as caught:
        torch.save({"a": torch.zeros(100_000)}, Full(1000))
    assert said(caught.value)[0].startswith(FULL)


def test_a_number_is_no_name_of_a_file():
    message, hint = said(full(7))
    assert message == FULL
    assert "df -h" in hint
    assert said(full(b"/data/file"))[0] == f"{FULL}: /data/file"


def test_watched_files_are_no_disk():
    message, hint = said(OSError(errno.ENOSPC, "inotify watch limit reached"))
    assert "inotify watch limit reached" in message
    assert "free some space" not in hint
    assert "fs.inotify" in hint
    assert "fs.inotify" in said(full(None))[1]


def test_no_disk_is_blamed_where_no_file_is_named():
    assert "disk" not in " ".join(said(OSError(errno.EIO, "Input/output error")))
    assert "disk" in " ".join(said(OSError(errno.EIO, "Input/output error", "/data/file")))


LOST = """
import sys
from raykd.cli.machine import fault_of_the_machine
sys.stdin.readline()
try:
    print("something", flush=True)
except OSError as exc:
    sys.stderr.write(fault_of_the_machine(exc).message)
"""


def test_a_terminal_that_is_gone_is_named():
    terminal, other_end = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", LOST],
        stdin=subprocess.PIPE,
        stdout=other_end,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(other_end)
        os.close(terminal)
        _, message = process.communicate(b"\n", timeout=60)
    assert message.decode() == "the terminal is gone that this wrote to"
