"""Tasks of the user's own: where their rows are, as a search space describes it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from raykd.data.base import DataSettings, Examples
from raykd.data.file_lists import ROWS, CarvedReader, FilesReader, MixedReader, matching
from raykd.data.files import FileTask
from raykd.data.folder_reader import SUFFIXES, FolderReader, is_folder, root_folder, user_path
from raykd.data.keys import at_key
from raykd.data.notes import note
from raykd.data.readers import HubReader
from raykd.data.table import Reader, Table
from raykd.errors import DataError

HUB_SPLITS = ("train", "validation", "test")
DEFAULT_FRACTIONS: Mapping[str, float] = {"train": 0.8, "validation": 0.2}
"""How one set of rows is split where the file does not say it."""
WEIGHT = "source_weight"
"""Field of rows that says how often they count in training."""

Places = str | tuple[str, ...]
"""A folder, a file, a pattern, or several files and patterns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSource:
    """One place where rows are.

    Attributes:
        path: A folder with a file for each split; files or patterns that are one set of rows; or
            those of each split. None for the hub.
        hub: Name and configuration of the data set on the hub.
        revision: Its branch, tag or commit; empty: the newest.
        stream: Whether as many of its rows as ``data.limit`` says are drawn from those that arrive
            first; about `raykd.data.readers.BUFFER` more are downloaded.
        weight: How often its train rows count.
        key: Its place within the task's description, see `raykd.data.keys`.
    """

    path: Places | Mapping[str, Places] | None = None
    hub: tuple[str, str] = ("", "")
    revision: str = ""
    stream: bool = False
    weight: float = 1.0
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class UserRows(FileTask):
    """Rows in files or on the hub.

    Attributes:
        path: See `RowSource`; of a task with one source.
        revision: See `RowSource`.
        stream: See `RowSource`.
        sources: Several sources, in place of `path` and `hub`.
        fractions: How one set of rows is split; empty: `DEFAULT_FRACTIONS`.
    """

    path: Places | Mapping[str, Places] | None = None
    revision: str = ""
    stream: bool = False
    sources: tuple[RowSource, ...] = ()
    fractions: Mapping[str, float] = field(default_factory=dict)

    @property
    def own(self) -> str:
        """Columns and labels are what the user's file says of the task."""
        return self.name

    def every_source(self) -> tuple[RowSource, ...]:
        """All sources."""
        one = RowSource(path=self.path, hub=self.hub, revision=self.revision, stream=self.stream)
        return self.sources or (one,)

    @property
    def reads_root(self) -> bool:
        """Where a path is relative."""
        paths = [path for source in self.every_source() for path in _paths(source.path)]
        return any(not user_path(path).is_absolute() for path in paths)

    def file_key(self, split: str, settings: DataSettings) -> str:
        """The key of the user's file that says where a split is, see `raykd.data.keys`."""
        if self.hub_splits.get(split, split) != split:
            return f".splits.{split}"
        if self.sources:
            return ".sources"
        return ".hub" if self.path is None else ".path"

    def with_row_columns(self, rows: Examples, table: Table) -> Examples:
        """How often rows of a weighted source count."""
        if len(set(table.weights)) > 1 or any(weight != 1 for weight in table.weights):
            return replace(rows, fields={**rows.fields, WEIGHT: tuple(table.weights)})
        return rows

    def reader(self, settings: DataSettings) -> Reader:
        """What reads the rows; `settings.root` is where a relative path may start, too.

        Raises:
            DataError: There is no such folder or file.
        """
        sources = self.every_source()
        readers = []
        for source in sources:
            with at_key(source.key):
                readers.append(self._reader(source, settings))
        if len(readers) == 1 and not self.sources:
            return readers[0]
        weights = [source.weight for source in sources]
        return MixedReader(readers=readers, weights=weights, name=f"the sources of {self.name}")

    def _reader(self, source: RowSource, settings: DataSettings) -> Reader:
        if source.path is None:
            path, config = source.hub
            stream = None
            if source.stream:
                stream = (self._limit(source, settings), settings.seed)
            return HubReader(
                path=path,
                config=config,
                names=self.hub_splits,
                revision=source.revision,
                stream=stream,
            )
        roots = [Path()]
        if settings.root is not None:
            roots.append(root_folder(settings.root))
        if isinstance(source.path, str):
            folder = self._folder(source.path, roots)
            if folder is not None:
                return FolderReader(folder=folder, stems=self.hub_splits)
        if isinstance(source.path, Mapping):
            files = {
                split: [file for path in _paths(of) for file in matching(path, roots)]
                for split, of in source.path.items()
            }
            return FilesReader(files=files, name=f"the files of {self.name}")
        listed = [file for path in _paths(source.path) for file in matching(path, roots)]
        whole = FilesReader(files={ROWS: listed}, name=", ".join(_paths(source.path)))
        fractions = self.fractions or DEFAULT_FRACTIONS
        if not self.fractions:
            shares = ", ".join(f"{name} {share:.0%}" for name, share in fractions.items())
            note(f"{whole.name} is one set of rows, and is split into {shares}")
        return CarvedReader(own=whole, fractions=fractions, seed=settings.seed)

    def _limit(self, source: RowSource, settings: DataSettings) -> int:
        """How many rows of a split are streamed.

        Raises:
            DataError: The file does not say it.
        """
        if settings.limit is None:
            raise DataError(
                f"{source.hub[0]} is streamed, and data.limit does not say how many rows are read",
                hint="set data.limit, the most rows of each split; or remove stream, and all is "
                "downloaded",
            ).at(f"{source.key}.stream" if source.key else ".stream")
        return settings.limit

    def _folder(self, path: str, roots: list[Path]) -> Path | None:
        """The folder of a path; None where it is a file or a pattern.

        Raises:
            DataError: It is neither.
        """
        for root in roots:
            place = root / user_path(path)
            if is_folder(place):
                return place
            if place.exists():
                return None
        if _is_pattern(path):
            return None
        hint = f"name the folder that holds <split>{', '.join(SUFFIXES)}, or files"
        if "\\" in path and os.sep == "/":
            hint = "write / between the names of folders, not \\; " + hint
        if "://" in path:
            hint = "a path is of this machine; a data set of the hub is hub: OWNER/NAME"
        raise DataError(f"the folder '{path}' of task {self.name} does not exist", hint=hint)


def _is_pattern(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _paths(path: Places | Mapping[str, Places] | None) -> tuple[str, ...]:
    """Every path that is named."""
    if path is None:
        return ()
    if isinstance(path, str):
        return (path,)
    if isinstance(path, Mapping):
        return tuple(each for of in path.values() for each in _paths(of))
    return tuple(path)
