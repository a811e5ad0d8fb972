"""Writes a proposed search space, with what was guessed as comments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from raykd.data.guesses import TEXT
from raykd.data.task_kinds import task_kind
from raykd.proposal.propose import Proposal

_WORDS = frozenset(
    {"true", "false", "null", "none", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
)
"""What is no text in some version of YAML."""


def to_text(made: Proposal) -> str:
    """The search space, with what was guessed as comments."""
    keys = {"kind": made.guess.kind, **made.place, **made.guess.keys}
    task = [f"  - name: {made.name}", *(f"    {k}: {_yaml(v)}" for k, v in keys.items())]
    is_text = made.guess.kind == TEXT
    none = f"  {'sft' if is_text else 'none'}: {{}}".ljust(36)
    arms = [f"{none}# no teacher: what distillation has to beat", f"  kd: {_searched(made)}"]
    lines = [
        "# Written by raykd init --from. What was guessed:",
        *(f"# - {note}" for note in made.guessed),
        "# raykd data FILE shows the rows as models read them; raykd sweep FILE runs it.",
        "",
        f"name: {made.name}",
        "tasks:",
        *task,
        "data:",
        f"  max_length: {made.max_length}",
        *(f"  {key}: {_yaml(value)}" for key, value in made.data.items()),
        "teacher:",
        *(f"  {key}: {_yaml(value)}" for key, value in made.teacher.items()),
        "student:",
        *(f"  {key}: {_yaml(value)}" for key, value in made.student.items()),
        "train:",
        f"  epochs: {made.epochs}",
        "  lr: {loguniform: [1e-5, 2e-4]}",
        "methods:",
        *arms,
        f"search: {{trials: {made.search['trials']}, scheduler: asha}}",
        f"confirm: {{seeds: {_yaml(made.search['seeds'])}}}",
    ]
    return "\n".join(lines) + "\n"


def _searched(made: Proposal) -> str:
    """What is searched of `kd`: what changes something on tasks of this kind."""
    if made.guess.kind == TEXT:
        return "{kd_ratio: {uniform: [0.1, 1.0]}}"
    softened = ", temperature: {choice: [1, 2, 4]}"
    is_categorical = task_kind(made.guess.kind).is_categorical
    return f"{{alpha: {{uniform: [0.1, 1.0]}}{softened if is_categorical else ''}}}"


def _yaml(value: Any) -> str:
    """A value on one line; JSON is YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_yaml(of)}" for key, of in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    is_plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./-]*", value)
    return (
        value if is_plain and value.lower() not in _WORDS else json.dumps(value, ensure_ascii=False)
    )
