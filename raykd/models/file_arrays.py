"""Arrays stored in files: mapped into memory when they are read, pickled as their place there.

A process that only passes a model on, or hashes or copies it, never holds it: it reads the file in
chunks. Processes that read the same arrays share the pages of the file.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raykd.data.base import Array
from raykd.errors import SetupError

CHUNK_BYTES = 16 << 20
"""Files are read in chunks of this size where nothing is to be kept of them."""

_BF16_EXPONENT = 0x7F80

SAFETENSORS_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<i2", "I64": "<i8", "I32": "<i4",
    "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1", "U16": "<u2", "U32": "<u4",
    "U64": "<u8", "F8_E4M3": "|u1", "F8_E5M2": "|u1",
}  # fmt: skip
"""NumPy's types by the names of the format; those that NumPy lacks as integers of their size."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file as it was when it was first looked at.

    Attributes:
        path: The file, absolute.
        size: Its bytes.
        modified: When it was written, nanoseconds.
    """

    path: str
    size: int
    modified: int

    @classmethod
    def of(cls, path: Path) -> FileVersion:
        """The file as it is now.

        Raises:
            OSError: There is none.
        """
        stat = path.stat()
        return cls(str(path.resolve()), stat.st_size, stat.st_mtime_ns)

    def check(self) -> Path:
        """The file, if it is still the same.

        Raises:
            SetupError: It is out of reach, or another one.
        """
        path = Path(self.path)
        try:
            now = FileVersion.of(path)
        except OSError as exc:
            raise SetupError(
                f"cannot read {path}: {exc.strerror or exc}",
                hint="bring it back; every node of a cluster must reach what one of them reads",
            ) from exc
        if (now.size, now.modified) != (self.size, self.modified):
            raise SetupError(
                f"{path} was changed while it was in use", hint="bring it back, or start again"
            )
        return path


@dataclass(frozen=True, slots=True)
class FilePart:
    """An array in a file, in C order.

    Attributes:
        file: The file.
        offset: Where it begins, in bytes.
        dtype: NumPy's name of its type; bf16 is kept as int16.
        shape: Its shape.
        bf16: Whether it holds bf16 numbers.
    """

    file: FileVersion
    offset: int
    dtype: str
    shape: tuple[int, ...]
    bf16: bool = False

    @property
    def nbytes(self) -> int:
        """Its bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def chunks(self) -> Iterator[Array]:
        """Its bytes, chunk by chunk.

        Raises:
            SetupError: The file is out of reach, or another one.
        """
        try:
            with self.file.check().open("rb") as opened:
                opened.seek(self.offset)
                left = self.nbytes
                while left:
                    chunk = np.fromfile(opened, np.uint8, min(left, CHUNK_BYTES))
                    if not len(chunk):
                        raise OSError("it is cut off")
                    left -= len(chunk)
                    yield chunk
        except OSError as exc:
            raise SetupError(
                f"cannot read {self.file.path}: {exc}", hint="copy or download it again"
            ) from exc


@dataclass(frozen=True, slots=True)
class Scan:
    """What reading an array once tells.

    Attributes:
        digest: Of its bytes, in hexadecimal digits.
        not_finite: How many of its numbers are NaN or infinite.
    """

    digest: str
    not_finite: int


@functools.lru_cache(maxsize=1 << 16)
def scan(part: FilePart) -> Scan:
    """Read an array of a file once in this process; the file tells whether it is another one.

    Raises:
        SetupError: The file is out of reach.
    """
    hasher, bad = hashlib.sha256(), 0
    for chunk in part.chunks():
        hasher.update(chunk.data)
        bad += _not_finite(chunk.view(part.dtype), bf16=part.bf16)
    return Scan(hasher.hexdigest(), bad)


def _not_finite(array: Array, *, bf16: bool) -> int:
    if bf16:
        return int(((array & _BF16_EXPONENT) == _BF16_EXPONENT).sum())
    if array.dtype.kind != "f":
        return 0
    return len(array) - int(np.isfinite(array).sum())


class FileArrays(Mapping[str, Array]):
    """Arrays by name, some or all of which are stored in files.

    What is read of them is private to the process: writing to it changes no file.

    Args:
        entries: Arrays, and the places of those that are in files.
    """

    def __init__(self, entries: Mapping[str, FilePart | Array]) -> None:
        self._entries = dict(entries)
        self._maps: dict[FileVersion, Array] = {}

    def __getitem__(self, name: str) -> Array:
        entry = self._entries[name]
        return self._mapped(entry) if isinstance(entry, FilePart) else entry

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getstate__(self) -> dict[str, FilePart | Array]:
        return self._entries

    def __setstate__(self, entries: dict[str, FilePart | Array]) -> None:
        self._entries = entries
        self._maps = {}

    def where(self, name: str) -> FilePart | Array:
        """An array in memory, or its place in a file."""
        return self._entries[name]

    def _mapped(self, part: FilePart) -> Array:
        if part.file not in self._maps:
            path = part.file.check()
            self._maps[part.file] = np.memmap(path, np.uint8, mode="c")
        flat = self._maps[part.file][part.offset : part.offset + part.nbytes]
        array: Array = flat.view(np.ndarray).view(part.dtype).reshape(part.shape)
        # Old files may begin anywhere; not every operation reads numbers from odd places.
        return array if array.flags.aligned else array.copy()


def where(arrays: Mapping[str, Array | FilePart], name: str) -> FilePart | Array:
    """An array of a mapping, or its place in a file."""
    return arrays.where(name) if isinstance(arrays, FileArrays) else arrays[name]


def in_memory(arrays: Mapping[str, Array]) -> Iterator[Array]:
    """The arrays that are in no file."""
    parts = (where(arrays, name) for name in arrays)
    yield from (array for array in parts if not isinstance(array, FilePart))


def mapped(arrays: Mapping[str, Array]) -> Iterator[Array]:
    """The arrays that are in files, as they are in memory now."""
    yield from (arrays[name] for name in arrays if isinstance(where(arrays, name), FilePart))


def renamed_arrays(arrays: Mapping[str, Array], names: Mapping[str, str]) -> Mapping[str, Array]:
    """Some of the arrays under other names; what is in files stays there.

    Args:
        arrays: By name.
        names: Present names by their new ones.
    """
    if not isinstance(arrays, FileArrays):
        return {new: arrays[old] for new, old in names.items()}
    return FileArrays({new: arrays.where(old) for new, old in names.items()})


def nbytes(arrays: Mapping[str, Array]) -> int:
    """Bytes of all arrays, wherever they are."""
    return sum(where(arrays, name).nbytes for name in arrays)


def digest_of(arrays: Mapping[str, Array]) -> str:
    """A name for arrays: equal ones have equal names, in memory and in files of any layout."""
    hasher = hashlib.sha256()
    for name in sorted(arrays):
        entry = where(arrays, name)
        if isinstance(entry, FilePart):
            content = scan(entry).digest
        else:
            flat = np.ascontiguousarray(entry).reshape(-1).view(np.uint8)
            content = hashlib.sha256(flat.data).hexdigest()
        hasher.update(f"{name} {np.dtype(entry.dtype).str} {entry.shape} {content};".encode())
    return hasher.hexdigest()


def parts_of_safetensors(path: Path) -> dict[str, tuple[str, FilePart]]:
    """Where the tensors of a safetensors file lie, each with the format's name of its type.

    Raises:
        OSError: The file cannot be read.
        KeyError: It holds numbers of a type that is not known.
        ValueError: It is no such file.
    """
    file = FileVersion.of(path)
    with path.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > file.size:
            raise ValueError("its header is longer than the file")
        header: dict[str, Any] = json.loads(opened.read(length))
    begin = 8 + length
    return {
        name: (
            entry["dtype"],
            FilePart(
                file,
                begin + entry["data_offsets"][0],
                SAFETENSORS_DTYPES[entry["dtype"]],
                tuple(entry["shape"]),
                bf16=entry["dtype"] == "BF16",
            ),
        )
        for name, entry in header.items()
        if name != "__metadata__"
    }
