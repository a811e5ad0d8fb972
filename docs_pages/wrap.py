"""``python -m docs_pages.wrap FILE...``: wraps the prose of Markdown files at 100 columns.

Tables, headings, fenced blocks, pictures and HTML stay as they are, and code in backticks is not
broken.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

COLUMNS = 100
FENCE = re.compile(r"\s*(```+|~~~+)")
AS_IT_IS = re.compile(r"\s*(\||#|<|!\[|:::|\[[^\]]+\]:)|-{3,}\s*$|\s*$")
ITEM = re.compile(r"(\s*)((?:[-*+]|\d+\.)\s+)?(\[[ x]\] )?(.*)$")
NEW_BLOCK = re.compile(r"\s*(\||#|<[a-z/]|```|~~~|!\[|:::|(?:[-*+]|\d+\.)\s)|\s*$")


def wrapped(text: str) -> str:
    """The text with every paragraph and list item wrapped."""
    lines, done = text.split("\n"), list[str]()
    at, fence = 0, ""
    while at < len(lines):
        line = lines[at]
        at += 1
        mark = FENCE.match(line)
        if fence or mark:
            ends = fence and line.strip() == fence
            fence = "" if ends else fence or (mark[1] if mark else "")
            done.append(line)
        elif AS_IT_IS.match(line):
            done.append(line)
        else:
            end = next((k for k in range(at, len(lines)) if NEW_BLOCK.match(lines[k])), len(lines))
            done += _paragraph(line, lines[at:end])
            at = end
    return "\n".join(done)


def _paragraph(first: str, more: Sequence[str]) -> list[str]:
    found = ITEM.match(first)
    assert found is not None
    indent, bullet, box, words = found[1], found[2] or "", found[3] or "", found[4]
    text = " ".join(" ".join([words, *more]).split())
    # A space within backticks is no place to break at.
    text = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        text, COLUMNS, initial_indent=indent + bullet + box,
        subsequent_indent=indent + " " * len(bullet), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\0", " ") for line in lines]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(wrapped(file.read_text(encoding="utf-8")), encoding="utf-8")
