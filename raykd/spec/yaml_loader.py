"""Reads YAML 1.2 into a tree of nodes with positions; duplicate keys are errors.

The composed node graph is used instead of constructed objects: it has the position and the typed
text of every key and value, and it goes on after a duplicate key, so that all of them are reported.
"""

from __future__ import annotations

import math
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from raykd.errors import Problem, SpecError
from raykd.params import Scalar
from raykd.spec.nodes import Entry, Findings, Mark, Node, Source, join

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = {_TAG + kind for kind in ("str", "timestamp", "merge", "value")}


def read_file(path: str | Path, findings: Findings) -> Node:
    """Parse a search-space file.

    Raises:
        SpecError: With one problem, if the file cannot be read or is no YAML mapping.
    """
    name = str(path)
    source = Source(name=name, lines=())
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "check the name; raykd init writes a search space to start from"
        raise _refusal(source, "there is no such file", hint=hint) from None
    except UnicodeDecodeError as exc:
        raise _refusal(source, f"the file is not UTF-8 text (byte {exc.start})") from None
    except OSError as exc:
        raise _refusal(source, f"cannot read the file: {exc.strerror or exc}") from None
    root = parse(text, Source(name=name, lines=tuple(text.splitlines())), findings)
    if root is None:
        hint = "raykd init writes a search space to start from"
        raise _refusal(source, "the file is empty", hint=hint)
    if not isinstance(root.value, dict):
        what = "a list" if isinstance(root.value, list) else "a single value"
        hint = "begin with  name: ...; raykd init writes an example"
        raise _refusal(source, f"expected sections (key: value), got {what}", hint=hint)
    return root


def parse(text: str, source: Source, findings: Findings, *, offset: int = -1) -> Node | None:
    """Parse YAML text; None when it holds nothing.

    Args:
        text: The text.
        source: What positions refer to.
        findings: Receives duplicate keys and what else does not stop the reading.
        offset: -1 for a file. Otherwise the text stands in an option, after so many characters.

    Raises:
        SpecError: If it is not YAML; one problem.
    """
    try:
        composed = YAML(typ="rt", pure=True).compose(text)
    except YAMLError as exc:
        raise _broken(exc, source, offset) from None
    except RecursionError:
        raise _refusal(source, "the text is nested too deeply") from None
    if composed is None:
        return None
    return _Converter(source, findings, offset).convert(composed, "", None)


def _refusal(source: Source, message: str, *, hint: str = "") -> SpecError:
    return SpecError(found=[Problem(message=message, hint=hint, file=source.name)])


def _broken(exc: YAMLError, source: Source, offset: int) -> SpecError:
    what = getattr(exc, "problem", None) or str(exc).splitlines()[0]
    context = getattr(exc, "context", None)
    where = getattr(exc, "problem_mark", None)
    findings = Findings()
    message = f"cannot be read as YAML: {what}" + (f" ({context})" if context else "")
    mark = Mark(source, 0, 0) if where is None else _mark(source, where.line, where.column, offset)
    hint = "indent with spaces, not tabs" if "'\\t'" in str(what) else ""
    findings.add(mark, "", message, hint)
    return SpecError(found=findings.problems)


def _mark(source: Source, line: int, column: int, offset: int) -> Mark:
    if offset < 0:
        return Mark(source, line + 1, column + 1)
    return Mark(source, 0, column + 1 + (offset if line == 0 else 0))


class _Converter:
    """Turns composed YAML nodes into `Node`, noting what a search space may not hold."""

    def __init__(self, source: Source, findings: Findings, offset: int) -> None:
        self._source = source
        self._findings = findings
        self._offset = offset
        self._seen: set[int] = set()

    def convert(self, raw: YamlNode, path: str, key: Mark | None) -> Node:
        mark = _mark(self._source, raw.start_mark.line, raw.start_mark.column, self._offset)
        if isinstance(raw, ScalarNode):
            # A value left out has no place of its own: its mark is wherever the next token begins.
            here = key if key is not None and not raw.value and raw.tag == _TAG + "null" else mark
            return Node(self._scalar(raw, path, here), raw.value or "null", here)
        if id(raw) in self._seen:
            self._findings.add(
                mark, path, f"anchor '{raw.anchor}' is used again; aliases are not supported",
                "write the value out in each place",
            )  # fmt: skip
            return Node(None, "null", mark)
        self._seen.add(id(raw))
        if isinstance(raw, SequenceNode):
            items = [self.convert(item, f"{path}[{k}]", None) for k, item in enumerate(raw.value)]
            return Node(items, "", mark)
        assert isinstance(raw, MappingNode)
        return Node(self._entries(raw, path), "", mark)

    def _entries(self, raw: MappingNode, path: str) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for key, value in raw.value:
            mark = _mark(self._source, key.start_mark.line, key.start_mark.column, self._offset)
            if not isinstance(key, ScalarNode):
                self._findings.add(mark, path, "a key must be a plain word")
                continue
            name = str(key.value)
            if name in entries:
                first = f"first given on line {entries[name].mark.line}" if mark.line else ""
                where = join(path, name)
                self._findings.add(mark, where, f"duplicate key '{name}'", first)
                continue
            entries[name] = Entry(mark, self.convert(value, join(path, name), mark))
        return entries

    def _scalar(self, raw: ScalarNode, path: str, mark: Mark) -> Scalar:
        tag, text = str(raw.tag), str(raw.value)
        if tag in _TEXT_TAGS:
            return text
        if tag == _TAG + "null":
            return None
        if tag == _TAG + "bool":
            return text.lower() in ("true", "yes", "on")
        if tag == _TAG + "int":
            return _whole(text)
        if tag == _TAG + "float":
            number = float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
            if not math.isfinite(number):
                self._findings.add(mark, path, f"a number must be finite, got {text}")
                return None
            return number
        self._findings.add(mark, path, f"tags are not supported, got {tag}")
        return text


def _whole(text: str) -> int:
    digits = text.replace("_", "")
    prefixed = digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b")
    return int(digits, 0) if prefixed else int(digits)
