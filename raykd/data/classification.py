"""Classification and regression of one text or a pair: a task is one row of names.

Subclasses of `TextTask` say where rows come from; `TextClassification` reads them from files in
the layouts of GLUE or from the hub.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from raykd.data import columns, metrics
from raykd.data.base import Array, Batch, DataSettings, Encoded, Rows, Task
from raykd.data.encode import encode
from raykd.data.readers import HubReader, ParquetReader, TsvLayout, TsvReader
from raykd.data.table import Reader, Table
from raykd.errors import DataError


class TextTask(Task):
    """What all tasks on one or two texts share: tokenising, loss, metrics, the row limit."""

    def load(self, split: str, settings: DataSettings) -> Rows:
        """Rows of one split, at most ``settings.limit`` of them, from a seeded shuffle."""
        rows = self.rows(split, settings)
        if settings.limit is None or settings.limit >= len(rows):
            return rows
        salt = zlib.crc32(f"{self.name}/{split}".encode())
        order = np.random.default_rng([settings.seed, salt]).permutation(len(rows))
        return rows.take(order[: settings.limit])

    @abstractmethod
    def rows(self, split: str, settings: DataSettings) -> Rows:
        """All rows of one split, checked."""

    def encode(self, rows: Rows, tokenizer: Any, max_length: int) -> Encoded:
        """Tokenise rows; of a pair the longer text is cut first."""
        return encode(rows, tokenizer, max_length)

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, or the squared error for regression; mean over the batch, in float32."""
        if self.kind == "regression":
            return F.mse_loss(logits.float().squeeze(-1), batch.labels.float())
        return F.cross_entropy(logits.float(), batch.labels)

    def score(self, logits: Array, encoded: Encoded) -> Mapping[str, float]:
        """Every metric of the task."""
        score = metrics.score_values if self.kind == "regression" else metrics.score_classes
        return score(self.metrics, logits, encoded.labels)


@dataclass(frozen=True, kw_only=True)
class TextClassification(TextTask):
    """A task whose rows are in Parquet files, in the GLUE script's folders, or on the hub.

    Attributes:
        name: The YAML name; also the folder of its Parquet files under ``data.root``.
        about: One sentence.
        texts: One or two text columns.
        metric: The metric that decides.
        metrics: All metrics, `metric` among them.
        labels: Class names in id order, empty for regression.
        kind: ``classification`` or ``regression``.
        label: Label column.
        span: Smallest and largest score of a regression task.
        tsv: The task in the GLUE script's layout, None when it has none.
        hub: Name and configuration of the data set on the hub.
        hub_splits: Name on the hub (and of the Parquet file) of each labelled split.
    """

    name: str
    about: str
    texts: tuple[str, ...]
    metric: str
    metrics: tuple[str, ...]
    hub: tuple[str, str]
    labels: tuple[str, ...] = ()
    kind: str = "classification"
    label: str = "label"
    span: tuple[float, float] = (0.0, 1.0)
    tsv: TsvLayout | None = None
    hub_splits: Mapping[str, str] = field(
        default_factory=lambda: {"train": "train", "validation": "validation"}
    )

    def splits(self, settings: DataSettings) -> tuple[str, ...]:
        """Names of the labelled splits that `settings` can reach."""
        return self.reader(settings).splits()

    def rows(self, split: str, settings: DataSettings) -> Rows:
        """All rows of one split, checked."""
        return self.read_table(self.reader(settings).read(split))

    def read_table(self, table: Table) -> Rows:
        """Rows from raw columns.

        Raises:
            DataError: Missing columns, something else than text, bad labels, no rows.
        """
        texts = [columns.texts(table, name) for name in self.texts]
        if self.kind == "regression":
            labels = columns.scores(table, self.label, *self.span)
        else:
            labels = columns.class_ids(table, self.label, self.labels)
        return columns.checked(texts, labels, table.origin)

    def reader(self, settings: DataSettings) -> Reader:
        """What reads the rows: files under ``settings.root``, or the hub when that is None.

        Raises:
            DataError: The root does not exist, or holds nothing of this task.
        """
        if settings.root is None:
            return HubReader(path=self.hub[0], config=self.hub[1], names=self.hub_splits)
        root = Path(settings.root).expanduser()
        if not root.is_dir():
            raise DataError(
                f"data.root '{settings.root}' is not a folder",
                hint="name the folder that holds <task>/<split>.parquet or the GLUE folders",
            )
        if (root / self.name).is_dir():
            stems = {name: there for name, there in self.hub_splits.items() if name != there}
            return ParquetReader(folder=root / self.name, stems=stems)
        for folder in self.tsv.folders if self.tsv else ():
            if self.tsv and (root / folder).is_dir():
                return TsvReader(folder=root / folder, layout=self.tsv)
        places = [self.name, *(self.tsv.folders if self.tsv else ())]
        raise DataError(
            f"data.root '{settings.root}' holds nothing of {self.name} "
            f"(looked for the folders {', '.join(places)})",
            hint="put <split>.parquet files into the first of them",
        )
