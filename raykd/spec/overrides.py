"""Applies ``--set a.b=c``: the value is YAML, missing sections are made, the last one wins."""

from __future__ import annotations

from collections.abc import Sequence

from raykd.errors import SpecError
from raykd.spec.nodes import Entry, Findings, Mark, Node, Source
from raykd.spec.yaml_loader import parse

OPTION = "--set"


def apply_overrides(root: Node, overrides: Sequence[str], findings: Findings) -> None:
    """Change `root` in place; a wrong override is noted in `findings` and left out.

    Args:
        root: The file's mapping.
        overrides: Texts of the form ``a.b=c``.
        findings: Receives the problems; each shows the option it came from.
    """
    for text in overrides:
        source = Source(name=OPTION, lines=(f"{OPTION} {text}",))
        path, equals, value = text.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            message = f"expected KEY=VALUE, got '{text}'"
            hint = "for example --set train.epochs=2 or --set tasks=[glue/rte]"
            findings.add(Mark(source, 0, len(OPTION) + 2), "", message, hint)
            continue
        start = len(OPTION) + 1
        try:
            node = parse(value, source, findings, offset=start + len(path) + 1)
        except SpecError as exc:
            findings.problems += exc.problems()
            continue
        mark = Mark(source, 0, start + len(path) - len(keys[-1]) + 1)
        _put(root, keys, Entry(mark, node or Node(None, "null", mark)), findings)


def _put(root: Node, keys: list[str], entry: Entry, findings: Findings) -> None:
    here = root
    for depth, key in enumerate(keys[:-1], start=1):
        below = here.entries.get(key)
        if below is None or below.node.value is None:
            below = Entry(below.mark if below else entry.mark, Node({}, "", entry.mark))
            here.entries[key] = below
        if not isinstance(below.node.value, dict):
            path = ".".join(keys[:depth])
            what = "a list" if below.node.items else f"the value {below.node.typed()}"
            findings.add(
                entry.mark,
                ".".join(keys),
                f"'{path}' is {what} and has no keys",
                f"set the whole of it: --set {path}=...",
            )
            return
        here = below.node
    here.entries[keys[-1]] = entry
