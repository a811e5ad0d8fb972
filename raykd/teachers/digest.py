"""Digests of plain values and of source code, which the names of what is cached are made of."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib.metadata
import importlib.util
import math
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hashlib import _Hash

NOT_DECISIVE = (
    "raykd", "raykd.errors", "raykd.hub", "raykd.params", "raykd.registry", "raykd.results.records",
    "raykd.whole_file",
)  # fmt: skip
"""Modules whose text changes no weight and no output: names, messages, declarations, records, files
that are written."""


def digest(*values: Any, digits: int = 24) -> str:
    """A name for values: equal values have equal ones, also in another process or machine.

    Args:
        values: Dataclasses, mappings, sequences, arrays, and plain values. The order of a mapping
            does not count; numbers that are equal are the same (1 and 1.0).
        digits: Length of the name, in hexadecimal digits.
    """
    hasher = hashlib.sha256()
    for value in values:
        _add(hasher, value)
    return hasher.hexdigest()[:digits]


def _add(hasher: _Hash, value: Any) -> None:
    if isinstance(value, np.ndarray):
        hasher.update(f"array {value.dtype.str} {value.shape};".encode())
        hasher.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        hasher.update(f"{type(value).__name__} ".encode())
        _add(hasher, fields)
    elif isinstance(value, Mapping):
        hasher.update(f"map {len(value)};".encode())
        for key in sorted(value, key=lambda k: (type(k).__name__, str(k))):
            _add(hasher, key)
            _add(hasher, value[key])
    elif isinstance(value, tuple | list):
        hasher.update(f"list {len(value)};".encode())
        for entry in value:
            _add(hasher, entry)
    else:
        hasher.update(_plain(value).encode(errors="surrogatepass"))


def _plain(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return f"{value};"
    if isinstance(value, int | float):
        whole = isinstance(value, int) or (math.isfinite(value) and value == int(value))
        return f"number {int(value) if whole else repr(value)};"
    if isinstance(value, str):
        return f"text {len(value)} {value};"
    raise TypeError(f"a {type(value).__name__} has no digest")


def package_version(name: str) -> str:
    """The version of an installed package without what names its build (``+cpu``)."""
    return importlib.metadata.version(name).partition("+")[0]


def code_digest(*modules: str) -> str:
    """A digest of the code of modules of raykd and of all that they import of it.

    Comments, docstrings and layout do not count. Of a module from elsewhere, such as a task of
    one's own, what it imports from elsewhere does not count.
    """
    return _code_digest(frozenset(modules))


@functools.cache
def _code_digest(modules: frozenset[str]) -> str:
    return digest({name: _code(name)[0] for name in closure(modules)}, digits=12)


def closure(modules: Collection[str]) -> frozenset[str]:
    """Modules and everything of raykd that they import, directly or not, but `NOT_DECISIVE`."""
    reached: set[str] = set()
    left = list(modules)
    while left:
        name = left.pop()
        if name in reached or name in NOT_DECISIVE:
            continue
        reached.add(name)
        left += _code(name)[1]
    return frozenset(reached)


@functools.cache
def _code(module: str) -> tuple[str, tuple[str, ...]]:
    """A digest of a module's code, and the modules of raykd that it imports."""
    path = _source(module)
    if path is None:
        # Written in a prompt, or without its source: its name has to do.
        return digest(module), ()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = tuple(dict.fromkeys(_imported(tree)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body:
            node.body = [n for n in body if not _is_text(n)] or [ast.Pass()]  # type: ignore[attr-defined]
    return digest(ast.dump(tree)), imported


def _source(module: str) -> Path | None:
    loaded = sys.modules.get(module)
    name = getattr(loaded, "__file__", None)
    if name is None:
        spec = importlib.util.find_spec(module)
        name = spec.origin if spec is not None else None
    return Path(name) if name is not None and Path(name).suffix == ".py" else None


def _is_text(node: ast.stmt) -> bool:
    """A docstring, or text that stands below what it explains."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imported(tree: ast.AST) -> list[str]:
    names = []
    for node in _run(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
            # A module may be imported by its name from its package.
            names += [f"{node.module}.{a.name}" for a in node.names if node.module != "raykd"]
            names += [f"raykd.{a.name}" for a in node.names if node.module == "raykd"]
    return [name for name in names if name.split(".")[0] == "raykd" and _is_module(name)]


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that type checkers alone read."""
    yield node
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not for_types:
            yield from _run(child)


@functools.cache
def _is_module(name: str) -> bool:
    parent, _, _ = name.rpartition(".")
    if parent and parent != "raykd" and not _is_package(parent):
        return False
    return importlib.util.find_spec(name) is not None


def _is_package(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None
