"""YAML as Ray reads it (YAML 1.1, anchors, merge keys), with the place of every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from raykd.errors import Problem, SpecError

Place = tuple[str | int, ...]
"""Keys and list positions that lead to a value."""


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document of a file.

    Attributes:
        file: The file's name as the user gave it.
        lines: The file, line by line.
        value: What it holds, as plain data.
        marks: Line and column, counted from 1, of every key and list item.
        repeated: Places whose value is written elsewhere: an alias of it, or a merged key.
    """

    file: str
    lines: tuple[str, ...]
    value: Any  # whatever the file holds
    marks: Mapping[Place, tuple[int, int]]
    repeated: frozenset[Place] = frozenset()

    def get(self, *place: str | int) -> Any:  # whatever the file holds there
        """The value at a place, None where there is none."""
        value = self.value
        for key in place:
            if isinstance(value, dict):
                value = value.get(key)
            elif isinstance(value, list) and isinstance(key, int) and key < len(value):
                value = value[key]
            else:
                return None
        return value

    def problem(
        self,
        place: Place,
        message: str,
        hint: str = "",
        level: Literal["error", "warning"] = "error",
    ) -> Problem:
        """A problem at a place; what the file does not spell out gets the nearest place above."""
        known = place
        while known and known not in self.marks:
            known = known[:-1]
        line, column = self.marks.get(known, (0, 0))
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return Problem(
            message=message, path=dotted(place), hint=hint, file=self.file,
            line=line, column=column, source=source, level=level,
        )  # fmt: skip

    def scalars(self) -> Iterator[tuple[Place, Any]]:
        """Every value that is neither a mapping nor a list, where it is written."""
        yield from _scalars(self.value, (), self.repeated)


def dotted(place: Place) -> str:
    """A place as it is shown: ``setup_commands[2]``, ``provider.type``."""
    text = ""
    for key in place:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else str(key)
    return text


def mapping(value: Any) -> Mapping[Any, Any]:  # whatever the file holds
    """The value if it is a mapping, else an empty one: what no schema describes may be anything."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[tuple[int, Mapping[Any, Any]]]:  # whatever the file holds
    """Those items of a list that are mappings, with their positions; none for anything else."""
    items = value if isinstance(value, list) else []
    return [(k, item) for k, item in enumerate(items) if isinstance(item, dict)]


def read_documents(path: str) -> tuple[Document, ...]:
    """Read a YAML file.

    Raises:
        SpecError: It cannot be read, is no YAML, is empty, or a key is given twice.
    """
    text = _read_text(path)
    if text.startswith("#!"):
        hint = "a script for Slurm is tested by Slurm: sbatch --test-only FILE"
        raise _refusal(path, "not a ray up file: it is a script", hint)
    lines = tuple(text.splitlines())
    documents: list[Document] = []
    problems: list[Problem] = []
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node():
            node = loader.get_node()
            twice = tuple(_duplicates(node, ()))
            value = loader.construct_document(node)
            # After construction, because merge keys are resolved in it.
            marks = dict(_marks(node, ()))
            document = Document(path, lines, value, marks, frozenset(_repeated(node, (), set())))
            problems += [_twice(document, *each) for each in twice]
            documents.append(document)
    except yaml.YAMLError as exc:
        raise _broken(path, lines, exc) from None
    except RecursionError:
        raise _refusal(path, "the file is nested too deeply, or an anchor holds itself") from None
    if problems:
        raise SpecError(problems=problems)
    if not any(document.value is not None for document in documents):
        raise _refusal(path, "the file is empty", "begin with a file of the folder cluster/")
    return tuple(documents)


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _refusal(path, "there is no such file", "shipped: the folder cluster/") from None
    except UnicodeDecodeError as exc:
        raise _refusal(path, f"the file is not UTF-8 text (byte {exc.start})") from None
    except OSError as exc:
        raise _refusal(path, f"cannot read the file: {exc.strerror or exc}") from None


def _refusal(path: str, message: str, hint: str = "") -> SpecError:
    return SpecError(problems=[Problem(message=message, hint=hint, file=path)])


def _broken(path: str, lines: tuple[str, ...], exc: yaml.YAMLError) -> SpecError:
    mark = getattr(exc, "problem_mark", None)
    what = getattr(exc, "problem", None) or str(exc).splitlines()[0]
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    message = f"cannot be read as YAML: {what}"
    problem = Problem(message=message, file=path, line=line, column=column, source=source)
    return SpecError(problems=[problem])


def _twice(document: Document, place: Place, node: yaml.Node) -> Problem:
    line = node.start_mark.line + 1
    return Problem(
        message=f"duplicate key '{place[-1]}'; Ray would take the last one", path=dotted(place),
        file=document.file, line=line, column=node.start_mark.column + 1,
        source=document.lines[line - 1],
    )  # fmt: skip


def _duplicates(node: yaml.Node, place: Place) -> Iterator[tuple[Place, yaml.Node]]:
    """Keys that their mapping has already."""
    if isinstance(node, yaml.SequenceNode):
        for k, item in enumerate(node.value):
            yield from _duplicates(item, (*place, k))
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            here = (*place, str(key.value))
            if str(key.value) in seen:
                yield here, key
            seen.add(str(key.value))
            yield from _duplicates(value, here)


def _marks(node: yaml.Node, place: Place) -> Iterator[tuple[Place, tuple[int, int]]]:
    if isinstance(node, yaml.SequenceNode):
        for k, item in enumerate(node.value):
            yield (*place, k), _position(item)
            yield from _marks(item, (*place, k))
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            yield here, _position(key)
            yield from _marks(value, here)


def _position(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _repeated(node: yaml.Node, place: Place, seen: set[int]) -> Iterator[Place]:
    """Places that lead to a node which was met before."""
    if id(node) in seen:
        yield place
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for k, item in enumerate(node.value):
            yield from _repeated(item, (*place, k), seen)
    elif isinstance(node, yaml.MappingNode):
        # A key of its own comes after the merged one that it replaces.
        for key, value in {str(key.value): value for key, value in node.value}.items():
            yield from _repeated(value, (*place, key), seen)


def _scalars(
    value: Any,  # whatever the file holds
    place: Place,
    without: frozenset[Place],
) -> Iterator[tuple[Place, Any]]:
    if place in without:
        return
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _scalars(each, (*place, str(key)), without)
    elif isinstance(value, list):
        for k, each in enumerate(value):
            yield from _scalars(each, (*place, k), without)
    else:
        yield place, value
