"""The tasks of "Distilling step-by-step": labels in words, with a model's rationale for each.

Hsieh et al., 2023, https://arxiv.org/abs/2305.02301. Read from Parquet files with the columns
``llm_rationale`` and ``llm_label`` or ``llm_output`` next to those of the data set, or from the
layout of the authors' code (``<set>_train.json`` and ``llm/train_CoT_0.json``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raykd.data import columns
from raykd.data.base import Examples
from raykd.data.equations import value
from raykd.data.instructions import RESPONSE, before_instruction
from raykd.data.json_files import read_json, read_json_rows
from raykd.data.rationale_parsers import PARSERS, LLMOutput
from raykd.data.table import Faults, Reader, Table, no_split
from raykd.data.text_generation import Accuracy, Example, GenerationTask, rows_of, same_text
from raykd.data.values import shown, whole
from raykd.errors import DataError

CHOICES = "abcde"
_REPAIR = "repair or remove them"
NLI = ("entailment", "neutral", "contradiction")


def same_value(text: str, accepted: Sequence[str]) -> bool:
    """Whether two equations have the same value; what is no equation equals nothing."""
    predicted = value(text)
    return any(
        not math.isnan(predicted) and math.isclose(predicted, value(answer), abs_tol=1e-9)
        for answer in accepted
    )


@dataclass(frozen=True, kw_only=True)
class Explained(GenerationTask):
    """A task on labels in words, with rationales.

    Attributes:
        pairs: Questions and answers from raw columns.
        parser: Cuts raw outputs of a model; a key of `raykd.data.rationale_parsers.PARSERS`.
    """

    pairs: Callable[[Table], Iterator[tuple[str, str]]]
    parser: str
    metric: str = "accuracy"
    metrics: tuple[str, ...] = ("accuracy", "log_likelihood", "token_accuracy")
    text_metrics: tuple[str, ...] = ("accuracy",)
    max_new_tokens: int = 32

    def in_folder(self, root: Path) -> Reader | None:
        """Parquet files, or the layout of the authors' code."""
        short = self.name.partition("/")[2]
        for folder in (root / self.name, root / short):
            if (folder / f"{short}_train.json").exists():
                return SeedReader(folder=folder, name=short)
        return super().in_folder(root)

    def read_table(self, table: Table) -> Examples:
        """Questions as they are for an encoder, as an instruction for a decoder."""
        llm_outputs = self._llm_outputs(table)
        ids = columns.spelled_out(table, "id") if "id" in table.columns else [""] * len(table)
        before, after = "", ""
        if self.task_kind.is_joined:
            before, after = before_instruction(with_context=False), RESPONSE
        examples = [
            Example(
                before=before, context=question, after=after, response=answer,
                prefix_at=len(before), rationale=llm_outputs[row].rationale,
                llm_label=llm_outputs[row].label, row=ids[row],
            )
            for row, (question, answer) in enumerate(self.pairs(table))
        ]  # fmt: skip
        return rows_of(examples, table)

    def _llm_outputs(self, table: Table) -> list[LLMOutput]:
        """The output of a language model for every row, with empty texts for what is missing."""
        parse = PARSERS[self.parser]
        outputs = [parse(text) for text in columns.optional_texts(table, "llm_output")]
        for name, part in (("llm_rationale", "rationale"), ("llm_label", "label")):
            if name in table.columns:
                own = [text.strip() for text in columns.spelled_out(table, name)]
                outputs = [
                    replace(was, **{part: text}) for was, text in zip(outputs, own, strict=True)
                ]
        return outputs


def _cqa(table: Table) -> Iterator[tuple[str, str]]:
    questions, answers = columns.texts(table, "question"), columns.texts(table, "answer")
    choices = columns.text_lists(table, "choices")
    faults = Faults(table.origin)
    for row, of in enumerate(choices):
        if answers[row] not in of:
            what = f"has the answer '{answers[row]}', which is not a choice ({', '.join(of)})"
            faults.add("rows have an answer that is not a choice", table.place(row), what, _REPAIR)
        elif len(of) > len(CHOICES):
            what = f"has {len(of)} choices, expected at most {len(CHOICES)}"
            faults.add("rows have too many choices", table.place(row), what, _REPAIR)
    faults.check()
    for question, answer, of in zip(questions, answers, choices, strict=True):
        lines = [f"({CHOICES[k]}) {choice}" for k, choice in enumerate(of)]
        yield "\n".join([question, "Answer Choices:", *lines]), answer


def _svamp(table: Table) -> Iterator[tuple[str, str]]:
    yield from zip(columns.texts(table, "input"), columns.texts(table, "label"), strict=True)


def _nli(table: Table) -> Iterator[tuple[str, str]]:
    ids = columns.class_ids(table, "label", NLI)
    pairs = zip(columns.texts(table, "premise"), columns.texts(table, "hypothesis"), strict=True)
    for row, (premise, hypothesis) in enumerate(pairs):
        yield f"{premise}</s>{hypothesis}", NLI[ids[row]]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedReader:
    """``<name>_<split>.json``, a row per line, with raw outputs in ``llm/<split>_CoT_<n>.json``.

    Attributes:
        folder: Holds them.
        name: Of the data set.
    """

    folder: Path
    name: str

    def splits(self) -> tuple[str, ...]:
        """Splits that have a file."""
        return tuple(
            split for split in ("train", "validation", "test") if self._file(split).exists()
        )

    def read(self, split: str) -> Table:
        """Rows and the raw output of each.

        Raises:
            DataError: There are not as many outputs as rows: they belong together by position.
        """
        if split not in self.splits():
            raise no_split(split, str(self.folder), self.splits())
        table = read_json_rows(self._file(split))
        llm_outputs = self._outputs(split)
        if not llm_outputs:
            return table
        if len(llm_outputs) != len(table):
            raise DataError(
                f"{table.origin} has {len(table):,} rows, but llm/{split}_CoT_*.json hold "
                f"{len(llm_outputs):,} outputs",
                hint="they belong together by their order, so both must be whole",
            )
        return replace(table, columns={**table.columns, "llm_output": llm_outputs})

    def _file(self, split: str) -> Path:
        return self.folder / f"{self.name}_{split}.json"

    def _outputs(self, split: str) -> list[Any]:
        outputs: list[Any] = []
        for path in sorted(self.folder.glob(f"llm/{split}_CoT_*.json"), key=_part):
            texts = read_json(path)
            if not isinstance(texts, list):
                raise DataError(f"{path} holds {shown(texts)}, expected a list of outputs")
            outputs += texts
        return outputs


def _part(path: Path) -> int:
    number = whole(path.stem.rpartition("_")[2])
    if number is None:
        raise DataError(f"{path} has no number at the end", hint="call it like train_CoT_0.json")
    return number


def _task(
    name: str,
    about: str,
    hub: str,
    pairs: Callable[[Table], Iterator[tuple[str, str]]],
    parser: str,
    right: Callable[[str, Sequence[str]], bool] = same_text,
) -> Explained:
    return Explained(
        name=f"step_by_step/{name}",
        about=about,
        hub=(hub, "default"),
        hub_splits={"train": "train", "test": "test"},
        pairs=pairs,
        measure=Accuracy(right),
        parser=parser,
    )


TASK = {
    "cqa": _task(
        "cqa", "Which of five answers does common sense give?", "tau/commonsense_qa", _cqa, "cqa"
    ),
    "svamp": _task(
        "svamp", "Which equation answers a question in words?", "ChilleD/SVAMP", _svamp, "svamp",
        same_value,
    ),
    "esnli": _task("esnli", "Does one sentence follow from another?", "esnli/esnli", _nli, "esnli"),
    "anli_r1": _task(
        "anli_r1", "Does one sentence follow from a text?", "facebook/anli", _nli, "anli"
    ),
}  # fmt: skip
