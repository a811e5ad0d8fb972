"""Names and idioms that raykd no longer uses, and names that belong in one file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from raykd.data.task_kinds import KINDS
from tests.test_layering import FILES, PACKAGE

CLASSES = """
ActiveRows Anatomy Bench Cell Derivation Encoded Entry FitJob Fleet Forward Gathered Ledger
LiveTeacher ModelShape Narrowed Nothing Pair Part Planned Prepared RecordedTeacher Reduction
References Row Rows SearchLedger Setting Student StudentCut Target TermLedger TokenCache TokenText
TrialLedger Units Variant Window World Writing
"""
FUNCTIONS_AND_MODULES = """
board byte_pairs carve codec companions dealt ease edition explanations fleet goodbye hello in_words
kept_gram knobs masked_words mutual notices parcel pauses reading readings reduced reductions
retract rewired shelf slim student_signals widen written_choices
"""
SAY_NOTHING = "asked beside found marked ours said theirs told"
RETIRED = {*CLASSES.split(), *FUNCTIONS_AND_MODULES.split(), *SAY_NOTHING.split()}
"""What the names of the glossary have replaced."""


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of everything that code names: variables, arguments, functions, classes."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.alias(asname=str(name)):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.ClassDef(name=name) | ast.MatchAs(name=str(name)):
                yield node.lineno, name
            case ast.ExceptHandler(name=str(name)):
                yield node.lineno, name


def retired(tree: ast.AST) -> list[tuple[int, str]]:
    return [(line, name) for line, name in names(tree) if name.lstrip("_") in RETIRED]


def test_no_retired_name_comes_back():
    uses = []
    for path in FILES:
        place = path.relative_to(PACKAGE).as_posix()
        uses += [place] if path.stem.lstrip("_") in RETIRED else []
        tree = ast.parse(path.read_text(encoding="utf-8"))
        uses += [f"{place}:{line} {name}" for line, name in retired(tree)]
    assert not uses


@pytest.mark.parametrize(
    "source",
    [
        "found = 1", "self._told = 1", "def beside(): ...", "def f(*asked): ...",
        "class Fleet: ...", "lambda said: 1", "import os as board",
        "for theirs in (): ...", "[1 for ours in ()]",
        "with a as shelf: ...", "(marked := 1)", "match a:\n    case reading: ...",
        "try: ...\nexcept A as told: ...",
    ],
)  # fmt: skip
def test_a_retired_name_is_seen_wherever_it_is_given(source):
    assert len(retired(ast.parse(source))) == 1


def test_uses_of_names_of_others_are_no_names_of_raykd():
    assert not retired(ast.parse("a.found; f(told=1); 'beside'"))


KEYS_OF_YAML = "spec/schema.py"
OTHER_THINGS = {"span", "embedding"}
"""A span is also a key of a task, and an embedding a part of a model."""


def test_the_name_of_a_kind_of_task_is_written_in_its_own_file():
    uses = {}
    for path in FILES:
        place = path.relative_to(PACKAGE).as_posix()
        constants = [n for n in ast.walk(ast.parse(path.read_text("utf-8")))
                     if isinstance(n, ast.Constant)]  # fmt: skip
        own = {path.stem} if place.startswith("data/kinds/") else set()
        names = {*KINDS} - OTHER_THINGS - own
        if written := {n.value for n in constants if isinstance(n.value, str)} & names:
            uses[place] = written
    assert {*uses} == {KEYS_OF_YAML}, uses


TRANSLATED = re.compile(
    r"\b(?:go|goes|gone|going|went) on\b|\b(?:is|are|was|were)\s+(?:said|told)\b(?! apart)"
    r"|\bof (?:ours|theirs)\b|\bwhere (?:it|they|one|those) lies?\b|\bbeside\b"
    r"|\b(?:live|recorded) teachers?\b|\brecorded outputs\b",
    re.IGNORECASE,
)
"""Idioms that read as translated: continue, be reported, receive, their own, is, next to. And what
the field calls online teachers, offline ones, and cached outputs."""
WRITTEN = ("raykd/**/*.py", "docs_pages/*.py", "docs/**/*.md", "*.md", "search_spaces/*.yaml",
           "cluster/**/*", "raykd/report/templates/*")  # fmt: skip
NAMES_OF_THE_PAST = {"CHANGELOG.md"}


def test_no_translated_idiom_comes_back():
    uses = []
    for path in (p for of in WRITTEN for p in PACKAGE.parent.glob(of) if p.is_file()):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"`[^`\n]+`", "", text) if path.name in NAMES_OF_THE_PAST else text
        place = path.relative_to(PACKAGE.parent).as_posix()
        uses += [f"{place}:{text.count(chr(10), 0, m.start()) + 1} {m[0]}"
                 for m in TRANSLATED.finditer(text)]  # fmt: skip
    assert not uses


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("the sweep goes on", True), ("a note is\nsaid", True), ("a child of theirs", True),
        ("where it lies", True), ("beside the file", True), ("Who was told?", True),
        ("values lie in [0, 2]", False), ("they are told apart", False), ("goes online", False),
        ("besides", False), ("a live teacher", True), ("recorded\toutputs", False),
        ("recorded outputs", True),
    ],
)  # fmt: skip
def test_a_translated_idiom_is_seen(text, is_seen):
    assert bool(TRANSLATED.search(text)) == is_seen
