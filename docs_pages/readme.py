"""The table of methods in the README, from what they declare."""

from __future__ import annotations

import re
from typing import Any

from docs_pages import ROOT
from docs_pages.markdown import table
from raykd import registry
from raykd.data.task_kinds import APART_KINDS, ENCODER_KINDS, KINDS, TEXT_KINDS

PATH = ROOT / "README.md"
BLOCK = re.compile(r"^\| tasks \|.*?(?=\n\n)", re.MULTILINE | re.DOTALL)
GROUPS = (
    ("all", KINDS),
    ("all but generated text and embeddings", ENCODER_KINDS),
    ("generated text", TEXT_KINDS),
    ("embeddings", APART_KINDS),
)
"""What kinds of task are called together, the larger groups first."""


def text() -> str:
    """The README with a current table."""
    methods: dict[str, list[str]] = {}
    for name in registry.names("methods"):
        methods.setdefault(_tasks(registry.load("methods", name).kinds), []).append(_cell(name))
    rows = [(tasks, ", ".join(cells)) for tasks, cells in methods.items()]
    current = "\n".join(table(("tasks", "methods"), sorted(rows, key=_place)))
    return BLOCK.sub(lambda _: current, PATH.read_text(encoding="utf-8"), count=1)


def _cell(name: str) -> str:
    method: Any = registry.load("methods", name)
    paper = f" ([{method.authors}]({method.reference}))" if method.reference else ""
    return f"`{name}`{paper}"


def _place(row: tuple[str, str]) -> int:
    """Where a row stands: in the order of the groups, single kinds in the middle."""
    places = [name for name, _ in GROUPS]
    return 2 * places.index(row[0]) if row[0] in places else 3


def _tasks(kinds: tuple[str, ...]) -> str:
    """The kinds of task of a method, in as few words as there are for them."""
    left, words = set(kinds), []
    for group, members in GROUPS:
        if left >= set(members):
            words.append(group)
            left -= set(members)
    return ", ".join([*(kind for kind in kinds if kind in left), *words]).replace("_", " ")
