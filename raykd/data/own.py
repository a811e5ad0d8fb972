"""A task that a search space describes itself: columns, labels and metrics of any data set."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raykd.data.base import DataSettings
from raykd.data.classification import TextClassification
from raykd.data.readers import HubReader, ParquetReader
from raykd.data.table import Reader, Table, no_split
from raykd.errors import DataError

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".txt")
HUB_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class OwnTask(TextClassification):
    """Rows in a folder or on the hub, in columns that the user names.

    Attributes:
        path: Folder of ``<split>.parquet``, ``.csv``, ``.tsv`` or ``.jsonl``, None for the hub.
    """

    path: str | None = None

    def reader(self, settings: DataSettings) -> Reader:
        """What reads the rows; `settings.root` is where a relative path may start, too.

        Raises:
            DataError: There is no such folder.
        """
        if self.path is None:
            return HubReader(path=self.hub[0], config=self.hub[1], names=self.hub_splits)
        places = [Path(self.path).expanduser()]
        if settings.root is not None:
            places.append(Path(settings.root).expanduser() / self.path)
        for folder in places:
            if folder.is_dir():
                return FolderReader(folder=folder, stems=self.hub_splits)
        raise DataError(
            f"the folder '{self.path}' of task {self.name} does not exist",
            hint=f"name the folder that holds <split>{', '.join(SUFFIXES)}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderReader:
    """``<folder>/<split>`` in any of `SUFFIXES`.

    Attributes:
        folder: Folder of one task.
        stems: File name (without suffix) of each split that is not named like its file.
    """

    folder: Path
    stems: Mapping[str, str]

    def splits(self) -> tuple[str, ...]:
        """Splits that have a file."""
        names = {stem: name for name, stem in self.stems.items()}
        files = sorted(p for p in self.folder.iterdir() if p.suffix in SUFFIXES)
        return tuple(dict.fromkeys(names.get(p.stem, p.stem) for p in files))

    def read(self, split: str) -> Table:
        """All rows of one split.

        Raises:
            DataError: There is no such split, or its file is broken.
        """
        stem = self.stems.get(split, split)
        found = [p for s in SUFFIXES if (p := self.folder / f"{stem}{s}").exists()]
        if not found:
            raise no_split(split, str(self.folder), self.splits())
        path = found[0]
        if path.suffix == ".parquet":
            return ParquetReader(folder=self.folder, stems=self.stems).read(split)
        try:
            readers = {".jsonl": _json_lines, ".txt": _lines}
            rows = readers.get(path.suffix, _separated)(path)
        except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as exc:
            raise DataError(f"{path} cannot be read: {exc}") from exc
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: [row.get(name) for row in rows] for name in names}
        return Table(columns=columns, origin=str(path))


def _separated(path: Path) -> Sequence[Mapping[str, Any]]:
    """Rows of a file with a header; quotes mean something in CSV, and nothing in TSV."""
    is_tsv = path.suffix == ".tsv"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(
            lines,
            delimiter="\t" if is_tsv else ",",
            quoting=csv.QUOTE_NONE if is_tsv else csv.QUOTE_MINIMAL,
        )
        rows = list(reader)
    for number, row in enumerate(rows):
        if None in row or None in row.values():
            raise DataError(
                f"{path}: row {number} has not as many fields as the header",
                hint="repair that row; in CSV, texts with commas need quotes",
            )
    return rows


def _lines(path: Path) -> Sequence[Mapping[str, Any]]:
    """The lines of a text file, in a column of their own."""
    return [{"text": line} for line in path.read_text(encoding="utf-8").splitlines()]


def _json_lines(path: Path) -> Sequence[Mapping[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        row = json.loads(line)
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number} is not a mapping of columns")
        rows.append(row)
    return rows
