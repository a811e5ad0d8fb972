"""The command that repeats a run, as others may read it."""

from __future__ import annotations

import itertools
import re
import shlex

from raykd.results.public import public_name, without_addresses, without_folders
from raykd.results.records import SweepResult

_WITH_VALUE = ("--set", "--trials", "--time-budget", "--seed", "--start-from")
_ALONE = ("--isolate", "--smoke")
"""Options that change what is trained; others are of the machine: where to write, which cluster."""


def public_command(result: SweepResult) -> str:
    """``raykd sweep FILE`` with the options that change what is trained.

    Paths are cut to their last part, and loggers are left out, as in the search space.

    Args:
        result: The run; of one from a notebook, which has no command line, the file is its name.
    """
    try:
        words = shlex.split(result.command)
    except ValueError:  # a record that was edited
        words = []
    words = [part for word in words for part in _parts(word)]
    files = [word for word in words if word.endswith((".yaml", ".yml"))]
    file = re.split(r"[/\\]", files[0])[-1] if files else f"{result.name}.yaml"
    kept = ["raykd", "sweep", file]
    for word, value in itertools.pairwise([*words, ""]):
        if word in _ALONE:
            kept.append(word)
        elif word in _WITH_VALUE and not (word == "--set" and value.startswith("loggers")):
            kept += [word, _public(value)]
    return shlex.join(kept)


def _parts(word: str) -> list[str]:
    """``--set=a=b`` is ``--set a=b``."""
    option, equals, value = word.partition("=")
    return [option, value] if equals and option in _WITH_VALUE else [word]


def _public(value: str) -> str:
    key, equals, of = value.rpartition("=")
    return without_addresses(without_folders(f"{key}{equals}{public_name(of)}"))
