"""Reads files of tagged words (CoNLL, IOB): a word and its tag a line, a blank line a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from raykd.data.table import Faults, Table
from raykd.data.text_files import lines_of, read_text

WORDS, TAGS = "tokens", "tags"
"""The columns of the first and of the last field of a line; those between are ``column2`` on."""
_DOCUMENT = "-DOCSTART-"
_BLANKS = re.compile(r"[ \t]+")
_STATES = re.compile(r"#(?: *[\w.]+| *new(?:doc|par) id) *=")
"""What a comment of CoNLL-U says of a sentence: ``# sent_id = 1``."""

_Fields = tuple[int, list[str]]


def read_tagged(path: Path) -> Table:
    """The sentences of a file of tagged words, in columns of lists.

    Fields are separated by tabs where every line has one, else by blanks. Lines that begin with
    ``-DOCSTART-`` are no sentence. Comments are those like ``# sent_id = 1``, and those that begin
    with ``#`` and have another number of fields than the rest.

    Raises:
        DataError: The file cannot be read, or lines have other numbers of fields than most, or no
            tag; says how many, and the first one.
    """
    lines = list(enumerate(lines_of(read_text(path)), start=1))
    has_tabs = all("\t" in line for _, line in lines if _is_word(line))
    split = _split_at_tabs if has_tabs else _split_at_blanks
    sentences = [
        [(at, split(line)) for at, line in sentence if not _is_no_word(line)]
        for sentence in _sentences(lines)
    ]
    counts = Counter(len(fields) for sentence in sentences for _, fields in sentence)
    width = max(counts, key=lambda count: counts[count], default=2)
    sentences = [[one for one in of if not _is_comment(one, width)] for of in sentences]
    sentences = [of for of in sentences if of]
    _check(path, sentences, width)
    names = [WORDS, *(f"column{k + 1}" for k in range(1, width - 1)), TAGS]
    return Table(
        columns={
            name: [[fields[k] for _, fields in of] for of in sentences]
            for k, name in enumerate(names)
        },
        origin=str(path),
        numbers=[of[0][0] for of in sentences],
        unit="line",
    )


def _sentences(lines: list[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Lines between blank ones."""
    sentence: list[tuple[int, str]] = []
    for at, line in lines:
        if line.strip(" \t"):
            sentence.append((at, line))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _is_no_word(line: str) -> bool:
    return line.startswith(_DOCUMENT) or _STATES.match(line) is not None


def _is_word(line: str) -> bool:
    return bool(line.strip(" \t")) and not line.startswith((_DOCUMENT, "#"))


def _split_at_tabs(line: str) -> list[str]:
    return line.strip("\t ").split("\t")


def _split_at_blanks(line: str) -> list[str]:
    return _BLANKS.split(line.strip(" \t"))


def _is_comment(line: _Fields, width: int) -> bool:
    return line[1][0].startswith("#") and len(line[1]) != width


def _check(path: Path, sentences: list[list[_Fields]], width: int) -> None:
    """Refuse lines that are not like the others.

    Raises:
        DataError: There are some.
    """
    faults = Faults(str(path))
    for at, fields in (one for sentence in sentences for one in sentence):
        if len(fields) < 2:
            what = f"has the word {fields[0]!r} and no tag"
            faults.add("lines have no tag", f"line {at}", what, "write a word, a tab and its tag")
        elif len(fields) != width:
            what = f"has {len(fields)} fields, and most lines have {width}"
            hint = "separate all fields by one tab, or by blanks that no word holds"
            faults.add("lines have another number of fields", f"line {at}", what, hint)
    faults.check()
