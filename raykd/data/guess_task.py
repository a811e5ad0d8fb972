"""Guesses what a table of the user's is: which columns are texts and labels, of which kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from raykd.data.columns import ROWS_ARE_WANTED
from raykd.data.guess_doubts import doubts, missing, refuse_commas, refuse_no_header
from raykd.data.guess_lists import guess_sets, guess_tags
from raykd.data.guess_soft import soft_columns, soft_labels
from raykd.data.guesses import (
    MOST_CLASSES,
    TEXT,
    TRAIN,
    Splits,
    TaskGuess,
    class_names,
    distinct,
    first_seen,
    labelled_splits,
    text_columns,
    unpacked,
)
from raykd.data.kinds.classification import KIND as CLASSIFICATION
from raykd.data.kinds.regression import KIND as REGRESSION
from raykd.data.table import Table
from raykd.data.values import is_missing, number, shown, spelled, whole
from raykd.errors import DataError

LABELS = ("label", "labels", "class", "category", "target", "intent", "sentiment", "topic", "team",
          "stars", "score", "rating", "gold", "y", "tag")  # fmt: skip
"""Columns that are labels wherever they hold few values or numbers, the likeliest first."""
COLUMNS = ("label", "prompt", "response", "context", "messages")
"""Keys of a description that name one column."""
CLASSES = frozenset({"label", "labels", "class", "category", "intent", "topic", "team", "tag"})
"""Columns whose whole numbers are numbers of classes where there is none missing among them."""
PROMPTS = ("prompt", "instruction", "question", "query", "input", "source", "document")
RESPONSES = (
    "response",
    "output",
    "answer",
    "completion",
    "target",
    "summary",
    "solution",
    "chosen",
)
CONTEXTS = ("context", "passage", "input")
_MANY_NUMBERS = 20
"""Numbers of so many values are scores and no classes."""
_WORDS = 3


def guess_task(splits: Splits, label: str = "") -> TaskGuess:
    """What a table seems to be, by the names of its columns and what they hold.

    The kind is that of the train rows; classes and scores are those of all splits that have labels.

    Args:
        splits: The tables of all splits.
        label: The column of the label, where the user says it.

    Raises:
        DataError: No column is a text, or there is no label; or the label column is not there.
    """
    train = splits[TRAIN]
    if train.holds_columns():
        raise DataError(f"{train.origin} has one row of lists", hint=ROWS_ARE_WANTED)
    guess = _guessed(splits, label)
    keys = guess.keys
    for name in [*keys.get("texts", ()), *(keys[key] for key in COLUMNS if key in keys)]:
        train.column(name)  # there may be two of that name
    why = list(guess.why)
    if answer := keys.get("response"):
        why += missing(splits, answer)
    if guess.kind in (CLASSIFICATION.name, REGRESSION.name):
        if not label:
            refuse_no_header(train, keys["label"])
        why += [*missing(splits, keys["label"]), *doubts(splits, keys["label"])]
    return replace(guess, why=why)


def _guessed(splits: Splits, label: str) -> TaskGuess:
    train = splits[TRAIN]
    if label:
        train.column(label)
        return guess_tags(splits, label) or guess_sets(splits, label) or _labelled(splits, label)
    chats = [name for name, values in train.columns.items() if _is_chat(values)]
    if chats:
        why = [f"column '{chats[0]}' holds lists of messages"]
        return TaskGuess(kind=TEXT, keys={"messages": chats[0]}, why=why)
    if tags := guess_tags(splits):
        return tags
    soft = soft_columns(train, LABELS)
    may_label = [n for n in train.columns if n not in soft and _may_label(train, n)]
    by_name = {name.strip().lower(): name for name in train.columns}
    labels = [by_name[name] for name in LABELS if by_name.get(name) in may_label]
    if labels:
        return _labelled(splits, labels[0])
    prompt = next((by_name[name] for name in PROMPTS if name in by_name), "")
    response = next((by_name[n] for n in RESPONSES if n in by_name and by_name[n] != prompt), "")
    if prompt and response:
        return _answered(by_name, prompt, response)
    if not soft and (sets := guess_sets(splits)):
        return sets
    if not may_label:
        raise _no_label(train, soft)
    return _labelled(splits, min(may_label, key=lambda name: len(distinct(train.columns[name]))))


def _no_label(table: Table, soft: Sequence[str]) -> DataError:
    """That no column is a label; probabilities of classes are none."""
    if soft:
        named = ", ".join(soft)
        return DataError(
            f"{table.origin} holds probabilities of classes ({named}) and no class of each row, "
            "which rows to select on and to report on need",
            hint="add a column of classes and name it: --label COLUMN; the probabilities then "
            "serve as the teacher (teacher: {outputs: {probabilities: ...}})",
        )
    hint = "name it: --label COLUMN, or describe the task in a file (raykd init quickstart)"
    if inner := table.rows_inside():
        hint = f"the rows seem to stand in '{inner}': write them alone, or one a line"
    return DataError(
        f"no column of {table.origin} seems to be a label or a response (columns: "
        f"{', '.join(table.columns)})",
        hint=hint,
    )


def _answered(by_name: Mapping[str, str], prompt: str, response: str) -> TaskGuess:
    """A task of prompts and responses."""
    keys = {"prompt": prompt, "response": response}
    why = [f"columns '{prompt}' and '{response}' are a prompt and its response, by their names"]
    context = next(
        (by_name[n] for n in CONTEXTS if n in by_name and by_name[n] not in (prompt, response)), ""
    )
    if context:
        keys["context"] = context
        why.append(f"column '{context}' is read with the prompt, by its name")
    return TaskGuess(kind=TEXT, keys=keys, why=why)


def _labelled(splits: Splits, label: str) -> TaskGuess:
    """A task of texts and a label."""
    train, labelled = splits[TRAIN], labelled_splits(splits, label)
    by_split = {k: distinct(table.column(label)) for k, table in labelled.items()}
    values = distinct([value for of in by_split.values() for value in of])
    soft = soft_columns(train, (*LABELS, label.strip().lower()))
    texts, why_texts = text_columns(train, [label, *soft])
    refuse_commas(train, label, values)
    numbers = [number(value) for value in values]
    are_ids = label.strip().lower() in CLASSES and _are_ids(values)
    is_score = None not in numbers and (
        (len(values) > _MANY_NUMBERS and not are_ids)
        or any(whole(value) is None for value in values)
    )
    if is_score:
        return _scored(texts, label, sorted(float(n) for n in numbers if n is not None), why_texts)
    names = class_names(values)
    if not 2 <= len(names) <= MOST_CLASSES:
        same = f" ({', '.join(map(shown, values))} are one)" if len(names) < len(values) else ""
        raise DataError(
            f"column '{label}' of {train.origin} holds {len(names):,} different values{same}, "
            f"expected 2 to {MOST_CLASSES} classes, or numbers",
            hint="name another column: --label COLUMN",
        )
    keys = {"texts": texts, "label": label, "labels": names}
    why = [f"column '{label}' holds {len(keys['labels'])} classes"]
    if are_ids and len(values) > _MANY_NUMBERS:
        why[0] += ", by its name: whole numbers without a gap; a score would be kind: regression"
    why += first_seen({k: class_names(of) for k, of in by_split.items()})
    guess = TaskGuess(kind=CLASSIFICATION.name, keys=keys, why=[*why, why_texts])
    outputs, why_soft = soft_labels(train, soft, label, keys["labels"]) if soft else ({}, "")
    return replace(guess, outputs=outputs, why=[*guess.why, why_soft]) if outputs else guess


def _scored(texts: list[str], label: str, ordered: list[float], why_texts: str) -> TaskGuess:
    """A task of texts and a score; two texts may be wanted as vectors."""
    low, high = ordered[0], ordered[-1]
    why = [f"column '{label}' holds numbers from {low:g} to {high:g}: a score", why_texts]
    if len(texts) > 1:
        why.append(
            "a model reads both texts at once; if each is to have a vector of its own (search, "
            "clustering), this is kind: embedding with methods such as embedding_cosine"
        )
    keys = {"texts": texts, "label": label, "span": [low, high]}
    return TaskGuess(kind=REGRESSION.name, keys=keys, why=why)


def _are_ids(values: Sequence[Any]) -> bool:
    """Whether values are the whole numbers from 0 or 1 on, each of them."""
    numbers = sorted(n for value in values if (n := whole(value)) is not None)
    if len(numbers) != len(values) or not numbers or numbers[0] not in (0, 1):
        return False
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _may_label(table: Table, name: str) -> bool:
    """Whether a column can be a label: numbers, or few short texts that occur again."""
    present = [value for value in table.columns[name] if not is_missing(value)]
    if not present or any(isinstance(unpacked(v), list | dict | bytes) for v in present):
        return False
    values = {spelled(value) for value in present}
    is_named = name.strip().lower() in LABELS
    if all(number(value) is not None for value in present):
        return len(values) > 1 and (is_named or len(values) <= _MANY_NUMBERS)
    words = max(len(value.split()) for value in values)
    most = min(MOST_CLASSES, max(2, len(present) // 2))
    may_be_long = is_named and name.strip().lower() not in RESPONSES
    return 2 <= len(values) <= most and (may_be_long or words <= 2 * _WORDS)


def _is_chat(values: Sequence[Any]) -> bool:
    """Whether a column holds messages, or the same as JSON."""
    first = unpacked(next((value for value in values if not is_missing(value)), None))
    if not isinstance(first, list) or not first:
        return False
    return all(isinstance(m, dict) and ({"role", "from"} & set(m)) for m in first)
