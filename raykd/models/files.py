"""Writes files of tensors that others may read, as far as the user's umask lets them.

The weights of a model are written in a layout of their own: the place of a tensor in memory decides
in which order a processor adds numbers up, so that a model opened from a file says the same as the
one that was saved, to the last bit, only if its tensors are aligned as in memory of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from raykd.data.base import Array
from raykd.models.file_arrays import FilePart, where
from raykd.whole_file import whole_file

ALIGNED = 64
"""Bytes; memory that is requested begins at a multiple of it."""

_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64", "int32": "I32",
    "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


def write_readable(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file with the permissions that an ordinary new file has.

    ``safetensors`` puts a file that only its owner may read in the place of what was there.

    Args:
        path: The file.
        write: Writes it, under the name that it is given.

    Raises:
        OSError: The file cannot be written.
    """
    with path.open("wb"):
        pass
    mode = path.stat().st_mode
    write(path)
    path.chmod(mode)


def write_aligned(path: Path, arrays: Mapping[str, Array | FilePart], bf16: frozenset[str]) -> None:
    """Write a ``safetensors`` file, whole or not at all, laid out like memory of its own.

    What is no multiple of `ALIGNED` bytes comes last, as the format has no room between tensors.

    Args:
        path: The file.
        arrays: By name; those that are in files are read piece by piece.
        bf16: Names of those that hold bf16 numbers in int16.

    Raises:
        OSError: The file cannot be written.
    """
    sources = {name: where(arrays, name) for name in arrays}
    order, text = _laid_out(sources, bf16)
    with whole_file(path) as part:
        _fill(part, text, (sources[name] for name in order))


def aligned_size(arrays: Mapping[str, FilePart], bf16: frozenset[str]) -> int:
    """Bytes of the file that `write_aligned` writes of arrays that are in files."""
    _, text = _laid_out(arrays, bf16)
    return 8 + len(text) + sum(part.nbytes for part in arrays.values())


def _laid_out(
    sources: Mapping[str, Array | FilePart], bf16: frozenset[str]
) -> tuple[list[str], bytes]:
    """The order of the arrays in a file, and its header."""
    order = sorted(sources, key=lambda name: (sources[name].nbytes % ALIGNED > 0, name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name in order:
        array = sources[name]
        header[name] = {
            "dtype": "BF16" if name in bf16 else _NAMES[np.dtype(array.dtype).name],
            "shape": list(array.shape),
            "data_offsets": [begin, begin + array.nbytes],
        }
        begin += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    return order, text + b" " * (-(len(text) + 8) % ALIGNED)


def _fill(path: Path, text: bytes, arrays: Iterable[Array | FilePart]) -> None:
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for array in arrays:
            if isinstance(array, FilePart):
                for chunk in array.chunks():
                    file.write(chunk.data)
            else:
                file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
