"""Which output of a checkpoint's head is which class of a task, by the names of the classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

MOST = 8
"""Names of classes that a message lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """How the outputs of a head go with the classes of a task.

    Attributes:
        order: The output that stands for each class of the task.
        given: The head's own names of its outputs; empty where they have none.
        note: What a user should know; empty where names and order are equal.
        certain: Whether names say that it is the same task.
        clash: Whether names that both have stand at other places, while others differ; or whether
            the head's own names contradict each other.
    """

    order: tuple[int, ...]
    given: tuple[str, ...]
    note: str
    certain: bool
    clash: bool = False


def compared(name: str, config: Mapping[str, Any], labels: tuple[str, ...]) -> Classes:
    """Compare the classes of a checkpoint with those of a task.

    Equal names count whatever their case and whether words are joined by spaces, hyphens or
    underscores. Where names differ, abbreviations are understood (``neg`` for ``negative``) if
    every name goes with exactly one.

    Args:
        name: The model in the user's words.
        config: Its ``config.json``.
        labels: Names of the task's classes, in their order.
    """
    as_is = tuple(range(len(labels)))
    given = names_in(config, len(labels))
    if _contradicts(config, given):
        note = (
            f"'{name}': id2label and label2id of its config.json say different things; its outputs "
            "were taken in their order, as the task's"
        )
        return Classes(order=as_is, given=given, note=note, certain=False, clash=True)
    task_keys, model_keys = ([_key(n) for n in names] for names in (labels, given))
    if len(set(task_keys)) < len(task_keys):  # only case tells some apart, which then counts
        task_keys, model_keys = [*labels], [*given]
    if sorted(task_keys) == sorted(model_keys) and len(set(task_keys)) == len(task_keys):
        order = tuple(model_keys.index(key) for key in task_keys)
        note = "" if order == as_is else _both(name, given, labels) + _MOVED
        return Classes(order=order, given=given, note=note, certain=True)
    short = _by_abbreviation(task_keys, model_keys)
    if short is not None:
        end = "; they were matched by their beginnings" + ("" if short == as_is else _MOVED)
        note = _both(name, given, labels) + end
        return Classes(order=short, given=given, note=note, certain=True)
    numbers = _numbers(given)
    if numbers is not None and numbers == sorted(numbers):
        return Classes(order=as_is, given=(), note="", certain=False)
    shared = set(task_keys) & set(model_keys)
    clash = numbers is not None or any(
        task_keys.index(key) != model_keys.index(key) for key in shared
    )
    note = _both(name, given, labels) + "; its outputs were taken in their order, as the task's"
    return Classes(order=as_is, given=given, note=note, certain=False, clash=clash)


_MOVED = ": the rows of its head were put into the order of the task"


def names_in(config: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """The names of the outputs in a configuration; the library's where it states none.

    ``label2id`` says them where ``id2label`` is not stated.

    Args:
        config: As in ``config.json``.
        count: How many outputs there are.
    """
    stated = config.get("id2label")
    by_number = {}
    if isinstance(stated, Mapping) and len(stated) == count:
        by_number = {str(k): str(v) for k, v in stated.items()}
    numbers = config.get("label2id")
    if stated is None and isinstance(numbers, Mapping) and len(numbers) == count:
        by_number = {str(number): str(name) for name, number in numbers.items()}
    return tuple(by_number.get(str(k), "").strip() or f"LABEL_{k}" for k in range(count))


def _contradicts(config: Mapping[str, Any], given: Sequence[str]) -> bool:
    """Whether the numbers of the names are others in ``label2id`` than in ``id2label``."""
    numbers = config.get("label2id")
    if not isinstance(numbers, Mapping):
        return False
    return any(str(numbers.get(name, k)) != str(k) for k, name in enumerate(given))


def _numbers(names: Sequence[str]) -> list[int] | None:
    """The numbers that names are, with or without a word before them; None where one is not."""
    matches = [re.fullmatch(r"(?:label[ _-]?)?(\d{1,9})", n, re.IGNORECASE) for n in names]
    return None if None in matches else [int(match[1]) for match in matches if match is not None]


def reordered(
    tensors: Mapping[str, Tensor], order: Sequence[int], classifier: str
) -> dict[str, Tensor]:
    """The tensors with the outputs of a head in another order.

    Args:
        tensors: Weights by name.
        order: The output that comes to each place.
        classifier: Name of the layer whose outputs are the classes.
    """
    reordered_tensors = dict(tensors)
    if tuple(order) == tuple(range(len(order))):
        return reordered_tensors
    for part in (f"{classifier}.weight", f"{classifier}.bias"):
        if part in reordered_tensors:
            reordered_tensors[part] = reordered_tensors[part][list(order)].clone()
    return reordered_tensors


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.strip().casefold()).strip()


def _by_abbreviation(task_keys: Sequence[str], model_keys: Sequence[str]) -> tuple[int, ...] | None:
    """The output of each class, if every name begins one of the others, or the other way round."""
    fits = [
        [k for k, other in enumerate(model_keys) if other.startswith(key) or key.startswith(other)]
        for key in task_keys
    ]
    if any(len(positions) != 1 for positions in fits) or len(
        {positions[0] for positions in fits}
    ) < len(fits):
        return None
    return tuple(positions[0] for positions in fits)


def _both(name: str, given: Sequence[str], labels: Sequence[str]) -> str:
    own, wanted = format_names(given), format_names(labels)
    return f"the classes of '{name}' are {own}, those of the task are {wanted}"


def format_names(names: Sequence[str]) -> str:
    """Names of classes, the first ones of many."""
    more = f" ... ({len(names)} in all)" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
