"""Guesses what a table of the user's is: which columns are texts and labels, of which kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from raykd.data.table import Table
from raykd.data.values import is_missing, number, spelled, truth, whole
from raykd.errors import DataError

LABELS = ("label", "labels", "class", "category", "target", "intent", "sentiment", "topic", "team",
          "stars", "score", "rating", "gold", "y", "tag")  # fmt: skip
"""Columns that are labels wherever they hold few values or numbers, the likeliest first."""
PROMPTS = ("prompt", "instruction", "question", "query", "input", "source", "document")
RESPONSES = ("response", "output", "answer", "completion", "target", "summary", "solution")
CONTEXTS = ("context", "passage", "input")
PAIRS = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("question", "passage"),
         ("question1", "question2"), ("text1", "text2"), ("text_a", "text_b"),
         ("query", "document"), ("title", "body"), ("title", "text"))  # fmt: skip
MOST_CLASSES = 200
_MANY_NUMBERS = 20
"""Numbers of so many values are scores and no classes."""
_WORDS = 3

Kind = Literal["classification", "regression", "text"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskGuess:
    """What a table seems to be.

    Attributes:
        kind: A kind of the user's own tasks.
        keys: Keys of its description that name columns, labels and the like.
        why: What was guessed, in words, each with what it rests on.
    """

    kind: Kind
    keys: Mapping[str, Any]
    why: Sequence[str]


def guess_task(table: Table, label: str = "") -> TaskGuess:
    """What a table seems to be, by the names of its columns and what they hold.

    Args:
        table: Train rows.
        label: The column of the label, where the user says it.

    Raises:
        DataError: No column is a text, or there is no label; or the label column is not there.
    """
    if label:
        return _labelled(table, label)
    chats = [name for name, values in table.columns.items() if _is_chat(values)]
    if chats:
        why = [f"column '{chats[0]}' holds lists of messages"]
        return TaskGuess(kind="text", keys={"messages": chats[0]}, why=why)
    by_name = {name.strip().lower(): name for name in table.columns}
    labels = [by_name[name] for name in LABELS if name in by_name and _may_label(table, name)]
    if labels:
        return _labelled(table, labels[0])
    prompt = next((by_name[name] for name in PROMPTS if name in by_name), "")
    response = next((by_name[n] for n in RESPONSES if n in by_name and by_name[n] != prompt), "")
    if prompt and response:
        return _answered(table, by_name, prompt, response)
    few = [name for name in table.columns if _may_label(table, name)]
    if not few:
        raise DataError(
            f"no column of {table.origin} seems to be a label or a response (columns: "
            f"{', '.join(table.columns)})",
            hint="name it: --label COLUMN, or describe the task in a file (raykd init quickstart)",
        )
    return _labelled(table, min(few, key=lambda name: len(_values(table, name))))


def _answered(table: Table, by_name: Mapping[str, str], prompt: str, response: str) -> TaskGuess:
    """A task of prompts and responses."""
    keys = {"prompt": prompt, "response": response}
    why = [f"columns '{prompt}' and '{response}' are a prompt and its response, by their names"]
    context = next(
        (by_name[n] for n in CONTEXTS if n in by_name and by_name[n] not in (prompt, response)), ""
    )
    if context:
        keys["context"] = context
        why.append(f"column '{context}' is read with the prompt, by its name")
    return TaskGuess(kind="text", keys=keys, why=why)


def _labelled(table: Table, label: str) -> TaskGuess:
    """A task of texts and a label."""
    values = _values(table, label)
    texts, why_texts = _texts(table, label)
    numbers = [number(value) for value in values]
    is_score = None not in numbers and (
        len(values) > _MANY_NUMBERS or any(whole(value) is None for value in values)
    )
    if is_score:
        ordered = sorted(float(n) for n in numbers if n is not None)
        why = [f"column '{label}' holds numbers from {ordered[0]:g} to {ordered[-1]:g}: a score"]
        keys = {"texts": texts, "label": label, "span": [ordered[0], ordered[-1]]}
        return TaskGuess(kind="regression", keys=keys, why=[*why, why_texts])
    if not 2 <= len(values) <= MOST_CLASSES:
        raise DataError(
            f"column '{label}' of {table.origin} holds {len(values):,} different values, expected "
            f"2 to {MOST_CLASSES} classes, or numbers",
            hint="name another column: --label COLUMN",
        )
    keys = {"texts": texts, "label": label, "labels": class_names(values)}
    why = [f"column '{label}' holds {len(values)} classes"]
    return TaskGuess(kind="classification", keys=keys, why=[*why, why_texts])


def class_names(values: Sequence[Any]) -> list[str]:
    """Names of the classes that a label column holds: numbers by size, False first, else by name.

    What is one value in some format (``1`` and ``1.0``) is one name.
    """
    if all(truth(value) is not None for value in values):
        return ["False", "True"]
    if all(number(value) is not None for value in values):
        ordered = sorted({number(value) or 0 for value in values})
        return [str(int(n)) if n == int(n) else str(n) for n in ordered]
    return sorted({spelled(value) for value in values})


def _texts(table: Table, label: str) -> tuple[list[str], str]:
    """The text columns, and what that rests on.

    Raises:
        DataError: There is none.
    """
    sizes = {
        name: sum(map(len, values)) / max(len(values), 1)
        for name, values in table.columns.items()
        if name != label and all(isinstance(value, str) for value in values)
    }
    by_name = {name.strip().lower(): name for name in sizes}
    for one, two in PAIRS:
        if one in by_name and two in by_name:
            both = [by_name[one], by_name[two]]
            return both, f"columns '{both[0]}' and '{both[1]}' are a pair of texts, by their names"
    if not sizes:
        raise DataError(
            f"{table.origin} has no column of texts (columns: {', '.join(table.columns)})",
            hint="texts must be text in every row",
        )
    longest = max(sizes, key=lambda name: sizes[name])
    others = [name for name in sizes if name != longest]
    ignored = f"; not read: {', '.join(others)}" if others else ""
    return [longest], f"column '{longest}' holds the longest texts{ignored}"


def _values(table: Table, name: str) -> list[Any]:
    """The different values of a column, by what a file would hold; those missing are left out."""
    by_spelling = {spelled(value): value for value in table.column(name) if not is_missing(value)}
    return list(by_spelling.values())


def _may_label(table: Table, name: str) -> bool:
    """Whether a column can be a label: numbers, or few short texts that occur again."""
    column = next(c for c in table.columns if name in (c, c.strip().lower()))
    present = [value for value in table.columns[column] if not is_missing(value)]
    if not present or any(isinstance(value, list | dict | bytes) for value in present):
        return False
    values = {spelled(value) for value in present}
    if all(number(value) is not None for value in present):
        return len(values) > 1 and (name.lower() in LABELS or len(values) <= _MANY_NUMBERS)
    words = max(len(value.split()) for value in values)
    most = min(MOST_CLASSES, max(2, len(present) // 2))
    return 2 <= len(values) <= most and words <= 2 * _WORDS


def _is_chat(values: Sequence[Any]) -> bool:
    """Whether a column holds messages, or the same as JSON."""
    first = next((value for value in values if not is_missing(value)), None)
    if isinstance(first, str) and first.lstrip().startswith("["):
        try:
            first = json.loads(first)
        except (ValueError, RecursionError):
            return False
    if not isinstance(first, list) or not first:
        return False
    return all(isinstance(m, dict) and ({"role", "from"} & set(m)) for m in first)
