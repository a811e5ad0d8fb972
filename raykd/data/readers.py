"""Reads rows from the GLUE script's folders and from the hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raykd import hub
from raykd.data.notes import note
from raykd.data.separated import NumberedFields, table_of, tsv_rows
from raykd.data.table import Table, no_split
from raykd.data.text_files import read_text
from raykd.errors import DataError, SetupError, Unreachable

BUFFER = 10_000
"""Rows of a stream that are held to draw from."""
MALFORMED_SHARE = 0.01
"""Share of TSV lines that may lack fields; the published QQP files have a few such lines."""


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
        rows = tsv_rows(read_text(path))
        header = self.layout.header or (tuple(rows.pop(0)[1]) if rows else ())
        raw = table_of(path, header, ())
        for wanted in self.layout.columns.values():
            raw.column(wanted)
        last = max(header.index(there) for there in self.layout.columns.values())
        whole = table_of(path, header[: last + 1], self._whole(rows, last, path))
        columns = {name: whole.column(there) for name, there in self.layout.columns.items()}
        return replace(whole, columns=columns)

    def _whole(self, rows: list[NumberedFields], last: int, path: Path) -> list[NumberedFields]:
        short = [line for line, fields in rows if len(fields) <= last]
        if len(short) > MALFORMED_SHARE * len(rows):
            raise DataError(
                f"{path}: {len(short):,} of {len(rows):,} lines have fewer than {last + 1} fields, "
                f"first: line {short[0]}",
                hint="is it the file that the GLUE script writes? quotes must not span lines",
            )
        if short:
            note(
                f"{path}: {len(short)} lines with missing fields were left out, first: line "
                f"{short[0]}"
            )
        return [(line, fields) for line, fields in rows if len(fields) > last]


def draw(rows: Any, count: int, seed: int, buffer: int = BUFFER) -> list[Mapping[str, Any]]:
    """Rows of a stream, drawn at random out of a buffer that it fills; the rest is not read.

    Args:
        rows: A ``datasets.IterableDataset``, whose files are read in a random order, too.
        count: Most rows.
        seed: Of the draws.
        buffer: Rows that are held to draw from.
    """
    return list(rows.shuffle(seed=seed, buffer_size=buffer).take(count))


def _class_names(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What the data set calls the classes of its columns."""
    return {name: tuple(kind.names) for name, kind in features.items() if hasattr(kind, "names")}


@dataclass(frozen=True, kw_only=True, slots=True)
class HubReader:
    """A data set on the hub, read through `datasets` and its cache.

    Attributes:
        path: Name of the data set, e.g. ``nyu-mll/glue``.
        config: Its configuration, e.g. ``rte``.
        names: Split on the hub for each labelled split of the task.
        revision: Branch, tag or commit; empty: the newest.
        stream: How many rows of each split are read as they arrive, and a seed; None: all of it is
            downloaded, and stays in the cache.
    """

    path: str
    config: str
    names: Mapping[str, str]
    revision: str = ""
    stream: tuple[int, int] | None = None

    def splits(self) -> tuple[str, ...]:
        """The labelled splits that the task declares."""
        return tuple(self.names)

    def read(self, split: str) -> Table:
        """The rows of one split: streamed, downloaded, or from the cache."""
        name = f"{self.path} ({self.config})"
        if split not in self.names:
            raise no_split(split, name, self.splits())
        if self.stream is not None:
            return self._streamed(split, *self.stream)
        rows = self._cached(split) if not hub.reachable() else self._download(split)
        return Table(
            columns={column: list(rows[column]) for column in rows.column_names},
            origin=f"{name}, split {self.names[split]}",
            class_names=_class_names(rows.features),
        )

    def _streamed(self, split: str, count: int, seed: int) -> Table:
        """So many rows of a split, which are drawn as they arrive."""
        if not hub.reachable():
            raise Unreachable(
                f"cannot reach {self.path} ({self.config}): no network, and what is streamed is in "
                "no cache",
                hint="with network, without stream: true, all of it is downloaded once and then "
                "read from the cache",
            )
        with self._naming():
            rows = self._loaded(split, streaming=True)
            drawn = draw(rows, count, seed)
        names = dict.fromkeys(name for row in drawn for name in row)
        return Table(
            columns={name: [row.get(name) for row in drawn] for name in names},
            origin=f"{self.path} ({self.config}), split {self.names[split]}",
            class_names=_class_names(rows.features or {}),
        )

    def _download(self, split: str) -> Any:  # a datasets.Dataset
        with self._naming():
            return self._loaded(split)

    def _loaded(self, split: str, **how: bool) -> Any:
        import datasets

        return datasets.load_dataset(
            self.path, self.config, split=self.names[split], revision=self.revision or None, **how
        )

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Say what was to be loaded where that fails.

        Raises:
            SetupError: In place of the errors of `datasets`.
        """
        import datasets

        try:
            yield
        except (datasets.exceptions.DatasetsError, OSError, ValueError) as exc:
            raise SetupError(
                f"cannot load {self.path} ({self.config}) from the hub: {exc}",
                hint="try again, check the names of data set, configuration and splits, or set "
                "data.root to a folder that holds the rows",
            ) from exc

    def _cached(self, split: str) -> Any:  # a datasets.Dataset
        import datasets
        from datasets.packaged_modules.cache.cache import Cache

        cache = Path(datasets.config.HF_DATASETS_CACHE)
        if self.revision:
            note(
                f"the hub cannot be reached: {self.path} is read from the cache, whose revision is "
                f"not known to be '{self.revision}'"
            )
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
