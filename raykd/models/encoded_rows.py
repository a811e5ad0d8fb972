"""The rows of every role as a model reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from raykd.data.base import Examples, Task, TokenizedDataset
from raykd.data.token_texts import known_bytes
from raykd.models.signals.aligned_tokens import AlignedTokens
from raykd.models.signals.base import OutputSpec


def encoded(
    task: Task, rows: Mapping[str, Examples], tokenizer: Any, length: int, *, more: bool
) -> dict[str, TokenizedDataset]:
    """Every role's rows as a model reads them; roles that share rows share the result.

    Rows that are never scored do not keep what predictions would be compared with. With `more`, the
    task's views of them come along.
    """
    scored = {id(part) for role, part in rows.items() if role not in ("finetune", "train")}
    done: dict[int, TokenizedDataset] = {}
    for part in rows.values():
        if id(part) not in done:
            encoded = task.encode(part, tokenizer, length)
            views = task.views(part, tokenizer, length) if more else {}
            if id(part) not in scored:
                encoded = replace(encoded, references=None)
                views = {n: replace(other, references=None) for n, other in views.items()}
            done[id(part)] = replace(encoded, views=views)
    return {role: done[id(part)] for role, part in rows.items()}


def paired(
    student: Mapping[str, TokenizedDataset],
    teacher: Mapping[str, TokenizedDataset],
    output_spec: OutputSpec,
) -> Mapping[str, TokenizedDataset]:
    """The student's splits; train says which of the teacher's tokens its own are compared with."""
    signals = [signal for signal in output_spec if isinstance(signal, AlignedTokens)]
    if not signals:
        return student
    token_texts = []
    for splits in (student, teacher):
        references = splits["validation"].references
        assert references is not None
        assert references.tokens is not None
        token_texts.append(known_bytes(references.tokens))
    train = student["train"]
    for signal in signals:
        train = signal.aligned(train, teacher["train"], (token_texts[0], token_texts[1]))
    return {**student, "train": train}
