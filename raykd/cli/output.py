"""Where a command prints: results on stdout, everything else on stderr, in the format requested."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from raykd.errors import Problem, SetupError, visible
from raykd.secrets import record_without_secrets, without_secrets

SHOWN = "raykd.shown"
"""The logger of what the terminal shows by other means: its records go to the log file only."""

# Until there is a log file, Python itself would print its warnings and errors on stderr.
logging.getLogger(SHOWN).addHandler(logging.NullHandler())

LOG_BYTES = 32 * 2**20
"""Most bytes of a log file; what is older goes to one more of the same size, and then away."""


class Format(StrEnum):
    """How to print."""

    RICH = "rich"
    PLAIN = "plain"
    JSON = "json"


@dataclass(slots=True)
class Output:
    """The streams of one command line.

    Attributes:
        format: What was requested; None chooses by the terminal.
        quiet: Errors only.
        verbose: Tracebacks and more messages.
        has_log_file: Whether what is shown is written to a file, too.
    """

    format: Format | None = None
    quiet: bool = False
    verbose: bool = False
    has_log_file: bool = False
    _handlers: list[logging.Handler] = field(default_factory=list)

    def configure(
        self,
        *,
        quiet: bool = False,
        verbose: bool = False,
        format: Format | None = None,
        log_file: str | None = None,
    ) -> None:
        """Take over the common options of a command.

        Raises:
            SetupError: If the log file cannot be written.
        """
        self.quiet, self.verbose = quiet, verbose
        self.format = format or self.format
        level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
        terminal = logging.StreamHandler(sys.stderr)
        terminal.addFilter(lambda record: record.name != SHOWN)
        self._add_handler(terminal, level)
        if log_file is not None:
            from logging.handlers import RotatingFileHandler

            try:
                handler = RotatingFileHandler(
                    log_file, encoding="utf-8", maxBytes=LOG_BYTES, backupCount=1
                )
            except OSError as exc:
                message = f"cannot write the log file {log_file}: {exc.strerror}"
                raise SetupError(message, hint="choose another --log-file") from exc
            self._add_handler(handler, logging.DEBUG)
            self.has_log_file = True

    def _add_handler(self, handler: logging.Handler, level: int) -> None:
        handler.setLevel(level)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger = logging.getLogger("raykd")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        self._handlers.append(handler)

    def close(self) -> None:
        """Detach the log."""
        for handler in self._handlers:
            logging.getLogger("raykd").removeHandler(handler)
            handler.close()
        self._handlers.clear()

    def style(self, stream: Any) -> Format:  # any text stream
        """The format for a stream: what was requested, else rich on a terminal and plain off it."""
        if self.format is not None:
            return self.format
        return Format.RICH if stream.isatty() else Format.PLAIN

    @property
    def is_json(self) -> bool:
        """Whether results are JSON."""
        return self.format is Format.JSON

    def problem(self, problem: Problem, trace: str = "") -> None:
        """Show one problem on stderr; its traceback too with ``-v``."""
        trace = without_secrets(trace)
        level = logging.ERROR if problem.level == "error" else logging.WARNING
        logging.getLogger(SHOWN).log(level, "%s\n%s", problem.render(), trace)
        if self.verbose and trace:
            print(trace, file=sys.stderr, end="")
        if self.is_json:
            keys = ("file", "line", "column", "path", "message", "hint")
            shown = {key: getattr(problem, key) for key in keys}
            print(json.dumps(shown, ensure_ascii=False), file=sys.stderr)
            return
        print(problem.render(), file=sys.stderr)

    def note(self, text: str) -> None:
        """Tell something on stderr."""
        text = without_secrets(text)
        logging.getLogger(SHOWN).info("%s", text)
        if not self.quiet:
            print(visible(text), file=sys.stderr)

    def text(self, text: str) -> None:
        """Print a line of the result."""
        text = without_secrets(text)
        logging.getLogger(SHOWN).info("%s", text)
        print(visible(text))

    def record(self, data: Any) -> None:  # anything JSON can hold
        """Print one object of the result as a line of JSON."""
        plain = record_without_secrets(data)
        print(json.dumps(plain, ensure_ascii=False, default=lambda it: without_secrets(str(it))))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """Print a table of the result: drawn on a terminal, aligned text elsewhere."""
        rows = [[without_secrets(cell) for cell in row] for row in rows]
        lines = _aligned(columns, rows, title)
        logging.getLogger(SHOWN).info("%s", "\n".join(lines))
        if self.style(sys.stdout) is Format.RICH:
            _draw(columns, rows, title)
            return
        for line in lines:
            print(visible(line))

    def facts(self, facts: Mapping[str, str]) -> None:
        """Print names and values, one pair a line."""
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            print(visible(f"  {name.ljust(width)}  {without_secrets(value)}".rstrip()))


def _aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> list[str]:
    lines = [title] if title else []
    widths = [max(len(row[k]) for row in [columns, *rows]) for k in range(len(columns))]
    for row in [columns, *rows]:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title or None, title_justify="left", box=SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    Console().print(table)
