"""Tasks whose rows are in files under ``data.root``, or on the hub."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from raykd.data.base import DataSettings, Examples, Task
from raykd.data.folder_reader import SUFFIXES, FolderReader, is_folder, root_folder
from raykd.data.keys import at_key
from raykd.data.kinds.classification import KIND as CLASSIFICATION
from raykd.data.readers import HubReader, TsvLayout, TsvReader
from raykd.data.sample import limited
from raykd.data.table import Reader, Table
from raykd.errors import DataError


@dataclass(frozen=True, kw_only=True)
class FileTask(Task):
    """A task whose rows are in files of its own, in the GLUE script's folders, or on the hub.

    Attributes:
        name: The YAML name; also the folder of its files under ``data.root``.
        about: One sentence.
        metric: The metric that decides.
        metrics: All metrics, `metric` among them.
        hub: Name and configuration of the data set on the hub.
        labels: Class names in id order.
        kind: Kind of task.
        tsv: The task in the GLUE script's layout, None when it has none.
        hub_splits: Name on the hub (and of the file) of each labelled split.
        extra_eval_splits: See `Task`.
        extra_eval_with: See `Task`.
        units: See `Task`.
        folder: The folder of its files under ``data.root``, where it is not `name`.
    """

    name: str
    about: str
    metric: str
    metrics: tuple[str, ...]
    hub: tuple[str, str]
    labels: tuple[str, ...] = ()
    kind: str = CLASSIFICATION.name
    tsv: TsvLayout | None = None
    hub_splits: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "validation": "validation"}
    )
    extra_eval_splits: Mapping[str, str] = field(default_factory=dict)
    extra_eval_with: str = "validation"
    units: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    def splits(self, settings: DataSettings) -> tuple[str, ...]:
        """Names of the labelled splits that `settings` can reach."""
        return self.reader(settings).splits()

    def load(self, split: str, settings: DataSettings) -> Examples:
        """Rows of one split, checked, at most ``settings.limit`` of them."""
        with at_key(self.file_key(split, settings)):
            table = self.reader(settings).read(split).well_formed()
        rows = self.with_row_columns(self.read_table(table), table)
        if settings.teacher is not None:
            rows = settings.teacher.add_to(rows, table, split, self)
        return limited(rows, f"{self.name}/{split}", settings)

    def read_unlabelled(self, table: Table) -> Examples:
        """Rows without a label; what stands in place of one is not read.

        Raises:
            DataError: Texts are missing, or rows of this task cannot be without a label.
        """
        raise DataError(
            f"rows of {self.name} ({self.kind}) cannot be without a label",
            hint="data.unlabelled is for classes, scores and similarities of texts in columns, and "
            "for prompts without responses; remove it",
        )

    def with_row_columns(self, rows: Examples, table: Table) -> Examples:
        """The rows with what the table knows of them besides its columns."""
        return rows

    def file_key(self, split: str, settings: DataSettings) -> str:
        """The key of the user's file that says where a split is, see `raykd.data.keys`."""
        return "" if settings.root is None else "data.root"

    @abstractmethod
    def read_table(self, table: Table) -> Examples:
        """Rows from raw columns.

        Raises:
            DataError: Missing columns, something else than text, bad labels, no rows.
        """

    def reader(self, settings: DataSettings) -> Reader:
        """What reads the rows: files under ``settings.root``, or the hub when that is None.

        Raises:
            DataError: The root does not exist, or holds nothing of this task.
        """
        if settings.root is None:
            return HubReader(path=self.hub[0], config=self.hub[1], names=self.hub_splits)
        root = root_folder(settings.root)
        reader = self.in_folder(root)
        if reader is not None:
            return reader
        places = [self.folder or self.name, *(self.tsv.folders if self.tsv else ())]
        raise DataError(
            f"data.root '{settings.root}' holds nothing of {self.name} "
            f"(looked for the folders {', '.join(places)})",
            hint=f"put <split>{', '.join(SUFFIXES)} into the first of them",
        )

    def in_folder(self, root: Path) -> Reader | None:
        """What reads the rows under a folder, None when it holds nothing of this task."""
        own = root / (self.folder or self.name)
        if is_folder(own):
            there = FolderReader(folder=own).splits()
            stems = {name: stem for name, stem in self.hub_splits.items() if stem in there}
            return FolderReader(folder=own, stems=stems)
        for folder in self.tsv.folders if self.tsv else ():
            if self.tsv and is_folder(root / folder):
                return TsvReader(folder=root / folder, layout=self.tsv)
        return None
