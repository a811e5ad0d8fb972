"""Rules for the names of sweeps, arms and tasks, which become parts of file names."""

from __future__ import annotations

import re

from raykd.errors import shortened
from raykd.spec.yaml_nodes import TYPED

LONGEST_NAME = 100
"""Characters of a name; a file system takes 255 for a file, and two names share one."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def name_problem(name: str) -> str:
    """Why a name cannot be used, in words that follow what is named; empty when it can."""
    if not _NAME.fullmatch(name):
        return f"has letters, digits, '_' and '-', got '{shortened(name, TYPED)}'"
    if len(name) > LONGEST_NAME:
        return f"has at most {LONGEST_NAME} characters, got {len(name)}"
    return ""
