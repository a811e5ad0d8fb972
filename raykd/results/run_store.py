"""A folder of an object store, by its address: what is in it, and single files to and from it.

An object store has neither appending nor locks. All that is needed of it here is that a whole
object can be put, read, listed and deleted.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs

from raykd.errors import SetupError, SpecError, shortened
from raykd.secrets import without_secrets

CHUNK = 8 * 2**20
"""Bytes that are in memory at a time."""

_WHOLE = ("s3", "gcs", "abfs")
"""Kinds of store in which an object is seen only once it is whole; others get a temporary name."""
_SHORTER = {"gs": "retry_limit_seconds=60", "gcs": "retry_limit_seconds=60"}
"""What is asked for where a library would try for a quarter of an hour."""
_PART = ".part"

Stamp = tuple[int, int]
"""Size and time of change in nanoseconds: of a file that has both as before, nothing changed."""


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Stored:
    """An object of a store.

    Attributes:
        size: Bytes.
        changed: When it was put there, in seconds since the epoch, by the clock of the store.
    """

    size: int
    changed: float


class RunStore:
    """A folder of a store.

    Args:
        address: Any that `pyarrow.fs.FileSystem.from_uri` takes.

    Attributes:
        address: It.

    Raises:
        SpecError: It is no address, or holds a secret.
        SetupError: The store does not answer.
    """

    def __init__(self, address: str) -> None:
        if without_secrets(address) != address:
            raise SpecError(
                f"the address {address} holds credentials, and would be written down with them",
                hint="leave them out: libraries of clouds read them from the environment "
                "(AWS_PROFILE, AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS), from their "
                "files, or from the role of the machine",
            )
        self.address = address
        option = _SHORTER.get(address.partition("://")[0], "")
        joined = "&" if "?" in address else "?"
        given = f"{address}{joined}{option}" if option and option not in address else address
        with self._faults("reached"):
            try:
                self._fs, root = fs.FileSystem.from_uri(given)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
                raise SpecError(
                    f"{address} is no address of a store: {shortened(str(exc))}",
                    hint="e.g. s3://BUCKET/runs, gs://BUCKET/runs or file:///shared/runs",
                ) from exc
        self._root = root.rstrip("/")
        if not self._root:
            raise SpecError(f"{address} names no bucket", hint="e.g. s3://BUCKET/runs")

    @contextlib.contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as exc:
            raise SetupError(
                f"{self.address} cannot be {what}: {shortened(str(exc))}",
                hint="are the name, the credentials and the network right?",
            ) from exc

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}"

    def listed(self) -> dict[str, Stored]:
        """What is in it, by names relative to it.

        Raises:
            SetupError: The store does not answer, or holds a name that leads elsewhere.
        """
        selected = fs.FileSelector(self._root, allow_not_found=True, recursive=True)
        with self._faults("listed"):
            entries = [e for e in self._fs.get_file_info(selected) if e.type == fs.FileType.File]
        names = {_relative(entry.path, self._root): entry for entry in entries}
        if wrong := [name for name in names if ".." in PurePosixPath(name).parts]:
            raise SetupError(f"{self.address} holds a file whose name leads elsewhere: {wrong[0]}")
        return {
            name: Stored(entry.size, (entry.mtime_ns or 0) / 1e9)
            for name, entry in names.items()
            if not name.endswith(_PART)
        }

    def read(self, name: str) -> bytes | None:
        """A small object; None where there is none.

        Raises:
            SetupError: The store does not answer.
        """
        with self._faults("read"):
            try:
                with self._fs.open_input_stream(self._place(name)) as source:
                    return bytes(source.read())
            except FileNotFoundError:
                return None

    @contextlib.contextmanager
    def _written(self, name: str) -> Iterator[Any]:  # a stream of pyarrow
        place = self._place(name)
        is_whole = self._fs.type_name in _WHOLE
        written = place if is_whole else f"{place}.{uuid.uuid4().hex[:8]}{_PART}"
        with self._faults("written"):
            if not is_whole:
                self._fs.create_dir(place.rpartition("/")[0], recursive=True)
            with self._fs.open_output_stream(written) as target:
                yield target
            if not is_whole:
                self._fs.move(written, place)

    def write(self, name: str, content: bytes) -> None:
        """Put an object.

        Raises:
            SetupError: The store cannot be written.
        """
        with self._written(name) as target:
            target.write(content)

    def put(self, file: Path, name: str, most: int | None = None) -> Stamp | None:
        """Put a file.

        Args:
            file: It.
            name: Its name in the store.
            most: How many of its bytes, None for all of them.

        Returns:
            The stamp of what was put, None where the file is gone.

        Raises:
            SetupError: The store cannot be written, or the file not be read.
        """
        try:
            source = file.open("rb")
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise SetupError(f"cannot read {file}: {exc.strerror or exc}") from exc
        with source:
            stamp = stamp_of(os.fstat(source.fileno()))
            left = stamp[0] if most is None else most
            with self._written(name) as target:
                while left > 0 and (chunk := source.read(min(CHUNK, left))):
                    target.write(chunk)
                    left -= len(chunk)
        return stamp

    def get(self, name: str, file: Path, changed: float) -> None:
        """Fetch an object; the file has the time at which the object was put there.

        Raises:
            SetupError: The store does not answer, or the file cannot be written.
        """
        part = file.with_name(f"{file.name}.{os.getpid()}{_PART}")
        with self._faults("fetched"):
            file.parent.mkdir(parents=True, exist_ok=True)
            with self._fs.open_input_stream(self._place(name)) as source, part.open("wb") as target:
                while chunk := source.read(CHUNK):
                    target.write(chunk)
            os.utime(part, (changed, changed))
            os.replace(part, file)

    def delete(self, name: str) -> None:
        """Delete an object; nothing happens where there is none.

        Raises:
            SetupError: The store cannot be written.
        """
        with self._faults("written"), contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(self._place(name))

    def now(self) -> float:
        """The time by the clock of the store, from an object that is put there for the purpose.

        Raises:
            SetupError: The store cannot be written.
        """
        name = f".raykd-{uuid.uuid4().hex[:12]}"
        self.write(name, b"raykd looks whether it can write here")
        stored = self.changed(name)
        self.delete(name)
        return time.time() if stored is None else stored

    def changed(self, name: str) -> float | None:
        """When an object was put there, by the clock of the store; None where there is none.

        Raises:
            SetupError: The store does not answer.
        """
        with self._faults("read"):
            entry = self._fs.get_file_info(self._place(name))
        return (entry.mtime_ns or 0) / 1e9 if entry.type == fs.FileType.File else None


def _relative(path: str, root: str) -> str:
    return path[len(root) :].lstrip("/")
