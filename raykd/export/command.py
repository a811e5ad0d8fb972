"""The command that repeats a run, as others may read it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from raykd.results.public import public_name, without_addresses, without_folders
from raykd.results.records import SweepResult

_WITH_VALUE = ("--set", "--trials", "--time-budget", "--seed", "--start-from")
_ALONE = ("--isolate", "--smoke")
"""Options that change what is trained; others are of the machine: where to write, which cluster."""
_OTHERS_WITH_VALUE = ("--out", "--resume", "--address", "--submit", "--log-file", "--format")
OPTIONS_WITH_VALUE = (*_WITH_VALUE, *_OTHERS_WITH_VALUE)
_LOGGERS = re.compile(r"loggers\b")


@dataclass(slots=True)
class _Command:
    """The words of ``raykd sweep`` that are not options, and its options with their values."""

    words: list[str] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)


def public_command(result: SweepResult) -> str:
    """``raykd sweep FILE`` with the options that change what is trained.

    Paths are cut to their last part, and loggers are left out, as in the search space.

    Args:
        result: The run; of one from a notebook, which has no command line, the file is its name.
    """
    command = _read(result.command)
    files = command.words[2:]  # after raykd and sweep
    file = re.split(r"[/\\]", files[0])[-1] if files else f"{result.name}.yaml"
    kept = ["raykd", "sweep", file]
    for option, value in command.options:
        if option in _ALONE:
            kept.append(option)
        elif option in _WITH_VALUE and not (option == "--set" and _LOGGERS.match(value)):
            kept += [option, _public(value)]
    return shlex.join(kept)


def later_trials(result: SweepResult) -> tuple[str, ...]:
    """The totals of trials that resumptions of a run were given (``--trials``), in their order."""
    resumed = [_read(str(env.get("command", ""))) for env in result.env.get("resumed", ())]
    return tuple(
        value for again in resumed for option, value in again.options if option == "--trials"
    )


def _read(command: str) -> _Command:
    """A command line by its words and options."""
    made = _Command()
    try:
        words = iter(shlex.split(command))
    except ValueError:  # a record that was edited
        return made
    for word in words:
        option, equals, value = word.partition("=")
        if not word.startswith("-"):
            made.words.append(word)
        elif option in OPTIONS_WITH_VALUE:
            made.options.append((option, value if equals else next(words, "")))
        else:
            made.options.append((word, ""))
    return made


def _public(value: str) -> str:
    key, equals, of = value.rpartition("=")
    return without_addresses(without_folders(f"{key}{equals}{public_name(of)}"))
