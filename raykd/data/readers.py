"""Reads rows from Parquet files, from the GLUE script's folders, and from the hub."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raykd import hub
from raykd.data.table import Table, no_split
from raykd.errors import DataError, SetupError

log = logging.getLogger(__name__)

MALFORMED_SHARE = 0.01
"""Share of TSV lines that may lack fields; the published QQP files have a few such lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParquetReader:
    """``<folder>/<split>.parquet``.

    Attributes:
        folder: Folder of one task.
        stems: File name (without suffix) of each split that is not named like its file.
    """

    folder: Path
    stems: Mapping[str, str] = field(default_factory=dict)

    def splits(self) -> tuple[str, ...]:
        """Splits that have a file."""
        names = {stem: name for name, stem in self.stems.items()}
        return tuple(names.get(p.stem, p.stem) for p in sorted(self.folder.glob("*.parquet")))

    def read(self, split: str) -> Table:
        """All rows of one split."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / f"{self.stems.get(split, split)}.parquet"
        if not path.exists():
            path = self.folder / f"{split}.parquet"
        if not path.exists():
            raise no_split(split, str(self.folder), self.splits())
        try:
            # ParquetFile, not read_table: the latter invents columns from folders named a=b.
            table = pq.ParquetFile(path).read()
        except (pa.ArrowInvalid, OSError) as exc:
            raise DataError(f"{path} is not a readable Parquet file: {exc}") from exc
        columns = {name: table.column(name).to_pylist() for name in table.schema.names}
        return Table(columns=columns, origin=str(path))


@dataclass(frozen=True, kw_only=True, slots=True)
class TsvLayout:
    """How the GLUE script stores one task.

    Attributes:
        folders: Folder names, tried in order.
        columns: Column in the file for each column of the task.
        header: Column names where the file has no header line, else empty.
        files: File name (without suffix) of each split.
    """

    folders: tuple[str, ...]
    columns: Mapping[str, str]
    header: tuple[str, ...] = ()
    files: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "validation": "dev"}
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TsvReader:
    """A folder as the GLUE download script leaves it: ``<folder>/dev.tsv``.

    Quotes in these files are ordinary characters, so quoting is off.
    """

    folder: Path
    layout: TsvLayout

    def splits(self) -> tuple[str, ...]:
        """Labelled splits that have a file."""
        files = self.layout.files.items()
        return tuple(name for name, stem in files if (self.folder / f"{stem}.tsv").exists())

    def read(self, split: str) -> Table:
        """All rows of one split, columns named as in the task."""
        if split not in self.splits():
            raise no_split(split, str(self.folder), self.splits())
        path = self.folder / f"{self.layout.files[split]}.tsv"
        try:
            # utf-8-sig: the MRPC files begin with a byte order mark.
            with path.open(encoding="utf-8-sig", newline="\n") as lines:
                rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        except (OSError, UnicodeDecodeError, csv.Error) as exc:
            raise DataError(f"{path} is not a readable TSV file: {exc}") from exc
        header = self.layout.header or (tuple(rows.pop(0)) if rows else ())
        raw = Table(columns={name: () for name in header}, origin=str(path))
        for wanted in self.layout.columns.values():
            raw.column(wanted)
        places = {name: header.index(there) for name, there in self.layout.columns.items()}
        whole = self._whole(rows, max(places.values()), path)
        columns = {name: [row[k] for row in whole] for name, k in places.items()}
        return Table(columns=columns, origin=str(path))

    def _whole(self, rows: list[list[str]], last: int, path: Path) -> list[list[str]]:
        whole = [row for row in rows if len(row) > last]
        missing = len(rows) - len(whole)
        if missing > MALFORMED_SHARE * len(rows):
            raise DataError(
                f"{path}: {missing:,} of {len(rows):,} lines have fewer than {last + 1} fields",
                hint="is it the file that the GLUE script writes? quotes must not span lines",
            )
        if missing:
            log.warning("%s: %d lines with missing fields were left out", path, missing)
        return whole


@dataclass(frozen=True, kw_only=True, slots=True)
class HubReader:
    """A data set on the hub, read through `datasets` and its cache.

    Attributes:
        path: Name of the data set, e.g. ``nyu-mll/glue``.
        config: Its configuration, e.g. ``rte``.
        names: Split on the hub for each labelled split of the task.
    """

    path: str
    config: str
    names: Mapping[str, str]

    def splits(self) -> tuple[str, ...]:
        """The labelled splits that the task declares."""
        return tuple(self.names)

    def read(self, split: str) -> Table:
        """All rows of one split, downloaded or from the cache."""
        name = f"{self.path} ({self.config})"
        if split not in self.names:
            raise no_split(split, name, self.splits())
        rows = self._cached(split) if not hub.reachable() else self._download(split)
        columns = {column: list(rows[column]) for column in rows.column_names}
        return Table(columns=columns, origin=f"{name}, split {self.names[split]}")

    def _download(self, split: str) -> Any:  # a datasets.Dataset
        import datasets

        try:
            return datasets.load_dataset(self.path, self.config, split=self.names[split])
        except (datasets.exceptions.DatasetNotFoundError, OSError, ValueError) as exc:
            raise SetupError(
                f"cannot load {self.path} ({self.config}) from the hub: {exc}",
                hint="try again, or set data.root to a folder that holds the rows",
            ) from exc

    def _cached(self, split: str) -> Any:  # a datasets.Dataset
        import datasets
        from datasets.packaged_modules.cache.cache import Cache

        cache = Path(datasets.config.HF_DATASETS_CACHE)
        try:
            # The cache's own builder: load_dataset would ask the network first, with retries.
            builder = Cache(
                dataset_name=self.path.rpartition("/")[2],
                repo_id=self.path,
                config_name=self.config,
                version="auto",
                hash="auto",
            )
            return builder.as_dataset(split=self.names[split])
        except (OSError, ValueError) as exc:
            instead = "set data.root to a folder that holds the rows"
            raise hub.unreachable(f"{self.path} ({self.config})", cache, instead) from exc
