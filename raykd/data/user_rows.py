"""Tasks of the user's own: where their rows are, as a search space describes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raykd.data.base import DataSettings
from raykd.data.files import FileTask
from raykd.data.folder import SUFFIXES, FolderReader, is_folder, root_folder, user_path
from raykd.data.readers import HubReader
from raykd.data.table import Reader
from raykd.errors import DataError

HUB_SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class UserRows(FileTask):
    """Rows in a folder or on the hub.

    Attributes:
        path: Folder of ``<split>.parquet``, ``.csv`` and the like, None for the hub.
    """

    path: str | None = None

    @property
    def own(self) -> str:
        """Columns and labels are what the user's file says of the task."""
        return self.name

    @property
    def reads_root(self) -> bool:
        """Where its folder has a relative path."""
        return self.path is not None and not user_path(self.path).is_absolute()

    def file_key(self, split: str, settings: DataSettings) -> str:
        """The key of the user's file that says where a split is, see `raykd.data.keys`."""
        if self.hub_splits.get(split, split) != split:
            return f".splits.{split}"
        return ".hub" if self.path is None else ".path"

    def reader(self, settings: DataSettings) -> Reader:
        """What reads the rows; `settings.root` is where a relative path may start, too.

        Raises:
            DataError: There is no such folder.
        """
        if self.path is None:
            return HubReader(path=self.hub[0], config=self.hub[1], names=self.hub_splits)
        places = [user_path(self.path)]
        if settings.root is not None:
            places.append(root_folder(settings.root) / self.path)
        for folder in places:
            if is_folder(folder):
                return FolderReader(folder=folder, stems=self.hub_splits)
            if folder.exists():
                raise DataError(
                    f"the path '{self.path}' of task {self.name} is a file, not a folder",
                    hint=f"name the folder that holds it: path: {Path(self.path).parent}",
                )
        hint = f"name the folder that holds <split>{', '.join(SUFFIXES)}"
        if "://" in self.path:
            hint = "a path is a folder of this machine; a data set of the hub is hub: OWNER/NAME"
        raise DataError(f"the folder '{self.path}' of task {self.name} does not exist", hint=hint)
