"""Dolly (Conover et al., 2023): instructions written by people, as MiniLLM trains on them.

Read from Parquet files, from ``raw.jsonl`` in the layout of MiniLLM's processing, or from the hub.
The evaluation sets of Self-Instruct and Vicuna are scored beside the test split where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raykd.data import columns
from raykd.data.base import DataSettings, Rows
from raykd.data.instructions import RESPONSE, before_context, before_instruction
from raykd.data.own import FolderReader
from raykd.data.readers import ParquetReader
from raykd.data.table import Reader, Table, no_split
from raykd.data.writing import Example, WritingTask, rows_of
from raykd.errors import DataError

RAW = "raw"
DEV_ROWS = 1000
"""The first rows of ``raw.jsonl`` are the validation split; at most a tenth of them."""
BESIDE = ("self_inst", "vicuna")


def read(table: Table) -> Iterator[Example]:
    """Rows with the columns of Dolly, or of MiniLLM's copy of it."""
    instructions = columns.texts(table, "instruction")
    contexts = _either(table, "context", "input", "")
    responses = _either(table, "response", "output", None)
    for row, instruction in enumerate(instructions):
        accepted = responses[row]
        accepted = (accepted,) if isinstance(accepted, str) else tuple(accepted or ())
        if not accepted or not all(isinstance(text, str) for text in accepted):
            raise DataError(
                f"{table.origin}: row {row} has no response in words", hint="repair that row"
            )
        context = contexts[row] or ""
        first = before_instruction(with_context=bool(context))
        yield Example(
            before=before_context(instruction) if context else first + instruction,
            context=context,
            after=RESPONSE,
            response=accepted[0],
            accepted=accepted,
            mark=len(first),
        )


def _either(table: Table, name: str, other: str, missing: str | None) -> list[Any]:
    if name not in table.columns and other in table.columns:
        name = other
    if name not in table.columns and missing is not None:
        return [missing] * len(table)
    return list(table.column(name))


@dataclass(frozen=True, kw_only=True)
class Dolly(WritingTask):
    """Instructions, some with a context, and a response in free text."""

    def read_table(self, table: Table) -> Rows:
        """Prompts and responses."""
        return rows_of(list(read(table)), table.origin)

    def reader(self, settings: DataSettings) -> Reader:
        """The hub has one set of rows only."""
        found = super().reader(settings)
        return found if settings.root is not None else FirstRows(own=found, split="train")

    def in_folder(self, root: Path) -> Reader | None:
        """Parquet files or ``raw.jsonl``, and the evaluation sets beside them."""
        folder = root / self.name
        if not folder.is_dir():
            return None
        own: Reader = ParquetReader(folder=folder)
        if (folder / f"{RAW}.jsonl").exists() and not own.splits():
            own = FirstRows(own=FolderReader(folder=folder, stems={}), split=RAW)
        beside = root / "minillm_eval"
        return BesideReader(own=own, folder=beside) if beside.is_dir() else own


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstRows:
    """One set of rows as two splits: the first rows are for validation, the others to learn from.

    Attributes:
        own: Reads the set.
        split: What it calls the set.
    """

    own: Reader
    split: str

    def splits(self) -> tuple[str, ...]:
        """Both."""
        return ("train", "validation")

    def read(self, split: str) -> Table:
        """Rows of one of them."""
        if split not in self.splits():
            raise no_split(split, f"the split '{self.split}'", self.splits())
        table = self.own.read(self.split)
        first = min(DEV_ROWS, len(table) // 10)
        part = slice(first) if split == "validation" else slice(first, None)
        found = {name: list(values)[part] for name, values in table.columns.items()}
        return Table(columns=found, origin=f"{table.origin}, {split}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BesideReader:
    """A task's own splits, and evaluation sets of another folder.

    Attributes:
        own: Reads the task's splits.
        folder: Holds the other sets.
    """

    own: Reader
    folder: Path

    def splits(self) -> tuple[str, ...]:
        """Those of both."""
        there = ParquetReader(folder=self.folder).splits()
        return (*self.own.splits(), *(name for name in BESIDE if name in there))

    def read(self, split: str) -> Table:
        """Rows of one split."""
        return ParquetReader(folder=self.folder).read(split) if split in BESIDE else (
            self.own.read(split)
        )  # fmt: skip


TASK = Dolly(
    name="dolly",
    about="Follow an instruction in free text.",
    hub=("databricks/databricks-dolly-15k", "default"),
    hub_splits={"train": "train"},
    companions={name: name for name in BESIDE},
    companions_of="test",
)
