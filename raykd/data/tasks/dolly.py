"""Dolly (Conover et al., 2023): instructions written by people, as MiniLLM trains on them.

Read from a file for each split, from ``raw.jsonl`` as MiniLLM's processing has it, or from the hub.
The evaluation sets of Self-Instruct and Vicuna are scored besides the test split where they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raykd.data import columns
from raykd.data.base import DataSettings, Examples
from raykd.data.folder_reader import FolderReader, is_folder
from raykd.data.instructions import RESPONSE, before_context, before_instruction
from raykd.data.table import Faults, Reader, Table, no_split
from raykd.data.text_generation import Example, GenerationTask, rows_of
from raykd.data.values import shown

RAW = "raw"
DEV_ROWS = 1000
"""The first rows of ``raw.jsonl`` are the validation split; at most a tenth of them."""
EVAL_SETS = ("self_inst", "vicuna")
REPAIR = "repair or remove them; of a mapping, make one field a column of texts"


def read(table: Table) -> Iterator[Example]:
    """Rows with the columns of Dolly, or of MiniLLM's copy of it."""
    instructions = columns.texts(table, "instruction")
    contexts = columns.optional_texts(table, _either(table, "context", "input"))
    responses = _accepted(table, _either(table, "response", "output"))
    for instruction, context, accepted in zip(instructions, contexts, responses, strict=True):
        first = before_instruction(with_context=bool(context))
        yield Example(
            before=before_context(instruction) if context else first + instruction,
            context=context,
            after=RESPONSE,
            response=accepted[0],
            accepted=accepted,
            prefix_at=len(first),
        )


def _either(table: Table, name: str, other: str) -> str:
    return other if name not in table.columns and other in table.columns else name


def _accepted(table: Table, name: str) -> list[tuple[str, ...]]:
    """The accepted responses of every row: one text, or a list of them."""
    accepted_by_row = []
    faults = Faults(table.origin)
    for row, value in enumerate(table.column(name)):
        accepted = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not accepted or not all(isinstance(text, str) for text in accepted):
            what = f"column '{name}' holds {shown(value)}, expected a text or a list of texts"
            faults.add("rows have no response in words", table.place(row), what, REPAIR)
        accepted_by_row.append(accepted)
    faults.check()
    return accepted_by_row


@dataclass(frozen=True, kw_only=True)
class Dolly(GenerationTask):
    """Instructions, some with a context, and a response in free text."""

    def read_table(self, table: Table) -> Examples:
        """Prompts and responses."""
        return rows_of(list(read(table)), table)

    def reader(self, settings: DataSettings) -> Reader:
        """The hub has one set of rows only."""
        reader = super().reader(settings)
        return reader if settings.root is not None else FirstRows(own=reader, split="train")

    def in_folder(self, root: Path) -> Reader | None:
        """Files of splits or ``raw.jsonl`` alone, and the evaluation sets next to them."""
        folder = root / self.name
        if not is_folder(folder):
            return None
        own: Reader = FolderReader(folder=folder)
        if own.splits() == (RAW,):
            own = FirstRows(own=own, split=RAW)
        extra = root / "minillm_eval"
        return WithEvalSets(own=own, folder=extra) if is_folder(extra) else own


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
        rows = range(first) if split == "validation" else range(first, len(table))
        return table.take(rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class WithEvalSets:
    """A task's own splits, and evaluation sets of another folder.

    Attributes:
        own: Reads the task's splits.
        folder: Holds the other sets.
    """

    own: Reader
    folder: Path

    def splits(self) -> tuple[str, ...]:
        """Those of both."""
        there = FolderReader(folder=self.folder).splits()
        return (*self.own.splits(), *(name for name in EVAL_SETS if name in there))

    def read(self, split: str) -> Table:
        """Rows of one split."""
        return FolderReader(folder=self.folder).read(split) if split in EVAL_SETS else (
            self.own.read(split)
        )  # fmt: skip


TASK = Dolly(
    name="dolly",
    about="Follow an instruction in free text.",
    hub=("databricks/databricks-dolly-15k", "default"),
    hub_splits={"train": "train"},
    extra_eval_splits={name: name for name in EVAL_SETS},
    extra_eval_with="test",
)
