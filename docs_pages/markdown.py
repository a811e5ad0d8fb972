"""Markdown of generated pages; lines are wrapped when a page is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table, one line per row."""
    lines = [tuple(head), ("---",) * len(head), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(text: str) -> str:
    """The text of a cell: pipes are escaped, and ``<split>`` outside of code is no HTML tag."""
    parts = text.replace("|", r"\|").split("`")
    return "`".join(p if k % 2 else re.sub(r"<(?=\w)", "&lt;", p) for k, p in enumerate(parts))


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a docstring; ``code`` becomes `code`."""
    return text.replace("``", "`").split("\n")
