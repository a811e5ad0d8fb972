"""The table of methods in the README, from what they declare."""

from __future__ import annotations

import re
from typing import Any

from docs_pages import ROOT
from docs_pages.markdown import table
from raykd import registry
from raykd.data.task_kinds import APART_KINDS, ENCODER_KINDS, KINDS, TEXT_KINDS

PATH = ROOT / "README.md"
BLOCK = re.compile(r"^\| method \|.*?(?=\n\n)", re.MULTILINE | re.DOTALL)
GROUPS = (
    ("all", KINDS),
    ("all but generated text and embeddings", ENCODER_KINDS),
    ("generated text", TEXT_KINDS),
    ("embeddings", APART_KINDS),
)
"""What kinds of task are called together, the larger groups first."""


def text() -> str:
    """The README with a current table."""
    rows = [_row(name) for name in registry.names("methods")]
    current = "\n".join(table(("method", "what it learns from", "paper", "tasks"), rows))
    return BLOCK.sub(lambda _: current, PATH.read_text(encoding="utf-8"), count=1)


def _row(name: str) -> tuple[str, str, str, str]:
    method: Any = registry.load("methods", name)
    paper = f"[{method.authors}]({method.reference})" if method.reference else ""
    return f"`{name}`", method.title, paper, _tasks(method.kinds)


def _tasks(kinds: tuple[str, ...]) -> str:
    """The kinds of task of a method, in as few words as there are for them."""
    left, words = set(kinds), []
    for group, members in GROUPS:
        if left >= set(members):
            words.append(group)
            left -= set(members)
    return ", ".join([*(kind for kind in kinds if kind in left), *words]).replace("_", " ")
