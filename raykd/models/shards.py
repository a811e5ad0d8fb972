"""Splits the weights of a saved model into several files with an index, as Transformers reads them.

Tensors are in each file as `raykd.models.files` puts them, so that the model says the same, and are
copied from file to file piece by piece: no model is in memory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from raykd.models.file_arrays import FilePart, parts_of_safetensors
from raykd.models.files import aligned_size, write_aligned
from raykd.models.weight_files import SAFE, SAFE_INDEX
from raykd.whole_file import whole_file

SHARD_BYTES = 5_000_000_000
"""Most bytes of tensors in a file; what takes more is one file only where it is one tensor."""


class Shards:
    """How the weights of a model folder are split.

    Args:
        folder: The model, with its weights in one file.
        limit: Most bytes of tensors in a file; None for `SHARD_BYTES`.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        limit = limit or SHARD_BYTES
        path = folder / SAFE
        parts = {}
        if path.is_file() and path.stat().st_size > limit:
            parts = parts_of_safetensors(path)
        self._bf16 = frozenset(name for name, (kind, _) in parts.items() if kind == "BF16")
        self._parts = {name: part for name, (_, part) in parts.items()}
        groups = _grouped({name: part.nbytes for name, part in self._parts.items()}, limit)
        few = len(groups) < 2
        stem = SAFE.partition(".")[0]
        self._names: dict[str, Sequence[str]] = {} if few else {
            f"{stem}-{k:05d}-of-{len(groups):05d}.safetensors": group
            for k, group in enumerate(groups, start=1)
        }  # fmt: skip

    def __bool__(self) -> bool:
        """Whether there are several files."""
        return bool(self._names)

    def sizes(self) -> dict[str, int]:
        """The files with their bytes, the index included."""
        files = {file: aligned_size(self._of(file), self._bf16) for file in self._names}
        return files | ({SAFE_INDEX: len(self._index())} if files else {})

    def write(self, folder: Path) -> None:
        """Write all files.

        Raises:
            OSError: A file cannot be written, or what it is copied from cannot be read.
        """
        for file in self._names:
            write_aligned(folder / file, self._of(file), self._bf16)
        with whole_file(folder / SAFE_INDEX) as part:
            part.write_bytes(self._index())

    def _of(self, file: str) -> Mapping[str, FilePart]:
        return {name: self._parts[name] for name in self._names[file]}

    def _index(self) -> bytes:
        places = {name: file for file, group in self._names.items() for name in group}
        total = sum(part.nbytes for part in self._parts.values())
        plain = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        return (json.dumps(plain, indent=2) + "\n").encode()


def _grouped(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names in their order, a group as full as the limit lets it."""
    groups: list[list[str]] = []
    room = 0
    for name, size in sizes.items():
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(name)
        room -= size
    return groups
