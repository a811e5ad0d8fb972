"""Builds the YAML tree from the parser's events and notes what a search space may not contain."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from raykd.errors import SpecError, shortened
from raykd.params import Scalar
from raykd.spec.scalars import resolve
from raykd.spec.yaml_nodes import TYPED, Findings, Mark, Source, YamlEntry, YamlNode, join

DEEPEST = 32
"""Levels of a file; a search space has six."""

MOST_VALUES = 10_000
"""Keys and values of a file; what is larger is no search space, and would take seconds to read."""

_TAG = "tag:yaml.org,2002:"
_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),),
}  # fmt: skip
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "null": "null"}
_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_WRITE_OUT = "write the values out in each place"


def mark_at(source: Source, line: int, column: int, offset: int) -> Mark:
    """A position of the parser, which counts from 0; in an option where `offset` is not -1."""
    if offset < 0:
        return Mark(source, line + 1, column + 1)
    return Mark(source, 0, column + 1 + (offset if line == 0 else 0))


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read.

    Attributes:
        node: What it becomes.
        path: Its dotted path.
        key: The key that waits for its value: name, position, and whether it is to be kept.
    """

    node: YamlNode
    path: str
    key: tuple[str, Mark, bool] | None = None


@dataclass(slots=True)
class TreeBuilder:
    """Takes the events of one text; `root` is what they make.

    Attributes:
        source: What positions refer to.
        findings: Receives what does not stop the reading.
        offset: -1 for a file, else the characters of the option before the text.
        root: The first value of the text, None when it has none.
    """

    source: Source
    findings: Findings
    offset: int
    root: YamlNode | None = None
    _open: list[_Open] = field(default_factory=list)
    _anchors: set[str] = field(default_factory=set)
    _values: int = 0
    _documents: int = 0

    def take(self, event: Any) -> None:  # any event of the parser
        """Take in one event.

        Raises:
            SpecError: The text is larger or deeper than a search space can be.
        """
        if isinstance(event, DocumentStartEvent):
            self._begin(event)
        elif isinstance(event, NodeEvent):
            self._node(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._open.pop()

    def _begin(self, event: DocumentStartEvent) -> None:
        mark = self._at(event)
        self._documents += 1
        if self._documents > 1:
            raise self._stop(mark, "cannot be read as YAML: a second document begins here",
                             "one search space is one file")  # fmt: skip
        version = event.version
        if version is not None and tuple(version) != (1, 2):
            message = f"the file declares YAML {'.'.join(map(str, version))}, raykd reads YAML 1.2"
            hint = "remove the line %YAML: 'no' is text in 1.2, and 010 is ten"
            self.findings.add(Mark(self.source, 1, 1), "", message, hint)

    def _node(self, event: NodeEvent) -> None:
        self._values += 1
        mark = self._at(event)
        if self._values > MOST_VALUES:
            raise self._stop(mark, f"a search space has {MOST_VALUES:,} keys and values at most")
        if isinstance(event, AliasEvent) and event.anchor not in self._anchors:
            raise self._stop(mark, f"cannot be read as YAML: there is no anchor '{event.anchor}'")
        if event.anchor:
            self._anchors.add(str(event.anchor))
        inside = self._open[-1] if self._open else None
        if inside is not None and isinstance(inside.node.value, dict) and inside.key is None:
            self._key(event, mark, inside)
            return
        path = self._path(inside)
        node = self._read(event, path, mark, inside)
        self._place(node, inside)
        if isinstance(event, CollectionStartEvent):
            self._enter(node, path)

    def _enter(self, node: YamlNode, path: str) -> None:
        if len(self._open) >= DEEPEST:
            raise self._stop(node.mark, f"nested too deeply: more than {DEEPEST} levels")
        self._open.append(_Open(node, path))

    def _key(self, event: NodeEvent, mark: Mark, inside: _Open) -> None:
        entries = inside.node.entries
        if not isinstance(event, ScalarEvent):
            self.findings.add(mark, inside.path, "a key must be a plain word")
            inside.key = ("", mark, False)
            if isinstance(event, CollectionStartEvent):
                empty = YamlNode([] if not isinstance(event, MappingStartEvent) else {}, "", mark)
                self._enter(empty, inside.path)
            return
        name = str(event.value)
        kept = True
        if name in entries:
            first = f"first given on line {entries[name].mark.line}" if mark.line else ""
            shown = shortened(name, TYPED)
            self.findings.add(mark, join(inside.path, name), f"duplicate key '{shown}'", first)
            kept = False
        elif name == "<<" and event.style is None:
            message = "'<<' takes over another mapping, which a search space cannot"
            self.findings.unread(mark, join(inside.path, name), message, _WRITE_OUT)
            self.findings.forgive(inside.node.mark)
            kept = False
        elif wrong := _unusable(name):
            self.findings.unread(mark, inside.path, f"a key {wrong}")
            kept = False
        inside.key = (name, mark, kept)

    def _path(self, inside: _Open | None) -> str:
        if inside is None:
            return ""
        if inside.key is not None:
            return join(inside.path, inside.key[0])
        return f"{inside.path}[{len(inside.node.items)}]"

    def _place(self, node: YamlNode, inside: _Open | None) -> None:
        if inside is None:
            self.root = node
        elif inside.key is None:
            inside.node.items.append(node)
        else:
            name, mark, kept = inside.key
            inside.key = None
            if kept:
                inside.node.entries[name] = YamlEntry(mark, node)

    def _read(self, event: NodeEvent, path: str, mark: Mark, inside: _Open | None) -> YamlNode:
        key = inside.key if inside is not None else None
        if isinstance(event, AliasEvent):
            if key is None or key[0] != "<<":
                anchor = shortened(str(event.anchor), TYPED)
                message = f"anchor '{anchor}' is used again; aliases are not supported"
                self.findings.unread(mark, path, message, _WRITE_OUT)
                if key is not None:
                    self.findings.forgive(key[1])
            return YamlNode(None, "null", mark)
        if isinstance(event, CollectionStartEvent):
            is_mapping = isinstance(event, MappingStartEvent)
            if event.tag not in (None, "!", _TAG + ("map" if is_mapping else "seq")):
                self._refuse_tag(event.tag, path, mark)
            return YamlNode({} if is_mapping else [], "", mark)
        assert isinstance(event, ScalarEvent)
        text, quoted = str(event.value), event.style is not None
        # A value left out has no place of its own: its mark is wherever the next token begins.
        here = key[1] if key is not None and not text and not quoted else mark
        value = self._scalar(event, text, path, here)
        return YamlNode(value, text if text or quoted else "null", here, quoted)

    def _scalar(self, event: ScalarEvent, text: str, path: str, mark: Mark) -> Scalar:
        kind = str(event.tag or "").removeprefix(_TAG)
        value: Scalar = text
        wrong = _unusable(text)
        if wrong:
            wrong = f"text {wrong}"
        elif kind in _TYPES:
            value, wrong = resolve(text)
            if not wrong and not _is(value, _TYPES[kind]):
                wrong = f"!!{kind} takes {_WORDS[kind]}"
        elif not kind and event.implicit[0]:
            value, wrong = resolve(text)
        elif kind not in ("", "!", "str"):
            self._refuse_tag(str(event.tag), path, mark)
            return text
        if wrong:
            self.findings.unread(mark, path, f"{wrong}, got {shortened(text, TYPED)}")
            return None
        return value

    def _refuse_tag(self, tag: object, path: str, mark: Mark) -> None:
        message = f"tags are not supported, got {shortened(str(tag), TYPED)}"
        self.findings.unread(mark, path, message)

    def _at(self, event: Any) -> Mark:
        where = event.start_mark
        return mark_at(self.source, where.line, where.column, self.offset)

    def _stop(self, mark: Mark, message: str, hint: str = "") -> SpecError:
        findings = Findings()
        findings.add(mark, "", message, hint)
        return SpecError(problems=findings.problems)


def _is(value: Scalar, types: tuple[type, ...]) -> bool:
    """Whether a value has one of the types; true is not a number."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _unusable(text: str) -> str:
    """Why a text cannot stand in a file name, a table or a report; empty when it can."""
    match = _UNUSABLE.search(text)
    return f"may not hold the character U+{ord(match[0]):04X}" if match else ""
