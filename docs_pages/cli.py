"""The page of the command line, from the Typer application."""

from __future__ import annotations

import inspect
import re
from typing import Any

from typer.main import get_command

from docs_pages import DOCS
from docs_pages.markdown import paragraphs, table
from raykd.cli.main import _app, commands

PATH = DOCS / "reference" / "cli.md"
NOTE = re.compile(r"  \[[^\]]*\](?: \[[^\]]*\])?\]?$")
"""What Typer adds to the help of a parameter: ``[required]``, ``[default: runs]``."""
VALUES = {
    "<int range>": "N",
    "<int>": "N",
    "<str>": "TEXT",
    "<path>": "DIR",
    "<": "",
    ">": "",
    "|": "/",
}
COMMON = ("quiet", "verbose", "format", "log_file", "help")
HEAD = """\
# Command line

Generated from the application by `make docs-pages`; do not edit this page. `raykd COMMAND --help`
prints the same. Results go to stdout, progress and messages to stderr. `raykd --install-completion`
installs completion of commands, names and run folders for your shell.

Every command has these options:

| option | meaning |
| --- | --- |
| `-q`, `--quiet` | Print errors only. |
| `-v`, `--verbose` | Print more, and tracebacks of errors. |
| `--format rich/plain/json` | How to print; the default suits the terminal. |
| `--log-file FILE` | Also write a log to that file. |
| `-h`, `--help` | Show the help of a command. |

## Exit codes

| exit code | meaning |
| ---: | --- |
| 0 | done |
| 1 | it ran, and nothing usable came out |
| 2 | the command line, the file or the data is wrong |
| 3 | done, but some arm has no completed trial |
| 4 | the environment: cluster, disk, network, a missing package |
| 130 | interrupted by Ctrl-C |
| 143 | ended by SIGTERM |
"""


def text() -> str:
    """The whole page."""
    lines = [HEAD]
    app = get_command(_app())
    root = app.make_context("raykd", [], resilient_parsing=True)
    for words in commands():
        lines += [*_command(root, words), ""]
    return "\n".join(lines[:-1]) + "\n"


def _command(root: Any, words: str) -> list[str]:
    """One command: usage, what it does, its arguments and options."""
    command, context = root.command, root
    for word in words.split():
        command = command.get_command(context, word)
        context = command.make_context(word, [], parent=context, resilient_parsing=True)
    arguments = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    lines = [f"## raykd {words}", "", "```text"]
    lines += [" ".join(["raykd", words, *arguments, "[OPTIONS]"]), "```", ""]
    lines += paragraphs(inspect.cleandoc(command.help or ""))
    rows = [_row(p, context) for p in command.params if not _is_common(p, context)]
    return [*lines, "", *table(("argument or option", "meaning"), rows)] if rows else lines


def _is_common(parameter: Any, context: Any) -> bool:
    """Whether an option is among those of every command; ``report --format html`` is another."""
    return parameter.name in COMMON and "html" not in parameter.get_help_record(context)[0]


def _argument(parameter: Any) -> str:
    name = (parameter.metavar or parameter.name.upper()).strip("[]")
    return name if parameter.required else f"[{name}]"


def _row(parameter: Any, context: Any) -> tuple[str, str]:
    name, meaning = parameter.get_help_record(context)
    if parameter.param_type_name == "argument":
        name = _argument(parameter)
    for typed, shown in VALUES.items():
        name = name.replace(typed, shown)
    meaning = NOTE.sub("", meaning)
    if parameter.required:
        meaning += " Required."
    default = getattr(parameter.default, "value", parameter.default)
    if parameter.show_default and default not in (None, False, ()) and not callable(default):
        meaning += f" Default: `{default}`."
    return f"`{name}`", meaning
