"""The fenced blocks of the documents: found, read, and run as a reader would run them."""

from __future__ import annotations

import contextlib
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
"""A fenced block; that of an item of a list is indented."""


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a document in one language."""
    fenced = FENCED.findall(path.read_text())
    return [textwrap.dedent(text) for _, name, text in fenced if name == language]


def prose(path: Path) -> str:
    """A document without its fenced blocks."""
    return FENCED.sub("", path.read_text())


def commands(lines: list[str]) -> Iterator[list[str]]:
    """The arguments of each ``raykd`` command, also of those that another command starts."""
    for line in lines:
        words = shlex.split(line, comments=True)
        words = words[: words.index(">")] if ">" in words else words
        for place, word in enumerate(words[:-1]):
            starts = place == 0 or re.fullmatch(r"[a-z]+|--version", words[place + 1])
            if Path(word).name == "raykd" and starts:
                yield words[place + 1 :]
                break


def commands_of_blocks(path: Path) -> list[list[str]]:
    """Every ``raykd`` command in the blocks of a document."""
    lines = "".join(blocks(path, "bash")).replace("\\\n", " ").splitlines()
    return [*commands(lines)]


def commands_in_text(path: Path) -> list[list[str]]:
    """Every ``raykd`` command in backticks in the text of a document."""
    return [*commands(re.findall(r"`(raykd [^`]+)`", prose(path)))]


def python_block(page: str, number: int) -> str:
    """A block of Python, as a test that writes it to a file takes it.

    ``test_snippets.py`` looks for calls of this function, `run_block` and `run_page` to see which
    blocks have a test, so page and number are written out there.
    """
    return blocks(ROOT / page, "python")[number]


def run_block(
    page: str, number: int, folder: Path, links: Mapping[str, Path] = {}, **names: Any
) -> dict[str, Any]:
    """Run a block of Python in a folder.

    Args:
        page: The document, from the root of the repository.
        number: Which of its blocks of Python, from 0.
        folder: The current folder of the block.
        links: What the block reads by the path that it names: the path, and what is to be there.
        names: What the reader has defined or imported before.

    Returns:
        The names that are defined afterwards.
    """
    return _run(page, [python_block(page, number)], folder, links, names)


def run_page(
    page: str, folder: Path, links: Mapping[str, Path] = {}, **names: Any
) -> dict[str, Any]:
    """Run all blocks of Python of a page, one after the other; see `run_block`."""
    return _run(page, blocks(ROOT / page, "python"), folder, links, names)


def _run(
    page: str, sources: list[str], folder: Path, links: Mapping[str, Path], names: dict[str, Any]
) -> dict[str, Any]:
    for path, target in links.items():
        link(folder / path, target)
    scope = {"__name__": "snippet", **names}
    with contextlib.chdir(folder):
        for source in sources:
            exec(compile(source, page, "exec"), scope)
    return scope


def link(path: Path, target: Path) -> None:
    """Put something where a document names it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
