"""The parsed YAML tree with source positions, and the list of problems found in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from raykd.errors import Problem, SpecError, shortened
from raykd.params import Scalar

MOST_PROBLEMS = 100
"""Problems of a file that are shown; the others are counted."""

TYPED = 80
"""Characters of what the user typed that a message repeats."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where text came from.

    Attributes:
        name: File name as the user gave it, or ``--set``.
        lines: Its text, line by line; the whole option for ``--set``.
    """

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A position: line and column count from 1; line 0 means an option, which has no lines."""

    source: Source
    line: int
    column: int

    def text(self) -> str:
        """The line it points into."""
        row = max(self.line - 1, 0)
        return self.source.lines[row] if row < len(self.source.lines) else ""


@dataclass(frozen=True, slots=True)
class YamlEntry:
    """One key of a mapping: where the key stands, and its value."""

    mark: Mark
    node: YamlNode


@dataclass(slots=True)
class YamlNode:
    """A scalar, a list or a mapping; mappings change when overrides are applied.

    Attributes:
        value: The scalar, the nodes of a list, or the entries of a mapping by key.
        text: A scalar as typed.
        mark: Where it begins.
        quoted: Whether a scalar stands in quotes, which make text of a number.
    """

    value: Scalar | list[YamlNode] | dict[str, YamlEntry]
    text: str
    mark: Mark
    quoted: bool = False

    @property
    def is_scalar(self) -> bool:
        """Whether it is a single value."""
        return not isinstance(self.value, list | dict)

    @property
    def entries(self) -> dict[str, YamlEntry]:
        """The entries of a mapping; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[YamlNode]:
        """The nodes of a list; empty for anything else."""
        return self.value if isinstance(self.value, list) else []

    def scalar(self) -> Scalar:
        """The value of a scalar node."""
        assert not isinstance(self.value, list | dict)
        return self.value

    def plain(self) -> Any:
        """Scalars, tuples and dicts without positions (lists as tuples: the schema is frozen)."""
        if isinstance(self.value, dict):
            return {key: entry.node.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return tuple(node.plain() for node in self.value)
        return self.value

    def typed(self) -> str:
        """What the user typed, for messages: ``1e-5``, ``[0, 1000]``, ``a mapping``, ``"1e-5"``."""
        if isinstance(self.value, dict):
            return "a mapping" if self.value else "an empty mapping"
        if isinstance(self.value, list):
            shown = [node.typed() for node in self.value[:TYPED]]
            return shortened("[" + ", ".join(shown), TYPED) + "]"
        return shortened(f'"{self.text}"' if self.quoted else self.text, TYPED)


@dataclass(slots=True)
class Findings:
    """The problems found so far.

    Attributes:
        problems: The first `MOST_PROBLEMS`.
        left_out: How many there were besides them.
        count: How often something wrong was found, also where it is not reported again.
    """

    problems: list[Problem] = field(default_factory=list)
    left_out: int = 0
    count: int = 0
    _unread: set[tuple[str, int, int]] = field(default_factory=set)

    @property
    def full(self) -> bool:
        """Whether a further problem would only be counted."""
        return len(self.problems) >= MOST_PROBLEMS

    def add(
        self, mark: Mark, path: str, message: str, hint: str = "", *, secret: bool = False
    ) -> None:
        """Note one problem at a position, unless what stands there could not even be read.

        The line is shown with it, unless what is wrong is that it holds a secret.
        """
        self.count += 1
        if (mark.source.name, mark.line, mark.column) in self._unread:
            return
        if self.full:
            self.left_out += 1
            return
        self.problems.append(
            Problem(
                message=shortened(message),
                path=shortened(path, TYPED),
                hint=shortened(hint),
                file=mark.source.name,
                line=mark.line,
                column=mark.column,
                source="" if secret else mark.text(),
            )
        )

    def unread(self, mark: Mark, path: str, message: str, hint: str = "") -> None:
        """Note what cannot be read at all; what its absence leads to is no problem of its own."""
        self.add(mark, path, message, hint)
        self.forgive(mark)

    def forgive(self, mark: Mark) -> None:
        """Take no further problem at this position."""
        self._unread.add((mark.source.name, mark.line, mark.column))

    def raise_any(self) -> None:
        """Raise all of them at once, if there are any."""
        if self.left_out:
            last = self.problems[-1]
            count = len(self.problems) + self.left_out
            few = f"the first {MOST_PROBLEMS} of {count:,} problems are shown"
            self.problems.append(Problem(message=few, file=last.file))
        if self.problems:
            raise SpecError(problems=self.problems)


def join(path: str, key: str) -> str:
    """The dotted path of a key inside `path`; either may be empty."""
    return ".".join(part for part in (path, key) if part)
