"""Applies ``--set a.b=c``: the value is YAML, missing sections are made, the last one wins."""

from __future__ import annotations

import re
from collections.abc import Sequence

from raykd.errors import SpecError
from raykd.spec.yaml_loader import parse
from raykd.spec.yaml_nodes import Findings, Mark, Source, YamlEntry, YamlNode
from raykd.spec.yaml_tree import DEEPEST

OPTION = "--set"

_KEY = re.compile(r"\s*([^\[\]]*[^\[\]\s])((?:\[\d{1,9}\])*)\s*")
"""One part of a path: a key, and the numbers of entries of the list below it."""


def apply_overrides(root: YamlNode, overrides: Sequence[str], findings: Findings) -> None:
    """Change `root` in place; a wrong override is noted in `findings` and left out.

    Args:
        root: The file's mapping.
        overrides: Texts of the form ``a.b=c`` or ``a[0].b=c``.
        findings: Receives the problems; each shows the option it came from.
    """
    for text in overrides:
        source = Source(name=OPTION, lines=(f"{OPTION} {text}",))
        path, equals, value = text.partition("=")
        keys = _keys(path)
        if not equals or not keys:
            message = f"expected KEY=VALUE, got '{text}'"
            hint = "for example --set train.epochs=2 or --set tasks=[glue/rte]"
            findings.add(Mark(source, 0, len(OPTION) + 2), "", message, hint)
            continue
        if len(keys) > DEEPEST:
            message = f"nested too deeply: more than {DEEPEST} levels"
            findings.add(Mark(source, 0, len(OPTION) + 2), "", message)
            continue
        start = len(OPTION) + 1
        try:
            node = parse(value, source, findings, offset=start + len(path) + 1)
        except SpecError as exc:
            findings.problems += exc.problems()
            continue
        mark = Mark(source, 0, start + len(path) - len(path.rpartition(".")[2].lstrip()) + 1)
        _put(root, keys, YamlEntry(mark, node or YamlNode(None, "null", mark)), findings)


def _keys(path: str) -> list[str | int]:
    """The keys and numbers of a path; none where it is not one."""
    keys: list[str | int] = []
    for part in path.split("."):
        match = _KEY.fullmatch(part)
        if match is None:
            return []
        keys += [match[1], *(int(number) for number in re.findall(r"\d+", match[2]))]
    return keys


def _put(root: YamlNode, keys: list[str | int], entry: YamlEntry, findings: Findings) -> None:
    here = root
    for depth, key in enumerate(keys):
        if wrong := _misfit(here, keys, depth):
            findings.add(entry.mark, _shown(keys), *wrong)
            return
        last = depth == len(keys) - 1
        if isinstance(key, int):
            assert isinstance(here.value, list)
            here.value[key] = entry.node if last else here.value[key]
            here = here.value[key]
            continue
        below = here.entries.get(key)
        if last:
            here.entries[key] = entry
        elif below is None or below.node.value is None:
            below = YamlEntry(below.mark if below else entry.mark, YamlNode({}, "", entry.mark))
            here.entries[key] = below
        here = here.entries[key].node


def _misfit(here: YamlNode, keys: Sequence[str | int], depth: int) -> tuple[str, str] | None:
    """What is wrong with a key below a value, and what to do; None where it fits."""
    path, key = _shown(keys[:depth]), keys[depth]
    if isinstance(here.value, list if isinstance(key, int) else dict):
        if isinstance(key, int) and key >= len(here.items):
            count = len(here.items)
            return f"'{path}' has {count} entries, the last one is [{count - 1}]", ""
        return None
    what = f"the value {here.typed()}"
    if isinstance(here.value, list):
        return f"'{path}' is a list and has no keys", f"count its entries from 0: {path}[0]"
    if isinstance(key, int):
        return f"'{path}' is not a list and has no entry [{key}]", ""
    return f"'{path}' is {what} and has no keys", f"set the whole of it: {OPTION} {path}=..."


def _shown(keys: Sequence[str | int]) -> str:
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return "".join(parts).removeprefix(".")
