"""Proposes a search space for data of the user's: what it holds, models and a budget that fit."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from raykd import registry
from raykd.data.file_lists import ROWS, FilesReader, matching
from raykd.data.folder_reader import FolderReader, is_folder, user_path
from raykd.data.guess_task import guess_task
from raykd.data.guesses import TEXT, TaskGuess, has_values
from raykd.data.kinds.multi_label import KIND as MULTI_LABEL
from raykd.data.kinds.token_classification import KIND as TAGS
from raykd.data.notes import listening
from raykd.data.table import Table
from raykd.errors import DataError, RaykdError
from raykd.models.resolve import read_config, resolve
from raykd.models.tokenizers import load_tokenizer

ENCODER, DECODER = "google-bert/bert-base-uncased", "Qwen/Qwen2.5-0.5B-Instruct"
SMALL, SMALL_LAYERS = "google/bert_uncased_L-4_H-512_A-8", 4
SHARES: Mapping[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1}
_NAMES = {"validation": ("validation", "valid", "val", "dev", "eval"), "test": ("test", "heldout")}
"""What files of a split are called, by the split."""
_CHARACTERS = 4
"""Characters of a token, where no tokenizer is at hand."""
_SAMPLE = 5_000
_LONGEST = 512
_HOURS = 3
_FLOPS = {"cpu": 2e10, "cuda": 3e13}
"""What a CPU core and a GPU do a second in training, roughly."""


@dataclass(kw_only=True)
class Proposal:
    """A search space in the making.

    Attributes:
        name: Of the task and the sweep.
        place: Keys that say where rows are.
        data: Keys of the section ``data``, without ``max_length``.
        guess: What the table seems to be.
        rows: Train rows.
        max_length: Most tokens of a row.
        teacher: The section ``teacher``.
        student: The section ``student``.
        search: The sections ``search`` and ``confirm``.
        epochs: Of students.
        guessed: What was guessed, in words.
        notes: What reading the rows brought up.
    """

    name: str
    place: dict[str, Any]
    data: dict[str, Any]
    guess: TaskGuess
    rows: int
    max_length: int = 0
    teacher: dict[str, Any] = field(default_factory=dict)
    student: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    epochs: int = 3
    guessed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def propose(data: str, teacher: str = "", label: str = "") -> Proposal:
    """Look at data and models and propose a search space.

    Args:
        data: A folder with a file for each split, a file, or a pattern of files.
        teacher: A fine-tuned model, or one to fine-tune; empty: a pretrained one of the hub.
        label: The column of the label; empty: it is guessed.

    Raises:
        RaykdError: The data cannot be read or seem to be no task; or there is no such teacher.
    """
    with listening() as heard:
        made, table = _with_rows(data, label)
    made.notes = heard
    config = read_config(resolve(teacher)) if teacher else {}
    _choose_models(made, teacher, config)
    _choose_length(made, table, teacher, config)
    _choose_budget(made, config)
    return made


def _with_rows(data: str, label: str) -> tuple[Proposal, Table]:
    """Where the rows are, which splits there are, and what the train rows seem to be."""
    folder = user_path(data)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.stem.split(".")[0]).strip("-") or "mine"
    place: dict[str, Any] = {"path": data}
    if is_folder(folder):
        reader = FolderReader(folder=folder)
        splits = reader.splits()
        if "train" not in splits:
            there = ", ".join(splits) or "no file that can be read"
            raise DataError(
                f"'{data}' has no file of the split train (it has {there})",
                hint=f"{reader.instead('train')}; or name one file or a pattern of files",
            )
        names = {
            split: next((n for n in known if n in splits), "") for split, known in _NAMES.items()
        }
        names = {split: file for split, file in names.items() if file}
        own = FolderReader(folder=folder, stems=names)
        tables = {split: own.read(split) for split in ("train", *names)}
        guess = guess_task(tables, label)
        split_of = {split for split in names if has_values(tables[split], _answers_of(guess))}
        renamed = {split: names[split] for split in names if split in split_of}
        renamed = {split: file for split, file in renamed.items() if file != split}
        if renamed:
            place["splits"] = renamed
        sources = [f"'{data}' has files of {', '.join(['train', *sorted(names)])}"]
        sources += [
            f"the file of {split} has no labels (column '{_answers_of(guess)}'), and is not read"
            for split in names
            if split not in split_of
        ]
        rows = len(tables["train"])
    else:
        tables = {
            "train": FilesReader(files={ROWS: matching(data, [Path()])}, name=data).read(ROWS)
        }
        guess = guess_task(tables, label)
        place["splits"], split_of = dict(SHARES), {"validation", "test"}
        rows = int(len(tables["train"]) * SHARES["train"])
        sources = [f"'{data}' is one set of {len(tables['train']):,} rows, which is split"]
    made = Proposal(name=name, place=place, data=_parts(split_of), guess=guess, rows=rows)
    made.guessed = [*sources, *guess.why]
    if name in registry.names("tasks"):  # what raykd calls a task of its own is taken
        made.name = f"my-{name}"
    return made, tables["train"]


def _answers_of(guess: TaskGuess) -> str:
    """The column of what is learnt."""
    return str(next(guess.keys[k] for k in ("label", "response", "messages") if k in guess.keys))


def _parts(splits: set[str]) -> dict[str, Any]:
    """Which rows the search and the report are scored on."""
    part = {"split": "train", "fraction": 0.1}
    validation = {"split": "validation"} if "validation" in splits else part
    if "test" in splits:
        return {"select_on": validation, "report_on": {"split": "test"}}
    if "validation" in splits:
        return {"select_on": part, "report_on": {"split": "validation"}}
    return {"select_on": part, "report_on": {"split": "train", "fraction": 0.2}}


def _choose_models(made: Proposal, teacher: str, config: Mapping[str, Any]) -> None:
    """Teacher and student: a fine-tuned model as it is, and half of its layers."""
    is_text = made.guess.kind == TEXT
    if made.guess.outputs and not teacher:
        made.teacher = {"outputs": dict(made.guess.outputs)}
        made.student = {"model": SMALL}
        made.guessed.append(
            f"these probabilities are the teacher (teacher.outputs); the student is {SMALL}, as "
            "there are no layers to take"
        )
        return
    if made.guess.outputs:
        made.guessed.append("a teacher was named, so the probabilities are not read")
    if not teacher:
        teacher = DECODER if is_text else ENCODER
        made.guessed.append(f"no teacher was named, so {teacher} is fine-tuned")
        made.teacher = {"model": teacher, "finetune": {"epochs": 3, "lr": 2e-5}}
    elif is_finetuned(made, config):
        made.teacher = {"checkpoint": teacher}
        made.guessed.append(f"'{teacher}' has a head for this task: it is the teacher as it is")
    else:
        made.teacher = {"model": teacher, "finetune": {"epochs": 3, "lr": 2e-5}}
        made.guessed.append(f"'{teacher}' has no head for this task, so it is fine-tuned first")
    layers = int(
        config.get("num_hidden_layers") or config.get("n_layer") or (24 if is_text else 12)
    )
    kept = [*range(1, layers, 2)] if layers > 1 else [0]
    made.student = {"from_teacher": {"layers": kept, "weights": "finetuned"}}
    made.guessed.append(f"the student has {len(kept)} of the teacher's {layers} layers")


def is_finetuned(made: Proposal, config: Mapping[str, Any]) -> bool:
    """Whether a model has a head for the task; labels get the order that its classes have."""
    heads = " ".join(map(str, config.get("architectures") or ()))
    if made.guess.kind == TEXT:
        return "LMHead" in heads or "CausalLM" in heads or "ConditionalGeneration" in heads
    wanted = {TAGS.name: "TokenClassification"}
    if wanted.get(made.guess.kind, "SequenceClassification") not in heads:
        return False
    is_of_sets = config.get("problem_type") == MULTI_LABEL.problem_type
    if is_of_sets != (made.guess.kind == MULTI_LABEL.name):
        return False
    labels = made.guess.keys.get("labels")
    names = [str(name) for _, name in sorted(
        (config.get("id2label") or {}).items(), key=lambda item: int(item[0]))]  # fmt: skip
    if labels is None:
        return len(names) == 1
    if sorted(names) == sorted(labels):
        made.guess = replace(made.guess, keys={**made.guess.keys, "labels": names})
    return len(names) == len(labels)


def _choose_length(made: Proposal, table: Table, teacher: str, config: Mapping[str, Any]) -> None:
    """The length that 95 % of the rows have at most, as a multiple of 8."""
    texts = _row_texts(made.guess, table)
    try:
        tokenizer = load_tokenizer(teacher or made.teacher.get("model") or SMALL)
        counts = [len(ids) for ids in tokenizer(texts)["input_ids"]]
        by = "tokens of the teacher"
    except RaykdError:
        if teacher:
            raise
        counts = [len(text) // _CHARACTERS + 3 for text in texts]
        by = f"tokens, taken as {_CHARACTERS} characters each: the model is not on this machine"
    ordered = sorted(counts)
    most = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    wanted = 2 * most if made.guess.kind == TEXT else most  # a prompt may have half of it
    positions = int(config.get("max_position_embeddings") or config.get("n_positions") or _LONGEST)
    made.max_length = max(16, min(-(-wanted // 8) * 8, positions, 8 * _LONGEST))
    made.guessed.append(
        f"max_length is {made.max_length}: 95 % of the rows have at most {most:,} {by}"
    )


def _row_texts(guess: TaskGuess, table: Table) -> list[str]:
    """What a model reads of some rows, roughly."""
    keys = guess.keys
    names = [keys[k] for k in ("messages", "prompt", "context", "response") if k in keys]
    names += keys.get("texts", [])
    columns = [table.columns[name][:_SAMPLE] for name in names]
    return [" ".join(_flat(value) for value in row) for row in zip(*columns, strict=True)]


def _flat(value: Any) -> str:
    """A value as a model reads it, roughly."""
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return " ".join(value)
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)


def _choose_budget(made: Proposal, config: Mapping[str, Any]) -> None:
    """Trials and seeds that this machine does in some hours, roughly."""
    import torch

    kind = "cuda" if torch.cuda.is_available() else "cpu"
    count = torch.cuda.device_count() if kind == "cuda" else os.cpu_count() or 1
    width = int(config.get("hidden_size") or config.get("n_embd") or 768)
    cut = made.student.get("from_teacher")
    weights = 12 * width**2 * (len(cut["layers"]) if cut else SMALL_LAYERS)
    trial = 6 * weights * made.max_length * made.rows * made.epochs / _FLOPS[kind]
    fit = _HOURS * 3600 * count / max(trial, 1e-9) / 2
    trials = max(3, min(20, int(fit * 0.6)))
    seeds = max(3, min(5, int(fit * 0.4)))
    made.search = {"trials": trials, "seeds": [*range(1, seeds + 1)]}
    hours = 2 * (trials + seeds) * trial / count / 3600
    where = f"{count} {'GPU' if kind == 'cuda' else 'CPU core'}{'s' if count > 1 else ''}"
    made.guessed.append(
        f"{trials} trials and {seeds} seeds of two arms take about {_duration(hours)} on {where}, "
        "the teacher apart"
    )


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{max(1, round(hours * 60))} min"
    return f"{hours:.1f} h"
