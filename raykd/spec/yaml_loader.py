"""Reads YAML 1.2 into a tree of nodes with positions.

The events of the parser are used instead of constructed objects: they have the position and the
typed text of every key and value, so that all that is wrong can be reported, and what a file takes
of depth and size is known before it is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raykd.errors import Problem, SpecError
from raykd.spec.yaml_nodes import Findings, Mark, Source, YamlNode
from raykd.spec.yaml_tree import TreeBuilder, mark_at

MOST_CHARACTERS = 400_000
"""Of a file; what is larger is no search space."""


def read_file(path: str | Path, findings: Findings) -> YamlNode:
    """Parse a search-space file.

    Raises:
        SpecError: With one problem, if the file cannot be read or is no YAML mapping.
    """
    source = Source(name=str(path), lines=())
    text = read_text(path)
    root = parse(text, Source(name=str(path), lines=tuple(text.splitlines())), findings)
    if root is None:
        hint = "raykd init writes a search space to start from"
        raise _refusal(source, "the file is empty", hint=hint)
    if not isinstance(root.value, dict):
        what = "a list" if isinstance(root.value, list) else "a single value"
        hint = "begin with  name: ...; raykd init writes an example"
        raise _refusal(source, f"expected sections (key: value), got {what}", hint=hint)
    return root


def read_text(path: str | Path) -> str:
    """The text of a search-space file, whatever the locale.

    Raises:
        SpecError: With one problem, if the file cannot be read or is larger than it may be.
    """
    source = Source(name=str(path), lines=())
    try:
        if Path(path).stat().st_size > 4 * MOST_CHARACTERS:
            raise _refusal(source, f"the file has more than {MOST_CHARACTERS:,} characters")
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "check the name; raykd init writes a search space to start from"
        raise _refusal(source, "there is no such file", hint=hint) from None
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        message = f"the file is not UTF-8 text (byte {exc.start}, line {line})"
        raise _refusal(source, message, hint="save it as UTF-8") from None
    except ValueError as exc:  # a name with a null character
        raise _refusal(source, f"cannot read the file: {exc}") from None
    except OSError as exc:
        raise _refusal(source, f"cannot read the file: {exc.strerror or exc}") from None


def parse(text: str, source: Source, findings: Findings, *, offset: int = -1) -> YamlNode | None:
    """Parse YAML text; None when it holds nothing.

    Args:
        text: The text.
        source: What positions refer to.
        findings: Receives duplicate keys and what else does not stop the reading.
        offset: -1 for a file. Otherwise the text stands in an option, after so many characters.

    Raises:
        SpecError: If it is not YAML; one problem.
    """
    if len(text) > MOST_CHARACTERS:
        raise _refusal(source, f"the text has more than {MOST_CHARACTERS:,} characters")
    builder = TreeBuilder(source, findings, offset)
    for event in _events(text, source, offset):
        builder.take(event)
    return builder.root


def _events(text: str, source: Source, offset: int) -> Iterator[Any]:
    """The events of the parser.

    Raises:
        SpecError: The text is no YAML.
    """
    try:
        yield from YAML(typ="rt", pure=True).parse(text)
    except YAMLError as exc:
        raise _broken(exc, source, offset) from None
    except (ValueError, AssertionError):  # the parser makes numbers of a version, and asserts 1.x
        message = "cannot be read as YAML: %YAML names no version that there is"
        raise _refusal(source, message, hint="remove that line, or write %YAML 1.2") from None


def _refusal(source: Source, message: str, *, hint: str = "") -> SpecError:
    return SpecError(problems=[Problem(message=message, hint=hint, file=source.name)])


def _broken(exc: YAMLError, source: Source, offset: int) -> SpecError:
    what = getattr(exc, "problem", None) or str(exc).splitlines()[0]
    context = getattr(exc, "context", None)
    where = getattr(exc, "problem_mark", None)
    findings = Findings()
    message = f"cannot be read as YAML: {what}" + (f" ({context})" if context else "")
    mark = (
        Mark(source, 0, 0) if where is None else mark_at(source, where.line, where.column, offset)
    )
    hint = "indent with spaces, not tabs" if "'\\t'" in str(what) else ""
    findings.add(mark, "", message, hint)
    return SpecError(problems=findings.problems)
