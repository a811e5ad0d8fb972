"""The errors raykd raises, and the exit code each one ends the command line with.

RaykdError
  SpecError          the user's file, option or override is wrong: exit code 2
    UnknownName      a method, task, family ... that does not exist
  ShapeError         tensors handed to a loss do not fit together (a ValueError too)
  SetupError         cluster, disk, credentials, network, missing package: exit code 4
    ClusterLost      a cluster that a sweep was connected to is gone
    Unreachable      the hub cannot be reached, and what was named is not on disk
  DataError          rows, columns or labels are not what the task needs: exit code 2
  TeacherError       preparing or serving the teacher failed: exit code 1
  TrialError         one trial failed; the sweep continues
  SweepFailed        nothing usable came out: exit code 1
Stopped              Ctrl-C or a request to end: exit code 130 or 143; a KeyboardInterrupt
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

from raykd.secrets import without_secrets

LONGEST = 400
"""Characters of a message that are shown; what a user wrote may be a megabyte."""

SHOWN = 120
"""Characters of a source line that are shown."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Text for a terminal: what would steer it, or cannot be encoded, is spelled out."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)


def shortened(text: str, length: int = LONGEST) -> str:
    """The beginning of a text that is too long, and how much is missing."""
    if len(text) <= length:
        return text
    return f"{text[:length]}... ({len(text) - length:,} more characters)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with what the user wrote.

    Attributes:
        message: What was got and what was expected, in the user's words.
        path: Dotted place in the file (``methods.ckd.alpha``), empty for the file as a whole.
        hint: The next thing to do, or empty.
        file: File name as the user gave it, or the option (``--set``).
        line: 1-based line, 0 when unknown.
        column: 1-based column, 0 when unknown.
        source: The text of that line.
        level: ``error``, or ``warning`` for what can be used as it is.
    """

    message: str
    path: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    source: str = ""
    level: Literal["error", "warning"] = "error"

    def __post_init__(self) -> None:
        """Leave the secrets of addresses out, wherever it will be shown."""
        for name in ("message", "hint", "file"):
            object.__setattr__(self, name, without_secrets(getattr(self, name)))

    def render(self) -> str:
        """The problem as the console shows it: place, message, source line with a caret, hint."""
        place = self.file
        if place and self.line:
            place += f":{self.line}" + (f":{self.column}" if self.column else "")
        head = ": ".join(part for part in (place, self.path, self.message) if part)
        lines = [f"{self.level}: {visible(head)}"]
        if self.source:
            gutter = f"{self.line or '':>6} | "
            before, after = self._cut_source()
            lines.append(gutter + before + after)
            if self.column:
                lines.append(" " * (len(gutter) - 2) + "| " + " " * len(before) + "^")
        if self.hint:
            lines.append(" " * 7 + f"= {visible(self.hint)}")
        return "\n".join(lines)

    def _cut_source(self) -> tuple[str, str]:
        """The source line before and from the column on; the part around it, if it is long."""
        at = max(self.column - 1, 0)
        begin = 0 if len(self.source) <= SHOWN else max(0, at - SHOWN // 2)
        before = without_secrets(self.source[:at])[begin:]
        after = without_secrets(self.source[at:])[: SHOWN - at + begin]
        end = "..." if begin + SHOWN < len(self.source) else ""
        return ("..." if begin else "") + visible(before), visible(after) + end


class RaykdError(Exception):
    """Base of everything raykd raises on purpose; ``exit_code`` is what the command returns."""

    exit_code = 1

    def __init__(
        self, message: str = "", *, hint: str = "", problems: Sequence[Problem] = ()
    ) -> None:
        self.message = without_secrets(message) or "; ".join(p.message for p in problems)
        super().__init__(self.message)
        self.hint = hint
        self._problems = tuple(problems)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint, self._problems))

    def problems(self) -> Sequence[Problem]:
        """What to show, one entry per cause, in the order of the file."""
        if not self._problems:
            return (Problem(message=self.message, hint=self.hint),)
        return tuple(sorted(self._problems, key=lambda p: (p.file, p.line, p.column)))

    def at(self, path: str) -> Self:
        """The same error with the place in the search space that it belongs to.

        Args:
            path: Dotted place; problems that name one of their own keep it, and a place that begins
                with a dot is one within `path`.
        """
        return self.with_problems([replace(p, path=_within(path, p.path)) for p in self.problems()])

    def with_problems(self, problems: Sequence[Problem]) -> Self:
        """The same error, shown as these problems."""
        return type(self)(self.message, hint=self.hint, problems=problems)


def _within(outer: str, inner: str) -> str:
    """The place that an error names in the end."""
    if inner.startswith(".") and not outer.startswith("."):
        return outer + inner
    return inner or outer


def _rebuild(
    kind: type[RaykdError], message: str, hint: str, problems: tuple[Problem, ...]
) -> RaykdError:
    return kind(message, hint=hint, problems=problems)


class SpecError(RaykdError, ValueError):
    """The user's file or override cannot be used; carries every problem found, in file order."""

    exit_code = 2


class UnknownName(SpecError):
    """A method, task, family, algorithm or scheduler of that name does not exist."""


class ShapeError(RaykdError, ValueError):
    """Tensors handed to a loss do not fit together."""


class SetupError(RaykdError):
    """The surroundings are at fault: cluster, disk, network, credentials, a missing package."""

    exit_code = 4

    @classmethod
    def not_written(cls, path: Path, why: OSError) -> Self:
        """For a file that a run is resumed from: what came before is kept.

        Args:
            path: The file.
            why: What the system says.
        """
        is_full = why.errno in (errno.ENOSPC, errno.EDQUOT)
        return cls(
            f"cannot write {path}: {why.strerror or why}",
            hint=f"{'free some space' if is_full else 'see to it that it can be written'}; "
            "everything before it is kept, and raykd sweep --resume continues",
        )


class ClusterLost(SetupError):
    """A cluster that a sweep was connected to is gone; calls to Ray may never come back."""


class Unreachable(SetupError):
    """What was named is not on this machine, and the hub cannot be asked for it."""


class DataError(RaykdError, ValueError):
    """The rows are not what the task needs."""

    exit_code = 2


class TeacherError(RaykdError):
    """Preparing or serving the teacher failed."""


class TrialError(RaykdError):
    """One trial failed."""


class SweepFailed(RaykdError):
    """The sweep ran and nothing usable came out."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end: 2 (Ctrl-C) or 15 (``kill``, a batch system, a container).

    Where Ctrl-C is thought of, so is this; the exit code is 128 and the signal, as shells say it.
    """

    def __init__(self, signal: int) -> None:
        super().__init__(f"signal {signal}")
        self.signal = signal
        self.exit_code = 128 + signal
