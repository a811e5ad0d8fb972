"""Reads ``teacher.endpoint`` and ``teacher.ask``: a teacher behind an address."""

from __future__ import annotations

import re
from string import Formatter

from raykd.spec.addresses import SECRET, holds_secret, is_web
from raykd.spec.schema import AskSpec, TeacherSpec
from raykd.spec.sections import read_section
from raykd.spec.yaml_nodes import Findings, YamlEntry

WHERE = "teacher.ask"
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
"""Names are upper case, and keys are not: what is one is never written anywhere."""

_PLACES = ("text", "text_a", "text_b", "choices", "response")


def read_ask(teacher: YamlEntry, findings: Findings) -> AskSpec | None:
    """Read ``teacher.ask``; None where there is none, or something is wrong.

    Args:
        teacher: The section ``teacher``.
        findings: Receives the problems.
    """
    entry = teacher.node.entries.get("ask")
    if entry is None or entry.node.value is None:
        return None
    made = read_section(AskSpec, entry, WHERE, findings)
    if made is None:
        return None
    for key, message, hint in _problems(made):
        at = entry.node.entries[key].node.mark
        findings.add(at, f"{WHERE}.{key}", message, hint, secret=key == "key")
    return made


def check_endpoint(made: TeacherSpec, entry: YamlEntry, findings: Findings) -> None:
    """Refuse an address that is none or holds a secret, and what does not go with it.

    Args:
        made: The teacher.
        entry: Its section.
        findings: Receives the problems.
    """
    entries = entry.node.entries
    if made.endpoint is None:
        if made.ask is not None:
            message = "'ask' says how a teacher behind an address is queried, and there is none"
            findings.add(entries["ask"].mark, WHERE, message, "add endpoint: URL, or remove ask")
        return
    place = entries["endpoint"].node.mark
    if holds_secret(made.endpoint):
        hint = "put the key into an environment variable, and its name into teacher.ask.key"
        findings.add(place, "teacher.endpoint", SECRET, hint, secret=True)
    elif not is_web(made.endpoint):
        hint = "for example endpoint: http://localhost:8000/v1"
        findings.add(place, "teacher.endpoint", "'endpoint' is not an address", hint)
    if not isinstance(made.model, str):
        at = entries.get("model", entries["endpoint"])
        message = "a teacher behind an address has a name there, which 'model' is"
        findings.add(at.mark, "teacher.model", message, "model: NAME")


def _other_place(text: str) -> str | None:
    """A place of a wording that there is nothing for, None where there is none."""
    try:
        named = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError as exc:
        return f"that does not end ({exc})"
    return next((f"{{{name}}}" for name in named if name not in _PLACES), None)


def _problems(made: AskSpec) -> list[tuple[str, str, str]]:
    """What is wrong with settings: the key, the words, and what to do."""
    problems = []
    if not _VARIABLE.fullmatch(made.key):
        # It may be the key itself: what was written is not repeated.
        message = "'key' is the name of an environment variable, and this is none"
        problems.append(("key", message, "export OPENAI_API_KEY=..., and key: OPENAI_API_KEY"))
    for key in ("prompt", "explain"):
        other = _other_place(getattr(made, key))
        if other is not None:
            message = f"'{key}' has a place {other}, expected {{{'}, {'.join(_PLACES)}}}"
            problems.append((key, message, "double the braces of a text that is none: {{...}}"))
    ways = {"chat": ("auto", "first_token", "text"), "completions": ("auto", "choices", "text")}
    if made.score_by not in ways[made.interface]:
        message = f"score_by: {made.score_by} does not work through interface: {made.interface}"
        problems.append(("score_by", message, f"one of {', '.join(ways[made.interface])}"))
    return problems
