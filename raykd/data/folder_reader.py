"""Reads the splits of a task from the files of a folder, in any of several formats."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raykd.data.json_files import read_json_rows
from raykd.data.keys import at_key
from raykd.data.notes import note
from raykd.data.separated import read_csv, read_tsv
from raykd.data.table import Table, concatenated, no_split, repeated
from raykd.data.tagged_files import read_tagged
from raykd.data.text_files import PACKED, lines_of, read_text, refuse_pointer
from raykd.errors import DataError

_MOST_FILES = 10


def user_path(written: str) -> Path:
    """A path as the user wrote it, ``~`` included.

    Raises:
        DataError: It begins with a home folder that nobody has.
    """
    try:
        return Path(written).expanduser()
    except RuntimeError as exc:
        raise DataError(f"'{written}': {exc}", hint="write the folder without '~'") from exc


def is_folder(path: Path) -> bool:
    """Whether there is such a folder.

    Raises:
        DataError: Nobody can tell, because its name is too long or its parent is closed.
    """
    try:
        return path.is_dir()
    except OSError as exc:
        raise DataError(f"the folder '{path}' cannot be read: {exc.strerror}") from exc


def root_folder(written: str) -> Path:
    """The folder that ``data.root`` names.

    Raises:
        DataError: There is none.
    """
    with at_key("data.root"):
        root = user_path(written)
        if not is_folder(root):
            raise DataError(
                f"data.root '{written}' is not a folder",
                hint="name the folder that holds <task>/<split>.parquet (or .csv, .jsonl, ...) or "
                "the GLUE folders",
            )
    return root


def read_parquet(path: Path) -> Table:
    """All rows of a Parquet file.

    Raises:
        DataError: It is not a readable Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            refuse_pointer(path, file.read(100))
        # ParquetFile, not read_table: the latter invents columns from folders named a=b.
        table = pq.ParquetFile(path).read()
        columns = {name: _plain(table.column(k)) for k, name in enumerate(table.schema.names)}
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{path} is not a readable Parquet file: {exc}") from exc
    return Table(
        columns=columns,
        origin=str(path),
        twice=repeated(table.schema.names),
        class_names=_class_names(table.schema.metadata or {}),
    )


def _plain(column: Any) -> list[Any]:  # a pyarrow.ChunkedArray
    """Values in plain Python; short floats are the numbers that they are printed as.

    Times that Python has no type for are texts.
    """
    import pyarrow as pa

    if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
        short = column.to_numpy()  # nothing becomes NaN
        return [float(str(value)) for value in short]
    try:
        values: list[Any] = column.to_pylist()
    except (OverflowError, ValueError):  # too far from now, or parts of a microsecond
        values = column.cast(pa.string()).to_pylist()
    return values


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Names of classes that the package `datasets` wrote into a file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: tuple(str(label) for label in kind["names"])
            for name, kind in features.items()
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _read_lines(path: Path) -> Table:
    """The lines of a text file, in a column of their own."""
    lines = lines_of(read_text(path))
    return Table(columns={"text": lines}, origin=str(path), unit="line")


READERS: Mapping[str, Callable[[Path], Table]] = {
    ".parquet": read_parquet,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json_rows,
    ".ndjson": read_json_rows,
    ".json": read_json_rows,
    ".txt": _read_lines,
    ".conll": read_tagged,
    ".iob": read_tagged,
    ".bio": read_tagged,
}
"""What reads a file, by the end of its name in lower case; all but the first may be packed."""
SUFFIXES = tuple(READERS)


def suffix_of(path: Path) -> str:
    """How a file that can be read ends, in lower case; empty for other files."""
    name = path.name.lower()
    packed = PACKED if name.endswith(PACKED) else ""
    ends = (suffix + packed for suffix in SUFFIXES if not (packed and suffix == ".parquet"))
    return next((end for end in ends if name.endswith(end)), "")


_File = tuple[str, Path, Callable[[Path], Table]]
_SHARD = re.compile(r"-([0-9]{5})-of-([0-9]{5})(?:-[0-9a-f]{16})?$")
"""How the name of a part ends; older files of the hub have a hash there, too."""


def _joined(name: Path, files: Sequence[_File]) -> Table:
    """The rows of all parts of a split, one after the other.

    Raises:
        DataError: A part is missing, or there is one too many; or see the reader of each.
    """
    marks = [_SHARD.search(stem) for stem, _, _ in files]
    numbers = [(mark.group(1), mark.group(2)) for mark in marks if mark is not None]
    count = int(numbers[0][1])
    if sorted(numbers) != [(f"{k:05}", f"{count:05}") for k in range(count)]:
        there = ", ".join(path.name for _, path, _ in files)
        raise DataError(
            f"{name} has {len(files)} of {count} parts ({there})",
            hint="put all parts of one format there, and no others",
        )
    tables = [read(path) for _, path, read in sorted(files, key=lambda file: file[0])]
    whole = concatenated(tables, f"{name}-*-of-{count:05}")
    return replace(whole, lacking={}, places=())  # a part may lack a column that has nothing in it


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderReader:
    """``<folder>/<split>`` in any of `SUFFIXES`, also packed with gzip, also in several parts.

    Parts are called ``train-00000-of-00002.parquet`` and so on, as the hub has them.

    Attributes:
        folder: Folder of one task.
        stems: File name (without suffix) of each split that is not named like its file.
    """

    folder: Path
    stems: Mapping[str, str] = field(default_factory=dict)

    def splits(self) -> tuple[str, ...]:
        """Splits that have a file."""
        names = {stem: name for name, stem in self.stems.items()}
        stems = [_SHARD.sub("", stem) for stem, _, _ in self._files()]
        return tuple(dict.fromkeys(names.get(stem, stem) for stem in stems))

    def read(self, split: str) -> Table:
        """All rows of one split.

        Raises:
            DataError: There is no such split, or its file is broken or empty.
        """
        stem = self.stems.get(split, split)
        files = self._files()
        candidates = [(path, read) for of, path, read in files if of == stem]
        shards = [file for file in files if _SHARD.sub("", file[0]) == stem != file[0]]
        if not candidates and not shards:
            other = "or choose another split in data.select_on and data.report_on"
            hint = f"{self.instead(stem)}; {other}"
            raise no_split(split, str(self.folder), self.splits(), hint)
        if not candidates:
            table = _joined(self.folder / stem, shards)
        else:
            path, read = candidates[0]
            others = [other.name for other, _ in candidates[1:]] + [
                path.name for _, path, _ in shards
            ]
            if others:
                note(f"{path} is read, not {', '.join(others)} next to it")
            table = read(path)
        if not len(table):
            raise DataError(f"{table.origin} has no rows", hint="choose another split or file")
        return table

    def _files(self) -> list[_File]:
        """Stem, path and reader of every file that can be read, in the order of `SUFFIXES`."""
        files = []
        for path in self._paths():
            if end := suffix_of(path):
                if path.is_symlink() and not path.exists():
                    raise DataError(
                        f"{path} is a link to {path.readlink()}, which is not there",
                        hint="put the file there, or remove the link",
                    )
                suffix = end.removesuffix(PACKED)
                stem = path.name[: -len(end)]
                files.append((SUFFIXES.index(suffix), stem, path, READERS[suffix]))
        files.sort(key=lambda file: (file[0], file[2]))
        return [(stem, path, read) for _, stem, path, read in files]

    def _paths(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))
        except OSError as exc:
            raise DataError(f"the folder {self.folder} cannot be read: {exc}") from exc

    def instead(self, stem: str) -> str:
        """What files a split may have, and what is there."""
        names = [path.name for path in self._paths()]
        there = ", ".join(names[:_MOST_FILES]) + (", ..." if len(names) > _MOST_FILES else "")
        kinds = ", ".join(SUFFIXES)
        wanted = f"{stem}.* ({kinds}, also with {PACKED}) is looked for there"
        return f"{wanted}; the folder holds {there or 'nothing'}"
